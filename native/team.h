// Who runs what of a layer: how many threads, and what they share.

#pragma once

#include <algorithm>
#include <cstdint>

#include "dispatch.h"
#include "kernels.h"
#include "pool.h"
#include "unlocked.h"

namespace birnn {

#include "barrier.inl"

// Gates of each cell, in the order of `Cell`.
constexpr std::int64_t gate_counts[] = {1, 1, 4, 3};

// Calls run(rank, threads) on all threads that come, without the interpreter's lock; they may meet.
template <class Run>
void together(Crew crew, Run run) {
  unlocked([&] {
    run_together(
        crew, [](void* context, int rank, int count) { (*static_cast<Run*>(context))(rank, count); },
        &run);
  });
}

// Calls run(part, rank) for each part, without the interpreter's lock; parts must not meet.
template <class Run>
void in_parts(Crew crew, std::int64_t parts, Run run) {
  unlocked([&] {
    run_parts(
        crew, parts,
        [](void* context, std::int64_t part, int rank) {
          (*static_cast<Run*>(context))(part, rank);
        },
        &run);
  });
}

// The threads of one call. No result depends on any of it.
struct Team {
  Crew crew;
  Share share = Share::sequences;
  // One direction after another, all threads on each: where the weights of both would take turns in
  // the cache that the processors share.
  bool in_turn = false;

  // Memory that each direction needs for itself, times this, is what all of them need.
  std::int64_t copies(const Shape& shape) const { return in_turn ? 1 : shape.directions; }

  // Whether each direction is one thread's: then none ever waits for another.
  bool apart(const Shape& shape) const { return !in_turn && crew.threads <= shape.directions; }

  // Calls run(direction, rank, threads) for the threads of every direction.
  template <class Run>
  void each_direction(const Shape& shape, Run run) const {
    const int all = static_cast<int>(shape.directions);
    if (apart(shape)) {
      in_parts(crew, all, [&](std::int64_t part, int) { run(static_cast<int>(part), 0, 1); });
      return;
    }
    Barrier next{};
    together(crew, [&](int rank, int count) {
      if (in_turn) {
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

// Directions first, then sequences; panels of hidden units where sequences are few.
inline Team team_for(const Shape& shape, const Batch& batch, std::int64_t item, Crew asked) {
  // Below these many floating point operations another thread costs more than it brings, as it has to
  // be woken: for a whole call (a tenth of a millisecond), for one in which threads meet at each
  // step, and for a thread between two such meetings.
  constexpr double worth_a_thread = 4e6, worth_meetings = 1e7, worth_a_meeting = 2e5;
  // Bytes of weights that stay in the last cache from one step to the next.
  constexpr double stays = 16 << 20;
  // Sequences of a thread below which its products wait for their weights.
  constexpr std::int64_t few = 5;
  // Hidden units of a thread below which it may have none on the way back.
  constexpr std::int64_t narrow = 64;

  const double hidden = static_cast<double>(shape.hidden);
  const double recurrent = gate_counts[static_cast<int>(shape.cell)] * hidden * hidden;
  const double input = recurrent / hidden * static_cast<double>(shape.inputs);
  const double rows = static_cast<double>(batch.places);
  Team team;
  const double work = 2 * rows * static_cast<double>(shape.directions) * (input + recurrent);
  if (work < worth_a_thread && !uses_all_threads()) return team;
  team.crew = {threads_worth(threads_wanted(asked.threads)), asked.openmp};
  const int threads = team.crew.threads;
  if (threads == 1) return team;
  team.in_turn = shape.directions == 2 && 2 * recurrent * static_cast<double>(item) > stays;
  const auto each = team.in_turn ? threads : threads / static_cast<int>(shape.directions);
  const auto most = std::max<std::int64_t>(1, batch.block_sequences);
  const double at_a_step = rows / static_cast<double>(batch.total_steps);
  if (each > 1 && shape.hidden >= narrow * each && (team.in_turn || most < few * each) &&
      ((work > worth_meetings && 2 * recurrent * at_a_step / each > worth_a_meeting) ||
       uses_all_threads())) {
    team.share = Share::panels;
    return team;
  }
  const auto useful = (team.in_turn ? 1 : shape.directions) * most;
  team.crew.threads = static_cast<int>(std::min<std::int64_t>(threads, useful));
  return team;
}

}  // namespace birnn
