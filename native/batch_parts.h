// A ragged batch divided into parts of some sequences each, which threads take one by one.
//
// The parts follow from the batch alone: what each of them adds to a sum over the batch is added up
// in one order on any number of threads.

#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "array_checks.h"
#include "parallel.h"

namespace birnn {

using Offsets = std::vector<std::int64_t>;

// Offsets of sequences in an array of so many rows: a copy, which nobody changes while kernels run.
inline Offsets checked_offsets(const Integers& offsets, const char* name, std::int64_t rows) {
  check_integers(offsets, name);
  Offsets edges(offsets.data(), offsets.data() + offsets.shape(0));
  if (edges.empty() || edges.front() != 0 || edges.back() != rows) {
    throw std::invalid_argument(std::string(name) +
                                " begin with 0 and end with the number of rows");
  }
  if (!std::is_sorted(edges.begin(), edges.end())) {
    throw std::invalid_argument(std::string(name) + " must not fall");
  }
  return edges;
}

// Parts of so many sequences, `most` or fewer.
inline std::int64_t parts_of(std::int64_t sequences, std::int64_t most) {
  constexpr std::int64_t few_parts = 8, most_parts = 32, sequences_in_part = 4;
  const auto wanted = std::clamp(sequences / sequences_in_part, few_parts, most_parts);
  return std::max<std::int64_t>(std::min({wanted, sequences, most}), 1);
}

// Calls run(begin, end, part, workspace) for the sequences of every part, each thread with a
// workspace of its own of `bytes`, which `memory` holds one after another.
template <class Run>
void run_parts(WorkerThreads threads, std::int64_t sequences, std::int64_t parts, char* memory,
               std::int64_t bytes, Run run) {
  run_parallel(threads, parts, [&](std::int64_t part, int rank) {
    run(sequences * part / parts, sequences * (part + 1) / parts, part, memory + rank * bytes);
  });
}

// to = sum of `parts` rows of `count`, first to last
template <class T>
void add_parts(const T* from, std::int64_t parts, std::int64_t count, T* to) {
  std::copy(from, from + count, to);
  for (std::int64_t part = 1; part < parts; ++part) {
    for (std::int64_t i = 0; i < count; ++i) to[i] += from[part * count + i];
  }
}

}  // namespace birnn
