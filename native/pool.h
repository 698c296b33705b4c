// A pool of threads for the whole process.
//
// How many threads work on a call is decided when it comes. It is fewer than asked for where the
// pool is busy already (with another thread's call, or with the caller's own), where a thread
// cannot be started, after `stop_threads`, and for a while after threads were kept from running
// because other processes want the processors (contention.h). No result may depend on it.

#pragma once

#include <cstdint>

namespace birnn {

// How many threads work on a call at most, and whose.
struct WorkerThreads {
  int count = 1;
  // Those of the OpenMP runtime that is loaded, where one is: torch's, which spin for work after
  // each of its operators, on the very processors that threads of our own would need. A child after
  // `fork` has threads of its own all the same, because OpenMP's do not survive that.
  bool openmp = false;
};

// Calls task(context, index, rank) once for each index in [0, tasks), in any order; `rank` tells
// the threads apart, from 0 on and below `threads.count`. Whoever is free takes the next task, and
// nobody waits for a thread that has none yet. Tasks must not wait for each other.
void run_tasks(WorkerThreads threads, std::int64_t tasks,
               void (*task)(const void* context, std::int64_t index, int rank),
               const void* context);

// Calls task(context, rank, count) for every rank in [0, count) at the same time, rank 0 on the
// caller: on those threads that come at once, which may wait for each other.
void run_concurrently(WorkerThreads threads, void (*task)(const void* context, int rank, int count),
                      const void* context);

// How many of the wanted threads are worth using now: fewer where others want the processors.
int useful_threads(int wanted);

// From here on all threads that are asked for work on each call, however small it is and whoever
// else wants the processors; or no more. For tests and sanitizers.
void use_all_threads(bool always);

// Whether that is so.
bool uses_all_threads();

// Ends the threads; called at the interpreter's exit. Does not wait for work that still runs.
void stop_threads();

}  // namespace birnn
