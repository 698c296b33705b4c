// Compiled with -march=x86-64-v4 -mavx512vnni: the kernels of isa_amx.cpp on tiles in software, by
// which they are proven where no processor has any. Forced only, and slow.

#define BIRNN_ENGINE amx_emulated
#define BIRNN_VECTOR_BYTES 64
#define BIRNN_REGISTERS 32
#define BIRNN_TILES 2
#define BIRNN_INT8 true
#define BIRNN_BF16 true
#include "low_table.h"
