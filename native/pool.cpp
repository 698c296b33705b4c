// Calls last from some microseconds on. So a worker that has finished spins for a moment, in wait
// for the next call, before it sleeps; and a caller likewise for its workers.

#include "pool.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <memory>
#include <thread>
#include <vector>

#include "contention.h"
#include "spin_wait.h"

namespace birnn {
namespace {

// Waking a sleeper takes some tens of microseconds: shorter waits are spent spinning.
constexpr std::chrono::microseconds SPIN_TIME{100};
// How long the caller of a concurrent job waits for workers to come.
constexpr std::chrono::microseconds JOIN_TIME{200};

// A call: run(context, rank, threads) on all threads that work on it.
struct Job {
  void (*run)(const void* context, int rank, int threads);
  const void* context;
  int threads;
  bool concurrent;  // whether threads wait for each other, so that all have to run at the same time
  CallTimes times{};
  WaitableCounter begun{};  // of a concurrent job: how many threads it has, once that is settled

  void work(int rank, int count) {
    const ThreadTimer timer;
    run(context, rank, count);
    times.add(timer, timer.begun());
  }
};

class Worker {
 public:
  std::thread thread;

  void call() {
    if (calls_.has_sleepers()) avoid_this_processor();
    calls_.add(1);
  }

  // Waits for a call after the last one that was seen.
  void wait() {
    calls_.wait([this](int calls) { return calls != seen_; }, SPIN_TIME);
    seen_ = calls_.value();
  }

  // Linux often wakes a thread on the processor of the caller, where it then waits until the caller
  // has done its own part, while other processors are idle. So it may be woken on any but that.
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

 private:
  WaitableCounter calls_;
  std::int32_t seen_ = 0;
};

ContentionLimit contention;
std::atomic<bool> every_thread{false};

class Pool {
 public:
  // Whether the job was done; false, and nothing done, where the pool is busy or has too few
  // threads.
  bool run(Job& job) {
    if (busy_.exchange(true, std::memory_order_acquire)) return false;
    const bool enough = grow(job.threads - 1);
    if (enough) {
      job_ = &job;
      finished_.reset(0);
      open_places_.store(job.threads - 1, std::memory_order_release);
      for (int i = 0; i < job.threads - 1; ++i) workers_[static_cast<std::size_t>(i)]->call();
      const int came = job.concurrent ? run_concurrent(job) : run_independent(job);
      finished_.wait([came](int finished) { return finished == came; }, SPIN_TIME);
      contention.record(job.threads, job.times);
    }
    busy_.store(false, std::memory_order_release);
    return enough;
  }

  // Leaves the pool busy, so that nothing runs on it any more.
  void stop() {
    if (busy_.exchange(true, std::memory_order_acquire)) return;
    ended_.store(true);
    for (auto& worker : workers_) worker->call();
    for (auto& worker : workers_) worker->thread.join();
    workers_.clear();
  }

 private:
  // The caller's part of a job. Both return how many workers came.
  int run_independent(Job& job) {
    job.work(0, job.threads);
    return close(job);
  }

  int run_concurrent(Job& job) {
    spin_until([this] { return open_places_.load(std::memory_order_relaxed) == 0; }, JOIN_TIME);
    const int came = close(job);
    // Workers that are late here would be late in the next call as well.
    job.times.preempted.store(job.threads - 1 - came, std::memory_order_relaxed);
    job.begun.add(came + 1);
    job.work(0, came + 1);
    return came;
  }

  // From here on no worker takes a place in the job.
  int close(const Job& job) { return job.threads - 1 - open_places_.exchange(0); }

  bool grow(int count) {
    if (static_cast<int>(workers_.size()) >= count) return true;
    // Signals are for the interpreter's threads; a new thread has the mask of the one it is from.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    try {
      workers_.reserve(static_cast<std::size_t>(count));
      while (static_cast<int>(workers_.size()) < count) {
        auto worker = std::make_unique<Worker>();
        worker->thread = std::thread(&Pool::work, this, worker.get());
        worker->avoid_this_processor();
        workers_.push_back(std::move(worker));
      }
    } catch (const std::exception&) {
      // There is no memory or no thread to be had: the caller works alone.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return static_cast<int>(workers_.size()) >= count;
  }

  // The life of a worker.
  void work(Worker* worker) {
    for (worker->wait(); !ended_.load(); worker->wait()) {
      // A worker that slept too long finds no place, or one in the call after: that is as good.
      int places = open_places_.load(std::memory_order_acquire);
      while (places > 0 && !open_places_.compare_exchange_weak(places, places - 1)) {
      }
      if (places == 0) continue;
      // The job exists until all that took a place have finished.
      Job& job = *job_;
      int count = job.threads;
      const int rank = count - places;
      if (job.concurrent) {
        job.begun.wait([](int begun) { return begun > 0; }, JOIN_TIME);
        count = job.begun.value();
      }
      job.work(rank, count);
      finished_.add(1);
    }
  }

  std::atomic<bool> busy_{false}, ended_{false};
  Job* job_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
  alignas(64) std::atomic<int> open_places_{0};  // for workers, in the job
  alignas(64) WaitableCounter finished_;         // workers that did their part of it
};

// Never destroyed: at the process's exit threads may still run.
std::atomic<Pool*> current{nullptr};

// The entry points of GNU's OpenMP runtime, which LLVM's and Intel's have too.
struct OpenMp {
  void (*parallel)(void (*work)(void*), void* context, unsigned threads, unsigned flags);
  int (*rank)();
  int (*threads)();
};

// Looked for at the first call that wants it; torch has loaded it by then.
const OpenMp* openmp_here() {
  static const OpenMp found{
      reinterpret_cast<decltype(OpenMp::parallel)>(dlsym(RTLD_DEFAULT, "GOMP_parallel")),
      reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_thread_num")),
      reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_num_threads"))};
  return found.parallel != nullptr && found.rank != nullptr && found.threads != nullptr ? &found
                                                                                        : nullptr;
}

std::atomic<bool> forked{false};

// A child process has no threads of its parent, whose locks may be held for ever: it gets a new
// pool.
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] {
  current.store(nullptr);
  contention.reset();
  forked.store(true);
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

// On OpenMP's threads, which the caller waits for whether they come or not.
void run_openmp(const OpenMp& openmp, Job& job) {
  struct Call {
    const OpenMp& openmp;
    Job& job;
  } call{openmp, job};
  // The runtime may give fewer threads than were asked for, but those at the same time.
  openmp.parallel(
      [](void* context) {
        const Call& here = *static_cast<const Call*>(context);
        const ThreadTimer timer;
        here.job.run(here.job.context, here.openmp.rank(), here.openmp.threads());
        here.job.times.add(timer, here.job.times.begun);
      },
      &call, static_cast<unsigned>(job.threads), 0);
  contention.record(job.threads, job.times);
}

// On as many threads as are worth using now.
void run(WorkerThreads threads, bool concurrent,
         void (*work)(const void* context, int rank, int count), const void* context) {
  Job job{work, context, useful_threads(threads.count), concurrent};
  if (job.threads <= 1) return work(context, 0, 1);
  if (threads.openmp && !forked.load(std::memory_order_relaxed)) {
    if (const OpenMp* const openmp = openmp_here()) return run_openmp(*openmp, job);
  }
  if (!pool()->run(job)) work(context, 0, 1);
}

}  // namespace

void run_tasks(WorkerThreads threads, std::int64_t tasks,
               void (*task)(const void* context, std::int64_t index, int rank),
               const void* context) {
  struct Tasks {
    void (*task)(const void* context, std::int64_t index, int rank);
    const void* context;
    std::int64_t count;
    mutable std::atomic<std::int64_t> next{0};
  } all{task, context, tasks};
  if (threads.count > tasks) threads.count = static_cast<int>(tasks);
  run(
      threads, false,
      [](const void* given, int rank, int) {
        const Tasks& here = *static_cast<const Tasks*>(given);
        for (std::int64_t index; (index = here.next.fetch_add(1)) < here.count;) {
          here.task(here.context, index, rank);
        }
      },
      &all);
}

void run_concurrently(WorkerThreads threads, void (*task)(const void* context, int rank, int count),
                      const void* context) {
  run(threads, true, task, context);
}

int useful_threads(int wanted) {
  return wanted <= 1 || uses_all_threads() ? wanted : contention.useful(wanted);
}

void use_all_threads(bool always) {
  contention.reset();
  every_thread.store(always);
}

bool uses_all_threads() { return every_thread.load(std::memory_order_relaxed); }

void stop_threads() {
  if (Pool* here = current.load(std::memory_order_acquire)) here->stop();
}

}  // namespace birnn
