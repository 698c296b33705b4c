// Weights of a layer packed once, and the products of rows with them, for Python.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <vector>

#include "buffers.h"
#include "dispatch.h"
#include "kernels.h"
#include "layer_arguments.h"
#include "parallel.h"
#include "work_split.h"

namespace birnn {

namespace {

std::int64_t packed_bytes(int cell, std::int64_t inputs, std::int64_t hidden, int precision,
                          const std::string& engine) {
  const Shape shape = shape_of(cell, inputs, hidden, 1);
  return inference_for(precision_of(precision), shape, engine).packed_forward(&shape);
}

void pack(int cell, const std::vector<MaybeIn>& weights, const Out& packed,
          const std::vector<MaybeIn>& scales, const std::string& engine) {
  if (weights.empty() || !weights[0] || weights[0]->ndim() != 2 || weights.size() < 2 ||
      !weights[1] || weights[1]->ndim() != 2) {
    throw std::invalid_argument("weight_ih and weight_hh are matrices");
  }
  const Shape shape = shape_of(cell, static_cast<std::int64_t>(weights[0]->shape(1)),
                               static_cast<std::int64_t>(weights[1]->shape(1)),
                               static_cast<std::int64_t>(weights.size() / 4));
  const Precision precision = precision_of_weights(weights[0]->dtype());
  const auto& kernels = inference_for(precision, shape, engine);
  const auto each = kernels.packed_forward(&shape);
  check_packed(packed, {shape.directions, each});
  const auto from = weights_of(shape, weights, precision, scales);
  char* to = static_cast<char*>(packed.data());
  run_parallel(WorkerThreads{}, shape.directions, [&](std::int64_t direction, int) {
    const auto d = static_cast<std::size_t>(direction);
    kernels.pack_forward(&shape, &from[d], to + direction * each, 0, 1);
  });
}

std::int64_t product_width(int cell, std::int64_t hidden, int precision,
                           const std::string& engine) {
  const Shape shape = shape_of(cell, 1, hidden, 1);
  return inference_for(precision_of(precision), shape, engine).product_width(&shape);
}

void input_products(int cell, const In& x, std::int64_t hidden, const In& packed,
                    const Out& products, int threads, bool openmp, int low,
                    const std::string& engine) {
  if (x.ndim() != 2 || packed.ndim() != 2) {
    throw std::invalid_argument("x is rows of numbers, packed has a row for each direction");
  }
  const Precision precision = precision_for(x.dtype(), low);
  const auto rows = rows_of(x);
  const auto directions = static_cast<std::int64_t>(packed.shape(0));
  InputProducts call{};
  call.shape = shape_of(cell, width_of(x), hidden, directions);
  const auto& kernels = inference_for(precision, call.shape, engine);
  const auto each_packed = kernels.packed_forward(&call.shape);
  check_packed(packed, {directions, each_packed});
  check(products, "products", x.dtype(), {rows, directions * kernels.product_width(&call.shape)});
  call.x = x.data();
  call.products = products.data();
  for (std::int64_t d = 0; d < directions; ++d) {
    call.packed[d] = static_cast<const char*>(packed.data()) + d * each_packed;
  }
  constexpr std::int64_t most = 64;  // rows of a task
  const auto parts = (rows + most - 1) / most;
  const WorkerThreads workers =
      product_threads(call.shape, rows, weight_bytes(precision), {threads, openmp});
  const auto own_bytes = kernels.products_workspace(&call.shape);
  char* const memory = thread_workspace().reserve(workers.count * own_bytes);
  run_parallel(workers, parts * directions, [&](std::int64_t task, int rank) {
    const auto begin = task / directions * most;
    kernels.input_products(&call, static_cast<int>(task % directions), begin,
                           std::min(begin + most, rows), memory + rank * own_bytes);
  });
  thread_workspace().trim();
}

}  // namespace

void bind_packed(nb::module_& m) {
  using namespace nb::literals;
  m.def("packed_bytes", &packed_bytes, "cell"_a, "inputs"_a, "hidden"_a, "precision"_a,
        "engine"_a = "", "Bytes of the packed weights of one direction.");
  m.def("pack", &pack, "cell"_a, "weights"_a, "packed"_a, "scales"_a = nb::tuple(),
        "engine"_a = "",
        "Pack the weights of all directions into (directions, packed_bytes) uint8.");
  m.def("product_width", &product_width, "cell"_a, "hidden"_a, "precision"_a, "engine"_a = "",
        "Elements of a row's input product in one direction.");
  m.def("input_products", &input_products, "cell"_a, "x"_a, "hidden"_a, "packed"_a, "products"_a,
        "threads"_a, "openmp"_a = false, "precision"_a = 0, "engine"_a = "",
        "What rows add to the gates' sums in all directions, without the recurrent part.");
}

}  // namespace birnn
