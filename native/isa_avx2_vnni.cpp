// Compiled with -march=x86-64-v3 -mavxvnni: AVX-VNNI beside AVX2 and FMA.

#define BIRNN_ENGINE avx2_vnni
#define BIRNN_VECTOR_BYTES 32
#define BIRNN_REGISTERS 16
#define BIRNN_INT8 true
#define BIRNN_BF16 false
#include "low_table.h"
