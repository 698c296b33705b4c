// All kernels for one instruction set. The including file sets
//
//   BIRNN_ENGINE      name of the engine
//   BIRNN_BYTES       bytes of a vector
//   BIRNN_REGISTERS   vector registers: 16 or 32
//
// Everything is in an anonymous namespace and no C++ library header is included: what has a name
// outside could be merged by the linker with the same name compiled for another processor.

#include "kernels.h"

namespace birnn {
namespace {

#include "barrier.inl"

#include "parts.inl"

#include "vector.inl"

#include "tile.inl"

#include "cells.inl"

#include "shape.inl"

#include "forward.inl"

#include "backward_scratch.inl"

#include "backward_weights.inl"

#include "backward.inl"

#include "linear.inl"

#include "chain.inl"

// Picks the cell once for a whole call.
#define BIRNN_BY_CELL(CELL, FUNCTION, ...)                        \
  switch (CELL) {                                                 \
    case Cell::lstm:                                              \
      return FUNCTION<T, Lstm<T>>(__VA_ARGS__);                   \
    case Cell::gru:                                               \
      return FUNCTION<T, Gru<T>>(__VA_ARGS__);                    \
    case Cell::rnn_relu:                                          \
      return FUNCTION<T, Elman<T, true>>(__VA_ARGS__);            \
    default:                                                      \
      return FUNCTION<T, Elman<T, false>>(__VA_ARGS__);           \
  }

template <class T>
struct Table {
  static int64_t packed_forward_size(const Shape* shape) {
    BIRNN_BY_CELL(shape->cell, packed_forward, shape)
  }
  static void pack(const Shape* shape, const Weights* w, void* packed, int rank, int threads) {
    BIRNN_BY_CELL(shape->cell, pack_forward, shape, w, packed, rank, threads)
  }
  static int64_t saved_size(const Shape* shape, int64_t places, Keep keep) {
    BIRNN_BY_CELL(shape->cell, saved, shape, places, keep)
  }
  static int64_t forward_room(const Shape* shape, const Batch* batch, Keep keep, int64_t entries,
                              int threads) {
    BIRNN_BY_CELL(shape->cell, forward_scratch, shape, batch, keep, entries, threads)
  }
  static void run(Forward* call, int direction, int rank, int threads) {
    BIRNN_BY_CELL(call->shape.cell, forward, call, direction, rank, threads)
  }
  static int64_t backward_room(const Shape* shape, const Batch* batch, Keep keep, int threads) {
    BIRNN_BY_CELL(shape->cell, backward_scratch, shape, batch, keep, threads)
  }
  static void run_back(Backward* call, int direction, int rank, int threads) {
    BIRNN_BY_CELL(call->shape.cell, backward, call, direction, rank, threads)
  }
  static constexpr Kernels kernels = {
      packed_forward_size, pack,          saved_size,       forward_room,
      run,                 backward_room, run_back,         packed_linear<T>,
      pack_linear<T>,      linear<T>,     fma<T>,
  };
};

#define BIRNN_TEXT(name) BIRNN_TEXT_(name)
#define BIRNN_TEXT_(name) #name
#define BIRNN_JOIN(a, b) BIRNN_JOIN_(a, b)
#define BIRNN_JOIN_(a, b) a##b

const Engine engine = {BIRNN_TEXT(BIRNN_ENGINE), Table<float>::kernels, Table<double>::kernels,
                       chain_kernels};

}  // namespace

extern "C" const Engine* BIRNN_JOIN(birnn_engine_, BIRNN_ENGINE)() { return &engine; }

}  // namespace birnn
