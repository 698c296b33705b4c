// The best path through a CRF (Viterbi). The best scores of all steps stay in memory, and
// backtracking finds the label before by the same additions, so no step has to store back-pointers.

#pragma once

#include "crf_workspace.h"
#include "isa.h"
#include "kernels.h"
#include "simd.h"

namespace birnn {
namespace {
namespace crf {

constexpr int BEST_BLOCK = 4;  // vectors of labels whose maxima are in registers

// out[j] = max_k score[k] + matrix[k, j] for WIDTH vectors of columns j
template <int WIDTH>
inline void best_columns(const double* score, const double* matrix, int64_t labels, int64_t padded,
                         Doubles* out) {
  Doubles best[WIDTH];
  for (int v = 0; v < WIDTH; ++v) {
    best[v] = broadcast(score[0]) + load(matrix + v * DOUBLE_LANES);
  }
  for (int64_t k = 1; k < labels; ++k) {
    const Doubles by = broadcast(score[k]);
    for (int v = 0; v < WIDTH; ++v) {
      best[v] = lanewise_max(by + load(matrix + k * padded + v * DOUBLE_LANES), best[v]);
    }
  }
  for (int v = 0; v < WIDTH; ++v) {
    out[v] = best[v];
  }
}

// The argmax of a + b, the first of several; NaN counts as the largest.
inline int64_t argmax(const double* a, const double* b, int64_t labels) {
  int64_t at = 0;
  double best = a[0] + b[0];
  for (int64_t i = 1; i < labels && best == best; ++i) {
    const double x = a[i] + b[i];
    if (!(x <= best)) {
      best = x;
      at = i;
    }
  }
  return at;
}

// The same over a padded row in which nothing is NaN.
inline int64_t argmax_of_row(const double* a, const double* b, int64_t padded) {
  Doubles best = load(a) + load(b), place, here;
  for (int lane = 0; lane < DOUBLE_LANES; ++lane) {
    here[lane] = lane;
  }
  place = here;
  for (int64_t at = DOUBLE_LANES; at < padded; at += DOUBLE_LANES) {
    const Doubles x = load(a + at) + load(b + at);
    here += double(DOUBLE_LANES);
    const Mask more = x > best;
    best = more ? x : best;
    place = more ? here : place;
  }
  const Doubles maximum = horizontal_max(best);
  return static_cast<int64_t>(-horizontal_max(best == maximum ? -place : broadcast(-INFINITE))[0]);
}

// The best scores of row `step` from those of the row before. `bounded`: no score so far is NaN or
// plus infinity; else NaN has to be looked for, label by label. Returns whether that still holds.
inline bool best_step(const Sequence& sequence, const Workspace& work, int64_t step, bool bounded) {
  const double* before = work.alpha + (step - 1) * work.padded;
  double* here = work.alpha + step * work.padded;
  if (bounded) {
    for (int64_t at = 0; at < work.padded; at += BEST_BLOCK * DOUBLE_LANES) {
      Doubles best[BEST_BLOCK];
      const int64_t width = (work.padded - at) / DOUBLE_LANES;
      const double* matrix = work.transition + at;
      if (width >= 4) {
        best_columns<4>(before, matrix, work.labels, work.padded, best);
      } else if (width == 3) {
        best_columns<3>(before, matrix, work.labels, work.padded, best);
      } else if (width == 2) {
        best_columns<2>(before, matrix, work.labels, work.padded, best);
      } else {
        best_columns<1>(before, matrix, work.labels, work.padded, best);
      }
      for (int64_t v = 0; v < width && v < BEST_BLOCK; ++v) {
        store(here + at + v * DOUBLE_LANES, best[v]);
      }
    }
  } else {
    for (int64_t to = 0; to < work.padded; ++to) {
      here[to] = -INFINITE;
      if (to < work.labels) {
        const double* score = work.incoming + to * work.padded;
        const int64_t from = argmax(before, score, work.labels);
        here[to] = before[from] + score[from];
      }
    }
  }
  Mask unbounded = {};
  for (int64_t at = 0; at < work.padded; at += DOUBLE_LANES) {
    const Doubles x = load(here + at) + emission(sequence, work, step, at);
    unbounded |= ~(x <= LARGEST);
    store(here + at, x);
  }
  return !any_lane(unbounded) && bounded;
}

inline double best_path(const Sequence& sequence, const Workspace& work, int64_t* tags) {
  const int64_t padded = work.padded, last = sequence.steps - 1;
  bool bounded = *work.prepared & BOUNDED;
  Mask unbounded = {};
  for (int64_t at = 0; at < padded; at += DOUBLE_LANES) {
    const Doubles x = load(work.start + at) + emission(sequence, work, 0, at);
    unbounded |= ~(x <= LARGEST);
    store(work.alpha + at, x);
  }
  bounded = bounded && !any_lane(unbounded);
  for (int64_t step = 1; step <= last; ++step) {
    bounded = best_step(sequence, work, step, bounded);
  }
  const double* score = work.alpha + last * padded;
  int64_t label = argmax(score, work.end, work.labels);
  const double best = score[label] + work.end[label];
  tags[last] = label;
  for (int64_t step = last; step > 0; --step) {
    const double* before = work.alpha + (step - 1) * padded;
    const double* from = work.incoming + label * padded;
    label = bounded ? argmax_of_row(before, from, padded) : argmax(before, from, work.labels);
    tags[step - 1] = label;
  }
  return best;
}

// The best paths of sequences [begin, end).
void paths(const Crf* crf, const CrfPaths* paths, int64_t begin, int64_t end, char* memory) {
  int64_t longest = 0;
  for (int64_t number = begin; number < end; ++number) {
    const int64_t steps = crf->offsets[number + 1] - crf->offsets[number];
    longest = steps > longest ? steps : longest;
  }
  uintptr_t next = reinterpret_cast<uintptr_t>(memory);
  Workspace work = allocate_workspace(crf->labels, longest, next);
  prepare_scores(crf, work);
  for (int64_t number = begin; number < end; ++number) {
    const Sequence sequence = sequence_of(crf, number);
    const double score =
        sequence.steps == 0 ? 0.0 : best_path(sequence, work, paths->tags + sequence.first);
    if (paths->scores) {
      paths->scores[number] = score;
    }
  }
}

}  // namespace crf
}  // namespace
}  // namespace birnn
