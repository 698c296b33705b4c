// Where the threads that share a direction wait for each other: some microseconds awake, as a step
// lasts no longer, then asleep.

inline void wait_for_all(Barrier* barrier, int threads) {
  constexpr int looks = 2000;
  if (threads == 1) return;
  const int32_t turn = __atomic_load_n(&barrier->turn, __ATOMIC_RELAXED);
  if (__atomic_add_fetch(&barrier->arrived, 1, __ATOMIC_ACQ_REL) == threads) {
    __atomic_store_n(&barrier->arrived, 0, __ATOMIC_RELAXED);
    // In one order with a sleeper's count of itself and its look at the turn.
    __atomic_store_n(&barrier->turn, turn + 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(&barrier->sleepers, __ATOMIC_SEQ_CST) > 0) birnn_wake_at(barrier);
    return;
  }
  for (int look = 0; look < looks; ++look) {
    if (__atomic_load_n(&barrier->turn, __ATOMIC_ACQUIRE) != turn) return;
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
  }
  birnn_sleep_at(barrier, turn);
}
