// Compiled with -march=x86-64-v4 -mavx512vnni -mavx512bf16.

#define BIRNN_ENGINE avx512_bf16
#define BIRNN_VECTOR_BYTES 64
#define BIRNN_REGISTERS 32
#define BIRNN_INT8 false
#define BIRNN_BF16 true
#include "low_table.h"
