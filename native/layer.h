// What the forward and the backward pass of a layer have in common: sizes, where the rows of a
// batch stand, packed weights, gates, what is saved from one for the other.
//
// A is what products are computed with, float, double, Int8 or Bf16 (gemm.h), T the numbers of gates
// and states, C a cell of cells.h.

#pragma once

#include "cells.h"
#include "gemm.h"
#include "isa.h"
#include "kernels.h"
#include "packing.h"
#include "simd.h"

namespace birnn {
namespace {

// The row of the batch at a step of a block's sequence.
inline int64_t row_at(const Batch& batch, const Block& block, int64_t sequence, int64_t step,
                      bool reverse) {
  const int64_t at = reverse ? block.length[sequence] - 1 - step : step;
  return batch.starts[block.order[sequence]] + batch.steps[at];
}

// Sizes of a layer, padded to whole vectors and panels.
template <class A, class C>
struct Sizes {
  using T = NumberOf<A>;
  static constexpr int L = LANES<T>;
  static constexpr int width = PANEL_VECTORS * L;  // of a panel of gates
  int64_t inputs, hidden;
  int64_t panels;   // of gates
  int64_t padded;   // hidden units in whole panels
  int64_t outputs;  // hidden units in whole panels of a plain product

  explicit Sizes(const Shape& shape)
      : inputs(shape.inputs),
        hidden(shape.hidden),
        panels((shape.hidden + C::unit_vectors * L - 1) / (C::unit_vectors * L)),
        padded(panels * C::unit_vectors * L),
        outputs(round_up(padded, width)) {}

  // Elements of the packed weights of one panel.
  int64_t input_panel() const { return Arithmetic<A>::panel_size(inputs, C::product_vectors); }
  int64_t hidden_panel() const { return Arithmetic<A>::panel_size(hidden, C::product_vectors); }
  int64_t gate_rows() const { return C::gates * hidden; }
  int64_t row_width() const { return C::row_blocks * padded; }
  // Elements from one row of gates, or of their gradients, to the next.
  int64_t gate_step() const { return padded_stride(panels * width); }
  int64_t row_step() const { return padded_stride(row_width()); }
  int64_t groups() const { return outputs / width; }

 private:
  // With a large power of two between rows, a column of them falls into few sets of the L1 cache.
  static int64_t padded_stride(int64_t elements) {
    constexpr int64_t size = sizeof(T), line = 64, critical = 1024;
    return elements + (elements * size % critical == 0 ? line / size : 0);
  }
};

// Packed forward weights: all panels of weight_hh, of the biases, of weight_ih. The last are not
// read where the input products are given, so that the others stand where no number of inputs
// moves them.
template <class A, class C>
struct PackedWeights {
  using T = NumberOf<A>;
  PackedOf<A>* hh;
  T* bias;
  PackedOf<A>* ih;

  // Without memory, `used` tells how many bytes they take.
  PackedWeights(const Sizes<A, C>& sizes, char* memory, int64_t* used = nullptr)
      : PackedWeights(sizes, BumpAllocator{memory}, used) {}

 private:
  PackedWeights(const Sizes<A, C>& sizes, BumpAllocator allocator, int64_t* used)
      : hh(allocator.allocate<PackedOf<A>>(sizes.panels * sizes.hidden_panel())),
        bias(allocator.allocate<T>(sizes.panels * sizes.width)),
        ih(allocator.allocate<PackedOf<A>>(sizes.panels * sizes.input_panel())) {
    if (used != nullptr) *used = allocator.used;
  }
};

template <class A, class C>
int64_t packed_forward(const Shape* shape) {
  int64_t used = 0;
  PackedWeights<A, C>(Sizes<A, C>(*shape), nullptr, &used);
  return used;
}

template <class A, class C>
void pack_forward(const Shape* shape, const Weights* weights, void* packed, int rank, int threads) {
  using T = NumberOf<A>;
  constexpr int L = LANES<T>;
  constexpr int product = C::product_vectors;
  const Sizes<A, C> sizes(*shape);
  const PackedWeights<A, C> to(sizes, static_cast<char*>(packed));
  const T* bias_ih = static_cast<const T*>(weights->bias_ih);
  const T* bias_hh = static_cast<const T*>(weights->bias_hh);
  for (int64_t panel = rank; panel < sizes.panels; panel += threads) {
    for (int v = 0; v < product; ++v) {
      const int64_t gate = C::unit_vectors == 1 ? v : 0;
      const int64_t unit = (C::unit_vectors == 1 ? panel : panel * PANEL_VECTORS + v) * L;
      const int64_t units = max(0, min(L, sizes.hidden - unit));
      const int64_t row = gate * sizes.hidden + (units > 0 ? unit : 0);
      pack_vector<A>(weights->ih, weights->ih_scales, row, units, sizes.inputs,
                     to.ih + panel * sizes.input_panel(), product, v);
      pack_vector<A>(weights->hh, weights->hh_scales, row, units, sizes.hidden,
                     to.hh + panel * sizes.hidden_panel(), product, v);
    }
    T* bias = to.bias + panel * sizes.width;
    for (int i = 0; i < sizes.width; ++i) bias[i] = T(0);
    for (int v = 0; v < PANEL_VECTORS; ++v) {
      // The GRU's third gate keeps its two biases apart, because r scales the recurrent one.
      const bool input_only = C::interpolates && v == 2, recurrent_only = C::interpolates && v == 3;
      const int64_t gate = C::unit_vectors != 1 ? 0 : recurrent_only ? 2 : v;
      const int64_t unit = (C::unit_vectors == 1 ? panel : panel * PANEL_VECTORS + v) * L;
      for (int lane = 0; lane < L && unit + lane < sizes.hidden; ++lane) {
        const int64_t row = gate * sizes.hidden + unit + lane;
        const T input = bias_ih == nullptr || recurrent_only ? T(0) : bias_ih[row];
        const T recurrent = bias_hh == nullptr || input_only ? T(0) : bias_hh[row];
        bias[v * L + lane] = input + recurrent;
      }
    }
  }
}

inline bool keeps_gates(Keep keep) { return keep == Keep::gates || keep == Keep::everything; }

// What is saved for the backward pass: hidden states, cell states and gates of all rows, in scan
// order; null where they are not saved.
template <class A, class C>
struct Saved {
  using T = NumberOf<A>;
  T* h = nullptr;
  T* c = nullptr;
  T* gates = nullptr;
  int64_t size = 0;

  Saved(const Sizes<A, C>& sizes, int64_t rows, Keep keep, T* memory) {
    const auto allocate = [&](bool is_saved, int64_t width) {
      T* const here = is_saved && memory != nullptr ? memory + size : nullptr;
      size += is_saved ? rows * width : 0;
      return here;
    };
    h = allocate(keep == Keep::everything, sizes.padded);
    c = allocate(keep != Keep::nothing && C::has_cell_state, sizes.padded);
    gates = allocate(keeps_gates(keep), sizes.gate_step());
  }
};

// Elements of all that.
template <class A, class C>
int64_t saved_size(const Shape* shape, int64_t rows, Keep keep) {
  return Saved<A, C>(Sizes<A, C>(*shape), rows, keep, nullptr).size;
}

// Where the gates of some rows stand.
template <class T>
struct Gates {
  T* data;
  int64_t panel;  // elements from one panel to the next
  int64_t row;    // and from one row to the next

  T* at(int64_t the_panel, int64_t number) const { return data + the_panel * panel + number * row; }
};

// The input product of `count` rows: their gates without the recurrent part.
template <class A, class C>
void input_product(const Sizes<A, C>& sizes, Strided panels, const PackedWeights<A, C>& weights,
                   RowsOf<A> x, const int64_t* numbers, int64_t count,
                   Gates<NumberOf<A>> gates) {
  using T = NumberOf<A>;
  constexpr int L = LANES<T>;
  for (int64_t panel = panels.first; panel < sizes.panels; panel += panels.step) {
    const T* bias = weights.bias + panel * sizes.width;
    const ProductRows<A> rows{x, gates.at(panel, 0), numbers, gates.row};
    panel_product<A, C::product_vectors, C::product_vectors - 1>(
        sizes.inputs, rows, count, weights.ih + panel * sizes.input_panel(), bias);
    if constexpr (C::last_vector == C::product_vectors) {
      const Vec<T> recurrent = load<T>(bias + C::last_vector * L);
      for (int64_t i = 0; i < count; ++i) {
        store<T>(gates.at(panel, numbers[i]) + C::last_vector * L, recurrent);
      }
    }
  }
}

template <class A, class C>
int64_t product_width(const Shape* shape) {
  return Sizes<A, C>(*shape).gate_step();
}

// Rows whose input products are formed at a time.
constexpr int64_t PRODUCT_ROWS = 64;

template <class A>
int64_t products_workspace(const Shape* shape) {
  BumpAllocator allocator{nullptr};
  RowBufferOf<A>(allocator, PRODUCT_ROWS, shape->inputs);
  return allocator.used;
}

// Input products of rows [begin, end) in one direction.
template <class A, class C>
void input_products(const InputProducts* call, int direction, int64_t begin, int64_t end,
                    char* workspace) {
  using T = NumberOf<A>;
  const Sizes<A, C> sizes(call->shape);
  const PackedWeights<A, C> weights(
      sizes, static_cast<char*>(const_cast<void*>(call->packed[direction])));
  const int64_t width = sizes.gate_step(), row = call->shape.directions * width;
  T* const products = static_cast<T*>(call->products) + direction * width;
  BumpAllocator allocator{workspace};
  const RowBufferOf<A> buffer(allocator, PRODUCT_ROWS, sizes.inputs);
  const T* rows[PRODUCT_ROWS];
  int64_t numbers[PRODUCT_ROWS];
  for (; begin < end; begin += PRODUCT_ROWS) {
    const int64_t count = min(PRODUCT_ROWS, end - begin);
    for (int64_t i = 0; i < count; ++i) {
      rows[i] = static_cast<const T*>(call->x) + (begin + i) * sizes.inputs;
      numbers[i] = begin + i;
    }
    input_product<A, C>(sizes, Strided{0, 1}, weights, buffer.fill(rows, count, sizes.inputs, 0),
                        numbers, count, Gates<T>{products, sizes.width, row});
  }
}

}  // namespace
}  // namespace birnn
