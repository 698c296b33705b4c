// Log-partition, marginals and gradient.
//
// Scores stay logarithms from step to step: nothing overflows and nothing vanishes. Within a step
//
//   alpha[t, j] = emission[t, j] + log sum_i exp(alpha[t-1, i] + transition[i, j])
//               = emission[t, j] + m + c[j] + log s[j]
//   s[j]        = sum_i p[i] factor[i, j],  p[i] = exp(alpha[t-1, i] - m),  m = max alpha[t-1]
//   factor[i, j] = exp(transition[i, j] - c[j]),  c[j] = max_i transition[i, j]
//
// so a step takes L exponentials, L logarithms and one product of a vector and a matrix. Where s[j]
// is below LEAST, some of what it adds up may have been too small for a double; that label is
// computed once more from the definition, the maximum of its own L terms taken off. (So are labels
// with infinities or NaN, which then come out as IEEE arithmetic has them.)
//
// Backwards, the probability of label j at t is shared out over the labels before it:
//
//   marginal[t-1, i] = p[i] sum_j factor[i, j] r[j],  r[j] = marginal[t, j] / s[j]
//
// and the expected number of transitions from i to j is factor[i, j] sum_t p[t-1, i] r[t, j].

constexpr int BLOCK = 4;  // vectors of labels whose sums stand in registers

// Terms that vanish are below 1e-300 each. A quotient by LEAST is far from overflow, whatever
// weight the caller gives it.
constexpr double LEAST = 1e-100;

// out[v] = sum_k scale[k] matrix[k, v], both of P columns, for WIDTH vectors of columns. Two sums
// for even and odd k where one would leave the processor waiting for the last addition.
template <int WIDTH>
inline void columns(const double* scale, const double* matrix, int64_t labels, int64_t padded,
                    Doubles* out) {
  constexpr int CHAINS = WIDTH <= 2 ? 2 : 1;
  Doubles sum[CHAINS][WIDTH] = {};
  int64_t k = 0;
  for (; k + CHAINS <= labels; k += CHAINS) {
    for (int chain = 0; chain < CHAINS; ++chain) {
      const Doubles by = fill(scale[k + chain]);
      for (int v = 0; v < WIDTH; ++v) {
        sum[chain][v] += by * load(matrix + (k + chain) * padded + v * LANE_COUNT);
      }
    }
  }
  if (k < labels) {
    for (int v = 0; v < WIDTH; ++v) {
      sum[0][v] += fill(scale[k]) * load(matrix + k * padded + v * LANE_COUNT);
    }
  }
  for (int v = 0; v < WIDTH; ++v) {
    out[v] = CHAINS == 2 ? sum[0][v] + sum[CHAINS - 1][v] : sum[0][v];
  }
}

// y = scale matrix, (P)
inline void product(const double* scale, const double* matrix, int64_t labels, int64_t padded,
                    double* y) {
  for (int64_t at = 0; at < padded; at += BLOCK * LANE_COUNT) {
    Doubles out[BLOCK];
    const int64_t width = (padded - at) / LANE_COUNT;
    const double* here = matrix + at;
    if (width >= 4) {
      columns<4>(scale, here, labels, padded, out);
    } else if (width == 3) {
      columns<3>(scale, here, labels, padded, out);
    } else if (width == 2) {
      columns<2>(scale, here, labels, padded, out);
    } else {
      columns<1>(scale, here, labels, padded, out);
    }
    for (int64_t v = 0; v < width && v < BLOCK; ++v) {
      store(y + at + v * LANE_COUNT, out[v]);
    }
  }
}

// log sum_i exp(a[i] + b[i]) over a row of P
inline double log_sum(const double* a, const double* b, int64_t padded) {
  Doubles most = fill(-INFINITE);
  Masks unordered = {};
  for (int64_t at = 0; at < padded; at += LANE_COUNT) {
    const Doubles x = load(a + at) + load(b + at);
    most = larger(x, most);
    unordered |= x != x;
  }
  most = largest(most);
  if (any(unordered)) {
    return __builtin_nan("");
  }
  if (!finite(most[0])) {
    return most[0];
  }
  Doubles sum = {};
  for (int64_t at = 0; at < padded; at += LANE_COUNT) {
    sum += exp<double>(load(a + at) + load(b + at) - most);
  }
  return logarithm(fill(total(sum)))[0] + most[0];
}

// ------------------------------------------------------------------ forwards

// The log-partition. With `keep`, alpha, s and m of every step stay in the room.
inline double forwards(const Rows& rows, Room& room, bool keep) {
  const int64_t padded = room.padded;
  Doubles most = fill(-INFINITE);
  for (int64_t at = 0; at < padded; at += LANE_COUNT) {
    const Doubles a = load(room.start + at) + emission(rows, room, 0, at);
    store(room.alpha + at, a);
    most = larger(a, most);
  }
  double* alpha = room.alpha;
  for (int64_t step = 1; step < rows.steps; ++step) {
    const double* before = alpha;
    const int64_t place = keep ? step : step & 1;
    alpha = room.alpha + place * padded;
    double* sum = room.sum + place * padded;
    double m = largest(most)[0];
    room.most[keep ? step - 1 : 0] = m;
    if (finite(m)) {
      for (int64_t at = 0; at < padded; at += LANE_COUNT) {
        store(room.power + at, exp<double>(load(before + at) - m));
      }
      product(room.power, room.factor, room.labels, padded, sum);
    } else {
      m = 0.0;
      for (int64_t at = 0; at < padded; at += LANE_COUNT) {
        store(sum + at, Doubles{});
      }
    }
    Masks poor = {};
    most = fill(-INFINITE);
    for (int64_t at = 0; at < padded; at += LANE_COUNT) {
      const Doubles s = load(sum + at);
      const Masks rich = s >= LEAST;
      const Doubles in = logarithm(rich ? s : fill(1.0)) + (load(room.constant + at) + m);
      const Doubles a = in + emission(rows, room, step, at);
      store(alpha + at, a);
      most = larger(a, most);
      poor |= ~rich;
    }
    if (any(poor)) {
      const double* row = rows.emission + step * room.labels;
      for (int64_t to = 0; to < room.labels; ++to) {
        if (!(sum[to] >= LEAST)) {
          alpha[to] = log_sum(before, room.incoming + to * padded, padded) + row[to];
        }
      }
      most = fill(-INFINITE);
      for (int64_t at = 0; at < padded; at += LANE_COUNT) {
        most = larger(load(alpha + at), most);
      }
    }
  }
  return log_sum(alpha, room.end, padded);
}

// ------------------------------------------------------------------ backwards

inline void add_row(double* to, const double* row, double weight, int64_t labels) {
  for (int64_t label = 0; label < labels; ++label) {
    to[label] += weight * row[label];
  }
}

// Hands out the probabilities of one row's labels.
inline void put_marginals(const ChainSums* sums, const double* marginal, double weight,
                          int64_t labels, int64_t row) {
  for (int64_t at = 0; at < labels; at += LANE_COUNT) {
    const Doubles v = load(marginal + at);
    if (sums->marginals) {
      store_lanes(sums->marginals + row * labels + at, labels - at, v);
    }
    if (sums->d_emissions) {
      store_lanes(sums->d_emissions + row * labels + at, labels - at, v * weight);
    }
  }
}

// d[i, j] += weight factor[i, j] sum_t p[t-1, i] r[t, j] for ROWS labels i and WIDTH vectors of j
template <int ROWS, int WIDTH>
inline void pair_tile(const Room& room, int64_t steps, int64_t from, int64_t to,
                      double weight, double* d) {
  Doubles sum[ROWS][WIDTH] = {};
  for (int64_t step = 1; step < steps; ++step) {
    const double* p = room.alpha + (step - 1) * room.padded + from;
    const double* r = room.sum + step * room.padded + to;
    for (int i = 0; i < ROWS; ++i) {
      const Doubles by = fill(p[i]);
      for (int v = 0; v < WIDTH; ++v) {
        sum[i][v] += by * load(r + v * LANE_COUNT);
      }
    }
  }
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < WIDTH; ++v) {
      const int64_t at = to + v * LANE_COUNT, count = room.labels - at;
      const Doubles factor = load(room.factor + (from + i) * room.padded + at);
      double* here = d + (from + i) * room.labels + at;
      const Doubles before = load_lanes(here, count, here + count, 0.0);
      store_lanes(here, count, before + factor * sum[i][v] * weight);
    }
  }
}

inline void pairs(const Room& room, int64_t steps, double weight, double* d) {
  for (int64_t to = 0; to < room.padded;) {
    const bool two = room.padded - to >= 2 * LANE_COUNT;
    for (int64_t from = 0; from < room.labels;) {
      const bool four = room.labels - from >= 4;
      if (four && two) {
        pair_tile<4, 2>(room, steps, from, to, weight, d);
      } else if (four) {
        pair_tile<4, 1>(room, steps, from, to, weight, d);
      } else if (two) {
        pair_tile<1, 2>(room, steps, from, to, weight, d);
      } else {
        pair_tile<1, 1>(room, steps, from, to, weight, d);
      }
      from += four ? 4 : 1;
    }
    to += two ? 2 * LANE_COUNT : LANE_COUNT;
  }
}

// The labels of row `step` whose s is poor: shared out by the definition.
inline void share_by_definition(const Room& room, int64_t step, const double* poor,
                                double weight, double* d) {
  const double* before = room.alpha + (step - 1) * room.padded;
  for (int64_t to = 0; to < room.labels; ++to) {
    if (poor[to] == 0.0) {
      continue;
    }
    const double* score = room.incoming + to * room.padded;
    const double all = log_sum(before, score, room.padded);
    for (int64_t at = 0; at < room.padded; at += LANE_COUNT) {
      const Doubles q = exp<double>(load(before + at) + load(score + at) - all) * poor[to];
      store(room.share + at, load(room.share + at) + q);
      for (int64_t lane = 0; d != nullptr && lane < LANE_COUNT && at + lane < room.labels; ++lane) {
        d[(at + lane) * room.labels + to] += weight * q[lane];
      }
    }
  }
}

// Marginals and gradients of one sequence whose `forwards` were kept.
inline void backwards(const Rows& rows, Room& room, const ChainSums* sums,
                      double log_partition, double weight, int64_t part) {
  const int64_t labels = room.labels, padded = room.padded, last = rows.steps - 1;
  double* d = sums->d_transitions ? sums->d_transitions + part * labels * labels : nullptr;
  for (int64_t at = 0; at < padded; at += LANE_COUNT) {
    const Doubles score = load(room.alpha + last * padded + at) + load(room.end + at);
    store(room.marginal + at, exp<double>(score - log_partition));
  }
  if (sums->d_end) {
    add_row(sums->d_end + part * labels, room.marginal, weight, labels);
  }
  for (int64_t step = last; step > 0; --step) {
    put_marginals(sums, room.marginal, weight, labels, rows.first + step);
    double* sum = room.sum + step * padded;
    double* alpha = room.alpha + (step - 1) * padded;
    Masks poor = {};
    for (int64_t at = 0; at < padded; at += LANE_COUNT) {
      const Doubles s = load(sum + at), all = load(room.marginal + at);
      const Masks rich = s >= LEAST;
      store(sum + at, rich ? all / s : Doubles{});
      // What is left here is still to be shared out.
      store(room.marginal + at, rich ? Doubles{} : all);
      poor |= ~rich & (all != 0.0);
    }
    product(sum, room.back, labels, padded, room.share);
    const double m = room.most[step - 1];
    for (int64_t at = 0; at < padded; at += LANE_COUNT) {
      store(room.power + at, exp<double>(load(alpha + at) - m));
      store(room.share + at, load(room.share + at) * load(room.power + at));
    }
    if (any(poor)) {
      share_by_definition(room, step, room.marginal, weight, d);
    }
    for (int64_t at = 0; at < padded; at += LANE_COUNT) {
      store(alpha + at, load(room.power + at));
      store(room.marginal + at, load(room.share + at));
    }
  }
  put_marginals(sums, room.marginal, weight, labels, rows.first);
  if (sums->d_start) {
    add_row(sums->d_start + part * labels, room.marginal, weight, labels);
  }
  if (d != nullptr) {
    pairs(room, rows.steps, weight, d);
  }
}

// Where the log-partition is minus infinity every probability is 0; where it is infinite or NaN,
// every one is NaN.
inline void without_sums(const Rows& rows, Room& room, const ChainSums* sums,
                         double log_partition, int64_t part) {
  const int64_t labels = room.labels;
  const double value = log_partition < 0.0 ? 0.0 : __builtin_nan("");
  for (int64_t label = 0; label < room.padded; ++label) {
    room.marginal[label] = value;
  }
  for (int64_t step = 0; step < rows.steps; ++step) {
    put_marginals(sums, room.marginal, 1.0, labels, rows.first + step);
  }
  for (int64_t from = 0; sums->d_transitions != nullptr && from < labels; ++from) {
    add_row(sums->d_transitions + (part * labels + from) * labels, room.marginal, 1.0, labels);
  }
  if (sums->d_start) {
    add_row(sums->d_start + part * labels, room.marginal, 1.0, labels);
  }
  if (sums->d_end) {
    add_row(sums->d_end + part * labels, room.marginal, 1.0, labels);
  }
}

// Adds to the gradients of part `part`, which begin with zeros.
void sums(const Chain* chain, const ChainSums* sums, int64_t begin, int64_t end, int64_t part,
                char* scratch) {
  const bool keep = sums->marginals || sums->d_emissions || sums->d_transitions || sums->d_start ||
                    sums->d_end;
  int64_t longest = 0;
  for (int64_t sequence = begin; keep && sequence < end; ++sequence) {
    const int64_t steps = chain->offsets[sequence + 1] - chain->offsets[sequence];
    longest = steps > longest ? steps : longest;
  }
  uintptr_t next = reinterpret_cast<uintptr_t>(scratch);
  Room room = room_of(chain->labels, longest, next);
  prepare_scores(chain, room);
  prepare_factors(room);
  for (int64_t sequence = begin; sequence < end; ++sequence) {
    const Rows rows = rows_of(chain, sequence);
    const double log_partition = rows.steps == 0 ? 0.0 : forwards(rows, room, keep);
    if (sums->log_partition) {
      sums->log_partition[sequence] = log_partition;
    }
    if (!keep || rows.steps == 0) {
      continue;
    }
    if (finite(log_partition)) {
      const double weight = sums->weight ? sums->weight[sequence] : 1.0;
      backwards(rows, room, sums, log_partition, weight, part);
    } else {
      without_sums(rows, room, sums, log_partition, part);
    }
  }
}
