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
#include "inference_table.h"
#include "isa.h"
#include "kernels.h"
#include "layer.h"
#include "low_precision.h"
#include "weight_gradients.h"

namespace birnn {
namespace {

template <class A>
struct Table {
  using T = A;
  static int64_t saved_elements(const Shape* shape, int64_t rows, Keep keep) {
    BIRNN_BY_CELL(shape->cell, saved_size, shape, rows, keep)
  }
  static int64_t backward_bytes(const Shape* shape, const Batch* batch, Keep keep, int threads) {
    BIRNN_BY_CELL(shape->cell, backward_workspace, shape, batch, keep, threads)
  }
  static void run_backward(Backward* call, int direction, int rank, int threads) {
    BIRNN_BY_CELL(call->shape.cell, backward, call, direction, rank, threads)
  }
  static constexpr Kernels kernels = {
      InferenceTable<A>::kernels,
      saved_elements,
      backward_bytes,
      run_backward,
      attention::workspace_size<A>,
      attention::forward<A>,
      attention::backward<A>,
  };
};

constexpr CrfKernels crf_kernels = {crf::workspace_size, crf::sums, crf::paths,
                                   crf::span_workspace_size, crf::spans};

const Engine engine = {BIRNN_TEXT(BIRNN_ENGINE), Table<float>::kernels, Table<double>::kernels,
                       crf_kernels,
                       LowPrecision{BIRNN_TEXT(BIRNN_ENGINE), &InferenceTable<Int8>::kernels,
                                    &InferenceTable<Bf16>::kernels}};

}  // namespace

extern "C" const Engine* BIRNN_JOIN(birnn_engine_, BIRNN_ENGINE)() { return &engine; }

}  // namespace birnn
