// What the chain needs of vectors beyond arithmetic: across lanes, logarithms, rows of L doubles.

typedef Vec<double> Doubles;
typedef Int<double> Masks;
constexpr int LANE_COUNT = LANES<double>;
constexpr double INFINITE = __builtin_inf();
constexpr double LARGEST = __DBL_MAX__;

// ------------------------------------------------------------------ across a vector's lanes

template <int BY>
inline Doubles turned(Doubles v) {
#if defined(__clang__)
  Doubles out;
  for (int lane = 0; lane < LANE_COUNT; ++lane) {
    out[lane] = v[(lane + BY) % LANE_COUNT];
  }
  return out;
#else
  Masks from;
  for (int lane = 0; lane < LANE_COUNT; ++lane) {
    from[lane] = (lane + BY) % LANE_COUNT;
  }
  return __builtin_shuffle(v, from);
#endif
}

inline Doubles larger(Doubles a, Doubles b) { return a > b ? a : b; }

// In every lane the largest of all. A NaN may get lost.
inline Doubles largest(Doubles v) {
  if constexpr (LANE_COUNT > 4) v = larger(v, turned<4>(v));
  if constexpr (LANE_COUNT > 2) v = larger(v, turned<2>(v));
  return larger(v, turned<1>(v));
}

inline double total(Doubles v) {
  if constexpr (LANE_COUNT > 4) v += turned<4>(v);
  if constexpr (LANE_COUNT > 2) v += turned<2>(v);
  v += turned<1>(v);
  return v[0];
}

inline bool any(Masks mask) {
  int64_t found = 0;
  for (int lane = 0; lane < LANE_COUNT; ++lane) {
    found |= mask[lane];
  }
  return found != 0;
}

inline Masks lanes_below(int64_t count) {
  Masks lane;
  for (int i = 0; i < LANE_COUNT; ++i) {
    lane[i] = i;
  }
  return lane < Masks{} + count;
}

inline bool finite(double x) { return __builtin_fabs(x) <= LARGEST; }

// log(x) for normal x > 0, to about one unit in the last place.
//
// x = 2^k (1 + f) with 1 + f between sqrt(1/2) and sqrt(2), and with u = f / (2 + f)
// log(1 + f) = 2 u + 2 u^3 / 3 + 2 u^5 / 5 + ... = f - u (f - R),  R = 2 u^2 / 3 + 2 u^4 / 5 + ...
inline Doubles logarithm(Doubles x) {
  constexpr int64_t one = 0x3ff0000000000000, root = 0x3fe6a09e667f3bcd, whole = 0x4330000000000000;
  constexpr double high = 0.693147180369123816490, low = 1.90821492927058770002e-10;
  const Masks bits = reinterpret_cast<Masks>(x);
  const Masks biased = (bits + (one - root)) >> 52;
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

// ------------------------------------------------------------------ rows of L doubles

// The vector at `p`, of which `count` lanes belong to the row; the others are `other`. The array
// ends at `stop`.
inline Doubles load_lanes(const double* p, int64_t count, const double* stop, double other) {
  if (count >= LANE_COUNT) {
    return load(p);
  }
  if (stop - p >= LANE_COUNT) {
    return lanes_below(count) ? load(p) : fill(other);
  }
  Doubles v = fill(other);
  for (int64_t lane = 0; lane < count; ++lane) {
    v[lane] = p[lane];
  }
  return v;
}

inline void store_lanes(double* p, int64_t count, Doubles v) {
  if (count >= LANE_COUNT) {
    store(p, v);
    return;
  }
  for (int64_t lane = 0; lane < count; ++lane) {
    p[lane] = v[lane];
  }
}
