// Work without the interpreter's lock.

#pragma once

#include <Python.h>
#include <unistd.h>

namespace birnn {

// run() with the lock released; it must not throw. (nb::gil_scoped_release takes the lock back in a
// destructor. Where the interpreter ends meanwhile, Python before 3.14 answers a thread that asks
// for the lock by unwinding its stack, and a destructor or nanobind's own frames make that a crash.
// Here such a thread sleeps until the process is gone, as newer Pythons have it.)
template <class Run>
void unlocked(Run run) {
  PyThreadState* const state = PyEval_SaveThread();
  run();
  try {
    PyEval_RestoreThread(state);
  } catch (...) {
    for (;;) pause();
  }
}

}  // namespace birnn
