// The linear layer for Python, and the measure of what the processor can do at best.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <string>

#include "array_checks.h"
#include "buffers.h"
#include "dispatch.h"
#include "kernels.h"
#include "parallel.h"

namespace birnn {

namespace {

constexpr double min_work = 2e6;  // floating point operations for another thread

// The kernels of such a layer.
const InferenceKernels& kernels_for(std::int64_t inputs, std::int64_t outputs, Precision precision,
                                    const std::string& engine) {
  constexpr std::int64_t most = std::int64_t{1} << 24;
  if (inputs < 1 || inputs > most || outputs < 1 || outputs > most) {
    throw std::invalid_argument("inputs and outputs are from 1 to 2**24");
  }
  check_summands(precision, inputs);
  return inference_kernels(precision, engine);
}

std::int64_t linear_bytes(std::int64_t inputs, std::int64_t outputs, int precision,
                          const std::string& engine) {
  return kernels_for(inputs, outputs, precision_of(precision), engine)
      .packed_linear(inputs, outputs);
}

void linear_pack(const In& weight, const Out& packed, const MaybeIn& scales,
                 const std::string& engine) {
  const Precision precision = precision_of_weights(weight.dtype());
  if (weight.ndim() != 2) throw std::invalid_argument("weight is a matrix");
  const auto outputs = static_cast<std::int64_t>(weight.shape(0));
  const auto inputs = static_cast<std::int64_t>(weight.shape(1));
  const InferenceKernels& kernels = kernels_for(inputs, outputs, precision, engine);
  check_packed(packed, {kernels.packed_linear(inputs, outputs)});
  const float* const row_scales = scales_of(scales, precision, outputs);
  const void* const from = weight.data();
  run_parallel(WorkerThreads{}, 1, [&](std::int64_t, int) {
    kernels.pack_linear(from, row_scales, inputs, outputs, packed.data());
  });
}

void linear(const In& x, const In& packed, const MaybeIn& bias, const Out& y, int threads,
            int low, const std::string& engine) {
  const auto dtype = x.dtype();
  const Precision precision = precision_for(dtype, low);
  if (x.ndim() != 2 || y.ndim() != 2) throw std::invalid_argument("x and y are matrices");
  Linear call{};
  call.rows = static_cast<std::int64_t>(x.shape(0));
  call.inputs = static_cast<std::int64_t>(x.shape(1));
  call.outputs = static_cast<std::int64_t>(y.shape(1));
  const InferenceKernels& kernels = kernels_for(call.inputs, call.outputs, precision, engine);
  check_packed(packed, {kernels.packed_linear(call.inputs, call.outputs)});
  check(y, "y", dtype, {call.rows, call.outputs});
  call.x = x.data();
  call.packed = packed.data();
  call.bias = data_of(bias, "bias", dtype, {call.outputs});
  call.y = y.data();
  call.workspace = thread_workspace().reserve(kernels.linear_workspace(&call));
  const double work = 2.0 * static_cast<double>(call.rows) * static_cast<double>(call.inputs) *
                      static_cast<double>(call.outputs);
  const int most = useful_threads(threads_wanted(threads));
  const auto parts = uses_all_threads()
                         ? most
                         : static_cast<std::int64_t>(std::min<double>(most, 1 + work / min_work));
  run_parallel({most, false}, parts, [&](std::int64_t part, int) {
    kernels.linear(&call, static_cast<int>(part), static_cast<int>(parts));
  });
  thread_workspace().trim();
}

// Operations of products in a second, all threads together.
double peak_rate(int precision, int threads) {
  const InferenceKernels& kernels = inference_kernels(precision_of(precision), "");
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
  m.def("linear_bytes", &linear_bytes, "inputs"_a, "outputs"_a, "precision"_a, "engine"_a = "",
        "Bytes of the packed weights of a linear layer.");
  m.def("linear_pack", &linear_pack, "weight"_a, "packed"_a, "scales"_a.none() = nb::none(),
        "engine"_a = "", "Pack the weights (outputs, inputs) of a linear layer.");
  m.def("linear", &linear, "x"_a, "packed"_a, "bias"_a.none(), "y"_a, "threads"_a,
        "precision"_a = 0, "engine"_a = "", "y = x w^T + bias.");
  m.def("peak_rate", &peak_rate, "precision"_a, "threads"_a,
        "Operations that the products' instruction of a precision does in a second.");
}

}  // namespace birnn
