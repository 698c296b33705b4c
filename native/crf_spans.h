// Probabilities of spans under a CRF: of exactly these steps with this type.
//
// Given all its data, the tags of a sequence are a Markov chain, read from its end:
//
//   p(y[t-1] = i | y[t] = j) = exp(alpha[t-1, i] + transition[i, j] - in[t, j])
//   in[t, j]                 = log sum_i exp(alpha[t-1, i] + transition[i, j])
//                            = alpha[t, j] - emission[t, j]
//
// So the probability of a span is that of the step after it, which is its marginal, handed on from
// step to step along the pairs of labels that go on with the span, and at its first step along
// those that begin one. All numbers are probabilities: nothing overflows, and a span costs its own
// steps alone.

#pragma once

#include "crf_sums.h"
#include "crf_workspace.h"
#include "isa.h"
#include "kernels.h"
#include "simd.h"
#include "vector_math.h"

namespace birnn {
namespace {
namespace crf {

// One thread's memory beside the CRF's own.
struct SpanMemory {
  double* alpha;  // (T, P) of the forward pass, which the backward pass writes over
  double* here;   // (P) probabilities of the labels of a step
  double* next;   // (P) of the step before
};

inline SpanMemory allocate_spans(const Workspace& work, int64_t longest, uintptr_t& next) {
  SpanMemory memory;
  memory.alpha = allocate(next, max(longest, 1) * work.padded);
  memory.here = allocate(next, work.padded);
  memory.next = allocate(next, work.padded);
  return memory;
}

// Bytes for one thread, as of workspace_size.
int64_t span_workspace_size(int64_t labels, int64_t longest) {
  uintptr_t size = 0;
  const Workspace work = allocate_workspace(labels, longest, size);
  allocate_spans(work, longest, size);
  return round_up(static_cast<int64_t>(size), 64);
}

// next[i] = sum_j here[j] p(y[step-1] = i | y[step] = j) over the pairs of which `pairs` is `is`
inline void hand_on(const Sequence& sequence, Workspace& work, SpanMemory& memory, int64_t step,
                    const uint8_t* pairs, bool is) {
  const double* before = memory.alpha + (step - 1) * work.padded;
  const double* alpha = memory.alpha + step * work.padded;
  zero(memory.next, work.padded);
  for (int64_t to = 0; to < work.labels; ++to) {
    const double chance = memory.here[to];
    if (chance == 0.0) {
      continue;
    }
    const double in = alpha[to] - sequence.emission[step * work.labels + to];
    const double* score = work.incoming + to * work.padded;
    for (int64_t at = 0; at < work.padded; at += DOUBLE_LANES) {
      store(work.power + at, exp<double>(load(before + at) + load(score + at) - in));
    }
    for (int64_t from = 0; from < work.labels; ++from) {
      if ((pairs[from * work.labels + to] != 0) == is) {
        memory.next[from] += chance * work.power[from];
      }
    }
  }
  double* const last = memory.here;
  memory.here = memory.next;
  memory.next = last;
}

inline void keep_type(const CrfSpans* spans, const Workspace& work, SpanMemory& memory,
                      int64_t type) {
  for (int64_t label = 0; label < work.labels; ++label) {
    memory.here[label] = spans->types[label] == type ? memory.here[label] : 0.0;
  }
}

inline double span_probability(const CrfSpans* spans, const Sequence& sequence, Workspace& work,
                               SpanMemory& memory, int64_t number) {
  const int64_t labels = work.labels, start = spans->starts[number], stop = spans->stops[number];
  const int64_t after = min(stop, sequence.steps - 1);
  copy(memory.here, spans->marginals + (sequence.first + after) * labels, labels);
  if (stop < sequence.steps) {
    hand_on(sequence, work, memory, stop, spans->continues, false);
  }
  keep_type(spans, work, memory, spans->span_types[number]);
  for (int64_t step = stop - 1; step > start; --step) {
    hand_on(sequence, work, memory, step, spans->continues, true);
  }
  keep_type(spans, work, memory, spans->span_types[number]);
  if (start > 0) {
    hand_on(sequence, work, memory, start, spans->begins, true);
  }
  double sum = 0.0;
  for (int64_t label = 0; label < labels; ++label) {
    sum += start > 0 || spans->first[label] ? memory.here[label] : 0.0;
  }
  return sum;
}

// Marginals of the labels, and probabilities of the spans, of sequences [begin, end).
void spans(const Crf* crf, const CrfSpans* spans, int64_t begin, int64_t end, char* memory) {
  int64_t longest = 0;
  for (int64_t number = begin; number < end; ++number) {
    longest = max(longest, crf->offsets[number + 1] - crf->offsets[number]);
  }
  uintptr_t next = reinterpret_cast<uintptr_t>(memory);
  Workspace work = allocate_workspace(crf->labels, longest, next);
  SpanMemory span_memory = allocate_spans(work, longest, next);
  CrfSums sums{};
  sums.marginals = spans->marginals;
  prepare_scores(crf, work);
  prepare_factors(work);
  for (int64_t number = begin; number < end; ++number) {
    const Sequence sequence = sequence_of(crf, number);
    if (sequence.steps == 0) {
      continue;
    }
    const double log_partition = forward_pass(sequence, work, true);
    const int64_t first = spans->offsets[number], last = spans->offsets[number + 1];
    if (!is_finite(log_partition)) {
      degenerate_sequence(sequence, work, &sums, log_partition, 0);
      for (int64_t span = first; span < last; ++span) {
        spans->probabilities[span] = log_partition < 0.0 ? 0.0 : __builtin_nan("");
      }
      continue;
    }
    if (first < last) {
      copy(span_memory.alpha, work.alpha, sequence.steps * work.padded);
    }
    backward_pass(sequence, work, &sums, log_partition, 1.0, 0);
    for (int64_t span = first; span < last; ++span) {
      spans->probabilities[span] = span_probability(spans, sequence, work, span_memory, span);
    }
  }
}

}  // namespace crf
}  // namespace
}  // namespace birnn
