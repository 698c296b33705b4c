// Matrix products (GEMM): micro-kernels that hold a small tile of the result in registers from its
// first to its last summand, and the loops around them.
//
// Every element is one chain of fused multiply-adds in the order of k, whatever the height of the
// tile, so a row's result has the same bits next to any other rows. For the same reason K is never
// split into partial sums, except by `tile_transposed`, whose blocks do not depend on threads.
//
// The right factor is packed: panels of up to PANEL_VECTORS vectors of columns, each cut into
// slices as wide as the tiles.
//
// R rows of a tile, V vectors of a row of it

#pragma once

#include "isa.h"
#include "simd.h"

namespace birnn {
namespace {

// Vectors of columns in a panel.
constexpr int PANEL_VECTORS = 4;

// Vectors of a slice, and rows of a tile of V vectors: as many accumulators as the registers hold
// beside V vectors of weights and one broadcast value.
constexpr int SLICE_VECTORS = BIRNN_REGISTERS == 32 ? 4 : 2;
template <int V>
constexpr int TILE_ROWS = BIRNN_REGISTERS == 32 ? (V == 3 ? 8 : 6) : (V == 3 ? 4 : 6);

// What products are computed with: A is float or double; or one of low_precision.h, which
// specialises this for it. Here, rows are floating numbers that stand anywhere.
template <class A>
struct Arithmetic {
  using Number = A;              // of gates and states
  using Packed = A;              // what the size of packed weights is counted in
  using Panel = const A*;        // a packed panel
  using Rows = const A* const*;  // rows of the left factor
  static constexpr bool LOW = false;  // precision

  // What each thread of a call holds while it runs: nothing.
  struct Call {
    Call() {}
  };

  template <int V>
  static constexpr int MOST_ROWS = TILE_ROWS<V>;  // of a tile

  static int64_t panel_size(int64_t K, int vectors) { return K * vectors * LANES<A>; }
  static Panel panel(const A* packed, int64_t, int) { return packed; }
  // The part of a panel that begins with vector v, where a slice does.
  static Panel slice(Panel b, int64_t K, int v) { return b + v * K * LANES<A>; }

  // Where rows are brought into the form that products read: they have it.
  struct RowBuffer {
    RowBuffer(BumpAllocator&, int64_t /* rows */, int64_t /* K */) {}
    // `count` rows of K numbers, as rows `at` and following of the buffer.
    Rows fill(Rows rows, int64_t /* count */, int64_t /* K */, int64_t /* at */) const {
      return rows;
    }
    // The same, which have been filled before.
    Rows filled(Rows rows, int64_t /* at */) const { return rows; }
  };
};

template <class A>
using NumberOf = typename Arithmetic<A>::Number;
template <class A>
using PackedOf = typename Arithmetic<A>::Packed;
template <class A>
using RowBufferOf = typename Arithmetic<A>::RowBuffer;
template <class A>
using RowsOf = typename Arithmetic<A>::Rows;
template <class A>
using PanelOf = typename Arithmetic<A>::Panel;

// Rows of a product c = start + a b: rows of `c` by their number.
template <class A>
struct ProductRows {
  using T = NumberOf<A>;
  RowsOf<A> a;
  T* c;
  const int64_t* number;
  int64_t stride;                   // elements from one row of c to the next
  const T* const* start = nullptr;  // rows that the sums start from; null: those of c
  int64_t start_offset = 0;         // elements from there to the tile's columns
  // Another product that is summed before this one, where first_K is not 0.
  const T* const* first_a = nullptr;
  const T* first_b = nullptr;
  int64_t first_K = 0;
  // Packed weights that are read next, and fetched meanwhile; null: none.
  const T* ahead = nullptr;

  // What the sums of row r start from.
  const T* start_of(int64_t r, const T* bias) const {
    if (bias != nullptr) return bias;
    return start != nullptr ? start[r] + start_offset : c + number[r] * stride;
  }
};

// sum[r] += a[r] b, where b holds V vectors for each k, in slices of WIDTH.
//
// AHEAD: half of the vectors that follow `ahead` for each k are fetched to the second cache.
template <class T, int R, int V, int WIDTH, bool AHEAD = false>
inline __attribute__((always_inline)) void add_product(int64_t K, const T* const* rows, const T* b,
                                                       Vec<T> (&sum)[R][V],
                                                       const T* ahead = nullptr) {
  constexpr int L = LANES<T>;
  const T* a[R];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) a[r] = rows[r];
  for (int64_t k = 0; k < K; ++k) {
    Vec<T> weight[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      weight[v] = load<T>(b + (v / WIDTH * K * WIDTH + v % WIDTH) * L);
      if (R > 1) keep_in_register(weight[v]);
      if (AHEAD && 2 * v < V) __builtin_prefetch(ahead + (k * V + v) * L, 0, 2);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec<T> value = broadcast<T>(a[r][k]);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sum[r][v] += value * weight[v];
    }
    b += WIDTH * L;
  }
}

// c[r] = start + first_a[r] first_b + a[r] b, where start is `bias`, else rows.start[r], else c[r].
//
// Vector v of a row of c stands at v, the last one at LAST: the GRU keeps the input and the
// recurrent part of its third gate apart. Not inlined: inside its caller's loop the compiler spills
// accumulators, which halves the speed.
template <class T>
struct Tile {
  template <int R, int V, int LAST, int WIDTH = V>
  static __attribute__((noinline)) void run(int64_t K, const ProductRows<T>& rows, const T* b,
                                            const T* bias) {
    constexpr int L = LANES<T>;
    Vec<T> sum[R][V];
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const T* start = rows.start_of(r, bias);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sum[r][v] = load<T>(start + (v == V - 1 ? LAST : v) * L);
    }
    if (rows.first_K > 0) add_product<T, R, V, WIDTH>(rows.first_K, rows.first_a, rows.first_b, sum);
    if (R > 2 && rows.ahead != nullptr) {
      add_product<T, R, V, WIDTH, (R > 2)>(K, rows.a, b, sum, rows.ahead);
    } else {
      add_product<T, R, V, WIDTH>(K, rows.a, b, sum);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      T* end = rows.c + rows.number[r] * rows.stride;
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) store<T>(end + (v == V - 1 ? LAST : v) * L, sum[r][v]);
    }
  }
};

// A product c = a^T b, or c += a^T b: sums over the rows of both factors.
template <class T>
struct TransposedProduct {
  int64_t K;          // rows
  const T* const* a;  // columns of the left factor, by pointers
  int64_t first;      // elements from there to the first of the rows
  int64_t step;       // and from one row to the next
  const T* b;         // a packed slice of the right factor
  T* c;
  int64_t stride;   // elements from one row of c to the next
  int64_t columns;  // columns of the slice that c has
  bool add;         // to what stands in c
};

// R rows of c. The sum over K is formed first, then added to c or stored there.
template <class T, int R, int V>
__attribute__((noinline)) void tile_transposed(const TransposedProduct<T>& product) {
  constexpr int L = LANES<T>;
  const T* a[R];
  Vec<T> sum[R][V];
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    a[r] = product.a[r];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      sum[r][v] = Vec<T>{};
      // c is far away in memory: it is fetched while the sum is formed.
      __builtin_prefetch(product.c + r * product.stride + v * L, 1);
    }
  }
  const T* b = product.b;
  int64_t at = product.first;
  for (int64_t k = 0; k < product.K; ++k) {
    Vec<T> right[V];
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      right[v] = load<T>(b + v * L);
      keep_in_register(right[v]);
    }
#pragma GCC unroll 16
    for (int r = 0; r < R; ++r) {
      const Vec<T> value = broadcast<T>(a[r][at]);
#pragma GCC unroll 16
      for (int v = 0; v < V; ++v) sum[r][v] += value * right[v];
    }
    b += V * L;
    at += product.step;
  }
  const int64_t left = product.columns - (V - 1) * L;
#pragma GCC unroll 16
  for (int r = 0; r < R; ++r) {
    T* const c = product.c + r * product.stride;
#pragma GCC unroll 16
    for (int v = 0; v < V; ++v) {
      T* const to = c + v * L;
      if (v < V - 1 || left >= L) {
        store<T>(to, product.add ? load<T>(to) + sum[r][v] : sum[r][v]);
        continue;
      }
      T last[L];
      store<T>(last, sum[r][v]);
      for (int64_t i = 0; i < left; ++i) to[i] = product.add ? to[i] + last[i] : last[i];
    }
  }
}

// `count` rows of c, tile after tile.
template <class T, int V>
void slice_transposed(TransposedProduct<T> product, int64_t count) {
  using Function = void (*)(const TransposedProduct<T>&);
  constexpr int most = TILE_ROWS<V>;
  static constexpr Function heights[] = {
      nullptr,
      tile_transposed<T, 1, V>,
      tile_transposed<T, 2, V>,
      tile_transposed<T, 3, V>,
      tile_transposed<T, 4, V>,
      tile_transposed < T,
      most >= 5 ? 5 : 1,
      V >,
      tile_transposed < T,
      most >= 6 ? 6 : 1,
      V >
      , tile_transposed < T, most >= 7 ? 7 : 1, V >, tile_transposed < T, most >= 8 ? 8 : 1, V >,
  };
  for (int64_t left = count; left > 0;) {
    const int64_t here = min(most, left);
    heights[here](product);
    product.a += here;
    product.c += here * product.stride;
    left -= here;
  }
}

// The tile for each number of rows.
template <class A, int V, int LAST>
struct Tiles {
  using Function = void (*)(int64_t, const ProductRows<A>&, PanelOf<A>, const NumberOf<A>*);
  static constexpr int most = Arithmetic<A>::template MOST_ROWS<V>;

  template <int R>
  static constexpr Function of_height() {
    if constexpr (R > most) {
      return nullptr;
    } else {
      return Tile<A>::template run<R, V, LAST>;
    }
  }

  static void run(int height, int64_t K, const ProductRows<A>& rows, PanelOf<A> b,
                  const NumberOf<A>* bias) {
    static constexpr Function heights[] = {nullptr,        of_height<1>(), of_height<2>(),
                                           of_height<3>(), of_height<4>(), of_height<5>(),
                                           of_height<6>(), of_height<7>(), of_height<8>()};
    heights[height](K, rows, b, bias);
  }
};

// By the tiles of a processor that has them: tile_product.h.
template <class A, int V, int LAST>
struct TileProduct;
template <class A>
double peak_of_tiles(int64_t rounds);

// `count` rows of a product with one packed slice of b.
template <class A, int V, int LAST>
void slice_by_vectors(int64_t K, ProductRows<A> rows, int64_t count, PanelOf<A> b,
                      const NumberOf<A>* bias) {
  using T = NumberOf<A>;
  constexpr int most = Tiles<A, V, LAST>::most;
  if (count == 0) return;
  if (count <= most)
    return Tiles<A, V, LAST>::run(static_cast<int>(count), K, rows, b, bias);
  // Tiles of nearly equal height: a last tile of one row would run at a sixth of the speed.
  const int64_t tiles = (count + most - 1) / most;
  const auto height = [&](int64_t i) {
    return i < tiles ? static_cast<int>(count / tiles + (i < count % tiles ? 1 : 0)) : 0;
  };
  for (int64_t i = 0; i < tiles; ++i) {
    const int here = height(i);
    // The rows that the next tile writes are far away in memory: they are fetched during this one.
    for (int r = here; bias != nullptr && r < here + height(i + 1); ++r) {
      const T* const row = rows.c + rows.number[r] * rows.stride;
      for (int v = 0; v < V; ++v) __builtin_prefetch(row + v * LANES<T>, 1);
    }
    Tiles<A, V, LAST>::run(here, K, rows, b, bias);
    rows.a += here;
    rows.number += here;
    if (rows.start != nullptr) rows.start += here;
    if (rows.first_K > 0) rows.first_a += here;
    // Each of the first two tiles fetches half of what is ahead.
    if (rows.ahead != nullptr) rows.ahead = i == 0 ? rows.ahead + V / 2 * LANES<T> : nullptr;
  }
}

template <class A, int V, int LAST>
void slice(int64_t K, const ProductRows<A>& rows, int64_t count, PanelOf<A> b,
           const NumberOf<A>* bias) {
  if constexpr (Arithmetic<A>::LOW && BIRNN_TILES) {
    TileProduct<A, V, LAST>::run(K, rows, count, b, bias);
  } else {
    slice_by_vectors<A, V, LAST>(K, rows, count, b, bias);
  }
}

// The same with a packed panel of V vectors, which is cut into slices.
template <class A, int V, int LAST>
void panel_product(int64_t K, const ProductRows<A>& rows, int64_t count, const PackedOf<A>* packed,
                   const NumberOf<A>* bias) {
  using T = NumberOf<A>;
  const PanelOf<A> b = Arithmetic<A>::panel(packed, K, V);
  if constexpr (V % SLICE_VECTORS != 0) {
    slice<A, V, LAST>(K, rows, count, b, bias);
  } else {
    // One slice of one or two rows has too few independent sums to keep the multipliers busy.
    if (V > SLICE_VECTORS && count == 1)
      return Tile<A>::template run<1, V, LAST, SLICE_VECTORS>(K, rows, b, bias);
    if (V > SLICE_VECTORS && count == 2)
      return Tile<A>::template run<2, V, LAST, SLICE_VECTORS>(K, rows, b, bias);
    for (int v = 0; v < V; v += SLICE_VECTORS) {
      ProductRows<A> part = rows;
      part.c += v * LANES<T>;
      part.start_offset += v * LANES<T>;
      if (rows.first_K > 0) part.first_b += v * rows.first_K * LANES<T>;
      if (rows.ahead != nullptr) part.ahead += v * K * LANES<T>;
      slice<A, SLICE_VECTORS, SLICE_VECTORS - 1>(K, part, count, Arithmetic<A>::slice(b, K, v),
                                                 bias == nullptr ? nullptr : bias + v * LANES<T>);
    }
  }
}

// Where vector v of row k stands in a packed panel of V vectors: slice after slice, each K rows
// high.
template <class T, int V>
inline int64_t packed_offset(int64_t K, int64_t k, int v) {
  constexpr int width = V % SLICE_VECTORS != 0 ? V : SLICE_VECTORS;
  return ((v / width) * K + k) * width * LANES<T> + (v % width) * LANES<T>;
}

}  // namespace
}  // namespace birnn
