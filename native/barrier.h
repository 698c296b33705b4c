// A barrier for the threads that work on one direction: they spin for some microseconds, as a step
// lasts no longer, then sleep.
//
// Kernels meet at it between steps, the bindings between phases of a call. So the code is `static`:
// an object file of its own instruction set never gets another's (isa.h).

#pragma once

#include <stdint.h>

namespace birnn {

struct alignas(64) Barrier {
  int32_t arrived;
  int32_t phase;
  int32_t sleepers;
};

// Sleeps while the barrier is in this phase; wakes those who do. (spin_wait.cpp)
extern "C" void birnn_sleep_at(Barrier* barrier, int32_t phase);
extern "C" void birnn_wake_at(Barrier* barrier);

// Returns once all `threads` have called it.
static inline void wait_for_all(Barrier* barrier, int threads) {
  constexpr int spins = 2000;
  if (threads == 1) return;
  const int32_t phase = __atomic_load_n(&barrier->phase, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == threads) {
    __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
    // Sequentially consistent, as is what a sleeper does: it counts itself, then reads the phase.
    // So either it sees the new phase or it is seen here.
    __atomic_store_n(&barrier->phase, phase + 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&barrier->sleepers, __ATOMIC_SEQ_CST) > 0) birnn_wake_at(barrier);
    return;
  }
  for (int spin = 0; spin < spins; ++spin) {
    if (__atomic_load_n(&barrier->phase, __ATOMIC_ACQUIRE) != phase) return;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  birnn_sleep_at(barrier, phase);
}

}  // namespace birnn
