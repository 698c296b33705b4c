// The arrays that bindings take, and the checks that keep wrong ones from the kernels.

#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>

#include "array_view.h"
#include "dispatch.h"
#include "kernels.h"

namespace birnn {

using In = ArrayView<false>;
using Out = ArrayView<true>;
using MaybeIn = std::optional<In>;
using MaybeOut = std::optional<Out>;
using Integers = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Extents = std::initializer_list<std::int64_t>;

inline std::string shape_text(const std::int64_t* shape, std::size_t ndim) {
  std::string text = "(";
  for (std::size_t i = 0; i < ndim; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + ")";
}

// Rows of an array of two axes or more, all axes but the last flattened, and the length of a row.
template <class Array>
std::int64_t rows_of(const Array& array) {
  std::int64_t rows = 1;
  for (std::size_t i = 0; i + 1 < array.ndim(); ++i) rows *= array.shape_ptr()[i];
  return rows;
}

template <class Array>
std::int64_t width_of(const Array& array) {
  return array.shape_ptr()[array.ndim() - 1];
}

template <class Array>
void check(const Array& array, const char* name, nb::dlpack::dtype dtype, Extents shape) {
  if (array.dtype() != dtype) {
    throw std::invalid_argument(std::string(name) + " has another dtype than x");
  }
  bool same = array.ndim() == shape.size();
  for (std::size_t i = 0; same && i < shape.size(); ++i) {
    same = static_cast<std::int64_t>(array.shape(i)) == shape.begin()[i];
  }
  if (!same) {
    throw std::invalid_argument(std::string(name) + " has shape " +
                                shape_text(array.shape_ptr(), array.ndim()) + ", it must be " +
                                shape_text(shape.begin(), shape.size()));
  }
}

// The same for an array whose last axis has to be `width` long, and all others together `rows`: (R,
// D) or (B, T, D).
template <class Array>
void check_rows(const Array& array, const char* name, nb::dlpack::dtype dtype, std::int64_t rows,
                std::int64_t width) {
  if (array.dtype() != dtype) {
    throw std::invalid_argument(std::string(name) + " has another dtype than x");
  }
  if (array.ndim() < 2 || rows_of(array) != rows || width_of(array) != width) {
    throw std::invalid_argument(std::string(name) + " has shape " +
                                shape_text(array.shape_ptr(), array.ndim()) + ", it must be " +
                                shape_text(Extents{rows, width}.begin(), 2));
  }
}

// Throws where items are not aligned to `bytes`, as in an array that is mapped from a file. For
// arrays that are never copied, as the kernels' own are.
template <class Array>
void check_aligned(const Array& array, const char* name, std::size_t bytes) {
  if (array.size() > 0 && reinterpret_cast<std::uintptr_t>(array.data()) % bytes != 0) {
    throw std::invalid_argument(std::string(name) + " does not begin at a multiple of " +
                                std::to_string(bytes) + " bytes. Copy it");
  }
}

inline void check_integers(const Integers& array, const char* name) {
  if (array.data() == nullptr && array.size() > 0) {
    throw std::invalid_argument(std::string(name) + " has a shape, and no numbers");
  }
  check_aligned(array, name, sizeof(std::int64_t));
}

template <class Array>
void check_packed(const Array& array, Extents shape) {
  check(array, "packed", nb::dtype<std::uint8_t>(), shape);
  check_aligned(array, "packed", sizeof(double));
}

// The data of an array that is there, null for one that is not.
inline const void* data_of(const MaybeIn& array, const char* name, nb::dlpack::dtype dtype,
                           Extents shape) {
  if (!array) return nullptr;
  check(*array, name, dtype, shape);
  return array->data();
}

inline void* data_of(const MaybeOut& array, const char* name, nb::dlpack::dtype dtype,
                     Extents shape) {
  if (!array) return nullptr;
  check(*array, name, dtype, shape);
  return array->data();
}

// Whether arrays are float64; throws for anything but float32 and float64.
inline bool is_double(nb::dlpack::dtype dtype) {
  if (dtype == nb::dtype<float>()) return false;
  if (dtype == nb::dtype<double>()) return true;
  throw std::invalid_argument("x is neither float32 nor float64");
}

// The precision of a call on rows of such a dtype: that of the rows, unless `low` is bf16 or int8,
// which read float32.
inline Precision precision_for(nb::dlpack::dtype dtype, int low) {
  const Precision precision = precision_of(low);
  const bool wide = is_double(dtype);
  if (precision != Precision::bf16 && precision != Precision::int8) {
    return wide ? Precision::float64 : Precision::float32;
  }
  if (wide) throw std::invalid_argument("x is float64, low precision reads float32");
  return precision;
}

// The precision that a matrix of weights is in.
inline Precision precision_of_weights(nb::dlpack::dtype dtype) {
  if (dtype == nb::dtype<std::int8_t>()) return Precision::int8;
  if (dtype == nb::dtype<std::uint16_t>()) return Precision::bf16;
  return is_double(dtype) ? Precision::float64 : Precision::float32;
}

inline bool is_low(Precision precision) {
  return precision == Precision::bf16 || precision == Precision::int8;
}

// The dtypes of rows, states and biases, and of weights.
inline nb::dlpack::dtype rows_dtype(Precision precision) {
  return precision == Precision::float64 ? nb::dtype<double>() : nb::dtype<float>();
}

inline nb::dlpack::dtype weights_dtype(Precision precision) {
  return precision == Precision::int8   ? nb::dtype<std::int8_t>()
         : precision == Precision::bf16 ? nb::dtype<std::uint16_t>()
                                        : rows_dtype(precision);
}

inline std::int64_t weight_bytes(Precision precision) {
  return weights_dtype(precision).bits / 8;
}

// Sums of products of int8 fit into 32 bits up to here.
inline void check_summands(Precision precision, std::int64_t count) {
  constexpr std::int64_t most = std::numeric_limits<std::int32_t>::max() / (127 * 127);
  if (precision == Precision::int8 && count > most) {
    throw std::invalid_argument("a row of weights in int8 has " + std::to_string(count) +
                                " columns, " + std::to_string(most) + " is the most");
  }
}

// The scales of a matrix's rows, which int8 has and nothing else.
inline const float* scales_of(const MaybeIn& scales, Precision precision, std::int64_t rows) {
  if (scales.has_value() != (precision == Precision::int8)) {
    throw std::invalid_argument("weights in int8, and they alone, come with scales");
  }
  return static_cast<const float*>(data_of(scales, "scales", nb::dtype<float>(), {rows}));
}

}  // namespace birnn
