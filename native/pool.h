// Threads that wait for work.

#pragma once

#include <cstdint>

namespace birnn {

// How many threads work on a call at most, and whose.
struct Crew {
  int threads = 1;
  // Those of the OpenMP runtime that is loaded, where one is: torch's, which go round waiting for
  // work after each of its operators, on the very processors that threads of our own would need. A
  // child after `fork` has threads of its own all the same, because OpenMP's do not survive that.
  bool openmp = false;
};

// How many threads work on a call is decided when it comes. It is fewer than the crew where the pool
// is at work already (for another thread, or for the caller itself), where a thread cannot be
// started, after `stop_threads`, and for a while after threads were kept from running because
// others want the processors. No result may depend on it.

// Runs work(context, part, rank) once for each part in [0, parts), in any order; rank tells the
// threads apart, from 0 on and below `crew.threads`. Whoever is free takes the next part, and a
// thread that has none yet is not waited for. Parts must not wait for each other.
void run_parts(Crew crew, std::int64_t parts,
               void (*work)(void* context, std::int64_t part, int rank), void* context);

// Runs work(context, rank, threads) for every rank in [0, threads) at the same time, rank 0 on the
// caller: those threads that come at once, which may wait for each other.
void run_together(Crew crew, void (*work)(void* context, int rank, int threads), void* context);

// How many threads would work on a call now; `wanted` but for that while.
int threads_worth(int wanted);

// From here on all threads that are asked for work on each call, however small it is and whoever else
// wants the processors; or no more. For tests and sanitizers.
void use_all_threads(bool always);

// Whether that is so.
bool uses_all_threads();

// Ends the threads; called at the interpreter's exit. Does not wait for work that still runs.
void stop_threads();

}  // namespace birnn
