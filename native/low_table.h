// The kernels of int8 and bf16 for one instruction set that has none of float32 of its own: what
// the small isa_*.cpp compile (isa.h). They say which of the two it is made for.

#pragma once

#include "inference_table.h"
#include "isa.h"
#include "kernels.h"
#include "low_precision.h"

#if !defined(BIRNN_INT8)  // a header that is read by itself
#define BIRNN_INT8 true
#define BIRNN_BF16 true
#endif

namespace birnn {
namespace {

template <class A, bool HERE>
constexpr const InferenceKernels* low_kernels() {
  if constexpr (HERE) {
    return &InferenceTable<A>::kernels;
  } else {
    return nullptr;
  }
}

const LowPrecision low = {BIRNN_TEXT(BIRNN_ENGINE), low_kernels<Int8, BIRNN_INT8>(),
                          low_kernels<Bf16, BIRNN_BF16>()};

}  // namespace

extern "C" const LowPrecision* BIRNN_JOIN(birnn_low_, BIRNN_ENGINE)() { return &low; }

}  // namespace birnn
