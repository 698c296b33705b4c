// How many threads are worth using while other processes want the processors too.
//
// With another process on one of two processors, two threads are no faster than one: the second
// waits for its turn behind the other process, a time slice of some milliseconds each time, and the
// first waits for the second. A call of a millisecond then takes five. So each call measures what
// it gained by its threads, and whether one of them was kept from running (preempted). Where that
// costs more than threads have gained lately, calls do without the threads that were preempted for
// a while: a back-off that doubles each time that it is found again, and is short where it was
// chance.

#pragma once

#include <algorithm>
#include <atomic>
#include <climits>
#include <cstdint>

#include "spin_wait.h"

namespace birnn {

// A thread's time in a call.
class ThreadTimer {
 public:
  ThreadTimer() : begun_(wall_time()), ran_(thread_cpu_time()), slept_(thread_sleep_time()) {}

  std::int64_t begun() const { return begun_; }
  std::int64_t ran() const { return thread_cpu_time() - ran_; }

  // Whether it was kept from running for much of the time since `begun`: for a time slice of
  // another process, not for the odd microsecond that a system takes.
  bool preempted(std::int64_t begun) const {
    constexpr std::int64_t time_slice = 500'000;  // ns
    const auto wall = wall_time() - begun, own = ran() + thread_sleep_time() - slept_;
    return wall - own > time_slice && wall - own > wall / 8;
  }

 private:
  std::int64_t begun_, ran_, slept_;
};

// What the threads of one call measured.
struct CallTimes {
  std::int64_t begun = wall_time();
  std::atomic<std::int64_t> ran{0};  // all threads together: what one thread would have taken
  std::atomic<int> preempted{0};     // threads that were kept from running

  void add(const ThreadTimer& timer, std::int64_t begun_at) {
    ran.fetch_add(timer.ran(), std::memory_order_relaxed);
    if (timer.preempted(begun_at)) preempted.fetch_add(1, std::memory_order_relaxed);
  }
};

// Limits the threads of calls by what the calls before measured.
class ContentionLimit {
 public:
  // How many of the wanted threads are worth using now.
  int useful(int wanted) const {
    const int most = most_.load(std::memory_order_relaxed);
    if (wanted <= most || wall_time() >= until_.load(std::memory_order_relaxed)) return wanted;
    return most;
  }

  // Takes the measure of a call on so many threads into account.
  void record(int threads, const CallTimes& times) {
    const auto now = wall_time();
    const int preempted = times.preempted.load(std::memory_order_relaxed);
    const auto gained = times.ran.load(std::memory_order_relaxed) - (now - times.begun);
    const auto balance = gained_.load(std::memory_order_relaxed) + gained;
    gained_.store(std::min(balance, most_gained), std::memory_order_relaxed);
    if (preempted == 0 || balance >= 0) return;
    const auto before = until_.load(std::memory_order_relaxed);
    const auto last = backoff_.load(std::memory_order_relaxed);
    const bool again = times.begun < before + last;
    const auto next = std::clamp(std::max(again ? 2 * last : 0, 4 * -balance), shortest, longest);
    most_.store(std::max(1, threads - preempted), std::memory_order_relaxed);
    backoff_.store(next, std::memory_order_relaxed);
    until_.store(now + next, std::memory_order_relaxed);
    gained_.store(0, std::memory_order_relaxed);
  }

  // Forgets what was measured.
  void reset() {
    until_.store(0, std::memory_order_relaxed);
    gained_.store(0, std::memory_order_relaxed);
  }

 private:
  // Nanoseconds. Gains are counted up to a limit: else they would hide for long that another
  // process has come.
  static constexpr std::int64_t shortest = 20'000'000, longest = 1'000'000'000;
  static constexpr std::int64_t most_gained = 5'000'000;

  std::atomic<int> most_{INT_MAX};
  std::atomic<std::int64_t> until_{0}, backoff_{0}, gained_{0};
};

}  // namespace birnn
