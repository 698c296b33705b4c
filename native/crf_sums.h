// Log-partition, marginals and gradient of a CRF (forward-backward algorithm).
//
// Scores stay logarithms from step to step: nothing overflows and nothing vanishes. Within a step
//
//   alpha[t, j] = emission[t, j] + log sum_i exp(alpha[t-1, i] + transition[i, j])
//               = emission[t, j] + m + c[j] + log s[j]
//   s[j]        = sum_i p[i] factor[i, j],  p[i] = exp(alpha[t-1, i] - m),  m = max alpha[t-1]
//   factor[i, j] = exp(transition[i, j] - c[j]),  c[j] = max_i transition[i, j]
//
// so a step takes L exponentials, L logarithms and one product of a vector and a matrix. Where s[j]
// is below LEAST_ACCURATE, some of its terms may have been too small for a double; that label is
// computed once more from the definition, the maximum of its own L terms subtracted. (So are labels
// with infinities or NaN, which then come out as IEEE arithmetic has them.)
//
// Backward, the probability of label j at t is distributed over the labels before it:
//
//   marginal[t-1, i] = p[i] sum_j factor[i, j] r[j],  r[j] = marginal[t, j] / s[j]
//
// and the expected number of transitions from i to j is factor[i, j] sum_t p[t-1, i] r[t, j].

#pragma once

#include "crf_workspace.h"
#include "isa.h"
#include "kernels.h"
#include "simd.h"
#include "vector_math.h"

namespace birnn {
namespace {
namespace crf {

constexpr int BLOCK = 4;  // vectors of labels whose sums are in registers

// Terms that vanish are below 1e-300 each. A quotient by LEAST_ACCURATE is far from overflow,
// whatever weight the caller gives it.
constexpr double LEAST_ACCURATE = 1e-100;

// out[v] = sum_k scale[k] matrix[k, v], both of P columns, for WIDTH vectors of columns. With few
// vectors there are two accumulators, for even and odd k, so that additions overlap.
template <int WIDTH>
inline void product_columns(const double* scale, const double* matrix, int64_t labels,
                            int64_t padded, Doubles* out) {
  constexpr int ACCUMULATORS = WIDTH <= 2 ? 2 : 1;
  Doubles sum[ACCUMULATORS][WIDTH] = {};
  int64_t k = 0;
  for (; k + ACCUMULATORS <= labels; k += ACCUMULATORS) {
    for (int i = 0; i < ACCUMULATORS; ++i) {
      const Doubles by = broadcast(scale[k + i]);
      for (int v = 0; v < WIDTH; ++v) {
        sum[i][v] += by * load(matrix + (k + i) * padded + v * DOUBLE_LANES);
      }
    }
  }
  if (k < labels) {
    for (int v = 0; v < WIDTH; ++v) {
      sum[0][v] += broadcast(scale[k]) * load(matrix + k * padded + v * DOUBLE_LANES);
    }
  }
  for (int v = 0; v < WIDTH; ++v) {
    out[v] = ACCUMULATORS == 2 ? sum[0][v] + sum[ACCUMULATORS - 1][v] : sum[0][v];
  }
}

// y = scale matrix, (P)
inline void vector_matrix_product(const double* scale, const double* matrix, int64_t labels,
                                  int64_t padded, double* y) {
  for (int64_t at = 0; at < padded; at += BLOCK * DOUBLE_LANES) {
    Doubles out[BLOCK];
    const int64_t width = (padded - at) / DOUBLE_LANES;
    const double* here = matrix + at;
    if (width >= 4) {
      product_columns<4>(scale, here, labels, padded, out);
    } else if (width == 3) {
      product_columns<3>(scale, here, labels, padded, out);
    } else if (width == 2) {
      product_columns<2>(scale, here, labels, padded, out);
    } else {
      product_columns<1>(scale, here, labels, padded, out);
    }
    for (int64_t v = 0; v < width && v < BLOCK; ++v) {
      store(y + at + v * DOUBLE_LANES, out[v]);
    }
  }
}

// log sum_i exp(a[i] + b[i]) over a row of P
inline double log_sum_exp(const double* a, const double* b, int64_t padded) {
  Doubles maximum = broadcast(-INFINITE);
  Mask has_nan = {};
  for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
    const Doubles x = load(a + at) + load(b + at);
    maximum = lanewise_max(x, maximum);
    has_nan |= x != x;
  }
  maximum = horizontal_max(maximum);
  if (any_lane(has_nan)) {
    return __builtin_nan("");
  }
  if (!is_finite(maximum[0])) {
    return maximum[0];
  }
  Doubles sum = {};
  for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
    sum += exp<double>(load(a + at) + load(b + at) - maximum);
  }
  return log(broadcast(horizontal_sum(sum)))[0] + maximum[0];
}

// The forward algorithm: the log-partition. With `keep`, alpha, s and m of every step stay in the
// workspace.
inline double forward_pass(const Sequence& sequence, Workspace& work, bool keep) {
  const int64_t padded = work.padded;
  Doubles maximum = broadcast(-INFINITE);
  for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
    const Doubles a = load(work.start + at) + emission(sequence, work, 0, at);
    store(work.alpha + at, a);
    maximum = lanewise_max(a, maximum);
  }
  double* alpha = work.alpha;
  for (int64_t step = 1; step < sequence.steps; ++step) {
    const double* before = alpha;
    const int64_t place = keep ? step : step & 1;
    alpha = work.alpha + place * padded;
    double* sum = work.sum + place * padded;
    double m = horizontal_max(maximum)[0];
    work.maximum[keep ? step - 1 : 0] = m;
    if (is_finite(m)) {
      for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
        store(work.power + at, exp<double>(load(before + at) - m));
      }
      vector_matrix_product(work.power, work.factor, work.labels, padded, sum);
    } else {
      m = 0.0;
      for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
        store(sum + at, Doubles{});
      }
    }
    Mask inaccurate = {};
    maximum = broadcast(-INFINITE);
    for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
      const Doubles s = load(sum + at);
      const Mask accurate = s >= LEAST_ACCURATE;
      const Doubles in = log(accurate ? s : broadcast(1.0)) + (load(work.constant + at) + m);
      const Doubles a = in + emission(sequence, work, step, at);
      store(alpha + at, a);
      maximum = lanewise_max(a, maximum);
      inaccurate |= ~accurate;
    }
    if (any_lane(inaccurate)) {
      const double* row = sequence.emission + step * work.labels;
      for (int64_t to = 0; to < work.labels; ++to) {
        if (!(sum[to] >= LEAST_ACCURATE)) {
          alpha[to] = log_sum_exp(before, work.incoming + to * padded, padded) + row[to];
        }
      }
      maximum = broadcast(-INFINITE);
      for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
        maximum = lanewise_max(load(alpha + at), maximum);
      }
    }
  }
  return log_sum_exp(alpha, work.end, padded);
}

inline void add_row(double* to, const double* row, double weight, int64_t labels) {
  for (int64_t label = 0; label < labels; ++label) {
    to[label] += weight * row[label];
  }
}

// Stores the probabilities of one row's labels, and the gradient of its emissions.
inline void store_marginals(const CrfSums* sums, const double* marginal, double weight,
                            int64_t labels, int64_t row) {
  for (int64_t at = 0; at < labels; at += DOUBLE_LANES) {
    const Doubles v = load(marginal + at);
    if (sums->marginals) {
      store_partial(sums->marginals + row * labels + at, labels - at, v);
    }
    if (sums->d_emissions) {
      store_partial(sums->d_emissions + row * labels + at, labels - at, v * weight);
    }
  }
}

// d[i, j] += weight factor[i, j] sum_t p[t-1, i] r[t, j] for ROWS labels i and WIDTH vectors of j
template <int ROWS, int WIDTH>
inline void transition_gradient_tile(const Workspace& work, int64_t steps, int64_t from, int64_t to,
                                     double weight, double* d) {
  Doubles sum[ROWS][WIDTH] = {};
  for (int64_t step = 1; step < steps; ++step) {
    const double* p = work.alpha + (step - 1) * work.padded + from;
    const double* r = work.sum + step * work.padded + to;
    for (int i = 0; i < ROWS; ++i) {
      const Doubles by = broadcast(p[i]);
      for (int v = 0; v < WIDTH; ++v) {
        sum[i][v] += by * load(r + v * DOUBLE_LANES);
      }
    }
  }
  for (int i = 0; i < ROWS; ++i) {
    for (int v = 0; v < WIDTH; ++v) {
      const int64_t at = to + v * DOUBLE_LANES, count = work.labels - at;
      const Doubles factor = load(work.factor + (from + i) * work.padded + at);
      double* here = d + (from + i) * work.labels + at;
      const Doubles before = load_partial(here, count, here + count, 0.0);
      store_partial(here, count, before + factor * sum[i][v] * weight);
    }
  }
}

inline void transition_gradient(const Workspace& work, int64_t steps, double weight, double* d) {
  for (int64_t to = 0; to < work.padded;) {
    const bool two = work.padded - to >= 2 * DOUBLE_LANES;
    for (int64_t from = 0; from < work.labels;) {
      const bool four = work.labels - from >= 4;
      if (four && two) {
        transition_gradient_tile<4, 2>(work, steps, from, to, weight, d);
      } else if (four) {
        transition_gradient_tile<4, 1>(work, steps, from, to, weight, d);
      } else if (two) {
        transition_gradient_tile<1, 2>(work, steps, from, to, weight, d);
      } else {
        transition_gradient_tile<1, 1>(work, steps, from, to, weight, d);
      }
      from += four ? 4 : 1;
    }
    to += two ? 2 * DOUBLE_LANES : DOUBLE_LANES;
  }
}

// The same for the labels of row `step` whose s is inaccurate: distributed by the definition.
inline void distribute_by_definition(const Workspace& work, int64_t step, const double* inaccurate,
                                     double weight, double* d) {
  const double* before = work.alpha + (step - 1) * work.padded;
  for (int64_t to = 0; to < work.labels; ++to) {
    if (inaccurate[to] == 0.0) {
      continue;
    }
    const double* score = work.incoming + to * work.padded;
    const double all = log_sum_exp(before, score, work.padded);
    for (int64_t at = 0; at < work.padded; at += DOUBLE_LANES) {
      const Doubles q = exp<double>(load(before + at) + load(score + at) - all) * inaccurate[to];
      store(work.before + at, load(work.before + at) + q);
      for (int64_t lane = 0; d != nullptr && lane < DOUBLE_LANES && at + lane < work.labels;
           ++lane) {
        d[(at + lane) * work.labels + to] += weight * q[lane];
      }
    }
  }
}

// The backward algorithm: marginals and gradients of one sequence, whose forward pass was kept.
inline void backward_pass(const Sequence& sequence, Workspace& work, const CrfSums* sums,
                          double log_partition, double weight, int64_t part) {
  const int64_t labels = work.labels, padded = work.padded, last = sequence.steps - 1;
  double* d = sums->d_transitions ? sums->d_transitions + part * labels * labels : nullptr;
  for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
    const Doubles score = load(work.alpha + last * padded + at) + load(work.end + at);
    store(work.marginal + at, exp<double>(score - log_partition));
  }
  if (sums->d_end) {
    add_row(sums->d_end + part * labels, work.marginal, weight, labels);
  }
  for (int64_t step = last; step > 0; --step) {
    store_marginals(sums, work.marginal, weight, labels, sequence.first + step);
    double* sum = work.sum + step * padded;
    double* alpha = work.alpha + (step - 1) * padded;
    Mask inaccurate = {};
    for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
      const Doubles s = load(sum + at), all = load(work.marginal + at);
      const Mask accurate = s >= LEAST_ACCURATE;
      store(sum + at, accurate ? all / s : Doubles{});
      // What is left here is still to be distributed.
      store(work.marginal + at, accurate ? Doubles{} : all);
      inaccurate |= ~accurate & (all != 0.0);
    }
    vector_matrix_product(sum, work.back, labels, padded, work.before);
    const double m = work.maximum[step - 1];
    for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
      store(work.power + at, exp<double>(load(alpha + at) - m));
      store(work.before + at, load(work.before + at) * load(work.power + at));
    }
    if (any_lane(inaccurate)) {
      distribute_by_definition(work, step, work.marginal, weight, d);
    }
    for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
      store(alpha + at, load(work.power + at));
      store(work.marginal + at, load(work.before + at));
    }
  }
  store_marginals(sums, work.marginal, weight, labels, sequence.first);
  if (sums->d_start) {
    add_row(sums->d_start + part * labels, work.marginal, weight, labels);
  }
  if (d != nullptr) {
    transition_gradient(work, sequence.steps, weight, d);
  }
}

// A sequence without probabilities: where the log-partition is minus infinity (no path is allowed)
// all are 0; where it is infinite or NaN, all are NaN.
inline void degenerate_sequence(const Sequence& sequence, Workspace& work, const CrfSums* sums,
                                double log_partition, int64_t part) {
  const int64_t labels = work.labels;
  const double value = log_partition < 0.0 ? 0.0 : __builtin_nan("");
  for (int64_t label = 0; label < work.padded; ++label) {
    work.marginal[label] = value;
  }
  for (int64_t step = 0; step < sequence.steps; ++step) {
    store_marginals(sums, work.marginal, 1.0, labels, sequence.first + step);
  }
  for (int64_t from = 0; sums->d_transitions != nullptr && from < labels; ++from) {
    add_row(sums->d_transitions + (part * labels + from) * labels, work.marginal, 1.0, labels);
  }
  if (sums->d_start) {
    add_row(sums->d_start + part * labels, work.marginal, 1.0, labels);
  }
  if (sums->d_end) {
    add_row(sums->d_end + part * labels, work.marginal, 1.0, labels);
  }
}

// Everything that `sums` asks for, of sequences [begin, end). Adds to the gradients of part `part`.
void sums(const Crf* crf, const CrfSums* sums, int64_t begin, int64_t end, int64_t part,
          char* memory) {
  const bool keep =
      sums->marginals || sums->d_emissions || sums->d_transitions || sums->d_start || sums->d_end;
  int64_t longest = 0;
  for (int64_t number = begin; keep && number < end; ++number) {
    const int64_t steps = crf->offsets[number + 1] - crf->offsets[number];
    longest = steps > longest ? steps : longest;
  }
  uintptr_t next = reinterpret_cast<uintptr_t>(memory);
  Workspace work = allocate_workspace(crf->labels, longest, next);
  prepare_scores(crf, work);
  prepare_factors(work);
  for (int64_t number = begin; number < end; ++number) {
    const Sequence sequence = sequence_of(crf, number);
    const double log_partition = sequence.steps == 0 ? 0.0 : forward_pass(sequence, work, keep);
    if (sums->log_partition) {
      sums->log_partition[number] = log_partition;
    }
    if (!keep || sequence.steps == 0) {
      continue;
    }
    if (is_finite(log_partition)) {
      const double weight = sums->weight ? sums->weight[number] : 1.0;
      backward_pass(sequence, work, sums, log_partition, weight, part);
    } else {
      degenerate_sequence(sequence, work, sums, log_partition, part);
    }
  }
}

}  // namespace crf
}  // namespace
}  // namespace birnn
