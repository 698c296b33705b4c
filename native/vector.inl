// A vector of BIRNN_BYTES bytes, and the functions that the cells need of it.
//
// GCC's and Clang's vector extension gives arithmetic, comparison and selection for any instruction
// set, so one source serves them all. A select (mask ? a : b) keeps NaN where a comparison with
// NaN is false, and every function below is written so that NaN comes out where NaN went in.

template <class T>
struct Lane;

template <>
struct Lane<float> {
  typedef float vector __attribute__((vector_size(BIRNN_BYTES), may_alias));
  typedef vector unaligned __attribute__((aligned(4), may_alias));
  typedef int32_t integer __attribute__((vector_size(BIRNN_BYTES), may_alias));
  static constexpr int mantissa = 23;
  static constexpr int32_t bias = 127;
};

template <>
struct Lane<double> {
  typedef double vector __attribute__((vector_size(BIRNN_BYTES), may_alias));
  typedef vector unaligned __attribute__((aligned(8), may_alias));
  typedef int64_t integer __attribute__((vector_size(BIRNN_BYTES), may_alias));
  static constexpr int mantissa = 52;
  static constexpr int64_t bias = 1023;
};

template <class T>
using Vec = typename Lane<T>::vector;

template <class T>
using Int = typename Lane<T>::integer;

template <class T>
constexpr int LANES = BIRNN_BYTES / sizeof(T);

template <class T>
inline Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Lane<T>::unaligned*>(p);
}

template <class T>
inline void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Lane<T>::unaligned*>(p) = v;
}

template <class T>
inline Vec<T> fill(T value) {
  return value - Vec<T>{};  // what is taken off is +0: the compiler sees a plain broadcast
}

// The value in a register from here on: the compiler would rather read it from memory for each use.
template <class T>
inline void hold(Vec<T>& value) {
#if defined(__x86_64__)
  asm("" : "+v"(value));
#endif
}

template <class T>
inline Vec<T> clamp(Vec<T> x, T low, T high) {
  const Vec<T> lows = fill<T>(low), highs = fill<T>(high);
#if defined(__AVX__)
  // The selects below, in one instruction each: compilers, afraid for NaN and -0, take two.
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

// Adding it rounds to a whole number, which then stands in the lowest bits of the sum.
template <class T>
constexpr T MAGIC = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);  // 1.5 * 2^mantissa

// SCALE x = k ln 2 + SCALE r with k whole and |SCALE r| <= ln 2 / 2; `shifted` is MAGIC + k. |x| has
// to be small enough for that.
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
  return reinterpret_cast<Vec<T>>((reinterpret_cast<Int<T>>(shifted) + Lane<T>::bias)
                                  << Lane<T>::mantissa);
}

// Sum of coefficients[i] SCALE^(i + 1) r^i, from its end.
template <class T, int SCALE, int N>
inline Vec<T> polynomial(Vec<T> r, const double (&coefficients)[N]) {
  double scale[N] = {SCALE};
#pragma GCC unroll 16
  for (int i = 1; i < N; ++i) scale[i] = scale[i - 1] * SCALE;
  Vec<T> sum = fill<T>(T(scale[N - 1] * coefficients[N - 1]));
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
    constexpr double taylor[] = {1.0 / 2,       1.0 / 6,        1.0 / 24,       1.0 / 120,
                                 1.0 / 720,     1.0 / 5040,     1.0 / 40320,    1.0 / 362880,
                                 1.0 / 3628800, 1.0 / 39916800, 1.0 / 479001600, 1.0 / 6227020800.0};
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
  return x < fill<T>(least) ? Vec<T>{} : y;
}

// 1 / (1 + exp(-x)), to an exact 0 and 1 far out: any other number, however small, makes of an
// infinite state something finite where a plain 0 makes NaN of it.
template <class T>
inline Vec<T> sigmoid(Vec<T> x) {
  // At `least` the power of two below is infinite, and where it no longer is the answer is the
  // smallest numbers there are. At `most` it is the least that `power_of_two` has.
  constexpr T least = sizeof(T) == 4 ? T(-89.0) : T(-710.0);
  constexpr T most = sizeof(T) == 4 ? T(87.0) : T(708.0);
  Vec<T> shifted;
  const Vec<T> r = reduce<T, -1>(clamp<T>(x, least, most), shifted);
  const Vec<T> e = T(1) - (expm1_tail<T, -1>(r) * r + T(1)) * r;
  return T(1) / (e * power_of_two<T>(shifted) + T(1));
}

// tanh(x) = m / (m + 1) with m = (exp(2 x) - 1) / 2, which keeps its digits where x is small.
template <class T>
inline Vec<T> tanh(Vec<T> x) {
  constexpr T bound = sizeof(T) == 4 ? T(10.0) : T(22.0);
  Vec<T> shifted;
  const Vec<T> r = reduce<T, 2>(clamp<T>(x, -bound, bound), shifted);
  const Vec<T> power = power_of_two<T>(shifted);
  const Vec<T> m = power * (expm1_tail<T, 2>(r) * r * r + r) + (power * T(0.5) - T(0.5));
  return m / (m + T(1));
}
