// Work of the bindings on several threads, without the interpreter's lock (the GIL).
//
// All bindings come through `run_parallel`: it releases the lock, runs, takes the lock back and
// rethrows what a task threw.

#pragma once

#include <Python.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <exception>

#include "pool.h"

namespace birnn {

// The first exception of several threads, for the one that waits for them.
class FirstError {
 public:
  template <class Run>
  void guard(Run run) noexcept {
    try {
      run();
    } catch (...) {
      if (!taken_.exchange(true)) error_ = std::current_exception();
    }
  }

  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  std::atomic<bool> taken_{false};
  std::exception_ptr error_;
};

// Calls run() with the lock released; run must not throw.
//
// Not nb::gil_scoped_release, which takes the lock back in a destructor. Where the interpreter ends
// meanwhile, Python before 3.14 ends a thread that asks for the lock by unwinding its stack, and a
// destructor or nanobind's own frames make a crash of that. Here such a thread sleeps until the
// process is gone, as newer Pythons have it.
template <class Run>
void without_gil(Run run) {
  PyThreadState* const state = PyEval_SaveThread();
  run();
  try {
    PyEval_RestoreThread(state);
  } catch (...) {
    for (;;) pause();
  }
}

// Calls task(index, rank) for each index in [0, tasks), in any order; `rank` tells the threads
// apart, from 0 on. Tasks must not wait for each other: whoever is free takes the next one.
template <class Task>
void run_parallel(WorkerThreads threads, std::int64_t tasks, Task task) {
  FirstError error;
  const auto guarded = [&](std::int64_t index, int rank) {
    error.guard([&] { task(index, rank); });
  };
  using Guarded = decltype(guarded);
  without_gil([&] {
    run_tasks(
        threads, tasks,
        [](const void* context, std::int64_t index, int rank) {
          (*static_cast<const Guarded*>(context))(index, rank);
        },
        &guarded);
  });
  error.rethrow();
}

// Calls task(rank, count) on `count` threads at the same time, rank 0 on the caller. They may wait
// for each other at a `Barrier`; a task that others wait for must not throw.
template <class Task>
void run_parallel(WorkerThreads threads, Task task) {
  FirstError error;
  const auto guarded = [&](int rank, int count) { error.guard([&] { task(rank, count); }); };
  using Guarded = decltype(guarded);
  without_gil([&] {
    run_concurrently(
        threads,
        [](const void* context, int rank, int count) {
          (*static_cast<const Guarded*>(context))(rank, count);
        },
        &guarded);
  });
  error.rethrow();
}

}  // namespace birnn
