// Rows of float32 brought into low precision: what a product of low precision reads.
//
// A row's numbers depend on nothing but the row, so its product has the same bits in any batch.

#pragma once

#include "dot_products.h"
#include "isa.h"
#include "simd.h"

namespace birnn {
namespace {

// Rows in low precision, one after another, each padded with zeros to whole cache lines; of int8
// with the scale of each.
template <class A>
struct LowRows {
  typename A::Row* data = nullptr;
  float* scales = nullptr;
  int64_t width = 0;   // numbers of a row with its padding
  int64_t stride = 0;  // from one row to the next

  LowRows() = default;

  // Room for `count` rows of K numbers.
  LowRows(BumpAllocator& allocator, int64_t count, int64_t K)
      : width(round_up(K, LINE)), stride(width + (width % CRITICAL == 0 ? LINE : 0)) {
    data = allocator.allocate<typename A::Row>(count * stride);
    scales = allocator.allocate<float>(count);
  }

  // The rows after the first `count`.
  LowRows operator+(int64_t count) const {
    LowRows rest = *this;
    rest += count;
    return rest;
  }

  void operator+=(int64_t count) {
    data += count * stride;
    scales += count;
  }

 private:
  static constexpr int64_t LINE = 64 / sizeof(typename A::Row);
  // With a large power of two between rows, a column of them falls into few sets of the L1 cache.
  static constexpr int64_t CRITICAL = 1024 / sizeof(typename A::Row);
};

// Calls visit(vector, k) for the vectors of K numbers; the last is filled with zeros.
template <class Visit>
inline void for_each_vector(const float* from, int64_t K, Visit visit) {
  constexpr int L = FLOAT_LANES;
  int64_t k = 0;
  for (; k + L <= K; k += L) visit(load<float>(from + k), k);
  if (k < K) {
    alignas(64) float last[L] = {};
    copy<float>(last, from + k, K - k);
    visit(load<float>(last), k);
  }
}

inline int32_t bits_of(float value) {
  int32_t bits;
  __builtin_memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// The largest magnitude of K numbers, as bits: these have the numbers' order, infinity and then NaN
// above all others.
inline int32_t largest_magnitude(const float* from, int64_t K) {
  Ints most = {};
  for_each_vector(from, K, [&](Floats v, int64_t) {
    const Ints magnitude = reinterpret_cast<Ints>(v) & 0x7fffffff;
    most = magnitude > most ? magnitude : most;
  });
  int32_t found = 0;
  for (int lane = 0; lane < FLOAT_LANES; ++lane) found = most[lane] > found ? most[lane] : found;
  return found;
}

// Row i of `to` from K numbers: scale = largest / 127, each number its nearest multiple, an even one
// where two are as near. Where the scale would be denormal all are zeros, and it is 0; where a
// number is infinite or NaN it is NaN.
inline void convert_row(const float* from, int64_t K, const LowRows<Int8>& to, int64_t i) {
  using Row = Int8::Row;
  typedef Row Narrow __attribute__((vector_size(FLOAT_LANES * sizeof(Row))));
  constexpr int32_t infinite = 0x7f800000;
  constexpr float smallest = 1.17549435e-38f;  // normal number
  constexpr float magic = 12582912.0f;         // 1.5 * 2^23: adding it rounds to an integer
  Row* const row = to.data + i * to.stride;
  const int32_t bits = largest_magnitude(from, K);
  float top;
  __builtin_memcpy(&top, &bits, sizeof(top));
  const float scale = top / 127.0f;
  const bool finite = bits < infinite;
  to.scales[i] = !finite ? __builtin_nanf("") : scale < smallest ? 0.0f : scale;
  int64_t done = 0;
  if (finite && scale >= smallest) {
    const Floats factor = broadcast<float>(127.0f / top);
    for_each_vector(from, K, [&](Floats v, int64_t k) {
      Floats scaled = v * factor;
      keep_in_register(scaled);  // rounded, before the addition rounds it once more
      const Ints rounded = reinterpret_cast<Ints>(scaled + magic) - (bits_of(magic) - Int8::ZERO);
      const Narrow narrow = __builtin_convertvector(rounded, Narrow);
      __builtin_memcpy(row + k, &narrow, sizeof(narrow));
      done = k + FLOAT_LANES;
    });
  }
  for (; done < to.width; ++done) row[done] = Row(Int8::ZERO);
}

// Row i of `to` from K numbers, each rounded to bfloat16, half to even; denormal ones become zeros,
// NaN stays.
inline void convert_row(const float* from, int64_t K, const LowRows<Bf16>& to, int64_t i) {
  using Row = Bf16::Row;
  Row* const row = to.data + i * to.stride;
  int64_t done = 0;
  for_each_vector(from, K, [&](Floats v, int64_t k) {
    const Ints bits = reinterpret_cast<Ints>(v), magnitude = bits & 0x7fffffff;
    Ints rounded = bits + (((bits >> 16) & 1) + 0x7fff);
    rounded = magnitude < 0x00800000 ? bits & ~0x7fffffff : rounded;
    rounded = magnitude > 0x7f800000 ? bits | 0x00400000 : rounded;
    if constexpr (sizeof(Row) == 4) {
      store<float>(reinterpret_cast<float*>(row + k), reinterpret_cast<Floats>(rounded & ~0xffff));
    } else {
      typedef Row Narrow __attribute__((vector_size(FLOAT_LANES * sizeof(Row))));
      const Narrow narrow = __builtin_convertvector(rounded >> 16, Narrow);
      __builtin_memcpy(row + k, &narrow, sizeof(narrow));
    }
    done = k + FLOAT_LANES;
  });
  for (; done < to.width; ++done) row[done] = Row(0);
}

}  // namespace
}  // namespace birnn
