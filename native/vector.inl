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

template <class T>
inline Vec<T> clamp(Vec<T> x, T low, T high) {
  const Vec<T> lows = fill<T>(low), highs = fill<T>(high);
  x = x < lows ? lows : x;
  return x > highs ? highs : x;
}

// x = k ln 2 + r with k whole and |r| <= ln 2 / 2. Adding 1.5 * 2^mantissa rounds x / ln 2 to a
// whole number, which then stands in the lowest bits. |x| has to be small enough for that.
template <class T>
inline Vec<T> reduce(Vec<T> x, Int<T>& k) {
  constexpr T magic = sizeof(T) == 4 ? T(12582912.0) : T(6755399441055744.0);
  // ln 2 in two pieces: the first has trailing zeros, so its product with k is exact.
  constexpr T high = sizeof(T) == 4 ? T(0.693359375) : T(0.693147180369123816490);
  constexpr T low = sizeof(T) == 4 ? T(-2.12194440e-4) : T(1.90821492927058770002e-10);
  const Vec<T> shifted = x * T(1.44269504088896340736) + magic;
  k = reinterpret_cast<Int<T>>(shifted) - reinterpret_cast<Int<T>>(fill<T>(magic));
  const Vec<T> whole = shifted - magic;
  return (x - whole * high) - whole * low;
}

// 2^k for k from -bias + 1 to bias.
template <class T>
inline Vec<T> power_of_two(Int<T> k) {
  return reinterpret_cast<Vec<T>>((k + Lane<T>::bias) << Lane<T>::mantissa);
}

// (exp(r) - 1 - r) / r^2 for |r| <= ln 2 / 2, by Taylor: the first term left out is below half a
// unit in the last place.
template <class T>
inline Vec<T> expm1_tail(Vec<T> r) {
  if constexpr (sizeof(T) == 4) {
    Vec<T> p = r * T(1.0 / 5040) + T(1.0 / 720);
    p = p * r + T(1.0 / 120);
    p = p * r + T(1.0 / 24);
    p = p * r + T(1.0 / 6);
    return p * r + T(0.5);
  } else {
    Vec<T> p = r * T(1.0 / 6227020800.0) + T(1.0 / 479001600.0);
    p = p * r + T(1.0 / 39916800.0);
    p = p * r + T(1.0 / 3628800.0);
    p = p * r + T(1.0 / 362880.0);
    p = p * r + T(1.0 / 40320.0);
    p = p * r + T(1.0 / 5040.0);
    p = p * r + T(1.0 / 720.0);
    p = p * r + T(1.0 / 120.0);
    p = p * r + T(1.0 / 24.0);
    p = p * r + T(1.0 / 6.0);
    return p * r + T(0.5);
  }
}

// exp(x), 0 below the smallest normal number; x above the largest logarithm gives the largest
// finite power, which no caller here reaches.
template <class T>
inline Vec<T> exp(Vec<T> x) {
  constexpr T least = sizeof(T) == 4 ? T(-87.0) : T(-708.0);
  constexpr T most = sizeof(T) == 4 ? T(88.0) : T(709.0);
  const Vec<T> bounded = clamp<T>(x, least, most);
  Int<T> k;
  const Vec<T> r = reduce<T>(bounded, k);
  const Vec<T> y = (expm1_tail<T>(r) * r * r + r + T(1)) * power_of_two<T>(k);
  return x < fill<T>(least) ? Vec<T>{} : y;
}

// 1 / (1 + exp(-x))
template <class T>
inline Vec<T> sigmoid(Vec<T> x) {
  // Beyond these bounds the answer is 1, or too small to be a normal number.
  constexpr T bound = sizeof(T) == 4 ? T(87.0) : T(708.0);
  Int<T> k;
  const Vec<T> r = reduce<T>(clamp<T>(-x, -bound, bound), k);
  const Vec<T> e = (expm1_tail<T>(r) * r * r + r + T(1)) * power_of_two<T>(k);
  return T(1) / (e + T(1));
}

// tanh(x) = m / (m + 2) with m = exp(2 x) - 1, which keeps its digits where x is small.
template <class T>
inline Vec<T> tanh(Vec<T> x) {
  constexpr T bound = sizeof(T) == 4 ? T(10.0) : T(22.0);
  Int<T> k;
  const Vec<T> r = reduce<T>(clamp<T>(x, -bound, bound) * T(2), k);
  const Vec<T> power = power_of_two<T>(k);
  const Vec<T> m = power * (expm1_tail<T>(r) * r * r + r) + (power - T(1));
  return m / (m + T(2));
}
