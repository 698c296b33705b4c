// One pool for the process. Calls last from some microseconds on, so a worker that has finished
// watches for the next call for a moment before it sleeps, and a caller likewise for its workers.

#include "pool.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace birnn {
namespace {

// Waking a sleeper takes some tens of microseconds: shorter waits are spent awake.
constexpr std::chrono::microseconds AWAKE{100};
constexpr int LOOKS = 64;  // between two looks at the clock

inline void breathe() {
#if defined(__x86_64__) || defined(__i386__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Whether `done` comes true within the time that is spent awake.
template <class Done>
bool watch(Done done) {
  const auto until = std::chrono::steady_clock::now() + AWAKE;
  do {
    for (int look = 0; look < LOOKS; ++look) {
      if (done()) {
        return true;
      }
      breathe();
    }
    // With more threads than cores, the one that is waited for may need this core.
    std::this_thread::yield();
  } while (std::chrono::steady_clock::now() < until);
  return done();
}

struct Job {
  void (*work)(void* context, int rank, int threads);
  void* context;
  int threads;
};

enum State : int { IDLE, ASLEEP, CALLED, ENDED };

struct alignas(64) Worker {
  std::atomic<int> state{IDLE};
  std::mutex mutex;
  std::condition_variable woken;
  std::thread thread;

  void call(State next) {
    if (state.exchange(next) == ASLEEP) {
      avoid_this_processor();
      // A worker between its look at `state` and its sleep holds the mutex: it hears this.
      std::lock_guard<std::mutex> hold(mutex);
      woken.notify_one();
    }
  }

  // Linux often wakes a thread on the processor of the one that calls it, where it then waits until
  // the caller has done its own part, other processors idle. So it may be woken on any but that.
  void avoid_this_processor() {
#if defined(__linux__)
    cpu_set_t allowed;
    const int here = sched_getcpu();
    if (here < 0 || sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    CPU_CLR(here, &allowed);
    if (CPU_COUNT(&allowed) == 0) return;
    pthread_setaffinity_np(thread.native_handle(), sizeof allowed, &allowed);
#endif
  }

  // The state that ends the wait, CALLED or ENDED.
  int wait() {
    const auto called = [this] { return state.load(std::memory_order_acquire) >= CALLED; };
    int idle = IDLE;
    if (!watch(called) && state.compare_exchange_strong(idle, ASLEEP)) {
      std::unique_lock<std::mutex> hold(mutex);
      woken.wait(hold, called);
    }
    return state.load(std::memory_order_acquire);
  }
};

class Pool {
 public:
  // Whether the work was done on that many threads; false and nothing done where it cannot be.
  bool run(int threads, const Job& job) {
    if (taken_.exchange(true, std::memory_order_acquire)) {
      return false;
    }
    const bool enough = grow(threads - 1);
    if (enough) {
      job_ = job;
      left_.store(threads - 1, std::memory_order_relaxed);
      for (int rank = 1; rank < threads; ++rank) {
        workers_[rank - 1]->call(CALLED);
      }
      job.work(job.context, 0, threads);
      wait_for_workers();
    }
    taken_.store(false, std::memory_order_release);
    return enough;
  }

  // Leaves the pool taken, so that nothing runs on it any more.
  void stop() {
    if (taken_.exchange(true, std::memory_order_acquire)) {
      return;
    }
    for (auto& worker : workers_) {
      worker->call(ENDED);
    }
    for (auto& worker : workers_) {
      worker->thread.join();
    }
    workers_.clear();
  }

 private:
  // Added to the count of workers still at work: the caller sleeps.
  static constexpr int SLEEPS = 1 << 30;

  bool grow(int count) {
    if (static_cast<int>(workers_.size()) >= count) {
      return true;
    }
    // Signals are for the interpreter's threads; a new thread has the mask of the one it is from.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      workers_.reserve(count);
      while (static_cast<int>(workers_.size()) < count) {
        auto worker = std::make_unique<Worker>();
        const int rank = static_cast<int>(workers_.size()) + 1;
        worker->thread = std::thread(&Pool::live, this, worker.get(), rank);
        worker->avoid_this_processor();
        workers_.push_back(std::move(worker));
      }
    } catch (const std::exception&) {
      // No memory or no thread to be had: fewer do the work.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return static_cast<int>(workers_.size()) >= count;
  }

  void live(Worker* worker, int rank) {
    while (worker->wait() != ENDED) {
      worker->state.store(IDLE, std::memory_order_relaxed);
      job_.work(job_.context, rank, job_.threads);
      if (left_.fetch_sub(1) == SLEEPS + 1) {
        std::lock_guard<std::mutex> hold(mutex_);
        done_.notify_one();
      }
    }
  }

  void wait_for_workers() {
    if (watch([this] { return left_.load(std::memory_order_acquire) == 0; })) {
      return;
    }
    if (left_.fetch_add(SLEEPS) != 0) {
      std::unique_lock<std::mutex> hold(mutex_);
      done_.wait(hold, [this] { return left_.load(std::memory_order_acquire) == SLEEPS; });
    }
  }

  std::atomic<bool> taken_{false};
  Job job_{};
  std::vector<std::unique_ptr<Worker>> workers_;
  alignas(64) std::atomic<int> left_{0};
  std::mutex mutex_;
  std::condition_variable done_;
};

// Never destroyed: at the process's exit threads may still run.
std::atomic<Pool*> current{nullptr};

// The entry points of GNU's OpenMP runtime, which LLVM's and Intel's have too.
struct OpenMp {
  void (*parallel)(void (*work)(void*), void* context, unsigned threads, unsigned flags);
  int (*rank)();
  int (*threads)();
};

std::atomic<const OpenMp*> shared{nullptr};

// In a child the threads of its parent are not there, and its locks may be held by one of them:
// the child starts anew.
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] {
  current.store(nullptr);
  shared.store(nullptr);
});

Pool* pool() {
  Pool* here = current.load(std::memory_order_acquire);
  if (here == nullptr) {
    auto fresh = std::make_unique<Pool>();
    if (current.compare_exchange_strong(here, fresh.get(), std::memory_order_acq_rel)) {
      here = fresh.release();
    }
  }
  return here;
}

}  // namespace

bool share_openmp_threads() {
  static OpenMp found{};
  found.parallel = reinterpret_cast<decltype(found.parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  found.rank = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_thread_num"));
  found.threads = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"));
  const bool here = found.parallel != nullptr && found.rank != nullptr && found.threads != nullptr;
  if (here) shared.store(&found);
  return here;
}

void run_on_threads(int wanted, void (*work)(void* context, int rank, int threads), void* context) {
  const OpenMp* const openmp = shared.load(std::memory_order_acquire);
  if (wanted > 1 && openmp != nullptr) {
    struct Shared {
      const OpenMp* openmp;
      const Job job;
    } call{openmp, Job{work, context, wanted}};
    // The runtime may give fewer threads than were asked for, but those at the same time.
    openmp->parallel(
        [](void* given) {
          const Shared& here = *static_cast<const Shared*>(given);
          here.job.work(here.job.context, here.openmp->rank(), here.openmp->threads());
        },
        &call, static_cast<unsigned>(wanted), 0);
    return;
  }
  if (wanted <= 1 || !pool()->run(wanted, Job{work, context, wanted})) {
    work(context, 0, 1);
  }
}

void stop_threads() {
  if (Pool* here = current.load(std::memory_order_acquire)) {
    here->stop();
  }
}

}  // namespace birnn
