// The tiles of AMX: eight registers of 16 rows of 64 bytes, and products of them.
//
// Two implementations of one interface: the instructions, and what Intel's manual says of them in
// plain C++, by which kernels of tiles are proven on processors that have none (BIRNN_TILES 2).
//
//   configure_tiles(rows)       tiles have so many rows, and hold zeros
//   release_tiles()             the processor need not keep them any more
//   zero_tile<T>()
//   load_tile<T>(from, stride)  rows that are `stride` bytes apart
//   store_tile<T>(to, stride)
//   add_tiles<A, C, X, W>()     C[m][n] += sum over k of X[m][k] W[k][n], of groups k: 4 uint8 by 4
//                               int8 into int32, or 2 bfloat16 by 2 into float32
//
// All tiles are configured alike but for W's, which have 16 rows always: those of a group of k.

#pragma once

#include "isa.h"

namespace birnn {
namespace {

constexpr int TILE_HEIGHT = 16;  // rows of a tile at most
constexpr int TILE_BYTES = 64;   // of a row
constexpr int FIRST_WEIGHT_TILE = 5;

#if BIRNN_TILES != 2

// The operand of LDTILECFG.
struct TileConfiguration {
  uint8_t palette = 1;
  uint8_t start_row = 0;
  uint8_t reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};

inline void configure_tiles(int rows) {
  alignas(64) TileConfiguration configuration;
  for (int tile = 0; tile < 8; ++tile) {
    configuration.row_bytes[tile] = TILE_BYTES;
    configuration.rows[tile] =
        static_cast<uint8_t>(tile < FIRST_WEIGHT_TILE ? rows : TILE_HEIGHT);
  }
  asm volatile("ldtilecfg %0" : : "m"(configuration));
}

inline void release_tiles() { asm volatile("tilerelease"); }

template <int T>
inline void zero_tile() {
  asm volatile("tilezero %%tmm%c0" : : "i"(T));
}

template <int T>
inline void load_tile(const void* from, int64_t stride) {
  asm volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(from), "r"(stride), "i"(T) : "memory");
}

template <int T>
inline void store_tile(void* to, int64_t stride) {
  asm volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(to), "r"(stride), "i"(T) : "memory");
}

template <class A, int C, int X, int W>
inline void add_tiles() {
  if constexpr (sizeof(typename A::Weight) == 1) {
    asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(X), "i"(W));
  } else {
    asm volatile("tdpbf16ps %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(X), "i"(W));
  }
}

#else

struct EmulatedTiles {
  int rows;
  uint8_t tile[8][TILE_HEIGHT][TILE_BYTES];
};

// Each thread has its own.
thread_local EmulatedTiles emulated;

inline int emulated_rows(int tile) {
  return tile < FIRST_WEIGHT_TILE ? emulated.rows : TILE_HEIGHT;
}

inline void configure_tiles(int rows) {
  __builtin_memset(&emulated, 0, sizeof(emulated));
  emulated.rows = rows;
}

// What is computed after it would not be right.
inline void release_tiles() { configure_tiles(0); }

template <int T>
inline void zero_tile() {
  __builtin_memset(emulated.tile[T], 0, sizeof(emulated.tile[T]));
}

template <int T>
inline void load_tile(const void* from, int64_t stride) {
  for (int row = 0; row < emulated_rows(T); ++row) {
    copy<uint8_t>(emulated.tile[T][row], static_cast<const uint8_t*>(from) + row * stride,
                  TILE_BYTES);
  }
}

template <int T>
inline void store_tile(void* to, int64_t stride) {
  for (int row = 0; row < emulated_rows(T); ++row) {
    copy<uint8_t>(static_cast<uint8_t*>(to) + row * stride, emulated.tile[T][row], TILE_BYTES);
  }
}

// A denormal number becomes a zero, with its sign.
inline float flushed(float value) {
  constexpr float smallest = 1.17549435e-38f;  // normal number
  return __builtin_fabsf(value) < smallest ? __builtin_copysignf(0.0f, value) : value;
}

// a b + c, rounded once. What is denormal after it was rounded to 24 bits is a zero; in float64 the
// sum is exact wherever it is near the smallest normal number.
inline float flushed_multiply_add(float a, float b, float c) {
  constexpr double least = 0x1p-126 - 0x1p-151;
  const float sum = __builtin_fmaf(a, b, c);
  const double exact = static_cast<double>(a) * b + c;
  return __builtin_fabs(exact) < least ? __builtin_copysignf(0.0f, sum) : sum;
}

inline float widened(const uint8_t* bfloat16) {
  uint16_t upper;
  __builtin_memcpy(&upper, bfloat16, sizeof(upper));
  const uint32_t bits = static_cast<uint32_t>(upper) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof(value));
  return flushed(value);
}

// Source: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2: TDPBUSD,
// TDPBF16PS.
template <class A, int C, int X, int W>
inline void add_tiles() {
  constexpr int columns = TILE_BYTES / 4, groups = TILE_BYTES / 4;
  for (int m = 0; m < emulated.rows; ++m) {
    const uint8_t* const x = emulated.tile[X][m];
    for (int n = 0; n < columns; ++n) {
      uint8_t* const c = emulated.tile[C][m] + 4 * n;
      if constexpr (sizeof(typename A::Weight) == 1) {
        uint32_t sum;
        __builtin_memcpy(&sum, c, sizeof(sum));
        for (int k = 0; k < groups; ++k) {
          const uint8_t* const w = emulated.tile[W][k] + 4 * n;
          for (int i = 0; i < 4; ++i) sum += static_cast<uint32_t>(x[4 * k + i] * int8_t(w[i]));
        }
        __builtin_memcpy(c, &sum, sizeof(sum));
      } else {
        float even = 0.0f, odd = 0.0f, sum;
        for (int k = 0; k < groups; ++k) {
          const uint8_t* const w = emulated.tile[W][k] + 4 * n;
          even = flushed_multiply_add(widened(x + 4 * k), widened(w), even);
          odd = flushed_multiply_add(widened(x + 4 * k + 2), widened(w + 2), odd);
        }
        __builtin_memcpy(&sum, c, sizeof(sum));
        sum = flushed(flushed(sum) + flushed(even + odd));
        __builtin_memcpy(c, &sum, sizeof(sum));
      }
    }
  }
}

#endif

// How many rows this thread's tiles have; 0: they are not configured.
thread_local int tile_rows = 0;

// Configuring takes as long as a small product: it is done where the number of rows changes.
inline void use_tiles(int rows) {
  if (tile_rows == rows) return;
  configure_tiles(rows);
  tile_rows = rows;
}

// Tiles for the work of a thread on one call. Between calls another library may use them, and
// processor and system should not have to keep them.
struct TilesOfCall {
  TilesOfCall() { tile_rows = 0; }
  ~TilesOfCall() {
    if (tile_rows != 0) release_tiles();
    tile_rows = 0;
  }
};

}  // namespace
}  // namespace birnn
