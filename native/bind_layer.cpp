// Recurrent layers for Python: arrays are checked, then kernels run on all threads and allocate
// nothing.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <limits>
#include <vector>

#include "barrier.h"
#include "buffers.h"
#include "dispatch.h"
#include "kernels.h"
#include "layer_arguments.h"
#include "parallel.h"
#include "plan.h"
#include "work_split.h"

namespace birnn {

namespace {

Keep keep_of(int number) {
  if (number < 0 || number > 3) throw std::invalid_argument("there is no such keep");
  return static_cast<Keep>(number);
}

const Kernels& kernels_of(bool wide) { return wide ? engine().float64 : engine().float32; }

// What forward and backward are both called with.
struct Layer {
  const Plan& plan;
  nb::dlpack::dtype dtype;
  std::int64_t item_bytes;
  std::int64_t sequences;
  Shape shape;

  Layer(const Plan& the_plan, nb::dlpack::dtype the_dtype, const Shape& the_shape)
      : plan(the_plan),
        dtype(the_dtype),
        item_bytes(dtype.bits / 8),
        sequences(plan.batch().sequences),
        shape(the_shape) {}

  // Throws where there are other rows than the plan is made for.
  void check_row_count(std::int64_t rows) const {
    if (rows != plan.rows()) {
      throw std::invalid_argument("there are " + std::to_string(rows) + " rows, the plan is for " +
                                  std::to_string(plan.rows()));
    }
  }

  bool has_cell_state() const { return shape.cell == Cell::lstm; }
  std::int64_t output_width() const { return shape.directions * shape.hidden; }

  const void* state(const MaybeIn& array, const char* name) const {
    return data_of(array, name, dtype, {shape.directions, sequences, shape.hidden});
  }

  void* state(const MaybeOut& array, const char* name) const {
    return data_of(array, name, dtype, {shape.directions, sequences, shape.hidden});
  }

  // Bytes that each direction saves; throws where `saved` is too short for that.
  template <class Array>
  std::int64_t saved_bytes(const Kernels& kernels, Keep keep,
                           const std::optional<Array>& saved) const {
    const auto each = kernels.saved(&shape, plan.batch().real_rows, keep);
    if (each == 0) return 0;
    const auto elements = shape.directions * each;
    if (!saved || saved->ndim() != 1 || saved->dtype() != dtype ||
        static_cast<std::int64_t>(saved->shape(0)) < elements) {
      throw std::invalid_argument("saved is a vector of x's dtype of at least " +
                                  std::to_string(elements) + " elements");
    }
    return each * item_bytes;
  }

  // Zeros for the padding, where nothing else is written: the share of thread `rank` of a
  // direction's `threads`. Of two directions each clears every second range.
  void clear_padding(void* array, std::int64_t width, int direction, int rank, int threads) const {
    const auto& padding = plan.padding();
    const auto first = static_cast<std::size_t>(direction + rank * shape.directions);
    const auto step = static_cast<std::size_t>(threads * shape.directions);
    for (auto i = first; i < padding.size(); i += step) {
      const auto rows_here = padding[i].end - padding[i].begin;
      std::memset(static_cast<char*>(array) + padding[i].begin * width * item_bytes, 0,
                  static_cast<std::size_t>(rows_here * width * item_bytes));
    }
  }
};

std::int64_t saved_elements(int cell, std::int64_t rows, std::int64_t hidden, int keep, bool wide) {
  const Shape shape = shape_of(cell, 1, hidden, 1);
  if (rows < 0) throw std::invalid_argument("rows are negative");
  const auto each = kernels_of(wide).saved(&shape, 1, keep_of(keep));
  if (each > 0 && rows > std::numeric_limits<std::int64_t>::max() / each) {
    throw std::invalid_argument("there cannot be " + std::to_string(rows) + " rows");
  }
  return rows * each;
}

// The numbers of input products, of which there are `entries`: a copy, as in `Plan`.
std::vector<std::int64_t> checked_numbers(const Integers& numbers, std::int64_t rows,
                                          std::int64_t entries) {
  check_integers(numbers, "numbers");
  std::vector<std::int64_t> copy(numbers.data(), numbers.data() + rows);
  for (std::size_t row = 0; row < copy.size(); ++row) {
    if (copy[row] < 0 || copy[row] >= entries) {
      throw std::invalid_argument("numbers[" + std::to_string(row) + "] is " +
                                  std::to_string(copy[row]) + ", there are " +
                                  std::to_string(entries) + " rows");
    }
  }
  return copy;
}

// Bytes of each direction's packed weights, where only the first `least` are read.
std::int64_t packed_at_least(const In& packed, std::int64_t least) {
  constexpr std::int64_t cache_line = 64;
  const auto each = packed.ndim() == 2 ? width_of(packed) : 0;
  return each >= least && each % cache_line == 0 ? each : least;
}

void layer_forward(int cell, const In& x, const Plan& plan, const std::optional<Integers>& numbers,
                   const std::vector<MaybeIn>& weights, const MaybeIn& packed, const MaybeIn& h0,
                   const MaybeIn& c0, int keep, const Out& output, const Out& h_n,
                   const MaybeOut& c_n, const MaybeOut& saved, int threads, bool openmp, int low,
                   const std::string& engine) {
  const Precision precision = precision_for(x.dtype(), low);
  if (x.ndim() < 2 || h_n.ndim() != 3) {
    throw std::invalid_argument("x is rows of numbers, h_n has three axes");
  }
  const auto hidden = static_cast<std::int64_t>(h_n.shape(2));
  const auto directions = static_cast<std::int64_t>(
      packed ? (packed->ndim() == 2 ? packed->shape(0) : 0) : weights.size() / 4);
  // With `numbers` x are input products, and only what follows them is left to do.
  const Layer layer(plan, x.dtype(), shape_of(cell, numbers ? 1 : width_of(x), hidden, directions));
  layer.check_row_count(numbers ? static_cast<std::int64_t>(numbers->shape(0)) : rows_of(x));
  const Shape& shape = layer.shape;
  const InferenceKernels& kernels = inference_for(precision, shape, engine);
  const Batch& batch = plan.batch();
  const auto dtype = layer.dtype;
  if (layer.has_cell_state() != c_n.has_value() || (c0 && !layer.has_cell_state())) {
    throw std::invalid_argument("the LSTM, and it alone, has a cell state");
  }

  Forward call{};
  call.shape = shape;
  call.keep = keep_of(keep);
  call.batch = &batch;
  call.x = x.data();
  std::vector<std::int64_t> product_rows;
  if (numbers) {
    // What else stands in their rows is the caller's.
    call.product_row = width_of(x);
    const auto width = directions * kernels.product_width(&shape);
    check_rows(x, "x", dtype, rows_of(x), std::max(call.product_row, width));
    product_rows = checked_numbers(*numbers, plan.rows(), rows_of(x));
    call.numbers = product_rows.data();
  }
  call.h0 = layer.state(h0, "h0");
  call.c0 = layer.state(c0, "c0");
  check_rows(output, "output", dtype, plan.rows(), layer.output_width());
  call.output = output.data();
  check(h_n, "h_n", dtype, {directions, layer.sequences, hidden});
  call.h_n = h_n.data();
  call.c_n = layer.state(c_n, "c_n");
  if (is_low(precision) && (call.keep != Keep::nothing || !packed)) {
    throw std::invalid_argument(
        "low precision is for inference: nothing is kept, and weights are packed before");
  }
  if (!engine.empty() && (call.keep != Keep::nothing || !packed)) {
    throw std::invalid_argument(
        "an engine is named for weights that are packed: the backward pass runs on the one in use");
  }
  const auto saved_bytes =
      is_low(precision)
          ? 0
          : layer.saved_bytes(kernels_of(precision == Precision::float64), call.keep, saved);
  const WorkSplit split = split_work(shape, batch, weight_bytes(precision), {threads, openmp});
  call.partition = split.partition;
  auto each_packed = kernels.packed_forward(&shape);
  const auto each_workspace =
      kernels.forward_workspace(&shape, &batch, call.keep, split.threads.count) +
      (packed ? 0 : each_packed);
  std::vector<Weights> from;
  if (packed) {
    // Those of the inputs stand last and are not read with `numbers`, however many they are.
    if (numbers) each_packed = packed_at_least(*packed, each_packed);
    check_packed(*packed, {directions, each_packed});
  } else if (numbers) {
    throw std::invalid_argument("input products come with the packed weights that they are of");
  } else {
    from = weights_of(shape, weights, precision);
  }
  char* const memory = thread_workspace().reserve(split.copies(shape) * each_workspace);
  for (std::int64_t d = 0; d < directions; ++d) {
    char* const own = memory + (split.directions_in_turn ? 0 : d * each_workspace);
    call.workspace[d] = packed ? own : own + each_packed;
    call.packed[d] = packed ? static_cast<const char*>(packed->data()) + d * each_packed : own;
    if (saved_bytes > 0) call.saved[d] = static_cast<char*>(saved->data()) + d * saved_bytes;
  }
  Barrier packing[2] = {};
  split.each_direction(shape, [&](int direction, int rank, int count) {
    layer.clear_padding(call.output, layer.output_width(), direction, rank, count);
    if (!from.empty()) {
      kernels.pack_forward(&shape, &from[static_cast<std::size_t>(direction)],
                           const_cast<void*>(call.packed[direction]), rank, count);
      wait_for_all(&packing[direction], count);
    }
    kernels.forward(&call, direction, rank, count);
  });
  thread_workspace().trim();
}

// Adds d_x of the second direction to that of the first, for real rows alone.
template <class T>
void add_rows(const Batch& batch, std::int64_t width, T* to, const T* from, std::int64_t part,
              std::int64_t parts) {
  for (std::int64_t b = 0; b < batch.blocks; ++b) {
    const Block& block = batch.block[b];
    for (std::int64_t s = part; s < block.sequences; s += parts) {
      for (std::int64_t t = 0; t < block.length[s]; ++t) {
        const auto at = (batch.starts[block.order[s]] + batch.steps[t]) * width;
        for (std::int64_t i = 0; i < width; ++i) to[at + i] += from[at + i];
      }
    }
  }
}

void layer_backward(int cell, const In& x, const Plan& plan, const std::vector<MaybeIn>& weights,
                    const MaybeIn& h0, const MaybeIn& c0, const MaybeIn& output,
                    const MaybeIn& saved, int keep, const MaybeIn& d_output, const MaybeIn& d_h_n,
                    const MaybeIn& d_c_n, const MaybeOut& d_x,
                    const std::vector<MaybeOut>& d_weights, const MaybeOut& d_h0,
                    const MaybeOut& d_c0, int threads, bool openmp) {
  const bool wide = is_double(x.dtype());
  const Kernels& kernels = kernels_of(wide);
  if (x.ndim() < 2) throw std::invalid_argument("x is rows of numbers");
  if (weights.size() < 2 || !weights[1] || weights[1]->ndim() != 2) {
    throw std::invalid_argument("weight_hh is a matrix");
  }
  const auto inputs = width_of(x);
  const auto directions = static_cast<std::int64_t>(weights.size() / 4);
  const auto hidden = static_cast<std::int64_t>(weights[1]->shape(1));
  const Layer layer(plan, x.dtype(), shape_of(cell, inputs, hidden, directions));
  layer.check_row_count(rows_of(x));
  const Shape& shape = layer.shape;
  const Batch& batch = plan.batch();
  const auto dtype = layer.dtype;
  const auto rows = plan.rows();
  if ((c0 || d_c_n || d_c0) && !layer.has_cell_state()) {
    throw std::invalid_argument("the LSTM, and it alone, has a cell state");
  }
  const auto from = weights_of(shape, weights, wide ? Precision::float64 : Precision::float32);

  Backward call{};
  call.shape = shape;
  call.keep = keep_of(keep);
  if (call.keep == Keep::nothing) throw std::invalid_argument("nothing was kept for a backward");
  call.batch = &batch;
  call.x = x.data();
  call.h0 = layer.state(h0, "h0");
  call.c0 = layer.state(c0, "c0");
  if (output) check_rows(*output, "output", dtype, rows, layer.output_width());
  call.output = output ? output->data() : nullptr;
  if (!output && call.keep != Keep::everything) {
    throw std::invalid_argument("without the output everything must have been kept");
  }
  if (d_output) check_rows(*d_output, "d_output", dtype, rows, layer.output_width());
  call.d_output = d_output ? d_output->data() : nullptr;
  call.d_h_n = layer.state(d_h_n, "d_h_n");
  call.d_c_n = layer.state(d_c_n, "d_c_n");
  call.d_h0 = layer.state(d_h0, "d_h0");
  call.d_c0 = layer.state(d_c0, "d_c0");
  const auto saved_bytes = layer.saved_bytes(kernels, call.keep, saved);
  if (!d_weights.empty() && d_weights.size() != weights.size()) {
    throw std::invalid_argument("d_weights are four arrays for each direction, or none");
  }
  const std::int64_t gate_rows = gate_counts[cell] * hidden;
  if (d_x) check_rows(*d_x, "d_x", dtype, rows, inputs);
  void* const d_x_data = d_x ? d_x->data() : nullptr;
  const WorkSplit split = split_work(shape, batch, layer.item_bytes, {threads, openmp});
  call.partition = split.partition;
  const auto each_packed = call.keep == Keep::states ? kernels.packed_forward(&shape) : 0;
  const auto each_workspace =
      kernels.backward_workspace(&shape, &batch, call.keep, split.threads.count) + each_packed;
  const auto second = d_x_data != nullptr && directions == 2 ? rows * inputs * layer.item_bytes : 0;
  char* const memory = thread_workspace().reserve(split.copies(shape) * each_workspace + second);
  for (std::int64_t d = 0; d < directions; ++d) {
    char* const own = memory + (split.directions_in_turn ? 0 : d * each_workspace);
    call.weights[d] = from[static_cast<std::size_t>(d)];
    call.packed[d] = own;
    call.workspace[d] = own + each_packed;
    if (saved_bytes > 0) call.saved[d] = static_cast<const char*>(saved->data()) + d * saved_bytes;
    if (!d_weights.empty()) {
      const auto at = static_cast<std::size_t>(4 * d);
      Gradients& to = call.d_weights[d];
      to.ih = data_of(d_weights[at], "d_weight_ih", dtype, {gate_rows, inputs});
      to.hh = data_of(d_weights[at + 1], "d_weight_hh", dtype, {gate_rows, hidden});
      to.bias_ih = data_of(d_weights[at + 2], "d_bias_ih", dtype, {gate_rows});
      to.bias_hh = data_of(d_weights[at + 3], "d_bias_hh", dtype, {gate_rows});
      if (to.ih == nullptr || to.hh == nullptr) {
        throw std::invalid_argument("d_weight_ih and d_weight_hh must be there");
      }
    }
  }
  call.d_x[0] = d_x_data;
  if (second > 0) call.d_x[1] = memory + split.copies(shape) * each_workspace;

  Barrier packing[2] = {};
  split.each_direction(shape, [&](int direction, int rank, int count) {
    if (d_x_data != nullptr) layer.clear_padding(d_x_data, inputs, direction, rank, count);
    if (each_packed > 0) {
      kernels.pack_forward(&shape, &call.weights[direction],
                           const_cast<void*>(call.packed[direction]), rank, count);
      wait_for_all(&packing[direction], count);
    }
    kernels.backward(&call, direction, rank, count);
  });
  if (second > 0) {
    run_parallel(split.threads, split.threads.count, [&](std::int64_t part, int) {
      if (wide) {
        add_rows(batch, inputs, static_cast<double*>(call.d_x[0]),
                 static_cast<const double*>(call.d_x[1]), part, split.threads.count);
      } else {
        add_rows(batch, inputs, static_cast<float*>(call.d_x[0]),
                 static_cast<const float*>(call.d_x[1]), part, split.threads.count);
      }
    });
  }
  thread_workspace().trim();
}

}  // namespace

void bind_layer(nb::module_& m) {
  using namespace nb::literals;
  m.def("saved_elements", &saved_elements, "cell"_a, "rows"_a, "hidden"_a, "keep"_a, "wide"_a,
        "Elements that one direction keeps for the backward pass.");
  m.def("layer_forward", &layer_forward, "cell"_a, "x"_a, "plan"_a, "numbers"_a.noconvert().none(),
        "weights"_a, "packed"_a.none(), "h0"_a.none(), "c0"_a.none(), "keep"_a, "output"_a, "h_n"_a,
        "c_n"_a.none(), "saved"_a.none(), "threads"_a, "openmp"_a = false, "precision"_a = 0,
        "engine"_a = "", "One layer, forward.");
  m.def("layer_backward", &layer_backward, "cell"_a, "x"_a, "plan"_a, "weights"_a, "h0"_a.none(),
        "c0"_a.none(), "output"_a.none(), "saved"_a.none(), "keep"_a, "d_output"_a.none(),
        "d_h_n"_a.none(), "d_c_n"_a.none(), "d_x"_a.none(), "d_weights"_a, "d_h0"_a.none(),
        "d_c0"_a.none(), "threads"_a, "openmp"_a = false, "One layer, backward.");
}

}  // namespace birnn
