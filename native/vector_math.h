// exp, log, sigmoid and tanh of vectors, made of few operations: the same bits on every processor
// that has fused multiply-add. They keep NaN.

#pragma once

#include "isa.h"
#include "simd.h"

namespace birnn {
namespace {

// Adding it rounds to an integer, which then stands in the lowest bits of the sum.
template <class T>
constexpr T MAGIC = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);  // 1.5 * 2^mantissa

// Range reduction: SCALE x = k ln 2 + SCALE r with an integer k and |SCALE r| <= ln 2 / 2;
// `shifted` is MAGIC + k. |x| has to be small enough for that.
template <class T, int SCALE = 1>
inline Vec<T> reduce(Vec<T> x, Vec<T>& shifted) {
  // ln 2 in two pieces: the first has trailing zeros, so its product with k is exact.
  constexpr T high = sizeof(T) == 4 ? T(0.693359375) : T(0.693147180369123816490);
  constexpr T low = sizeof(T) == 4 ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);
  shifted = x * T(SCALE * 1.44269504088896340736) + MAGIC<T>;
  const Vec<T> whole = shifted - MAGIC<T>;
  return (x - whole * (high / SCALE)) - whole * (low / SCALE);
}

// 2^k for k from -bias + 1 to bias, infinity for bias + 1; the bits of MAGIC are shifted out.
template <class T>
inline Vec<T> power_of_two(Vec<T> shifted) {
  return reinterpret_cast<Vec<T>>((reinterpret_cast<Int<T>>(shifted) + VectorTypes<T>::bias)
                                  << VectorTypes<T>::mantissa);
}

// Sum of coefficients[i] SCALE^(i + 1) r^i, by Horner's scheme.
template <class T, int SCALE, int N>
inline Vec<T> polynomial(Vec<T> r, const double (&coefficients)[N]) {
  double scale[N] = {SCALE};
#pragma GCC unroll 16
  for (int i = 1; i < N; ++i) scale[i] = scale[i - 1] * SCALE;
  Vec<T> sum = broadcast<T>(T(scale[N - 1] * coefficients[N - 1]));
#pragma GCC unroll 16
  for (int i = N - 2; i >= 0; --i) sum = sum * r + T(scale[i] * coefficients[i]);
  return sum;
}

// (exp(SCALE r) - 1 - SCALE r) / (SCALE r^2) for |SCALE r| <= ln 2 / 2.
template <class T, int SCALE = 1>
inline Vec<T> expm1_tail(Vec<T> r) {
  if constexpr (sizeof(T) == 4) {
    // A least squares fit at Chebyshev's points: exp is right to 4e-9.
    constexpr double fit[] = {0.499999885817, 0.166665183422, 0.041669535341, 0.00836893051373,
                              0.00137513563872};
    return polynomial<T, SCALE>(r, fit);
  } else {
    // Taylor: the first term left out is below half a unit in the last place.
    constexpr double taylor[] = {1.0 / 2,        1.0 / 6,         1.0 / 24,
                                 1.0 / 120,      1.0 / 720,       1.0 / 5040,
                                 1.0 / 40320,    1.0 / 362880,    1.0 / 3628800,
                                 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
    return polynomial<T, SCALE>(r, taylor);
  }
}

// exp(x), 0 below the smallest normal number; x above the largest logarithm gives the largest
// finite power, which no caller here reaches.
template <class T>
inline Vec<T> exp(Vec<T> x) {
  constexpr T least = sizeof(T) == 4 ? T(-87.0) : T(-708.0);
  constexpr T most = sizeof(T) == 4 ? T(88.0) : T(709.0);
  Vec<T> shifted;
  const Vec<T> r = reduce<T>(clamp<T>(x, least, most), shifted);
  const Vec<T> y = (expm1_tail<T>(r) * r * r + r + T(1)) * power_of_two<T>(shifted);
  return x < broadcast<T>(least) ? Vec<T>{} : y;
}

// 1 / (1 + exp(-x)), exactly 0 and 1 far out: an infinite state times 0 is NaN, as the definition
// has it, where times a tiny number it would be infinite.
template <class T>
inline Vec<T> sigmoid(Vec<T> x) {
  // At `least` the power of two is infinite, so that the answer is 0; for slightly larger x it is
  // about the smallest normal number. At `most` it is the smallest power that `power_of_two` gives.
  constexpr T least = sizeof(T) == 4 ? T(-89.0) : T(-710.0);
  constexpr T most = sizeof(T) == 4 ? T(87.0) : T(708.0);
  Vec<T> shifted;
  const Vec<T> r = reduce<T, -1>(clamp<T>(x, least, most), shifted);
  const Vec<T> e = T(1) - (expm1_tail<T, -1>(r) * r + T(1)) * r;
  return T(1) / (e * power_of_two<T>(shifted) + T(1));
}

// tanh(x) = m / (m + 1) with m = (exp(2 x) - 1) / 2, which cancels no digits where x is small.
template <class T>
inline Vec<T> tanh(Vec<T> x) {
  constexpr T bound = sizeof(T) == 4 ? T(10.0) : T(22.0);
  Vec<T> shifted;
  const Vec<T> r = reduce<T, 2>(clamp<T>(x, -bound, bound), shifted);
  const Vec<T> power = power_of_two<T>(shifted);
  const Vec<T> m = power * (expm1_tail<T, 2>(r) * r * r + r) + (power * T(0.5) - T(0.5));
  return m / (m + T(1));
}

// log(x) for normal x > 0, to about one unit in the last place.
//
// x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), and with u = f / (2 + f)
// log(1 + f) = 2 u + 2 u^3 / 3 + 2 u^5 / 5 + ... = f - u (f - R),  R = 2 u^2 / 3 + 2 u^4 / 5 + ...
inline Doubles log(Doubles x) {
  constexpr int64_t one = 0x3ff0000000000000, root = 0x3fe6a09e667f3bcd, whole = 0x4330000000000000;
  constexpr double high = 0.693147180369123816490, low = 1.90821492927058770002e-10;
  const Mask bits = reinterpret_cast<Mask>(x);
  const Mask biased = (bits + (one - root)) >> 52;
  const Doubles reduced = reinterpret_cast<Doubles>(bits - (biased << 52) + one);
  // A small whole number in the lowest bits of 2^52 makes a double of it.
  const Doubles k = reinterpret_cast<Doubles>(biased + whole) - (4503599627370496.0 + 1023.0);
  const Doubles f = reduced - 1.0;
  const Doubles u = f / (f + 2.0);
  const Doubles z = u * u, w = z * z;
  const Doubles odd = (((w * (2.0 / 19) + 2.0 / 15) * w + 2.0 / 11) * w + 2.0 / 7) * w + 2.0 / 3;
  const Doubles even = (((w * (2.0 / 21) + 2.0 / 17) * w + 2.0 / 13) * w + 2.0 / 9) * w + 2.0 / 5;
  const Doubles rest = (odd + z * even) * z;
  return k * high + (f - (u * (f - rest) - k * low));
}

}  // namespace
}  // namespace birnn
