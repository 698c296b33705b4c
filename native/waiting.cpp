#include "waiting.h"

#include <time.h>
#if defined(__linux__)
#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

#include <climits>

#include "kernels.h"

namespace birnn {
namespace {

thread_local std::int64_t asleep = 0;

std::int64_t read_clock(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return std::int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

// Sleeps until woken if the word still is `seen`; may return early.
void sleep_on([[maybe_unused]] std::int32_t* word, [[maybe_unused]] std::int32_t seen) {
#if defined(__linux__)
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, seen, nullptr, nullptr, 0);
#else
  const timespec a_moment{0, 50'000};
  nanosleep(&a_moment, nullptr);
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

std::int64_t time_now() { return read_clock(CLOCK_MONOTONIC); }
std::int64_t time_at_work() { return read_clock(CLOCK_THREAD_CPUTIME_ID); }
std::int64_t time_asleep() { return asleep; }

bool Signal::add(std::int32_t count) {
  // Sequentially consistent, as is what a sleeper does: one of the two sees the other.
  value_.fetch_add(count);
  if (sleepers_.load() == 0) return false;
  wake_all(plain(value_));
  return true;
}

void Signal::sleep_while(std::int32_t seen) {
  const auto begun = time_now();
  sleepers_.fetch_add(1);
  sleep_on(plain(value_), seen);
  sleepers_.fetch_sub(1);
  asleep += time_now() - begun;
}

extern "C" void birnn_sleep_at(Barrier* barrier, std::int32_t turn) {
  const auto begun = time_now();
  __atomic_fetch_add(&barrier->sleepers, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(&barrier->turn, __ATOMIC_SEQ_CST) == turn) sleep_on(&barrier->turn, turn);
  __atomic_fetch_sub(&barrier->sleepers, 1, __ATOMIC_SEQ_CST);
  asleep += time_now() - begun;
}

extern "C" void birnn_wake_at(Barrier* barrier) { wake_all(&barrier->turn); }

}  // namespace birnn
