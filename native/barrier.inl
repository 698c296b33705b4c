// Where the threads that share a direction wait for each other; needs <sched.h>.

inline void wait_for_all(Barrier* barrier, int threads) {
  if (threads == 1) return;
  const int32_t turn = __atomic_load_n(&barrier->turn, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == threads) {
    __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
    __atomic_store_n(&barrier->turn, turn + 1, __ATOMIC_RELEASE);
    return;
  }
  for (int64_t spins = 0; __atomic_load_n(&barrier->turn, __ATOMIC_ACQUIRE) == turn; ++spins) {
    // Where there are more threads than processors, the one waited for needs this one's turn.
    if (spins > 2000) sched_yield();
  }
}
