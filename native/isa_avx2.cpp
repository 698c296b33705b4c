// Compiled with -march=x86-64-v3: AVX2 and FMA.

#define BIRNN_ENGINE avx2
#define BIRNN_VECTOR_BYTES 32
#define BIRNN_REGISTERS 16
#include "kernel_table.h"
