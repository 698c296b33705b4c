#include "spin_wait.h"

#include <time.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <climits>

#include "barrier.h"

namespace birnn {
namespace {

thread_local std::int64_t sleep_time = 0;

std::int64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Sleeps until woken if the word still is `seen`; may return early, as a futex does.
void sleep_on([[maybe_unused]] std::int32_t* word, [[maybe_unused]] std::int32_t seen) {
#if defined(__linux__)
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
#else
  const timespec interval{0, 50'000};
  nanosleep(&interval, nullptr);
#endif
}

void wake_all([[maybe_unused]] std::int32_t* word) {
#if defined(__linux__)
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, nullptr, nullptr, 0);
#endif
}

static_assert(sizeof(std::atomic<std::int32_t>) == sizeof(std::int32_t) &&
              std::atomic<std::int32_t>::is_always_lock_free);

std::int32_t* plain(std::atomic<std::int32_t>& word) {
  return reinterpret_cast<std::int32_t*>(&word);
}

}  // namespace

std::int64_t wall_time() { return read_clock(CLOCK_MONOTONIC); }
std::int64_t thread_cpu_time() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }
std::int64_t thread_sleep_time() { return sleep_time; }

void WaitableCounter::add(std::int32_t count) {
  // Sequentially consistent, as is what a sleeper does: it counts itself, then compares the value.
  // So either it sees the new value or it is seen here.
  value_.fetch_add(count);
  if (sleepers_.load() > 0) wake_all(plain(value_));
}

void WaitableCounter::sleep_while(std::int32_t seen) {
  const auto begun = wall_time();
  sleepers_.fetch_add(1);
  sleep_on(plain(value_), seen);
  sleepers_.fetch_sub(1);
  sleep_time += wall_time() - begun;
}

extern "C" void birnn_sleep_at(Barrier* barrier, std::int32_t phase) {
  const auto begun = wall_time();
  __atomic_fetch_add(&barrier->sleepers, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&barrier->phase, __ATOMIC_SEQ_CST) == phase)
    sleep_on(&barrier->phase, phase);
  __atomic_fetch_sub(&barrier->sleepers, 1, __ATOMIC_SEQ_CST);
  sleep_time += wall_time() - begun;
}

extern "C" void birnn_wake_at(Barrier* barrier) { wake_all(&barrier->phase); }

}  // namespace birnn
