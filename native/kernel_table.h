// All kernels for one instruction set, as a table of functions: what isa_*.cpp compile (isa.h).

#pragma once

#include <stdint.h>

#include "attention.h"
#include "backward.h"
#include "cells.h"
#include "crf_spans.h"
#include "crf_sums.h"
#include "crf_viterbi.h"
#include "crf_workspace.h"
#include "forward.h"
#include "isa.h"
#include "kernels.h"
#include "layer.h"
#include "linear.h"
#include "weight_gradients.h"

namespace birnn {
namespace {

// Picks the cell once for a whole call.
#define BIRNN_BY_CELL(CELL, FUNCTION, ...)              \
  switch (CELL) {                                       \
    case Cell::lstm:                                    \
      return FUNCTION<T, Lstm<T>>(__VA_ARGS__);         \
    case Cell::gru:                                     \
      return FUNCTION<T, Gru<T>>(__VA_ARGS__);          \
    case Cell::rnn_relu:                                \
      return FUNCTION<T, Elman<T, true>>(__VA_ARGS__);  \
    default:                                            \
      return FUNCTION<T, Elman<T, false>>(__VA_ARGS__); \
  }

template <class T>
struct Table {
  static int64_t packed_forward_size(const Shape* shape) {
    BIRNN_BY_CELL(shape->cell, packed_forward, shape)
  }
  static void pack(const Shape* shape, const Weights* w, void* packed, int rank, int threads) {
    BIRNN_BY_CELL(shape->cell, pack_forward, shape, w, packed, rank, threads)
  }
  static int64_t saved_elements(const Shape* shape, int64_t rows, Keep keep) {
    BIRNN_BY_CELL(shape->cell, saved_size, shape, rows, keep)
  }
  static int64_t width_of_product(const Shape* shape) {
    BIRNN_BY_CELL(shape->cell, product_width, shape)
  }
  static void run_products(const InputProducts* call, int direction, int64_t begin, int64_t end) {
    BIRNN_BY_CELL(call->shape.cell, input_products, call, direction, begin, end)
  }
  static int64_t forward_bytes(const Shape* shape, const Batch* batch, Keep keep, int threads) {
    BIRNN_BY_CELL(shape->cell, forward_workspace, shape, batch, keep, threads)
  }
  static void run_forward(Forward* call, int direction, int rank, int threads) {
    BIRNN_BY_CELL(call->shape.cell, forward, call, direction, rank, threads)
  }
  static int64_t backward_bytes(const Shape* shape, const Batch* batch, Keep keep, int threads) {
    BIRNN_BY_CELL(shape->cell, backward_workspace, shape, batch, keep, threads)
  }
  static void run_backward(Backward* call, int direction, int rank, int threads) {
    BIRNN_BY_CELL(call->shape.cell, backward, call, direction, rank, threads)
  }
  static constexpr Kernels kernels = {
      {
          packed_forward_size,
          pack,
          width_of_product,
          run_products,
          forward_bytes,
          run_forward,
          packed_linear<T>,
          pack_linear<T>,
          linear<T>,
          fma_operations<T>,
      },
      saved_elements,
      backward_bytes,
      run_backward,
      attention::workspace_size<T>,
      attention::forward<T>,
      attention::backward<T>,
  };
};

#undef BIRNN_BY_CELL

constexpr CrfKernels crf_kernels = {crf::workspace_size, crf::sums, crf::paths,
                                   crf::span_workspace_size, crf::spans};

#define BIRNN_TEXT(name) BIRNN_TEXT_(name)
#define BIRNN_TEXT_(name) #name
#define BIRNN_JOIN(a, b) BIRNN_JOIN_(a, b)
#define BIRNN_JOIN_(a, b) a##b

const Engine engine = {BIRNN_TEXT(BIRNN_ENGINE), Table<float>::kernels, Table<double>::kernels,
                       crf_kernels, LowPrecision{BIRNN_TEXT(BIRNN_ENGINE), nullptr, nullptr}};

}  // namespace

extern "C" const Engine* BIRNN_JOIN(birnn_engine_, BIRNN_ENGINE)() { return &engine; }

}  // namespace birnn
