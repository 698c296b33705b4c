// Vectors of BIRNN_VECTOR_BYTES bytes: types, loads and stores, operations across lanes.
//
// GCC's and Clang's vector extension gives arithmetic, comparison and selection for any instruction
// set, so one source serves them all. A select (mask ? a : b) keeps NaN where a comparison with
// NaN is false, and every function is written so that NaN comes out where NaN went in.

#pragma once

#include "isa.h"

namespace birnn {
namespace {

// The vector of T, one that may stand at any address of a T, and one of integers as wide; how T
// stores a number's fraction and exponent.
template <class T>
struct VectorTypes;

template <>
struct VectorTypes<float> {
  typedef float vector __attribute__((vector_size(BIRNN_VECTOR_BYTES), may_alias));
  typedef vector unaligned __attribute__((aligned(4), may_alias));
  typedef int32_t integer __attribute__((vector_size(BIRNN_VECTOR_BYTES), may_alias));
  static constexpr int mantissa = 23;
  static constexpr int32_t bias = 127;
};

template <>
struct VectorTypes<double> {
  typedef double vector __attribute__((vector_size(BIRNN_VECTOR_BYTES), may_alias));
  typedef vector unaligned __attribute__((aligned(8), may_alias));
  typedef int64_t integer __attribute__((vector_size(BIRNN_VECTOR_BYTES), may_alias));
  static constexpr int mantissa = 52;
  static constexpr int64_t bias = 1023;
};

template <class T>
using Vec = typename VectorTypes<T>::vector;

template <class T>
using Int = typename VectorTypes<T>::integer;

// Numbers in a vector.
template <class T>
constexpr int LANES = BIRNN_VECTOR_BYTES / sizeof(T);

template <class T>
inline Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename VectorTypes<T>::unaligned*>(p);
}

template <class T>
inline void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename VectorTypes<T>::unaligned*>(p) = v;
}

template <class T>
inline Vec<T> broadcast(T value) {
  return value - Vec<T>{};  // what is taken off is +0: the compiler sees a plain broadcast
}

// Holds the value in a register from here on, and rounded: the compiler would rather read it from
// memory at each use, or fuse the product that it is with an addition.
template <class Vector>
inline void keep_in_register(Vector& value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#endif
}

template <class T>
inline Vec<T> clamp(Vec<T> x, T low, T high) {
  const Vec<T> lows = broadcast<T>(low), highs = broadcast<T>(high);
#if defined(__AVX__)
  // The selects below in one instruction each. Compilers take two, as NaN and -0 could differ.
  if constexpr (sizeof(T) == 4) {
    asm("vmaxps %0, %1, %0\n\tvminps %0, %2, %0" : "+v"(x) : "v"(lows), "v"(highs));
  } else {
    asm("vmaxpd %0, %1, %0\n\tvminpd %0, %2, %0" : "+v"(x) : "v"(lows), "v"(highs));
  }
  return x;
#else
  x = x < lows ? lows : x;
  return x > highs ? highs : x;
#endif
}

constexpr double INFINITE = __builtin_inf();
constexpr double LARGEST = __DBL_MAX__;

// Of float64 unless another type is given: the CRF is computed in float64 alone.

using Doubles = Vec<double>;
using Mask = Int<double>;
constexpr int DOUBLE_LANES = LANES<double>;

// Lane i becomes lane i - BY.
template <int BY, class T = double>
inline Vec<T> rotate_lanes(Vec<T> v) {
#if defined(__clang__)
  Vec<T> out;
  for (int lane = 0; lane < LANES<T>; ++lane) {
    out[lane] = v[(lane + BY) % LANES<T>];
  }
  return out;
#else
  Int<T> from;
  for (int lane = 0; lane < LANES<T>; ++lane) {
    from[lane] = (lane + BY) % LANES<T>;
  }
  return __builtin_shuffle(v, from);
#endif
}

template <class T = double>
inline Vec<T> lanewise_max(Vec<T> a, Vec<T> b) {
  return a > b ? a : b;
}

// The largest of all lanes, in every lane. A NaN may get lost.
template <class T = double>
inline Vec<T> horizontal_max(Vec<T> v) {
  if constexpr (LANES<T> > 8) v = lanewise_max<T>(v, rotate_lanes<8, T>(v));
  if constexpr (LANES<T> > 4) v = lanewise_max<T>(v, rotate_lanes<4, T>(v));
  if constexpr (LANES<T> > 2) v = lanewise_max<T>(v, rotate_lanes<2, T>(v));
  return lanewise_max<T>(v, rotate_lanes<1, T>(v));
}

template <class T = double>
inline T horizontal_sum(Vec<T> v) {
  if constexpr (LANES<T> > 8) v += rotate_lanes<8, T>(v);
  if constexpr (LANES<T> > 4) v += rotate_lanes<4, T>(v);
  if constexpr (LANES<T> > 2) v += rotate_lanes<2, T>(v);
  v += rotate_lanes<1, T>(v);
  return v[0];
}

inline bool any_lane(Mask mask) {
  int64_t found = 0;
  for (int lane = 0; lane < DOUBLE_LANES; ++lane) {
    found |= mask[lane];
  }
  return found != 0;
}

// True in the first `count` lanes.
template <class T = double>
inline Int<T> first_lanes(int64_t count) {
  Int<T> lane;
  for (int i = 0; i < LANES<T>; ++i) {
    lane[i] = i;
  }
  return lane < Int<T>{} + static_cast<decltype(lane[0] + 0)>(count);
}

inline bool is_finite(double x) { return __builtin_fabs(x) <= LARGEST; }

// The vector at `p`, of which `count` lanes belong to the row; the other lanes are `other`. Nothing
// is read from `stop` on, where the array ends.
template <class T>
inline Vec<T> load_partial(const T* p, int64_t count, const T* stop, T other) {
  if (count >= LANES<T>) {
    return load<T>(p);
  }
  if (stop - p >= LANES<T>) {
    return first_lanes<T>(count) ? load<T>(p) : broadcast<T>(other);
  }
  Vec<T> v = broadcast<T>(other);
  for (int64_t lane = 0; lane < count; ++lane) {
    v[lane] = p[lane];
  }
  return v;
}

template <class T>
inline void store_partial(T* p, int64_t count, Vec<T> v) {
  if (count >= LANES<T>) {
    store<T>(p, v);
    return;
  }
  for (int64_t lane = 0; lane < count; ++lane) {
    p[lane] = v[lane];
  }
}

}  // namespace
}  // namespace birnn
