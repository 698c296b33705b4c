// Compiled with -march=x86-64-v4 -mavx512vnni.

#define BIRNN_ENGINE avx512_vnni
#define BIRNN_VECTOR_BYTES 64
#define BIRNN_REGISTERS 32
#include "low_table.h"
