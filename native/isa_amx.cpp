// Compiled with -march=x86-64-v4 -mavx512vnni -mamx-tile -mamx-int8 -mamx-bf16.

#define BIRNN_ENGINE amx
#define BIRNN_VECTOR_BYTES 64
#define BIRNN_REGISTERS 32
#include "low_table.h"
