// The linear-chain CRF in float64: one thread's workspace, with the parameters prepared for
// vectors.
//
// A sequence's answers are made from its own rows alone, in an order that only its length and the
// number of labels give: the same bits in every batch.
//
// L labels, P labels padded to whole vectors, T steps

#pragma once

#include "isa.h"
#include "kernels.h"
#include "simd.h"
#include "vector_math.h"

namespace birnn {
namespace {
namespace crf {

// The equations that name what is kept here are in crf_sums.h.
struct Workspace {
  int64_t* prepared;   // which parameters have been prepared already, flags of `Prepared`
  double* transition;  // (L, P) [from, to], minus infinity in the padding
  double* incoming;    // (L, P) [to, from], likewise
  double* factor;      // (L, P) [from, to], 1 in the padding
  double* back;        // (L, P) factor [to, from], 0 in the padding
  double* constant;    // (P) c, minus infinity in the padding
  double* start;       // (P) likewise
  double* end;         // (P) likewise
  double* power;       // (P) p
  double* marginal;    // (P) of the step
  double* before;      // (P) marginals of the step before
  double* alpha;       // (T, P) alpha, in the backward pass p; best scores for the best path
  double* sum;         // (T, P) s, in the backward pass r
  double* maximum;     // (T) m
  int64_t labels, padded;
};

// BOUNDED: no transition is NaN or plus infinity.
enum Prepared : int64_t { SCORES = 1, FACTORS = 2, BOUNDED = 4 };

inline int64_t padded_labels(int64_t labels) {
  return (labels + DOUBLE_LANES - 1) / DOUBLE_LANES * DOUBLE_LANES;
}

inline double* allocate(uintptr_t& next, int64_t count) {
  const uintptr_t here = next;
  next += static_cast<uintptr_t>(count) * sizeof(double);
  return reinterpret_cast<double*>(here);
}

// Arrays one after another from address `next` on, which becomes the address after the last.
inline Workspace allocate_workspace(int64_t labels, int64_t longest, uintptr_t& next) {
  const int64_t padded = padded_labels(labels), steps = longest < 2 ? 2 : longest;
  Workspace work;
  work.labels = labels;
  work.padded = padded;
  work.prepared = reinterpret_cast<int64_t*>(allocate(next, DOUBLE_LANES));
  work.transition = allocate(next, labels * padded);
  work.incoming = allocate(next, labels * padded);
  work.factor = allocate(next, labels * padded);
  work.back = allocate(next, labels * padded);
  work.constant = allocate(next, padded);
  work.start = allocate(next, padded);
  work.end = allocate(next, padded);
  work.power = allocate(next, padded);
  work.marginal = allocate(next, padded);
  work.before = allocate(next, padded);
  work.alpha = allocate(next, steps * padded);
  work.sum = allocate(next, steps * padded);
  work.maximum = allocate(next, steps);
  return work;
}

// Bytes for one thread. The first eight have to be 0 before the first call with these parameters,
// so that they are prepared once for all calls. `longest` is the length of the longest sequence; 2
// is enough where neither marginals nor gradients nor paths are asked for.
int64_t workspace_size(int64_t labels, int64_t longest) {
  constexpr int64_t line = 64;
  uintptr_t size = 0;
  allocate_workspace(labels, longest, size);
  return (static_cast<int64_t>(size) + line - 1) / line * line;
}

inline void prepare_scores(const Crf* crf, Workspace& work) {
  if (*work.prepared & SCORES) {
    return;
  }
  Mask unbounded = {};
  for (int64_t from = 0; from < work.labels; ++from) {
    const double* row = crf->transitions + from * work.labels;
    double* padded = work.transition + from * work.padded;
    for (int64_t to = 0; to < work.padded; to += DOUBLE_LANES) {
      const Doubles x = load_partial(row + to, work.labels - to, row + work.labels, -INFINITE);
      unbounded |= ~(x <= LARGEST);
      store(padded + to, x);
    }
  }
  for (int64_t to = 0; to < work.labels; ++to) {
    double* row = work.incoming + to * work.padded;
    for (int64_t from = 0; from < work.padded; ++from) {
      row[from] = from < work.labels ? crf->transitions[from * work.labels + to] : -INFINITE;
    }
  }
  for (int64_t label = 0; label < work.padded; ++label) {
    work.start[label] = label < work.labels ? crf->start[label] : -INFINITE;
    work.end[label] = label < work.labels ? crf->end[label] : -INFINITE;
  }
  *work.prepared |= any_lane(unbounded) ? SCORES : SCORES | BOUNDED;
}

inline void prepare_factors(Workspace& work) {
  if (*work.prepared & FACTORS) {
    return;
  }
  for (int64_t to = 0; to < work.padded; to += DOUBLE_LANES) {
    Doubles maximum = broadcast(-INFINITE);
    Mask has_nan = {};
    for (int64_t from = 0; from < work.labels; ++from) {
      const Doubles x = load(work.transition + from * work.padded + to);
      maximum = lanewise_max(x, maximum);
      has_nan |= x != x;
    }
    // A column with a NaN, or with nothing finite at the top, has s = 0: it is always computed
    // from the definition.
    const Mask usual = (maximum >= -LARGEST) & (maximum <= LARGEST) & ~has_nan;
    const Mask real = first_lanes(work.labels - to);
    store(work.constant + to, real ? (usual ? maximum : Doubles{}) : broadcast(-INFINITE));
    for (int64_t from = 0; from < work.labels; ++from) {
      const Doubles x = load(work.transition + from * work.padded + to);
      const Doubles power = usual ? exp<double>(x - maximum) : Doubles{};
      store(work.factor + from * work.padded + to, real ? power : broadcast(1.0));
    }
  }
  for (int64_t to = 0; to < work.labels; ++to) {
    for (int64_t from = 0; from < work.padded; ++from) {
      work.back[to * work.padded + from] =
          from < work.labels ? work.factor[from * work.padded + to] : 0.0;
    }
  }
  *work.prepared |= FACTORS;
}

// One sequence of a batch.
struct Sequence {
  const double* emission;  // (T, L)
  const double* stop;      // where the batch's emissions end
  int64_t first, steps;    // first row in the batch, T
};

inline Sequence sequence_of(const Crf* crf, int64_t number) {
  const int64_t first = crf->offsets[number];
  return {crf->emissions + first * crf->labels,
          crf->emissions + crf->offsets[crf->sequences] * crf->labels, first,
          crf->offsets[number + 1] - first};
}

// The vector of row `step`'s emissions from label `at` on, 0 in the padding.
inline Doubles emission(const Sequence& sequence, const Workspace& work, int64_t step, int64_t at) {
  const double* p = sequence.emission + step * work.labels + at;
  return load_partial(p, work.labels - at, sequence.stop, 0.0);
}

}  // namespace crf
}  // namespace
}  // namespace birnn
