// One pool for the process. Calls last from some microseconds on, so a worker that has finished
// watches for the next call for a moment before it sleeps, and a caller likewise for its workers.

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

#include "crowd.h"
#include "waiting.h"

namespace birnn {
namespace {

// Waking a sleeper takes some tens of microseconds: shorter waits are spent awake.
constexpr std::chrono::microseconds AWAKE{100};
// How long a caller waits for those whom it meets in its work.
constexpr std::chrono::microseconds COME{200};

// A call: run(given, rank, threads) on all threads that work on it.
struct Job {
  void (*run)(void* given, int rank, int threads);
  void* given;
  int threads;
  bool together;  // whether they meet
  Tally tally{};
  Signal begun{};  // where they meet: how many they are, once that is settled

  void work(int rank, int count) {
    const Stopwatch watch;
    run(given, rank, count);
    tally.add(watch, watch.begun());
  }
};

class Worker {
 public:
  std::thread thread;

  void call() {
    if (calls_.sleepers()) avoid_this_processor();
    calls_.add(1);
  }

  // Waits for a call after the last one that was heard.
  void wait() {
    calls_.wait([this](int calls) { return calls != heard_; }, AWAKE);
    heard_ = calls_.value();
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

 private:
  Signal calls_;
  std::int32_t heard_ = 0;
};

Crowd crowd;
std::atomic<bool> every_thread{false};

class Pool {
 public:
  // Whether the job was done; false and nothing done where the pool cannot.
  bool run(Job& job) {
    if (taken_.exchange(true, std::memory_order_acquire)) return false;
    const bool enough = grow(job.threads - 1);
    if (enough) {
      job_ = &job;
      left_.reset(0);
      places_.store(job.threads - 1, std::memory_order_release);
      for (int i = 0; i < job.threads - 1; ++i) workers_[static_cast<std::size_t>(i)]->call();
      const int came = job.together ? meet(job) : take_part(job);
      left_.wait([came](int left) { return left == came; }, AWAKE);
      crowd.learn(job.threads, job.tally);
    }
    taken_.store(false, std::memory_order_release);
    return enough;
  }

  // Leaves the pool taken, so that nothing runs on it any more.
  void stop() {
    if (taken_.exchange(true, std::memory_order_acquire)) return;
    ended_.store(true);
    for (auto& worker : workers_) worker->call();
    for (auto& worker : workers_) worker->thread.join();
    workers_.clear();
  }

 private:
  // Both give the number of workers that came.
  int take_part(Job& job) {
    job.work(0, job.threads);
    return close(job);
  }

  int meet(Job& job) {
    watch([this] { return places_.load(std::memory_order_relaxed) == 0; }, COME);
    const int came = close(job);
    // Who is late here is late in the next call as well.
    job.tally.kept.store(job.threads - 1 - came, std::memory_order_relaxed);
    job.begun.add(came + 1);
    job.work(0, came + 1);
    return came;
  }

  // From here on nobody comes in.
  int close(const Job& job) { return job.threads - 1 - places_.exchange(0); }

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
        worker->thread = std::thread(&Pool::live, this, worker.get());
        worker->avoid_this_processor();
        workers_.push_back(std::move(worker));
      }
    } catch (const std::exception&) {
      // No memory or no thread to be had: fewer do the work.
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return static_cast<int>(workers_.size()) >= count;
  }

  void live(Worker* worker) {
    for (worker->wait(); !ended_.load(); worker->wait()) {
      // A worker that slept too long finds no place, or one in the call after: it is as good there.
      int places = places_.load(std::memory_order_acquire);
      while (places > 0 && !places_.compare_exchange_weak(places, places - 1)) {
      }
      if (places == 0) continue;
      // The job stays until all that took a place have left.
      Job& job = *job_;
      int count = job.threads;
      const int rank = count - places;
      if (job.together) {
        job.begun.wait([](int begun) { return begun > 0; }, COME);
        count = job.begun.value();
      }
      job.work(rank, count);
      left_.add(1);
    }
  }

  std::atomic<bool> taken_{false}, ended_{false};
  Job* job_ = nullptr;
  std::vector<std::unique_ptr<Worker>> workers_;
  alignas(64) std::atomic<int> places_{0};  // that are still to be taken in the job
  alignas(64) Signal left_;
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

// In a child the threads of its parent are not there, and its locks may be held by one of them:
// the child starts anew.
[[maybe_unused]] const int at_fork = pthread_atfork(nullptr, nullptr, [] {
  current.store(nullptr);
  crowd.forget();
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
      [](void* given) {
        const Call& here = *static_cast<const Call*>(given);
        const Stopwatch watch;
        here.job.run(here.job.given, here.openmp.rank(), here.openmp.threads());
        here.job.tally.add(watch, here.job.tally.begun);
      },
      &call, static_cast<unsigned>(job.threads), 0);
  crowd.learn(job.threads, job.tally);
}

// On as many threads as are worth it.
void run(Crew crew, bool together, void (*work)(void* given, int rank, int threads), void* given) {
  Job job{work, given, threads_worth(crew.threads), together};
  if (job.threads <= 1) return work(given, 0, 1);
  if (crew.openmp && !forked.load(std::memory_order_relaxed)) {
    if (const OpenMp* const openmp = openmp_here()) return run_openmp(*openmp, job);
  }
  if (!pool()->run(job)) work(given, 0, 1);
}

}  // namespace

void run_parts(Crew crew, std::int64_t parts,
               void (*work)(void* context, std::int64_t part, int rank), void* context) {
  struct Parts {
    void (*work)(void* context, std::int64_t part, int rank);
    void* context;
    std::int64_t count;
    std::atomic<std::int64_t> next{0};
  } all{work, context, parts};
  if (crew.threads > parts) crew.threads = static_cast<int>(parts);
  run(
      crew, false,
      [](void* given, int rank, int) {
        Parts& here = *static_cast<Parts*>(given);
        for (std::int64_t part; (part = here.next.fetch_add(1)) < here.count;) {
          here.work(here.context, part, rank);
        }
      },
      &all);
}

void run_together(Crew crew, void (*work)(void* context, int rank, int threads), void* context) {
  run(crew, true, work, context);
}

int threads_worth(int wanted) {
  return wanted <= 1 || uses_all_threads() ? wanted : crowd.worth(wanted);
}

void use_all_threads(bool always) {
  crowd.forget();
  every_thread.store(always);
}

bool uses_all_threads() { return every_thread.load(std::memory_order_relaxed); }

void stop_threads() {
  if (Pool* here = current.load(std::memory_order_acquire)) here->stop();
}

}  // namespace birnn
