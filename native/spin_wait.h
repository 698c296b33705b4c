// How threads wait for each other: they spin for some microseconds, then sleep until they are
// woken.
//
// Nobody yields by sched_yield: where another process wants the processor, it would get it for
// milliseconds, and a thread that is not asleep is not scheduled before it.

#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>

namespace birnn {

// Tells the processor that this is a spinning loop.
inline void cpu_relax() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether `done` becomes true within the time that is spent spinning.
template <class Done>
bool spin_until(Done done, std::chrono::microseconds spin_time) {
  constexpr int spins = 64;  // between two looks at the clock
  const auto until = std::chrono::steady_clock::now() + spin_time;
  do {
    for (int spin = 0; spin < spins; ++spin) {
      if (done()) return true;
      cpu_relax();
    }
  } while (std::chrono::steady_clock::now() < until);
  return done();
}

// Nanoseconds of a monotonic clock, and those that the calling thread ran or slept on a
// `WaitableCounter` or a `Barrier`. The rest of the first it was kept from running.
std::int64_t wall_time();
std::int64_t thread_cpu_time();
std::int64_t thread_sleep_time();

// A counter that threads wait on: spinning, then on a futex.
class WaitableCounter {
 public:
  std::int32_t value() const { return value_.load(std::memory_order_acquire); }

  // For a counter on which nobody waits yet.
  void reset(std::int32_t value) { value_.store(value, std::memory_order_relaxed); }

  // Wakes those who sleep.
  void add(std::int32_t count);
  bool has_sleepers() const { return sleepers_.load() > 0; }

  // Returns once `done(value)`.
  template <class Done>
  void wait(Done done, std::chrono::microseconds spin_time) {
    if (spin_until([&] { return done(value()); }, spin_time)) return;
    for (std::int32_t seen = value(); !done(seen); seen = value()) sleep_while(seen);
  }

 private:
  void sleep_while(std::int32_t seen);

  std::atomic<std::int32_t> value_{0};
  std::atomic<std::int32_t> sleepers_{0};
};

}  // namespace birnn
