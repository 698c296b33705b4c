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

template <int v>
struct Constant {
  static constexpr int value = v;
};

// Calls visit(v) for v from 0 to V - 1, each a constant: instructions have the numbers of tiles in
// them.
template <int V, int v = 0, class Visit>
inline __attribute__((always_inline)) void for_each_constant(Visit visit) {
  if constexpr (v < V) {
    visit(Constant<v>{});
    for_each_constant<V, v + 1>(visit);
  }
}

// `count` rows of c = start + a b.
template <class A, int V, int LAST>
struct TileProduct {
  using Of = LowArithmetic<A>;
  static constexpr int L = FLOAT_LANES, width = V * L;
  static constexpr int64_t step = width * sizeof(float);                 // bytes of a row of sums
  static constexpr int64_t group_bytes = int64_t{V} * Of::VECTOR_BYTES;  // of weights
  static_assert(sizeof(Vec<float>) == TILE_BYTES, "a vector is a row of a tile");

  static __attribute__((noinline)) void run(int64_t K, const ProductRows<A>& rows, int64_t count,
                                            PanelOf<A> b, const float* bias) {
    if (count == 0) return;
    if constexpr (Of::SCALED) {
      // Of a single row the vectors' instruction makes as much, to the same bits.
      if (count == 1) return Tile<A>::template run<1, V, LAST>(K, rows, b, bias);
    }
    const int64_t blocks = (count + TILE_HEIGHT - 1) / TILE_HEIGHT;
    const int64_t height = (count + blocks - 1) / blocks;
    use_tiles(static_cast<int>(height));
    alignas(64) float sums[TILE_HEIGHT * width];
    for (int64_t first = 0; first < count; first += height) {
      // All blocks are as high: the last one begins among rows that are done.
      const int64_t begin = min(first, count - height);
      if constexpr (Of::SCALED) {
        for_each_constant<V>([](auto v) { zero_tile<v.value>(); });
      } else {
        for (int64_t r = first; r < begin + height; ++r) {
          const float* const start = rows.start_of(r, bias);
          for (int v = 0; v < V; ++v) {
            store<float>(at(sums, r - begin, v), load<float>(start + to(v)));
          }
        }
        for_each_constant<V>([&](auto v) { load_tile<v.value>(sums + v.value * L, step); });
      }
      add_groups(K, rows.a + begin, b.weights);
      for_each_constant<V>([&](auto v) { store_tile<v.value>(sums + v.value * L, step); });
      for (int64_t r = first; r < begin + height; ++r) {
        const float* const start = rows.start_of(r, bias);
        float* const end = rows.c + rows.number[r] * rows.stride;
        for (int v = 0; v < V; ++v) {
          Floats value = load<float>(at(sums, r - begin, v));
          if constexpr (Of::SCALED) {
            const Ints sum = reinterpret_cast<Ints>(value) +
                             *reinterpret_cast<const UnalignedInts*>(b.starts + v * L);
            value = load<float>(start + to(v));
            if (K > 0) value += scaled(sum, rows.a.scales[r], b.scales + v * L);
          }
          store<float>(end + to(v), value);
        }
      }
    }
  }

 private:
  // Where vector v of a row of c stands.
  static int to(int v) { return (v == V - 1 ? LAST : v) * L; }
  static float* at(float* sums, int64_t row, int v) { return sums + row * width + v * L; }

  // Tiles of sums += rows times weights.
  static void add_groups(int64_t K, const LowRows<A>& rows, const char* weights) {
    const auto row_bytes = rows.stride * static_cast<int64_t>(sizeof(typename A::Row));
    const char* x = reinterpret_cast<const char*>(rows.data);
    for (int64_t left = Of::groups(K); left > 0; left -= TILE_HEIGHT) {
      load_tile<ROW_TILE>(x, row_bytes);
      for_each_constant<V>([&](auto v) {
        constexpr int tile = FIRST_WEIGHT_TILE + v.value % (8 - FIRST_WEIGHT_TILE);
        load_tile<tile>(weights + v.value * Of::VECTOR_BYTES, group_bytes);
        add_tiles<A, v.value, ROW_TILE, tile>();
      });
      x += TILE_BYTES;
      weights += TILE_HEIGHT * group_bytes;
    }
  }
};

// Products of tiles that are loaded already: the peak. Returns how many operations it did.
template <class A>
double peak_of_tiles(int64_t rounds) {
  const TilesOfCall call;
  use_tiles(TILE_HEIGHT);
  if (BIRNN_TILES == 2) rounds = rounds / 10000 + 1;  // in software they take as much longer
  for (int64_t k = 0; k < rounds; ++k) {
    for_each_constant<ROW_TILE>([](auto v) {
      add_tiles<A, v.value, ROW_TILE, FIRST_WEIGHT_TILE>();
    });
  }
  return static_cast<double>(rounds) * ROW_TILE * TILE_HEIGHT * FLOAT_LANES * TILE_HEIGHT *
         A::GROUP * 2;
}

}  // namespace
}  // namespace birnn
