#include "dispatch.h"

#include <algorithm>
#include <atomic>
#include <stdexcept>

#include "processor.h"

namespace birnn {

namespace {

// An instruction set, and what was compiled for it; null where a compiler did not know its flags.
struct Candidate {
  const char* name;
  const Engine* (*engine)();
  const LowPrecision* (*low)();
  std::vector<const char*> needs;  // features of the processor
};

// CMakeLists.txt defines which are there.
#if defined(BIRNN_HAS_AVX2_VNNI)
constexpr auto avx2_vnni = birnn_low_avx2_vnni;
#else
constexpr const LowPrecision* (*avx2_vnni)() = nullptr;
#endif
#if defined(BIRNN_HAS_AVX512_VNNI)
constexpr auto avx512_vnni = birnn_low_avx512_vnni;
#else
constexpr const LowPrecision* (*avx512_vnni)() = nullptr;
#endif
#if defined(BIRNN_HAS_AVX512_BF16)
constexpr auto avx512_bf16 = birnn_low_avx512_bf16;
#else
constexpr const LowPrecision* (*avx512_bf16)() = nullptr;
#endif
#if defined(BIRNN_HAS_AMX)
constexpr auto amx = birnn_low_amx;
#else
constexpr const LowPrecision* (*amx)() = nullptr;
#endif
#if defined(BIRNN_HAS_AMX_EMULATED)
constexpr auto amx_emulated = birnn_low_amx_emulated;
#else
constexpr const LowPrecision* (*amx_emulated)() = nullptr;
#endif

std::vector<Candidate> candidates() {
  std::vector<Candidate> all;
#if defined(BIRNN_X86)
  // The compiler may use all of these with -march=x86-64-v3 and v4.
  const std::vector<const char*> v3 = {"avx2", "fma", "bmi1", "bmi2", "f16c", "abm"};
  const auto with = [](std::vector<const char*> base, const std::vector<const char*>& more) {
    base.insert(base.end(), more.begin(), more.end());
    return base;
  };
  const auto v4 = with(v3, {"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"});
  const auto vnni = with(v4, {"avx512_vnni"});
  all.push_back({"amx", nullptr, amx, with(vnni, {"amx_tile", "amx_int8", "amx_bf16"})});
  all.push_back({"avx512_bf16", nullptr, avx512_bf16, with(vnni, {"avx512_bf16"})});
  all.push_back({"avx512_vnni", nullptr, avx512_vnni, vnni});
  all.push_back({"avx512", birnn_engine_avx512, nullptr, v4});
  all.push_back({"avx2_vnni", nullptr, avx2_vnni, with(v3, {"avx_vnni"})});
  all.push_back({"avx2", birnn_engine_avx2, nullptr, v3});
#endif
  all.push_back({"generic", birnn_engine_generic, nullptr, {}});
#if defined(BIRNN_X86)
  all.push_back({"amx_emulated", nullptr, amx_emulated, vnni});  // for proofs: the last of all
#endif
  return all;
}

// What runs here of a level.
struct Build {
  Level level;
  const Engine* engine = nullptr;
  const LowPrecision* low = nullptr;

  const InferenceKernels* of(Precision precision) const {
    switch (precision) {
      case Precision::int8:
        return low == nullptr ? nullptr : low->int8;
      case Precision::bf16:
        return low == nullptr ? nullptr : low->bf16;
      case Precision::float64:
        return engine == nullptr ? nullptr : &engine->float64;
      default:
        return engine == nullptr ? nullptr : &engine->float32;
    }
  }
};

constexpr struct {
  Precision precision;
  const char* name;
} precisions[] = {{Precision::float32, "float32"},
                  {Precision::float64, "float64"},
                  {Precision::bf16, "bf16"},
                  {Precision::int8, "int8"}};

Build look_up(const Candidate& candidate) {
  Build found{{candidate.name, {}, ""}};
  for (const char* feature : candidate.needs) {
    if (!processor().has(feature)) {
      found.level.missing = std::string("this processor or its system has no ") + feature;
      return found;
    }
  }
  if (candidate.engine != nullptr) found.engine = candidate.engine();
  if (candidate.low != nullptr) found.low = candidate.low();
  if (found.engine != nullptr) found.low = &found.engine->low;
  for (const auto& one : precisions) {
    if (found.of(one.precision) != nullptr) found.level.precisions.emplace_back(one.name);
  }
  if (found.level.precisions.empty()) found.level.missing = "this build has no kernels for it";
  return found;
}

const std::vector<Build>& builds() {
  static const std::vector<Build> found = [] {
    std::vector<Build> all;
    for (const Candidate& candidate : candidates()) all.push_back(look_up(candidate));
    return all;
  }();
  return found;
}

const Build* best() {
  for (const Build& build : builds()) {
    if (build.engine != nullptr) return &build;
  }
  return nullptr;  // generic is there always
}

const Build& find(const std::string& name, Precision precision) {
  for (const Build& build : builds()) {
    if (name != build.level.name || build.of(precision) == nullptr) continue;
    if (name == "amx" && !tiles_refused().empty()) continue;
    return build;
  }
  throw std::invalid_argument("this processor or this build has no engine " + name +
                              " of this precision");
}

// What is in use for a precision; float64 goes with float32.
std::atomic<const Build*>& chosen(Precision precision) {
  static std::atomic<const Build*> floats{best()}, int8{nullptr}, bf16{nullptr};
  return precision == Precision::int8 ? int8 : precision == Precision::bf16 ? bf16 : floats;
}

std::atomic<int> threads{1};

// A mistyped number must not start a million threads.
constexpr int most_threads = 256;

}  // namespace

std::vector<Level> levels() {
  std::vector<Level> all;
  for (const Build& build : builds()) all.push_back(build.level);
  return all;
}

const Engine& engine() { return *chosen(Precision::float32).load()->engine; }

const InferenceKernels& inference_kernels(Precision precision, const std::string& name) {
  const Build* const build = name.empty() ? chosen(precision).load() : &find(name, precision);
  if (build == nullptr) throw std::logic_error("no kernels were chosen for this precision");
  return *build->of(precision);
}

std::string engine_name(Precision precision) {
  const Build* const build = chosen(precision).load();
  return build == nullptr ? "" : build->level.name;
}

void choose_engine(const std::string& name, Precision precision) {
  chosen(precision).store(&find(name, precision));
}

Precision precision_of(int number) {
  for (const auto& one : precisions) {
    if (number == static_cast<int>(one.precision)) return one.precision;
  }
  throw std::invalid_argument("there is no such precision");
}

int threads_wanted(int asked) { return std::min(asked > 0 ? asked : threads.load(), most_threads); }

void set_threads(int wanted) {
  if (wanted < 1) throw std::invalid_argument("the number of threads is at least 1");
  threads.store(wanted);
}

}  // namespace birnn
