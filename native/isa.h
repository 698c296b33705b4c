// The instruction set that kernels are compiled for, and what they have in place of the C++
// library.
//
// Every kernel is written once, in a header that includes what it uses, and compiled once for each
// instruction set: isa_generic.cpp, isa_avx2.cpp and isa_avx512.cpp have compiler flags of their
// own (CMakeLists.txt), define the three macros below and include kernel_table.h, which includes
// the rest.
//
// Functions of one instruction set must never be linked into another's code. Where several object
// files define an inline function or a template of the same name, the linker keeps one of them, by
// the one definition rule: it could be the AVX-512 one, which is an illegal instruction on other
// processors. So in kernel headers
//
//   - everything stands in an unnamed namespace, `namespace birnn { namespace {`: each object file
//     has functions of its own, and only its table of kernels has a name outside;
//   - no header of the C++ library is included, as its templates would be shared that way.
//
// tests/engine/test_engines.py looks at the objects' symbols. tests/engine/test_headers.py compiles
// each header alone.

#pragma once

#include <stddef.h>
#include <stdint.h>

// A header that is read by itself, in an editor or by a check, takes what the compiler's flags
// allow.
#if !defined(BIRNN_ENGINE)
#if defined(__AVX512F__)
#define BIRNN_ENGINE avx512    // name of the engine
#define BIRNN_VECTOR_BYTES 64  // bytes of a vector
#define BIRNN_REGISTERS 32     // vector registers: 16 or 32
#elif defined(__AVX2__)
#define BIRNN_ENGINE avx2
#define BIRNN_VECTOR_BYTES 32
#define BIRNN_REGISTERS 16
#else
#define BIRNN_ENGINE generic
#define BIRNN_VECTOR_BYTES 16
#define BIRNN_REGISTERS 16
#endif
#endif

// Whether products of low precision run on the tiles of tiles.h: 1 by AMX's instructions, 2 by
// their emulation.
#if !defined(BIRNN_TILES)
#define BIRNN_TILES 0
#endif

namespace birnn {
namespace {

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }

template <class T>
inline void copy(T* to, const T* from, int64_t count) {
  __builtin_memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
}

template <class T>
inline void zero(T* to, int64_t count) {
  __builtin_memset(to, 0, static_cast<size_t>(count) * sizeof(T));
}

// Allocates arrays one after another from one piece of memory, each on a cache line of its own.
// Without memory it only counts, so that the size that a caller asks for and the arrays that are
// allocated there cannot differ.
struct BumpAllocator {
  char* memory;
  int64_t used = 0;

  template <class T>
  T* allocate(int64_t count) {
    char* here = memory == nullptr ? nullptr : memory + used;
    used += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
    return reinterpret_cast<T*>(here);
  }
};

// One thread's share of a loop: the items first, first + step, ...
struct Strided {
  int64_t first, step;
};

}  // namespace
}  // namespace birnn
