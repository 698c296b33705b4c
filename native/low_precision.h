// Products of low precision for the loops of gemm.h: weights in int8 or bfloat16, packed, and the
// tile that multiplies rows in the same precision with them.
//
// A panel holds its weights by group of k, [slice][K / GROUP][vector][lane][GROUP], K filled up with
// zeros; of int8 after them the scale of each column, and what its sums begin at.
//
// int8: a sum is exact in int32, and every operation after it is rounded by itself, so it has the
// same bits with every instruction set:  c = start + float(sum) * (scale of row * scale of column)

#pragma once

#include "dot_products.h"
#include "gemm.h"
#include "isa.h"
#include "low_rows.h"
#include "simd.h"
#if BIRNN_TILES
#include "tiles.h"
#endif

namespace birnn {
namespace {

template <class A>
struct LowArithmetic {
  using Number = float;
  using Packed = char;
  using Rows = LowRows<A>;
  static constexpr bool LOW = true;
#if BIRNN_TILES
  using Call = TilesOfCall;
#else
  using Call = Arithmetic<float>::Call;
#endif
  static constexpr bool SCALED = sizeof(typename A::Weight) == 1;  // int8
  // Bytes of a vector of weights of one group.
  static constexpr int VECTOR_BYTES = FLOAT_LANES * A::GROUP * sizeof(typename A::Weight);

  // Beside sums, weights and a row's group of them there has to be a register for what they make.
  template <int V>
  static constexpr int MOST_ROWS = BIRNN_REGISTERS == 16 && V == 3 ? 3 : TILE_ROWS<V>;

  struct Panel {
    const char* weights;
    const float* scales;    // of each column
    const int32_t* starts;  // of its sums
  };

  static int64_t groups(int64_t K) {
    constexpr int64_t of_tile = BIRNN_TILES ? 16 : 1;  // tiles take so many at once
    return round_up((K + A::GROUP - 1) / A::GROUP, of_tile);
  }

  static int64_t panel_size(int64_t K, int vectors) {
    const int64_t weights = groups(K) * vectors * VECTOR_BYTES;
    return round_up(weights + (SCALED ? vectors * FLOAT_LANES * 8 : 0), 64);
  }

  static Panel panel(const char* packed, int64_t K, int vectors) {
    const char* const behind = packed + groups(K) * vectors * VECTOR_BYTES;
    return {packed, reinterpret_cast<const float*>(behind),
            reinterpret_cast<const int32_t*>(behind) + vectors * FLOAT_LANES};
  }

  static Panel slice(Panel b, int64_t K, int v) {
    return {b.weights + v * groups(K) * VECTOR_BYTES, b.scales + v * FLOAT_LANES,
            b.starts + v * FLOAT_LANES};
  }

  struct RowBuffer : LowRows<A> {
    using LowRows<A>::LowRows;
    Rows fill(const float* const* rows, int64_t count, int64_t K, int64_t at) const {
      for (int64_t i = 0; K > 0 && i < count; ++i) convert_row(rows[i], K, *this, at + i);
      return *this + at;
    }
    Rows filled(const float* const*, int64_t at) const { return *this + at; }
  };
};

template <>
struct Arithmetic<Int8> : LowArithmetic<Int8> {};
template <>
struct Arithmetic<Bf16> : LowArithmetic<Bf16> {};

// sum[r] += a[r] b over all groups, for one step of each (Bf16 has two where it is widened).
template <class A, int STEP, int R, int V, int WIDTH>
inline __attribute__((always_inline)) void add_group(const typename A::Row* const (&a)[R],
                                                     int64_t at, const char* b, int64_t groups,
                                                     typename A::Sums (&sum)[R][V]) {
  constexpr int bytes = LowArithmetic<A>::VECTOR_BYTES;
  typename A::Factors weight[V];
#pragma GCC unroll 16
  for (int v = 0; v < V; ++v) {
    weight[v] = A::template weights<STEP>(reinterpret_cast<const typename A::Weight*>(
        b + (v / WIDTH * groups * WIDTH + v % WIDTH) * bytes));
    if (R > 1) keep_in_register(weight[v]);
  }
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    const typename A::Factors value = A::template row<STEP>(a[r] + at);
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) A::add(sum[r][v], value, weight[v]);
  }
}

// What sums of int8 stand for, each operation rounded by itself.
inline Floats scaled(Ints sums, float row_scale, const float* scales) {
  Floats scale = broadcast<float>(row_scale) * load<float>(scales);
  keep_in_register(scale);
  Floats product = __builtin_convertvector(sums, Floats) * scale;
  keep_in_register(product);
  return product;
}

template <class A>
struct LowTile {
  template <int R, int V, int LAST, int WIDTH = V>
  static __attribute__((noinline)) void run(int64_t K, const ProductRows<A>& rows,
                                            typename LowArithmetic<A>::Panel b, const float* bias) {
    constexpr int L = FLOAT_LANES;
    constexpr bool is_scaled = LowArithmetic<A>::SCALED;
    const typename A::Row* a[R];
    typename A::Sums sum[R][V];
    const float* start[R];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      a[r] = rows.a.data + r * rows.a.stride;
      start[r] = rows.start_of(r, bias);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) {
        if constexpr (is_scaled) {
          sum[r][v] = *reinterpret_cast<const UnalignedInts*>(b.starts + v * L);
        } else {
          sum[r][v] = load<float>(start[r] + (v == V - 1 ? LAST : v) * L);
        }
      }
    }
    const int64_t groups = LowArithmetic<A>::groups(K);
    const char* weights = b.weights;
    for (int64_t k = 0; k < K; k += A::GROUP) {
      add_group<A, 0, R, V, WIDTH>(a, k, weights, groups, sum);
      if constexpr (A::STEPS == 2) {
        if (k + 1 == K) break;  // a product of zeros would make 0 of -0
        add_group<A, 1, R, V, WIDTH>(a, k, weights, groups, sum);
      }
      weights += WIDTH * LowArithmetic<A>::VECTOR_BYTES;
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      float* const end = rows.c + rows.number[r] * rows.stride;
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) {
        const int to = (v == V - 1 ? LAST : v) * L;
        if constexpr (is_scaled) {
          Floats value = load<float>(start[r] + to);
          if (K > 0) value += scaled(sum[r][v], rows.a.scales[r], b.scales + v * L);
          store<float>(end + to, value);
        } else {
          store<float>(end + to, sum[r][v]);
        }
      }
    }
  }
};

template <>
struct Tile<Int8> : LowTile<Int8> {};
template <>
struct Tile<Bf16> : LowTile<Bf16> {};

}  // namespace
}  // namespace birnn

#if BIRNN_TILES
#include "tile_product.h"
#endif
