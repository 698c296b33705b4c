// A linear layer over rows, each with the same bits whatever rows stand beside it; and how many
// floating point operations the processor does at best.

#pragma once

#include "gemm.h"
#include "isa.h"
#include "kernels.h"
#include "packing.h"
#include "simd.h"

namespace birnn {
namespace {

template <class A>
int64_t packed_linear(int64_t inputs, int64_t outputs) {
  return plain_panels<NumberOf<A>>(outputs) * Arithmetic<A>::panel_size(inputs, PANEL_VECTORS) *
         static_cast<int64_t>(sizeof(PackedOf<A>));
}

template <class A>
void pack_linear(const void* weight, const float* scales, int64_t inputs, int64_t outputs,
                 void* packed) {
  using T = NumberOf<A>;
  constexpr int L = LANES<T>;
  auto* to = static_cast<PackedOf<A>*>(packed);
  for (int64_t panel = 0; panel < plain_panels<T>(outputs); ++panel) {
    const int vectors = plain_vectors<T>(outputs, panel);
    for (int v = 0; v < vectors; ++v) {
      const int64_t row = panel * PANEL_VECTORS * L + v * L;
      const int64_t rows = max(0, min(L, outputs - row));
      pack_vector<A>(weight, scales, rows > 0 ? row : 0, rows, inputs, to, vectors, v);
    }
    to += Arithmetic<A>::panel_size(inputs, PANEL_VECTORS);
  }
}

template <class A>
int64_t linear_workspace(const Linear* call) {
  BumpAllocator allocator{nullptr};
  RowBufferOf<A>(allocator, call->rows, call->inputs);
  return allocator.used;
}

template <class A>
void linear(const Linear* call, int rank, int threads) {
  using T = NumberOf<A>;
  constexpr int L = LANES<T>, width = PANEL_VECTORS * L;
  constexpr int64_t block_rows =
      48;  // their results are still in the L1 cache when they are copied
  const T* const x = static_cast<const T*>(call->x);
  T* const y = static_cast<T*>(call->y);
  alignas(64) T result[block_rows * width];
  alignas(64) T bias[width];
  const T* rows[block_rows];
  int64_t numbers[block_rows];
  for (int64_t i = 0; i < block_rows; ++i) numbers[i] = i;
  const int64_t groups = (call->rows + block_rows - 1) / block_rows;
  const auto* packed = static_cast<const PackedOf<A>*>(call->packed);
  BumpAllocator allocator{call->workspace};
  const RowBufferOf<A> buffer(allocator, call->rows, call->inputs);
  for (int64_t panel = 0; panel < plain_panels<T>(call->outputs); ++panel) {
    const int64_t column = panel * width, columns = min(width, call->outputs - column);
    zero<T>(bias, width);
    if (call->bias != nullptr) copy<T>(bias, static_cast<const T*>(call->bias) + column, columns);
    for (int64_t group = rank; group < groups; group += threads) {
      const int64_t first = group * block_rows, count = min(block_rows, call->rows - first);
      for (int64_t i = 0; i < count; ++i) rows[i] = x + (first + i) * call->inputs;
      const auto a = panel == 0 ? buffer.fill(rows, count, call->inputs, first)
                                : buffer.filled(rows, first);
      plain_product<A>(plain_vectors<T>(call->outputs, panel), call->inputs,
                       ProductRows<A>{a, result, numbers, width}, count, packed, bias);
      for (int64_t i = 0; i < count; ++i) {
        copy<T>(y + (first + i) * call->outputs + column, result + i * width, columns);
      }
    }
    packed += Arithmetic<A>::panel_size(call->inputs, PANEL_VECTORS);
  }
}

// The products' own instruction on twelve registers, without memory: the peak. Returns how many
// operations it did.
template <class A>
__attribute__((noinline)) double peak_operations(int64_t rounds) {
  constexpr int chains = 12;
  using T = NumberOf<A>;
  if constexpr (Arithmetic<A>::LOW && BIRNN_TILES) {
    return peak_of_tiles<A>(rounds);
  } else if constexpr (Arithmetic<A>::LOW) {
    typename A::Sums sums[chains] = {};
    const typename A::Row row[A::GROUP] = {};
    const typename A::Weight weights[A::GROUP * LANES<T>] = {};
    typename A::Factors left = A::template row<0>(row), right = A::template weights<0>(weights);
    for (int64_t k = 0; k < rounds; ++k) {
      keep_in_register(left);  // may have changed, so nothing is known of the sums
      keep_in_register(right);
#pragma GCC unroll 16
      for (int i = 0; i < chains; ++i) A::add(sums[i], left, right);
    }
#pragma GCC unroll 16
    for (int i = 0; i < chains; ++i) keep_in_register(sums[i]);
    return static_cast<double>(rounds) * chains * LANES<T> * 2 * A::GROUP / A::STEPS;
  } else {
    Vec<T> sum[chains];
    // Volatile: else the compiler sees that one of the chains is constant, and leaves it out.
    volatile T given[] = {T(0.999), T(0.001)};
    const Vec<T> factor = broadcast<T>(given[0]), step = broadcast<T>(given[1]);
#pragma GCC unroll 16
    for (int i = 0; i < chains; ++i) sum[i] = broadcast<T>(T(i));
    for (int64_t k = 0; k < rounds; ++k) {
#pragma GCC unroll 16
      for (int i = 0; i < chains; ++i) sum[i] = sum[i] * factor + step;
    }
    volatile T seen = T(0);
    for (int i = 0; i < chains; ++i) seen = seen + sum[i][0];
    (void)seen;
    return static_cast<double>(rounds) * chains * LANES<T> * 2;
  }
}

}  // namespace
}  // namespace birnn
