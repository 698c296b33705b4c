// Compiled with -march=x86-64-v4 -mavx512vnni.

#define BIRNN_ENGINE avx512_vnni
#define BIRNN_VECTOR_BYTES 64
#define BIRNN_REGISTERS 32
#define BIRNN_INT8 true
#define BIRNN_BF16 false
#include "low_table.h"
