// How threads wait for each other: some microseconds awake, then asleep until they are woken.
//
// Nobody gives up its turn by sched_yield: where a process of others wants the processor, it would
// get it for milliseconds, and a thread that does not sleep is not woken in front of it.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace birnn {

inline void breathe() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether `done` comes true within the time that is spent awake.
template <class Done>
bool watch(Done done, std::chrono::microseconds awake) {
  constexpr int looks = 64;  // between two looks at the clock
  const auto until = std::chrono::steady_clock::now() + awake;
  do {
    for (int look = 0; look < looks; ++look) {
      if (done()) return true;
      breathe();
    }
  } while (std::chrono::steady_clock::now() < until);
  return done();
}

// Nanoseconds of a clock that only goes on, and those that the calling thread ran or slept on a
// `Signal` or a `Barrier`. What is left of the first without the others, it was kept from running.
std::int64_t time_now();
std::int64_t time_at_work();
std::int64_t time_asleep();

// A number that threads wait on.
class Signal {
 public:
  std::int32_t value() const { return value_.load(std::memory_order_acquire); }

  // For a signal on which nobody waits yet.
  void reset(std::int32_t value) { value_.store(value, std::memory_order_relaxed); }

  // Whether somebody slept, and has been woken.
  bool add(std::int32_t count);
  bool sleepers() const { return sleepers_.load() > 0; }

  // Returns once `done(value)`.
  template <class Done>
  void wait(Done done, std::chrono::microseconds awake) {
    if (watch([&] { return done(value()); }, awake)) return;
    for (std::int32_t seen = value(); !done(seen); seen = value()) sleep_while(seen);
  }

 private:
  void sleep_while(std::int32_t seen);

  std::atomic<std::int32_t> value_{0};
  std::atomic<std::int32_t> sleepers_{0};
};

}  // namespace birnn
