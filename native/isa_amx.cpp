// Compiled with -march=x86-64-v4 -mavx512vnni -mamx-tile -mamx-int8 -mamx-bf16.

#define BIRNN_ENGINE amx
#define BIRNN_VECTOR_BYTES 64
#define BIRNN_REGISTERS 32
#define BIRNN_TILES 1
#define BIRNN_INT8 true
#define BIRNN_BF16 true
#include "low_table.h"
