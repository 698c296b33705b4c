// Recurrent layers for Python: checked arrays in, kernels on all threads, nothing allocated inside.

#include <nanobind/stl/optional.h>
#include <nanobind/stl/vector.h>
#include <sched.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "arrays.h"
#include "dispatch.h"
#include "plan.h"
#include "pool.h"
#include "unlocked.h"

namespace birnn {

namespace {

#include "barrier.inl"

// Below this many floating point operations a second thread costs more than it brings.
constexpr double worth_a_thread = 1e6;

// Gates of each cell, in the order of `Cell`.
constexpr std::int64_t gate_counts[] = {1, 1, 4, 3};

Cell cell_of(int number) {
  if (number < 0 || number > 3) throw std::invalid_argument("there is no such cell");
  return static_cast<Cell>(number);
}

Keep keep_of(int number) {
  if (number < 0 || number > 2) throw std::invalid_argument("there is no such keep");
  return static_cast<Keep>(number);
}

Shape shape_of(int cell, std::int64_t inputs, std::int64_t hidden, std::int64_t directions) {
  constexpr std::int64_t most = std::int64_t{1} << 24;
  if (inputs < 1 || inputs > most || hidden < 1 || hidden > most) {
    throw std::invalid_argument("inputs and hidden units are from 1 to 2**24");
  }
  if (directions < 1 || directions > 2) throw std::invalid_argument("directions are 1 or 2");
  return Shape{cell_of(cell), inputs, hidden, directions};
}

const Kernels& kernels_of(bool wide) { return wide ? engine().float64 : engine().float32; }

// Weights of one direction: weight_ih, weight_hh, bias_ih, bias_hh.
std::vector<Weights> weights_of(const Shape& shape, const std::vector<MaybeIn>& arrays,
                                nb::dlpack::dtype dtype) {
  if (arrays.size() != static_cast<std::size_t>(4 * shape.directions)) {
    throw std::invalid_argument("weights are four arrays for each direction");
  }
  const std::int64_t rows = gate_counts[static_cast<int>(shape.cell)] * shape.hidden;
  std::vector<Weights> weights;
  for (std::size_t i = 0; i < arrays.size(); i += 4) {
    const Weights one{data_of(arrays[i], "weight_ih", dtype, {rows, shape.inputs}),
                      data_of(arrays[i + 1], "weight_hh", dtype, {rows, shape.hidden}),
                      data_of(arrays[i + 2], "bias_ih", dtype, {rows}),
                      data_of(arrays[i + 3], "bias_hh", dtype, {rows})};
    if (one.ih == nullptr || one.hh == nullptr) {
      throw std::invalid_argument("weight_ih and weight_hh must be there");
    }
    weights.push_back(one);
  }
  return weights;
}

// Threads worth having: directions first, then sequences.
int threads_for(const Shape& shape, const Batch& batch, int asked) {
  const double gates = gate_counts[static_cast<int>(shape.cell)];
  const double work = 2.0 * static_cast<double>(batch.places) * gates *
                      static_cast<double>(shape.directions) * static_cast<double>(shape.hidden) *
                      static_cast<double>(shape.inputs + shape.hidden);
  if (work < worth_a_thread) return 1;
  const auto most = shape.directions * std::max<std::int64_t>(1, batch.block_sequences);
  return static_cast<int>(std::min<std::int64_t>(threads_wanted(asked), most));
}

// Calls run(direction, rank, threads) for the directions that thread `rank` of `threads` has.
template <class Run>
void share_directions(std::int64_t directions, int rank, int threads, Run run) {
  const int count = static_cast<int>(directions);
  if (threads < count) {
    for (int direction = rank; direction < count; direction += threads) run(direction, 0, 1);
    return;
  }
  const int direction = rank % count;
  run(direction, rank / count, (threads - direction + count - 1) / count);
}

// run(rank, threads) on `threads` threads, without the interpreter's lock.
template <class Run>
void run_parallel(int threads, Run run) {
  unlocked([&] {
    run_on_threads(
        threads,
        [](void* context, int rank, int count) { (*static_cast<Run*>(context))(rank, count); },
        &run);
  });
}

std::int64_t packed_bytes(int cell, std::int64_t inputs, std::int64_t hidden, bool wide) {
  const Shape shape = shape_of(cell, inputs, hidden, 1);
  return kernels_of(wide).packed_forward(&shape);
}

void pack(int cell, const std::vector<MaybeIn>& weights, const Out& packed) {
  if (weights.empty() || !weights[0] || weights[0]->ndim() != 2 || weights.size() < 2 ||
      !weights[1] || weights[1]->ndim() != 2) {
    throw std::invalid_argument("weight_ih and weight_hh are matrices");
  }
  const auto dtype = weights[0]->dtype();
  const Kernels& kernels = kernels_of(is_double(dtype));
  const Shape shape = shape_of(cell, static_cast<std::int64_t>(weights[0]->shape(1)),
                               static_cast<std::int64_t>(weights[1]->shape(1)),
                               static_cast<std::int64_t>(weights.size() / 4));
  const auto each = kernels.packed_forward(&shape);
  check_packed(packed, {shape.directions, each});
  const auto from = weights_of(shape, weights, dtype);
  char* to = static_cast<char*>(packed.data());
  run_parallel(1, [&](int, int) {
    for (const Weights& one : from) {
      kernels.pack_forward(&shape, &one, to, 0, 1);
      to += each;
    }
  });
}

std::int64_t saved_elements(int cell, std::int64_t rows, std::int64_t hidden, int keep, bool wide) {
  const Shape shape = shape_of(cell, 1, hidden, 1);
  if (rows < 0) throw std::invalid_argument("rows are negative");
  const auto each = kernels_of(wide).saved(&shape, 1, keep_of(keep));
  if (each > 0 && rows > std::numeric_limits<std::int64_t>::max() / each) {
    throw std::invalid_argument("there cannot be " + std::to_string(rows) + " rows");
  }
  return rows * each;
}

void layer_forward(int cell, const In& x, const Integers& lengths, const Integers& starts,
                   const Integers& steps, const std::optional<Integers>& numbers,
                   const std::vector<MaybeIn>& weights, const MaybeIn& packed, const MaybeIn& h0, const MaybeIn& c0, int keep,
                   const Out& output, const Out& h_n, const MaybeOut& c_n, const MaybeOut& saved,
                   std::int64_t hidden, int threads) {
  const auto dtype = x.dtype();
  const Kernels& kernels = kernels_of(is_double(dtype));
  if (x.ndim() != 2) throw std::invalid_argument("x is a matrix of rows");
  const auto entries = static_cast<std::int64_t>(x.shape(0));
  const auto rows = numbers ? static_cast<std::int64_t>(numbers->shape(0)) : entries;
  const auto directions = static_cast<std::int64_t>(
      packed ? (packed->ndim() == 2 ? packed->shape(0) : 0) : weights.size() / 4);
  const Shape shape =
      shape_of(cell, static_cast<std::int64_t>(x.shape(1)), hidden, directions);
  if (starts.shape(0) != lengths.shape(0)) {
    throw std::invalid_argument("starts and lengths differ in number");
  }
  const auto count = static_cast<std::int64_t>(lengths.shape(0));
  check_aligned(x, "x", dtype.bits / 8u);
  check_integers(lengths, "lengths");
  check_integers(starts, "starts");
  check_integers(steps, "steps");
  const Plan plan(lengths.data(), starts.data(), count, steps.data(),
                  static_cast<std::int64_t>(steps.shape(0)), rows);
  const Batch& batch = plan.batch();
  const bool memory = shape.cell == Cell::lstm;
  if (memory != c_n.has_value() || (c0 && !memory)) {
    throw std::invalid_argument("the LSTM, and it alone, has a cell state");
  }

  Forward call{};
  call.shape = shape;
  call.keep = keep_of(keep);
  call.batch = &batch;
  call.x = x.data();
  std::vector<std::int64_t> table_rows;  // a copy, as in `Plan`
  if (numbers) {
    check_integers(*numbers, "numbers");
    table_rows.assign(numbers->data(), numbers->data() + rows);
    for (std::int64_t row = 0; row < rows; ++row) {
      const auto number = table_rows[static_cast<std::size_t>(row)];
      if (number < 0 || number >= entries) {
        throw std::invalid_argument("numbers[" + std::to_string(row) + "] is " +
                                    std::to_string(number) + ", the table has " +
                                    std::to_string(entries) + " rows");
      }
    }
    call.numbers = table_rows.data();
    call.entries = entries;
  }
  call.h0 = data_of(h0, "h0", dtype, {directions, count, hidden});
  call.c0 = data_of(c0, "c0", dtype, {directions, count, hidden});
  check(output, "output", dtype, {rows, directions * hidden});
  call.output = output.data();
  check(h_n, "h_n", dtype, {directions, count, hidden});
  call.h_n = h_n.data();
  call.c_n = data_of(c_n, "c_n", dtype, {directions, count, hidden});
  const auto item = static_cast<std::int64_t>(dtype.bits / 8);
  const auto kept = kernels.saved(&shape, batch.places, call.keep);
  if (kept > 0) {
    if (!saved || saved->ndim() != 1 || saved->dtype() != dtype ||
        static_cast<std::int64_t>(saved->shape(0)) < directions * kept) {
      throw std::invalid_argument("saved is a vector of x's dtype of at least " +
                                  std::to_string(directions * kept) + " elements");
    }
    check_aligned(*saved, "saved", dtype.bits / 8u);
    for (std::int64_t d = 0; d < directions; ++d) {
      call.saved[d] = static_cast<char*>(saved->data()) + d * kept * item;
    }
  }
  const int team = threads_for(shape, batch, threads);
  const auto each_packed = kernels.packed_forward(&shape);
  const auto room = kernels.forward_scratch(&shape, &batch, call.keep, call.entries, team);
  char* memory_here = scratch().room(directions * (room + each_packed));
  for (std::int64_t d = 0; d < directions; ++d) {
    call.scratch[d] = memory_here + d * room;
    call.packed[d] = memory_here + directions * room + d * each_packed;
  }
  std::vector<Weights> from;
  if (packed) {
    check_packed(*packed, {directions, each_packed});
    for (std::int64_t d = 0; d < directions; ++d) {
      call.packed[d] = static_cast<const char*>(packed->data()) + d * each_packed;
    }
  } else {
    from = weights_of(shape, weights, dtype);
  }
  Barrier packing[2] = {};
  run_parallel(team, [&](int rank, int count_here) {
    share_directions(directions, rank, count_here, [&](int direction, int mine, int of) {
      if (!from.empty()) {
        kernels.pack_forward(&shape, &from[static_cast<std::size_t>(direction)],
                             const_cast<void*>(call.packed[direction]), mine, of);
        wait_for_all(&packing[direction], of);
      }
      kernels.forward(&call, direction, mine, of);
    });
  });
  scratch().settle();
}

// d_x of the second direction added to that of the first, for real rows alone.
template <class T>
void add_rows(const Batch& batch, std::int64_t width, T* to, const T* from, int rank, int threads) {
  for (std::int64_t b = 0; b < batch.blocks; ++b) {
    const Block& block = batch.block[b];
    for (std::int64_t s = rank; s < block.sequences; s += threads) {
      for (std::int64_t t = 0; t < block.length[s]; ++t) {
        const auto at = (batch.starts[block.order[s]] + batch.steps[t]) * width;
        for (std::int64_t i = 0; i < width; ++i) to[at + i] += from[at + i];
      }
    }
  }
}

void layer_backward(int cell, const In& x, const Integers& lengths, const Integers& starts,
                    const Integers& steps, const std::vector<MaybeIn>& weights, const MaybeIn& h0,
                    const MaybeIn& c0, const In& output, const MaybeIn& saved, int keep,
                    const MaybeIn& d_output, const MaybeIn& d_h_n, const MaybeIn& d_c_n,
                    const MaybeOut& d_x, const std::vector<MaybeOut>& d_weights, const Out& d_h0,
                    const MaybeOut& d_c0, int threads) {
  const auto dtype = x.dtype();
  const bool wide = is_double(dtype);
  const Kernels& kernels = kernels_of(wide);
  if (x.ndim() != 2 || d_h0.ndim() != 3) {
    throw std::invalid_argument("x is a matrix of rows, d_h0 has three axes");
  }
  const auto rows = static_cast<std::int64_t>(x.shape(0));
  const auto inputs = static_cast<std::int64_t>(x.shape(1));
  const auto directions = static_cast<std::int64_t>(weights.size() / 4);
  const auto hidden = static_cast<std::int64_t>(d_h0.shape(2));
  const Shape shape = shape_of(cell, inputs, hidden, directions);
  if (starts.shape(0) != lengths.shape(0)) {
    throw std::invalid_argument("starts and lengths differ in number");
  }
  const auto count = static_cast<std::int64_t>(lengths.shape(0));
  check_aligned(x, "x", dtype.bits / 8u);
  check_integers(lengths, "lengths");
  check_integers(starts, "starts");
  check_integers(steps, "steps");
  const Plan plan(lengths.data(), starts.data(), count, steps.data(),
                  static_cast<std::int64_t>(steps.shape(0)), rows);
  const Batch& batch = plan.batch();
  const bool memory = shape.cell == Cell::lstm;
  if (memory != d_c0.has_value() || ((c0 || d_c_n) && !memory)) {
    throw std::invalid_argument("the LSTM, and it alone, has a cell state");
  }
  const auto from = weights_of(shape, weights, dtype);

  Backward call{};
  call.shape = shape;
  call.keep = keep_of(keep);
  if (call.keep == Keep::nothing) throw std::invalid_argument("nothing was kept for a backward");
  call.batch = &batch;
  call.x = x.data();
  call.h0 = data_of(h0, "h0", dtype, {directions, count, hidden});
  call.c0 = data_of(c0, "c0", dtype, {directions, count, hidden});
  check(output, "output", dtype, {rows, directions * hidden});
  call.output = output.data();
  call.d_output = data_of(d_output, "d_output", dtype, {rows, directions * hidden});
  call.d_h_n = data_of(d_h_n, "d_h_n", dtype, {directions, count, hidden});
  call.d_c_n = data_of(d_c_n, "d_c_n", dtype, {directions, count, hidden});
  check(d_h0, "d_h0", dtype, {directions, count, hidden});
  call.d_h0 = d_h0.data();
  call.d_c0 = data_of(d_c0, "d_c0", dtype, {directions, count, hidden});
  const auto item = static_cast<std::int64_t>(dtype.bits / 8);
  const auto kept = kernels.saved(&shape, batch.places, call.keep);
  if (kept > 0 && (!saved || saved->ndim() != 1 || saved->dtype() != dtype ||
                   static_cast<std::int64_t>(saved->shape(0)) < directions * kept)) {
    throw std::invalid_argument("saved is a vector of x's dtype of at least " +
                                std::to_string(directions * kept) + " elements");
  }
  if (kept > 0) check_aligned(*saved, "saved", dtype.bits / 8u);
  if (!d_weights.empty() && d_weights.size() != weights.size()) {
    throw std::invalid_argument("d_weights are four arrays for each direction, or none");
  }
  const std::int64_t gate_rows = gate_counts[cell] * hidden;
  void* const d_x_data = data_of(d_x, "d_x", dtype, {rows, inputs});
  const int team = threads_for(shape, batch, threads);
  const auto each_packed = call.keep == Keep::states ? kernels.packed_forward(&shape) : 0;
  const auto room = kernels.backward_scratch(&shape, &batch, call.keep, team);
  const auto second = d_x_data != nullptr && directions == 2 ? rows * inputs * item : 0;
  char* here = scratch().room(directions * (room + each_packed) + second);
  for (std::int64_t d = 0; d < directions; ++d) {
    call.weights[d] = from[static_cast<std::size_t>(d)];
    call.scratch[d] = here + d * room;
    call.packed[d] = here + directions * room + d * each_packed;
    if (kept > 0) call.saved[d] = static_cast<const char*>(saved->data()) + d * kept * item;
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
  if (second > 0) call.d_x[1] = here + directions * (room + each_packed);

  Barrier all{}, packing[2] = {};
  run_parallel(team, [&](int rank, int count_here) {
    share_directions(directions, rank, count_here, [&](int direction, int mine, int of) {
      if (each_packed > 0) {
        kernels.pack_forward(&shape, &call.weights[direction],
                             const_cast<void*>(call.packed[direction]), mine, of);
        wait_for_all(&packing[direction], of);
      }
      kernels.backward(&call, direction, mine, of);
    });
    if (second == 0) return;
    wait_for_all(&all, count_here);
    if (wide) {
      add_rows(batch, inputs, static_cast<double*>(call.d_x[0]),
               static_cast<const double*>(call.d_x[1]), rank, count_here);
    } else {
      add_rows(batch, inputs, static_cast<float*>(call.d_x[0]),
               static_cast<const float*>(call.d_x[1]), rank, count_here);
    }
  });
  scratch().settle();
}

}  // namespace

void bind_layer(nb::module_& m) {
  using namespace nb::literals;
  m.def("packed_bytes", &packed_bytes, "cell"_a, "inputs"_a, "hidden"_a, "wide"_a,
        "Bytes of the packed weights of one direction.");
  m.def("pack", &pack, "cell"_a, "weights"_a, "packed"_a.noconvert(),
        "Pack the weights of all directions into (directions, packed_bytes) uint8.");
  m.def("saved_elements", &saved_elements, "cell"_a, "rows"_a, "hidden"_a, "keep"_a, "wide"_a,
        "Elements that one direction keeps for the backward pass.");
  m.def("layer_forward", &layer_forward, "cell"_a, "x"_a.noconvert(), "lengths"_a.noconvert(),
        "starts"_a.noconvert(), "steps"_a.noconvert(), "numbers"_a.noconvert().none(),
        "weights"_a.noconvert(), "packed"_a.noconvert().none(), "h0"_a.noconvert().none(), "c0"_a.noconvert().none(),
        "keep"_a, "output"_a.noconvert(), "h_n"_a.noconvert(), "c_n"_a.noconvert().none(),
        "saved"_a.noconvert().none(), "hidden"_a, "threads"_a, "One layer, forward.");
  m.def("layer_backward", &layer_backward, "cell"_a, "x"_a.noconvert(), "lengths"_a.noconvert(),
        "starts"_a.noconvert(), "steps"_a.noconvert(), "weights"_a.noconvert(),
        "h0"_a.noconvert().none(), "c0"_a.noconvert().none(), "output"_a.noconvert(),
        "saved"_a.noconvert().none(), "keep"_a, "d_output"_a.noconvert().none(),
        "d_h_n"_a.noconvert().none(), "d_c_n"_a.noconvert().none(), "d_x"_a.noconvert().none(),
        "d_weights"_a.noconvert(), "d_h0"_a.noconvert(), "d_c0"_a.noconvert().none(),
        "threads"_a, "One layer, backward.");
}

}  // namespace birnn
