// Compiled for the processor's base: SSE2 on x86-64, NEON on AArch64.

#define BIRNN_ENGINE generic
#define BIRNN_VECTOR_BYTES 16
#if defined(__aarch64__)
#define BIRNN_REGISTERS 32
#else
#define BIRNN_REGISTERS 16
#endif
#include "kernel_table.h"
