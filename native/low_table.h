// The kernels of int8 and bf16 for one instruction set that has none of float32 of its own: what
// the small isa_*.cpp compile (isa.h).

#pragma once

#include "isa.h"
#include "kernels.h"

namespace birnn {
namespace {

#define BIRNN_TEXT(name) BIRNN_TEXT_(name)
#define BIRNN_TEXT_(name) #name
#define BIRNN_JOIN(a, b) BIRNN_JOIN_(a, b)
#define BIRNN_JOIN_(a, b) a##b

const LowPrecision low = {BIRNN_TEXT(BIRNN_ENGINE), nullptr, nullptr};

}  // namespace

extern "C" const LowPrecision* BIRNN_JOIN(birnn_low_, BIRNN_ENGINE)() { return &low; }

}  // namespace birnn
