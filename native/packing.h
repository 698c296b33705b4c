// Packing: matrices brought into the order in which the micro-kernels read them (gemm.h), and
// products with matrices that were packed.
//
// A plain product is y = x w with any number of columns: panels of PANEL_VECTORS vectors, the last
// of as many as are left. (The panels of gates in layer.h hold the gates of a few hidden units
// instead.)

#pragma once

#include "gemm.h"
#include "isa.h"
#include "low_precision.h"
#include "simd.h"

namespace birnn {
namespace {

// [a0 b0 a1 b1 ...] of the first halves of two vectors (HALF = 0), or of the second.
template <class T, int HALF>
inline Vec<T> interleave(Vec<T> a, Vec<T> b) {
  constexpr int L = LANES<T>;
#if defined(__clang__)
  Vec<T> mixed;
  for (int i = 0; i < L; ++i)
    mixed[i] = i % 2 == 0 ? a[HALF * L / 2 + i / 2] : b[HALF * L / 2 + i / 2];
  return mixed;
#else
  Int<T> from;
  for (int i = 0; i < L; ++i) from[i] = i % 2 * L + HALF * L / 2 + i / 2;
  return __builtin_shuffle(a, b, from);
#endif
}

// Transposes L vectors in place: lane j of vector i becomes lane i of vector j. Interleaving the
// first half of the vectors with the second rotates the bits of (vector, lane) by one; log2 L times
// swap the two.
template <class T>
inline void transpose_block(Vec<T>* block) {
  constexpr int L = LANES<T>;
#pragma GCC unroll 4
  for (int done = 1; done < L; done *= 2) {
    Vec<T> mixed[L];
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      mixed[2 * i] = interleave<T, 0>(block[i], block[i + L / 2]);
      mixed[2 * i + 1] = interleave<T, 1>(block[i], block[i + L / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) block[i] = mixed[i];
  }
}

// Transposes up to L rows of a row-major matrix of `columns`: to[k * step + lane], zeros for the
// rows that are missing.
template <class T>
void transpose(const T* from, int64_t rows, int64_t columns, T* to, int64_t step) {
  constexpr int L = LANES<T>;
  int64_t k = 0;
  for (; rows == L && k + L <= columns; k += L) {
    Vec<T> block[L];
#pragma GCC unroll 16
    for (int lane = 0; lane < L; ++lane) block[lane] = load<T>(from + lane * columns + k);
    transpose_block<T>(block);
#pragma GCC unroll 16
    for (int lane = 0; lane < L; ++lane) store<T>(to + (k + lane) * step, block[lane]);
  }
  for (; k < columns; ++k) {
    for (int lane = 0; lane < L; ++lane) {
      to[k * step + lane] = lane < rows ? from[lane * columns + k] : T(0);
    }
  }
}

// Panels of a plain product with so many columns.
template <class T>
inline int64_t plain_panels(int64_t outputs) {
  return (outputs + PANEL_VECTORS * LANES<T> - 1) / (PANEL_VECTORS * LANES<T>);
}

// Vectors of one of them.
template <class T>
inline int plain_vectors(int64_t outputs, int64_t panel) {
  const int64_t left = outputs - panel * PANEL_VECTORS * LANES<T>;
  return static_cast<int>(min(PANEL_VECTORS, (left + LANES<T> - 1) / LANES<T>));
}

// `packed_offset` for a number of vectors that is known at run time.
template <class T>
inline int64_t plain_offset(int vectors, int64_t K, int64_t k, int v) {
  switch (vectors) {
    case 1:
      return packed_offset<T, 1>(K, k, v);
    case 2:
      return packed_offset<T, 2>(K, k, v);
    case 3:
      return packed_offset<T, 3>(K, k, v);
    default:
      return packed_offset<T, 4>(K, k, v);
  }
}

// Elements from one row of a packed panel of `vectors` to the next.
template <class T>
inline int64_t plain_step(int vectors) {
  return plain_offset<T>(vectors, 0, 1, 0);
}

// Packs up to LANES rows of K weights of low precision as vector v of a panel of `vectors`; `scales`
// are those of the rows, of int8 alone.
template <class A>
void pack_low(const typename A::Weight* from, const float* scales, int64_t rows, int64_t K,
              char* packed, int vectors, int v) {
  using Weight = typename A::Weight;
  using Of = LowArithmetic<A>;
  constexpr int L = FLOAT_LANES;
  // Weights of a row that are moved at once; they are one or two groups.
  constexpr int some = sizeof(float) / sizeof(Weight);
  typedef int16_t Halves __attribute__((vector_size(L * sizeof(int16_t))));
  const int width = vectors % SLICE_VECTORS != 0 ? vectors : SLICE_VECTORS;
  const int64_t groups = Of::groups(K), step = int64_t{width} * Of::VECTOR_BYTES;
  char* const to = packed + v / width * groups * step + v % width * Of::VECTOR_BYTES;
  for (int64_t k = 0; k < groups * A::GROUP; k += L * some) {
    Vec<float> block[L] = {};
    const int64_t here = max(0, min(L * some, K - k));
    for (int64_t lane = 0; lane < rows; ++lane) {
      __builtin_memcpy(&block[lane], from + lane * K + k,
                       static_cast<size_t>(here) * sizeof(Weight));
    }
    transpose_block<float>(block);
    for (int i = 0; i < L; ++i) {
      const int64_t group = (k + i * some) / A::GROUP;
      if (group >= groups) break;
      if constexpr (A::GROUP == some) {
        __builtin_memcpy(to + group * step, &block[i], sizeof(block[i]));
      } else {
        const Ints both = reinterpret_cast<Ints>(block[i]);
        const Halves first = __builtin_convertvector(both, Halves);
        const Halves second = __builtin_convertvector(both >> 16, Halves);
        __builtin_memcpy(to + group * step, &first, sizeof(first));
        if (group + 1 < groups) __builtin_memcpy(to + (group + 1) * step, &second, sizeof(second));
      }
    }
  }
  if constexpr (Of::SCALED) {
    const typename Of::Panel panel = Of::panel(packed, K, vectors);
    for (int lane = 0; lane < L; ++lane) {
      uint32_t sum = 0;  // what is taken off may leave int32 on the way: it comes back in the end
      for (int64_t k = 0; lane < rows && k < K; ++k) {
        sum += static_cast<uint32_t>(from[lane * K + k]);
      }
      const_cast<float*>(panel.scales)[v * L + lane] = lane < rows ? scales[lane] : 0.0f;
      const_cast<int32_t*>(panel.starts)[v * L + lane] =
          static_cast<int32_t>(-static_cast<uint32_t>(A::ZERO) * sum);
    }
  }
}

// Packs rows [row, row + rows) of a matrix of K columns as vector v of a panel of so many: up to
// LANES of them, zeros for those that are missing. `scales` are those of the matrix's rows, of int8
// alone.
template <class A>
void pack_vector(const void* matrix, const float* scales, int64_t row, int64_t rows, int64_t K,
                 PackedOf<A>* panel, int vectors, int v) {
  if constexpr (Arithmetic<A>::LOW) {
    pack_low<A>(static_cast<const typename A::Weight*>(matrix) + row * K,
                scales == nullptr ? nullptr : scales + row, rows, K, panel, vectors, v);
  } else {
    transpose<A>(static_cast<const A*>(matrix) + row * K, rows, K,
                 panel + plain_offset<A>(vectors, K, 0, v), plain_step<A>(vectors));
  }
}

// Packs a row of w into row k of a plain panel, of which `columns` are real; zeros beyond.
template <class T>
inline void pack_plain_row(T* panel, int vectors, int64_t K, int64_t k, const T* row,
                           int64_t columns) {
  constexpr int L = LANES<T>;
  for (int v = 0; v < vectors; ++v) {
    T* const to = panel + plain_offset<T>(vectors, K, k, v);
    const int64_t here = max(0, min(L, columns - v * L));
    if (here == L) {
      store<T>(to, load<T>(row + v * L));
      continue;
    }
    copy<T>(to, row + v * L, here);
    zero<T>(to + here, L - here);
  }
}

// `count` rows of a product with one plain panel.
template <class A>
void plain_product(int vectors, int64_t K, const ProductRows<A>& rows, int64_t count,
                   const PackedOf<A>* b, const NumberOf<A>* bias) {
  switch (vectors) {
    case 1:
      return panel_product<A, 1, 0>(K, rows, count, b, bias);
    case 2:
      return panel_product<A, 2, 1>(K, rows, count, b, bias);
    case 3:
      return panel_product<A, 3, 2>(K, rows, count, b, bias);
    default:
      return panel_product<A, 4, 3>(K, rows, count, b, bias);
  }
}

// `count` rows of c = a^T b or c += a^T b, with one plain panel of b of `filled` rows, of which the
// first `skipped` are left out.
template <class T>
void plain_transposed_product(int vectors, int64_t filled, int64_t skipped,
                              TransposedProduct<T> product, int64_t count) {
  constexpr int L = LANES<T>;
  const int width = vectors % SLICE_VECTORS != 0 ? vectors : SLICE_VECTORS;
  const T* const panel = product.b;
  const int64_t columns = product.columns;
  for (int v = 0; v < vectors; v += width) {
    product.b = panel + (v * filled + skipped * width) * L;
    product.columns = min(columns - v * L, width * L);
    switch (width) {
      case 1:
        slice_transposed<T, 1>(product, count);
        break;
      case 2:
        slice_transposed<T, 2>(product, count);
        break;
      case 3:
        slice_transposed<T, 3>(product, count);
        break;
      default:
        slice_transposed<T, 4>(product, count);
        break;
    }
    product.c += width * L;
  }
}

}  // namespace
}  // namespace birnn
