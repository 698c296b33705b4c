// How the work of a layer is split among threads. No result depends on it.

#pragma once

#include <algorithm>
#include <cstdint>

#include "barrier.h"
#include "dispatch.h"
#include "kernels.h"
#include "parallel.h"
#include "pool.h"

namespace birnn {

// Gates of each cell, in the order of `Cell`.
constexpr std::int64_t gate_counts[] = {1, 1, 4, 3};

struct WorkSplit {
  WorkerThreads threads;
  Partition partition = Partition::sequences;  // within a direction
  // One direction after another, all threads on each: where the weights of both would evict each
  // other from the cache that the processors share.
  bool directions_in_turn = false;

  // Memory that each direction needs for itself, times this, is what all of them need.
  std::int64_t copies(const Shape& shape) const {
    return directions_in_turn ? 1 : shape.directions;
  }

  // Whether each direction is one thread's: then none ever waits for another.
  bool thread_per_direction(const Shape& shape) const {
    return !directions_in_turn && threads.count <= shape.directions;
  }

  // Calls run(direction, rank, threads) for the threads of every direction.
  template <class Run>
  void each_direction(const Shape& shape, Run run) const {
    const int all = static_cast<int>(shape.directions);
    if (thread_per_direction(shape)) {
      run_parallel(threads, all,
                   [&](std::int64_t index, int) { run(static_cast<int>(index), 0, 1); });
      return;
    }
    Barrier next{};
    run_parallel(threads, [&](int rank, int count) {
      if (directions_in_turn) {
        for (int direction = 0; direction < all; ++direction) {
          if (direction > 0) wait_for_all(&next, count);
          run(direction, rank, count);
        }
      } else if (count < all) {
        for (int direction = rank; direction < all; direction += count) run(direction, 0, 1);
      } else {
        const int direction = rank % all;
        run(direction, rank / all, (count - direction + all - 1) / all);
      }
    });
  }
};

// Least work, in floating point operations, below which another thread costs more than it brings,
// as it has to be woken: of a whole call, a tenth of a millisecond.
constexpr double min_work = 4e6;

// What an operation takes with weights of so many bytes, in those of float32.
inline double work_of_operation(std::int64_t item_bytes) {
  return std::min(1.0, static_cast<double>(item_bytes) / 4);
}

// Threads for the input products of so many rows.
inline WorkerThreads product_threads(const Shape& shape, std::int64_t rows, std::int64_t item_bytes,
                                     WorkerThreads asked) {
  const double work = 2.0 * work_of_operation(item_bytes) * static_cast<double>(rows) * static_cast<double>(shape.directions) *
                      static_cast<double>(shape.inputs) * static_cast<double>(shape.hidden) *
                      static_cast<double>(gate_counts[static_cast<int>(shape.cell)]);
  if (work < min_work && !uses_all_threads()) return WorkerThreads{};
  return {useful_threads(threads_wanted(asked.count)), asked.openmp};
}

// Directions first, then sequences; panels of hidden units where sequences are few. `item_bytes` are
// those of a weight.
inline WorkSplit split_work(const Shape& shape, const Batch& batch, std::int64_t item_bytes,
                            WorkerThreads asked) {
  // The same of a call whose threads wait for each other after each step, and of one thread between
  // two such barriers.
  constexpr double min_work_with_barriers = 1e7, min_work_per_barrier = 2e5;
  // Bytes of recurrent weights that stay in the last-level cache from one step to the next.
  constexpr double max_cached = 16 << 20;
  // Sequences of a thread below which its products wait for their weights.
  constexpr std::int64_t few_sequences = 5;
  // Hidden units of a thread below which it may have no group of them in the backward pass.
  constexpr std::int64_t min_hidden = 64;

  const double hidden = static_cast<double>(shape.hidden);
  const double recurrent = gate_counts[static_cast<int>(shape.cell)] * hidden * hidden;
  const double input = recurrent / hidden * static_cast<double>(shape.inputs);
  const double rows = static_cast<double>(batch.real_rows);
  WorkSplit split;
  const double operation = 2 * work_of_operation(item_bytes);
  const double work = operation * rows * static_cast<double>(shape.directions) *
                      (input + recurrent);
  if (work < min_work && !uses_all_threads()) return split;
  split.threads = {useful_threads(threads_wanted(asked.count)), asked.openmp};
  const int threads = split.threads.count;
  if (threads == 1) return split;
  split.directions_in_turn =
      shape.directions == 2 && 2 * recurrent * static_cast<double>(item_bytes) > max_cached;
  const auto each =
      split.directions_in_turn ? threads : threads / static_cast<int>(shape.directions);
  const auto sequences = std::max<std::int64_t>(1, batch.block_sequences);
  const double rows_of_step = rows / static_cast<double>(batch.total_steps);
  if (each > 1 && shape.hidden >= min_hidden * each &&
      (split.directions_in_turn || sequences < few_sequences * each) &&
      ((work > min_work_with_barriers &&
        operation * recurrent * rows_of_step / each > min_work_per_barrier) ||
       uses_all_threads())) {
    split.partition = Partition::panels;
    return split;
  }
  const auto useful = (split.directions_in_turn ? 1 : shape.directions) * sequences;
  split.threads.count = static_cast<int>(std::min<std::int64_t>(threads, useful));
  return split;
}

}  // namespace birnn
