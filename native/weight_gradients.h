// Gradients of the weights of one direction, and the workspace of its backward pass.
//
// A weight's gradient is a product over all rows of the batch, d_gates^T x or d_gates^T h. It is
// summed chunk by chunk in the caller's array, each row of the weight by one thread, so the order
// of the additions does not depend on how many there are.

#pragma once

#include "gemm.h"
#include "isa.h"
#include "kernels.h"
#include "layer.h"
#include "packing.h"
#include "simd.h"

namespace birnn {
namespace {

// Memory of the backward pass of one direction, shared by its threads.
template <class T, class C>
struct BackwardWorkspace {
  T* gates;           // computed again where they were not saved
  T* d_rows;          // gradients of the gates, a row for each row of a chunk
  T* right_ih;        // rows of x, packed: the right factor of a weight's gradient
  T* right_hh;        // h before each of them, likewise
  const T** left_ih;  // the left factor: where each row of a weight finds its gradients in d_rows
  const T** left_hh;
  T* sum_bias;  // sum of the rows of gradients
  T* back_ih;   // weight_ih packed for d_x
  T* back_hh;   // weight_hh packed for d_h
  T* d_h;       // by sequence of the block
  T* d_c;
  T* before;  // h or c before the step, padded
  T* plain;   // d_x of one chunk, in whole panels
  T* zeros;
  const T** rows;  // of each thread
  int64_t* numbers;
  int64_t d_x_width;  // inputs in whole panels

  BackwardWorkspace(const Sizes<T, C>& sizes, const Batch& batch, Keep keep, int threads,
                    BumpAllocator allocator, int64_t* used = nullptr) {
    const int64_t R = batch.chunk_rows, B = batch.block_sequences;
    constexpr int L = LANES<T>;
    d_x_width = plain_panels<T>(sizes.inputs) * PANEL_VECTORS * L;
    gates = allocator.allocate<T>(keep == Keep::states ? R * sizes.gate_step() : 0);
    d_rows = allocator.allocate<T>(R * sizes.row_step());
    right_ih = allocator.allocate<T>(R * d_x_width);
    right_hh = allocator.allocate<T>(R * sizes.outputs);
    left_ih = allocator.allocate<const T*>(sizes.gate_rows());
    left_hh = allocator.allocate<const T*>(sizes.gate_rows());
    sum_bias = allocator.allocate<T>(sizes.row_width());
    const int64_t K = C::gates * sizes.padded;
    back_ih = allocator.allocate<T>(K * d_x_width);
    back_hh = allocator.allocate<T>(K * sizes.outputs);
    d_h = allocator.allocate<T>(B * sizes.outputs);
    d_c = allocator.allocate<T>(C::has_cell_state ? B * sizes.padded : 0);
    before = allocator.allocate<T>(B * sizes.padded);
    plain = allocator.allocate<T>(R * d_x_width);
    zeros = allocator.allocate<T>(max(sizes.outputs, sizes.width));
    rows = allocator.allocate<const T*>(R * threads);
    numbers = allocator.allocate<int64_t>(R * threads);
    if (used != nullptr) *used = allocator.used;
  }
};

template <class T, class C>
int64_t backward_workspace(const Shape* shape, const Batch* batch, Keep keep, int threads) {
  int64_t used = 0;
  BackwardWorkspace<T, C>(Sizes<T, C>(*shape), *batch, keep, threads, BumpAllocator{nullptr},
                          &used);
  return used;
}

// One thread's part of the weights' gradients.
template <class T, class C>
struct WeightGradients {
  using Workspace = BackwardWorkspace<T, C>;
  static constexpr int L = LANES<T>;

  const Sizes<T, C>& sizes;
  const Workspace& workspace;
  const Gradients& to;
  const int rank, threads;
  int64_t rows = 0;  // summed so far

  // This thread's rows of the weights.
  int64_t first() const { return rank * sizes.gate_rows() / threads; }
  int64_t end() const { return (rank + 1) * sizes.gate_rows() / threads; }

  // Calls visit(row, units, offset) for this thread's rows, gate by gate: the first row, how many,
  // and where their gradients stand in a row of d_rows.
  template <class Visit>
  void each_gate(bool recurrent, Visit visit) const {
    for (int gate = 0; gate < C::gates; ++gate) {
      const int64_t begin = max(first(), gate * sizes.hidden);
      const int64_t stop = min(end(), (gate + 1) * sizes.hidden);
      // The GRU's fourth block is the recurrent part of its third gate.
      const int v = C::interpolates && recurrent && gate == 2 ? 3 : gate;
      const int64_t unit = begin - gate * sizes.hidden;
      if (begin < stop) visit(begin, stop - begin, C::row_block(v) * sizes.padded + unit);
    }
  }

  // Pointers to the columns of the left factors.
  void prepare() const {
    for (int recurrent = 0; recurrent < 2; ++recurrent) {
      const T** const left = recurrent == 1 ? workspace.left_hh : workspace.left_ih;
      each_gate(recurrent == 1, [&](int64_t row, int64_t units, int64_t offset) {
        for (int64_t i = 0; i < units; ++i) left[row + i] = workspace.d_rows + offset + i;
      });
    }
  }

  // Adds the `count` rows of a chunk; the state before the first `from_zeros` of them is zeros.
  void add(int64_t count, int64_t from_zeros) {
    add_product(workspace.left_ih, workspace.right_ih, sizes.inputs, static_cast<T*>(to.ih), count,
                0);
    add_product(workspace.left_hh, workspace.right_hh, sizes.hidden, static_cast<T*>(to.hh), count,
                from_zeros);
    add_bias(count);
    rows += count;
  }

  void add_product(const T* const* left, const T* right, int64_t columns, T* weight, int64_t count,
                   int64_t skipped) const {
    for (int64_t panel = 0; panel < plain_panels<T>(columns); ++panel) {
      const int64_t column = panel * sizes.width;
      const TransposedProduct<T> product{count - skipped,
                                         left + first(),
                                         skipped * sizes.row_step(),
                                         sizes.row_step(),
                                         right + column * count,
                                         weight + first() * columns + column,
                                         columns,
                                         min(sizes.width, columns - column),
                                         rows > 0};
      plain_transposed_product<T>(plain_vectors<T>(columns, panel), count, skipped, product,
                                  end() - first());
    }
  }

  // Sums of the rows of gradients, a panel's width at a time.
  void add_bias(int64_t count) const {
    for (int64_t block = rank; block < sizes.row_width() / sizes.width; block += threads) {
      const T* row = workspace.d_rows + block * sizes.width;
      Vec<T> sum[PANEL_VECTORS] = {};
      for (int64_t k = 0; k < count; ++k, row += sizes.row_step()) {
        for (int v = 0; v < PANEL_VECTORS; ++v) sum[v] += load<T>(row + v * L);
      }
      T* const total = workspace.sum_bias + block * sizes.width;
      for (int v = 0; v < PANEL_VECTORS; ++v) {
        store<T>(total + v * L, rows > 0 ? load<T>(total + v * L) + sum[v] : sum[v]);
      }
    }
  }

  // Once all threads have added everything: the biases, and zeros where there was no row.
  void finish() const {
    const int64_t begin = first(), stop = end();
    if (rows == 0) {
      zero<T>(static_cast<T*>(to.ih) + begin * sizes.inputs, (stop - begin) * sizes.inputs);
      zero<T>(static_cast<T*>(to.hh) + begin * sizes.hidden, (stop - begin) * sizes.hidden);
    }
    for (int recurrent = 0; recurrent < 2; ++recurrent) {
      T* const bias = static_cast<T*>(recurrent == 1 ? to.bias_hh : to.bias_ih);
      if (bias == nullptr) continue;
      each_gate(recurrent == 1, [&](int64_t row, int64_t units, int64_t offset) {
        if (rows > 0) return copy<T>(bias + row, workspace.sum_bias + offset, units);
        zero<T>(bias + row, units);
      });
    }
  }
};

}  // namespace
}  // namespace birnn
