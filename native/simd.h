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

// Holds the value in a register from here on: the compiler would rather read it from memory at each
// use.
template <class T>
inline void keep_in_register(Vec<T>& value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
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

// What follows is of float64 alone, as the CRF is that uses it.

using Doubles = Vec<double>;
using Mask = Int<double>;
constexpr int DOUBLE_LANES = LANES<double>;
constexpr double INFINITE = __builtin_inf();
constexpr double LARGEST = __DBL_MAX__;

// Lane i becomes lane i - BY.
template <int BY>
inline Doubles rotate_lanes(Doubles v) {
#if defined(__clang__)
  Doubles out;
  for (int lane = 0; lane < DOUBLE_LANES; ++lane) {
    out[lane] = v[(lane + BY) % DOUBLE_LANES];
  }
  return out;
#else
  Mask from;
  for (int lane = 0; lane < DOUBLE_LANES; ++lane) {
    from[lane] = (lane + BY) % DOUBLE_LANES;
  }
  return __builtin_shuffle(v, from);
#endif
}

inline Doubles lanewise_max(Doubles a, Doubles b) { return a > b ? a : b; }

// The largest of all lanes, in every lane. A NaN may get lost.
inline Doubles horizontal_max(Doubles v) {
  if constexpr (DOUBLE_LANES > 4) v = lanewise_max(v, rotate_lanes<4>(v));
  if constexpr (DOUBLE_LANES > 2) v = lanewise_max(v, rotate_lanes<2>(v));
  return lanewise_max(v, rotate_lanes<1>(v));
}

inline double horizontal_sum(Doubles v) {
  if constexpr (DOUBLE_LANES > 4) v += rotate_lanes<4>(v);
  if constexpr (DOUBLE_LANES > 2) v += rotate_lanes<2>(v);
  v += rotate_lanes<1>(v);
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
inline Mask first_lanes(int64_t count) {
  Mask lane;
  for (int i = 0; i < DOUBLE_LANES; ++i) {
    lane[i] = i;
  }
  return lane < Mask{} + count;
}

inline bool is_finite(double x) { return __builtin_fabs(x) <= LARGEST; }

// The vector at `p`, of which `count` lanes belong to the row; the other lanes are `other`. Nothing
// is read from `stop` on, where the array ends.
inline Doubles load_partial(const double* p, int64_t count, const double* stop, double other) {
  if (count >= DOUBLE_LANES) {
    return load(p);
  }
  if (stop - p >= DOUBLE_LANES) {
    return first_lanes(count) ? load(p) : broadcast(other);
  }
  Doubles v = broadcast(other);
  for (int64_t lane = 0; lane < count; ++lane) {
    v[lane] = p[lane];
  }
  return v;
}

inline void store_partial(double* p, int64_t count, Doubles v) {
  if (count >= DOUBLE_LANES) {
    store(p, v);
    return;
  }
  for (int64_t lane = 0; lane < count; ++lane) {
    p[lane] = v[lane];
  }
}

}  // namespace
}  // namespace birnn
