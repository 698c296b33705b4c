// The kernels of inference in one precision, as a table of functions.

#pragma once

#include <stdint.h>

#include "cells.h"
#include "forward.h"
#include "isa.h"
#include "kernels.h"
#include "layer.h"
#include "linear.h"

namespace birnn {
namespace {

// Picks the cell once for a whole call; A is what products are computed with, T the numbers of
// gates.
#define BIRNN_BY_CELL(CELL, FUNCTION, ...)              \
  switch (CELL) {                                       \
    case Cell::lstm:                                    \
      return FUNCTION<A, Lstm<T>>(__VA_ARGS__);         \
    case Cell::gru:                                     \
      return FUNCTION<A, Gru<T>>(__VA_ARGS__);          \
    case Cell::rnn_relu:                                \
      return FUNCTION<A, Elman<T, true>>(__VA_ARGS__);  \
    default:                                            \
      return FUNCTION<A, Elman<T, false>>(__VA_ARGS__); \
  }

template <class A>
struct InferenceTable {
  using T = NumberOf<A>;
  static int64_t packed_forward_size(const Shape* shape) {
    BIRNN_BY_CELL(shape->cell, packed_forward, shape)
  }
  static void pack(const Shape* shape, const Weights* w, void* packed, int rank, int threads) {
    BIRNN_BY_CELL(shape->cell, pack_forward, shape, w, packed, rank, threads)
  }
  static int64_t width_of_product(const Shape* shape) {
    BIRNN_BY_CELL(shape->cell, product_width, shape)
  }
  static void run_products(const InputProducts* call, int direction, int64_t begin, int64_t end,
                           char* workspace) {
    const typename Arithmetic<A>::Call here;
    BIRNN_BY_CELL(call->shape.cell, input_products, call, direction, begin, end, workspace)
  }
  static int64_t forward_bytes(const Shape* shape, const Batch* batch, Keep keep, int threads) {
    BIRNN_BY_CELL(shape->cell, forward_workspace, shape, batch, keep, threads)
  }
  static void run_forward(Forward* call, int direction, int rank, int threads) {
    const typename Arithmetic<A>::Call here;
    BIRNN_BY_CELL(call->shape.cell, forward, call, direction, rank, threads)
  }
  static void run_linear(const Linear* call, int rank, int threads) {
    const typename Arithmetic<A>::Call here;
    linear<A>(call, rank, threads);
  }
  static constexpr InferenceKernels kernels = {
      packed_forward_size, pack,          width_of_product, products_workspace<A>, run_products,
      forward_bytes,       run_forward,   packed_linear<A>, pack_linear<A>,
      linear_workspace<A>, run_linear,     peak_operations<A>,
  };
};

// Names of an engine and of its table, from a macro.
#define BIRNN_TEXT(name) BIRNN_TEXT_(name)
#define BIRNN_TEXT_(name) #name
#define BIRNN_JOIN(a, b) BIRNN_JOIN_(a, b)
#define BIRNN_JOIN_(a, b) a##b

}  // namespace
}  // namespace birnn
