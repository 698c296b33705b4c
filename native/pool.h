// Threads that wait for work.

#pragma once

namespace birnn {

// Runs work(context, rank, threads) for every rank in [0, threads) at the same time, rank 0 on the
// caller; returns when all are done. `threads` is `wanted`, or 1 where the pool is at work already
// (for another thread, or for the caller itself), where a thread cannot be started, and after
// `stop_threads`: no result may depend on it.
void run_on_threads(int wanted, void (*work)(void* context, int rank, int threads), void* context);

// From here on work runs on the threads of the OpenMP runtime that is loaded, where one is: torch's,
// which go round waiting for work after each of its operators, on the very processors that threads of
// our own would need. Whether there is one. A child after `fork` has threads of its own again,
// because OpenMP's do not survive that.
bool share_openmp_threads();

// Ends the threads; called at the interpreter's exit. Does not wait for work that still runs.
void stop_threads();

}  // namespace birnn
