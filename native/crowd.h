// How many threads are worth a call where others want the processors too.
//
// With another process on one of two processors, two threads are no faster than one: the second
// waits for its turn behind the other process, a slice of some milliseconds each time, and the first
// waits for the second. A call of a millisecond then takes five. So each call measures what it gained
// by its threads, and whether one of them was kept from running. Where that costs more than threads
// have gained of late, calls do without those that were kept for a while, which doubles each time that
// it is found again, and is short where it was chance.

#pragma once

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>

#include "waiting.h"

namespace birnn {

// A thread's time in a call.
class Stopwatch {
 public:
  Stopwatch() : begun_(time_now()), ran_(time_at_work()), slept_(time_asleep()) {}

  std::int64_t begun() const { return begun_; }
  std::int64_t ran() const { return time_at_work() - ran_; }

  // Whether it was kept from running for much of the time since `begun`: for a slice of another's,
  // not for the odd microsecond that a system takes.
  bool kept(std::int64_t begun) const {
    constexpr std::int64_t a_slice = 500'000;  // ns
    const auto wall = time_now() - begun, own = ran() + time_asleep() - slept_;
    return wall - own > a_slice && wall - own > wall / 8;
  }

 private:
  std::int64_t begun_, ran_, slept_;
};

// What the threads of one call measured.
struct Tally {
  std::int64_t begun = time_now();
  std::atomic<std::int64_t> ran{0};  // all threads together: what one would have taken
  std::atomic<int> kept{0};          // threads that were kept from running

  void add(const Stopwatch& watch, std::int64_t begun_at) {
    ran.fetch_add(watch.ran(), std::memory_order_relaxed);
    if (watch.kept(begun_at)) kept.fetch_add(1, std::memory_order_relaxed);
  }
};

class Crowd {
 public:
  // How many of `wanted` threads are worth it now.
  int worth(int wanted) const {
    const int most = most_.load(std::memory_order_relaxed);
    if (wanted <= most || time_now() >= until_.load(std::memory_order_relaxed)) return wanted;
    return most;
  }

  void learn(int threads, const Tally& tally) {
    const auto now = time_now();
    const int kept = tally.kept.load(std::memory_order_relaxed);
    const auto gained = tally.ran.load(std::memory_order_relaxed) - (now - tally.begun);
    const auto balance = gained_.load(std::memory_order_relaxed) + gained;
    gained_.store(std::min(balance, most_gained), std::memory_order_relaxed);
    if (kept == 0 || balance >= 0) return;
    const auto before = until_.load(std::memory_order_relaxed);
    const auto last = pause_.load(std::memory_order_relaxed);
    const bool again = tally.begun < before + last;
    const auto next = std::clamp(std::max(again ? 2 * last : 0, 4 * -balance), shortest, longest);
    most_.store(std::max(1, threads - kept), std::memory_order_relaxed);
    pause_.store(next, std::memory_order_relaxed);
    until_.store(now + next, std::memory_order_relaxed);
    gained_.store(0, std::memory_order_relaxed);
  }

  void forget() {
    until_.store(0, std::memory_order_relaxed);
    gained_.store(0, std::memory_order_relaxed);
  }

 private:
  // Nanoseconds. A gain that stands for longer would hide for too long that others have come.
  static constexpr std::int64_t shortest = 20'000'000, longest = 1'000'000'000;
  static constexpr std::int64_t most_gained = 5'000'000;

  std::atomic<int> most_{INT_MAX};
  std::atomic<std::int64_t> until_{0}, pause_{0}, gained_{0};
};

}  // namespace birnn
