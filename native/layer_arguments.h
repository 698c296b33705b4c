// What the bindings of a layer are called with, checked: its cell, its sizes, its weights.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

#include "array_checks.h"
#include "dispatch.h"
#include "kernels.h"
#include "work_split.h"

namespace birnn {

inline Cell cell_of(int number) {
  if (number < 0 || number > 3) throw std::invalid_argument("there is no such cell");
  return static_cast<Cell>(number);
}

inline Shape shape_of(int cell, std::int64_t inputs, std::int64_t hidden, std::int64_t directions) {
  constexpr std::int64_t most = std::int64_t{1} << 24;
  if (inputs < 1 || inputs > most || hidden < 1 || hidden > most) {
    throw std::invalid_argument("inputs and hidden units are from 1 to 2**24");
  }
  if (directions < 1 || directions > 2) throw std::invalid_argument("directions are 1 or 2");
  return Shape{cell_of(cell), inputs, hidden, directions};
}

// The kernels of inference in a precision, for weights of which a row has so many columns at most.
inline const InferenceKernels& inference_for(Precision precision, const Shape& shape,
                                             const std::string& engine) {
  check_summands(precision, std::max(shape.inputs, shape.hidden));
  return inference_kernels(precision, engine);
}

// Weights of each direction: weight_ih, weight_hh, bias_ih, bias_hh; of int8 the scales of the two
// matrices.
inline std::vector<Weights> weights_of(const Shape& shape, const std::vector<MaybeIn>& arrays,
                                       Precision precision, const std::vector<MaybeIn>& scales = {}) {
  if (arrays.size() != static_cast<std::size_t>(4 * shape.directions) ||
      (!scales.empty() && 2 * scales.size() != arrays.size())) {
    throw std::invalid_argument(
        "weights are four arrays for each direction, of int8 with scales of two");
  }
  const auto dtype = weights_dtype(precision), bias_dtype = rows_dtype(precision);
  const MaybeIn none;
  const std::int64_t rows = gate_counts[static_cast<int>(shape.cell)] * shape.hidden;
  std::vector<Weights> weights;
  for (std::size_t i = 0; i < arrays.size(); i += 4) {
    const MaybeIn* const own = scales.empty() ? nullptr : &scales[i / 2];
    const Weights one{data_of(arrays[i], "weight_ih", dtype, {rows, shape.inputs}),
                      data_of(arrays[i + 1], "weight_hh", dtype, {rows, shape.hidden}),
                      data_of(arrays[i + 2], "bias_ih", bias_dtype, {rows}),
                      data_of(arrays[i + 3], "bias_hh", bias_dtype, {rows}),
                      scales_of(own != nullptr ? own[0] : none, precision, rows),
                      scales_of(own != nullptr ? own[1] : none, precision, rows)};
    if (one.ih == nullptr || one.hh == nullptr) {
      throw std::invalid_argument("weight_ih and weight_hh must be there");
    }
    weights.push_back(one);
  }
  return weights;
}

}  // namespace birnn
