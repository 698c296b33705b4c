// Products of low precision by the tiles of AMX: in place of the vectors' tile of low_precision.h,
// with the same rows and the same packed weights.
//
// 16 rows are multiplied with up to four vectors of columns: four tiles of sums, one of rows, three
// of weights in turn, so that they can be loaded ahead.

#pragma once

#include "gemm.h"
#include "isa.h"
#include "low_precision.h"
#include "tiles.h"

namespace birnn {
namespace {

constexpr int ROW_TILE = 4;

// How many rows this thread's tiles have; 0: they are not configured.
thread_local int tile_rows = 0;

// Tiles for the work of this thread on one call. Between calls another library may use them, and
// the processor and the system should not have to keep them.
struct TilesOfCall {
  TilesOfCall() { tile_rows = 0; }
  ~TilesOfCall() {
    if (tile_rows != 0) release_tiles();
    tile_rows = 0;
  }
};

// Configuring takes as long as a small product: it is done where the number of rows changes.
inline void use_tiles(int rows) {
  if (tile_rows == rows) return;
  configure_tiles(rows);
  tile_rows = rows;
}

// Calls visit(v) for v from 0 to V - 1, each a constant.
template <int v>
struct Constant {
  static constexpr int value = v;
};

template <int V, int v = 0, class Visit>
inline __attribute__((always_inline)) void for_each_constant(Visit visit) {
  if constexpr (v < V) {
    visit(Constant<v>{});
    for_each_constant<V, v + 1>(visit);
  }
}

// `count` rows of c = start + a b.
template <class A, int V, int LAST>
__attribute__((noinline)) void tiles_product(int64_t K, const ProductRows<A>& rows, int64_t count,
                                             PanelOf<A> b, const float* bias) {
  using Of = LowArithmetic<A>;
  constexpr int L = FLOAT_LANES, width = V * L;
  constexpr int64_t group_bytes = V * Of::VECTOR_BYTES;
  static_assert(L * sizeof(float) == TILE_BYTES, "a vector is a row of a tile");
  const int64_t blocks = (count + TILE_HEIGHT - 1) / TILE_HEIGHT;
  const int64_t height = (count + blocks - 1) / blocks;
  const int64_t row_bytes = rows.a.stride * static_cast<int64_t>(sizeof(typename A::Row));
  use_tiles(static_cast<int>(height));
  alignas(64) float sums[TILE_HEIGHT * width];
  for (int64_t first = 0; first < count; first += height) {
    // All tiles have the same number of rows: the last begins earlier, among rows that are done.
    const int64_t begin = min(first, count - height);
    if constexpr (Of::SCALED) {
      for_each_constant<V>([](auto v) { zero_tile<v.value>(); });
    } else {
      for (int64_t r = first; r < begin + height; ++r) {
        const float* const start = start_of(rows, r, bias);
        for (int v = 0; v < V; ++v) {
          store<float>(sums + (r - begin) * width + v * L,
                       load<float>(start + (v == V - 1 ? LAST : v) * L));
        }
      }
      for_each_constant<V>([&](auto v) {
        load_tile<v.value>(sums + v.value * L, width * sizeof(float));
      });
    }
    const char* x = reinterpret_cast<const char*>(rows.a.data) + begin * row_bytes;
    const char* weights = b.weights;
    for (int64_t group = 0; group < Of::groups(K); group += TILE_HEIGHT) {
      load_tile<ROW_TILE>(x, row_bytes);
      for_each_constant<V>([&](auto v) {
        constexpr int tile = FIRST_WEIGHT_TILE + v.value % (8 - FIRST_WEIGHT_TILE);
        load_tile<tile>(weights + v.value * Of::VECTOR_BYTES, group_bytes);
        add_tiles<A, v.value, ROW_TILE, tile>();
      });
      x += TILE_BYTES;
      weights += TILE_HEIGHT * group_bytes;
    }
    for_each_constant<V>([&](auto v) {
      store_tile<v.value>(sums + v.value * L, width * sizeof(float));
    });
    for (int64_t r = first; r < begin + height; ++r) {
      finish_row<A, V, LAST>(K, rows, r, sums + (r - begin) * width, b, bias);
    }
  }
}

}  // namespace
}  // namespace birnn
