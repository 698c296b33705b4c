// The linear layer for Python, and the measure of what the processor can do at best.

#include <nanobind/stl/optional.h>

#include <algorithm>
#include <atomic>
#include <chrono>

#include "array_checks.h"
#include "dispatch.h"
#include "kernels.h"
#include "parallel.h"

namespace birnn {

namespace {

constexpr double min_work = 2e6;  // floating point operations for another thread

const Kernels& kernels_of(bool wide) { return wide ? engine().float64 : engine().float32; }

std::int64_t size_of(std::int64_t inputs, std::int64_t outputs, bool wide) {
  constexpr std::int64_t most = std::int64_t{1} << 24;
  if (inputs < 1 || inputs > most || outputs < 1 || outputs > most) {
    throw std::invalid_argument("inputs and outputs are from 1 to 2**24");
  }
  return kernels_of(wide).packed_linear(inputs, outputs);
}

void linear_pack(const In& weight, const Out& packed) {
  const bool wide = is_double(weight.dtype());
  if (weight.ndim() != 2) throw std::invalid_argument("weight is a matrix");
  const auto outputs = static_cast<std::int64_t>(weight.shape(0));
  const auto inputs = static_cast<std::int64_t>(weight.shape(1));
  check_packed(packed, {size_of(inputs, outputs, wide)});
  const void* const from = weight.data();
  run_parallel(WorkerThreads{}, 1, [&](std::int64_t, int) {
    kernels_of(wide).pack_linear(from, inputs, outputs, packed.data());
  });
}

void linear(const In& x, const In& packed, const MaybeIn& bias, const Out& y, int threads) {
  const auto dtype = x.dtype();
  const bool wide = is_double(dtype);
  if (x.ndim() != 2 || y.ndim() != 2) throw std::invalid_argument("x and y are matrices");
  Linear call{};
  call.rows = static_cast<std::int64_t>(x.shape(0));
  call.inputs = static_cast<std::int64_t>(x.shape(1));
  call.outputs = static_cast<std::int64_t>(y.shape(1));
  check_packed(packed, {size_of(call.inputs, call.outputs, wide)});
  check(y, "y", dtype, {call.rows, call.outputs});
  call.x = x.data();
  call.packed = packed.data();
  call.bias = data_of(bias, "bias", dtype, {call.outputs});
  call.y = y.data();
  const Kernels& kernels = kernels_of(wide);
  const double work = 2.0 * static_cast<double>(call.rows) * static_cast<double>(call.inputs) *
                      static_cast<double>(call.outputs);
  const int most = useful_threads(threads_wanted(threads));
  const auto parts = uses_all_threads()
                         ? most
                         : static_cast<std::int64_t>(std::min<double>(most, 1 + work / min_work));
  run_parallel({most, false}, parts, [&](std::int64_t part, int) {
    kernels.linear(&call, static_cast<int>(part), static_cast<int>(parts));
  });
}

// Floating point operations in a second, all threads together.
double fma_rate(bool wide, int threads) {
  const Kernels& kernels = kernels_of(wide);
  std::atomic<double> done{0.0};
  const auto begun = std::chrono::steady_clock::now();
  run_parallel({threads_wanted(threads), false}, [&](int, int) {
    const double mine = kernels.peak(2'000'000);
    double before = done.load();
    while (!done.compare_exchange_weak(before, before + mine)) {
    }
  });
  const std::chrono::duration<double> taken = std::chrono::steady_clock::now() - begun;
  return done.load() / taken.count();
}

}  // namespace

void bind_linear(nb::module_& m) {
  using namespace nb::literals;
  m.def("linear_bytes", &size_of, "inputs"_a, "outputs"_a, "wide"_a,
        "Bytes of the packed weights of a linear layer.");
  m.def("linear_pack", &linear_pack, "weight"_a, "packed"_a,
        "Pack the weights (outputs, inputs) of a linear layer.");
  m.def("linear", &linear, "x"_a, "packed"_a, "bias"_a.none(), "y"_a, "threads"_a,
        "y = x w^T + bias.");
  m.def("fma_rate", &fma_rate, "wide"_a, "threads"_a,
        "Floating point operations that the engine's fused multiply-adds do in a second.");
}

}  // namespace birnn
