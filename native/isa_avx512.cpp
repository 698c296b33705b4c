// Compiled with -march=x86-64-v4: AVX-512 F, BW, CD, DQ, VL.

#define BIRNN_ENGINE avx512
#define BIRNN_VECTOR_BYTES 64
#define BIRNN_REGISTERS 32
#include "kernel_table.h"
