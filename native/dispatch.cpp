#include "dispatch.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>

namespace birnn {

namespace {

std::vector<const Engine*> find_engines() {
  std::vector<const Engine*> found;
#if defined(BIRNN_X86)
  __builtin_cpu_init();
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512vl")) {
    found.push_back(birnn_engine_avx512());
  }
  // x86-64-v3 lets the compiler use all of these.
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
      __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2")) {
    found.push_back(birnn_engine_avx2());
  }
#endif
  found.push_back(birnn_engine_generic());
  return found;
}

const std::vector<const Engine*>& available() {
  static const std::vector<const Engine*> found = find_engines();
  return found;
}

std::atomic<const Engine*>& chosen() {
  static std::atomic<const Engine*> engine{available().front()};
  return engine;
}

std::atomic<int> threads{1};

// A mistyped number must not start a million threads.
constexpr int most_threads = 256;

}  // namespace

std::vector<std::string> engines() {
  std::vector<std::string> names;
  for (const Engine* found : available()) names.emplace_back(found->name);
  return names;
}

const Engine& engine() { return *chosen().load(); }

void choose_engine(const std::string& name) {
  for (const Engine* found : available()) {
    if (name == found->name) {
      chosen().store(found);
      return;
    }
  }
  throw std::invalid_argument("this processor or this build has no engine " + name);
}

int threads_wanted(int asked) { return std::min(asked > 0 ? asked : threads.load(), most_threads); }

void set_threads(int wanted) {
  if (wanted < 1) throw std::invalid_argument("the number of threads is at least 1");
  threads.store(wanted);
}

}  // namespace birnn
