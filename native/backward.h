// The backward pass of one direction of one layer (backpropagation through time).
//
// It goes through the chunks of steps from the last to the first. In a chunk each thread first runs
// its part backward, its own sequences or its own groups of hidden units: gradients of the gates,
// then of the state before. The gradients of the weights are products over all rows of the chunk,
// so after a barrier each thread forms them for some rows of the weights. Their order of summation
// follows from the batch alone, never from the threads.

#pragma once

#include "barrier.h"
#include "cells.h"
#include "gemm.h"
#include "isa.h"
#include "kernels.h"
#include "layer.h"
#include "packing.h"
#include "simd.h"
#include "weight_gradients.h"

namespace birnn {
namespace {

// One thread's work in one direction.
template <class T, class C>
struct BackwardPass {
  static constexpr int L = LANES<T>;
  using Workspace = BackwardWorkspace<T, C>;

  Backward& call;
  const int direction, rank, threads;
  const bool split_panels;  // whether threads divide hidden units, not sequences
  // Those of this thread. A group is as many hidden units as a panel of a plain product has.
  const Strided sequences, groups;
  const Batch& batch;
  const Sizes<T, C> sizes;
  const int64_t D, H, out;
  const bool reverse;
  const Workspace workspace;
  const Saved<T, C> saved;
  const T *x, *output, *d_output, *h0, *c0;
  const T** rows;
  int64_t* numbers;
  const bool wants_weights;
  WeightGradients<T, C> sums;

  BackwardPass(Backward& the_call, int the_direction, int the_rank, int the_threads)
      : call(the_call),
        direction(the_direction),
        rank(the_rank),
        threads(the_threads),
        split_panels(the_call.partition == Partition::panels),
        sequences(split_panels ? Strided{0, 1} : Strided{rank, threads}),
        groups(split_panels ? Strided{rank, threads} : Strided{0, 1}),
        batch(*the_call.batch),
        sizes(the_call.shape),
        D(sizes.inputs),
        H(sizes.hidden),
        out(the_call.shape.directions * sizes.hidden),
        reverse(the_direction == 1),
        workspace(sizes, batch, call.keep, threads, BumpAllocator{call.workspace[direction]}),
        saved(sizes, batch.real_rows, call.keep,
              static_cast<T*>(const_cast<void*>(call.saved[direction]))),
        x(static_cast<const T*>(call.x)),
        output(part(call.output, H)),
        d_output(part(call.d_output, H)),
        h0(part(call.h0, batch.sequences * H)),
        c0(part(call.c0, batch.sequences * H)),
        rows(workspace.rows + rank * batch.chunk_rows),
        numbers(workspace.numbers + rank * batch.chunk_rows),
        wants_weights(the_call.d_weights[the_direction].ih != nullptr),
        sums{sizes, workspace, the_call.d_weights[the_direction], rank, threads} {}

  // This direction's part of an array, `offset` elements for each direction.
  const T* part(const void* array, int64_t offset) const {
    return array == nullptr ? nullptr : static_cast<const T*>(array) + direction * offset;
  }

  // Waits for the threads that run the same sequences: each has a part of their hidden units.
  void synchronize() {
    if (split_panels) wait_for_all(&call.barrier[direction], threads);
  }

  // The first of this thread's rows of a step, where all threads divide the rows; then every
  // `threads`th.
  int64_t first_own_row(int64_t t) const {
    return split_panels ? (rank + threads - t % threads) % threads : rank;
  }

  void run() {
    prepare();
    wait_for_all(&call.barrier[direction], threads);
    for (int64_t b = 0; b < batch.blocks; ++b) {
      const Block& block = batch.block[b];
      start_block(block);
      for (int64_t chunk = block.chunks - 1; chunk >= 0; --chunk) {
        run_chunk(block, block.chunk[chunk], block.chunk[chunk + 1]);
      }
      end_block(block);
    }
    if (wants_weights) sums.finish();
  }

  // Packs this thread's rows of the weights for d_x and d_h.
  void prepare() {
    const T* const ih = static_cast<const T*>(call.weights[direction].ih);
    const T* const hh = static_cast<const T*>(call.weights[direction].hh);
    if (call.d_x[direction] != nullptr) pack_back(ih, D, workspace.back_ih, 0);
    pack_back(hh, H, workspace.back_hh, C::row_blocks - C::gates);
    if (wants_weights) sums.prepare();
    if (rank == 0) zero<T>(workspace.zeros, max(sizes.outputs, sizes.width));
  }

  // Row k of the packed matrix is the row of w that belongs to element k of a row of gradients,
  // whose first `skipped` blocks are left out.
  void pack_back(const T* w, int64_t columns, T* packed, int skipped) {
    const int64_t K = C::gates * sizes.padded;
    for (int v = 0; v < C::row_blocks; ++v) {
      const int64_t at = C::row_block(v) - skipped;
      if (at < 0 || at >= C::gates) continue;
      // The GRU's fourth block is the recurrent part of its third gate.
      const int64_t gate = C::interpolates && v == 3 ? 2 : v;
      // A thread's rows one after another in memory: the processor prefetches the next ones.
      const int64_t first = rank * sizes.padded / threads,
                    end = (rank + 1) * sizes.padded / threads;
      for (int64_t unit = first; unit < end; ++unit) {
        const bool real = unit < H;
        const T* const row = w + (real ? (gate * H + unit) * columns : 0);
        for (int64_t panel = 0; panel < plain_panels<T>(columns); ++panel) {
          const int64_t column = panel * PANEL_VECTORS * L;
          pack_plain_row<T>(packed + K * column, plain_vectors<T>(columns, panel), K,
                            at * sizes.padded + unit, row + (real ? column : 0),
                            real ? columns - column : 0);
        }
      }
    }
  }

  void start_block(const Block& block) {
    const T* const d_h_n = part(call.d_h_n, batch.sequences * H);
    const T* const d_c_n = part(call.d_c_n, batch.sequences * H);
    for (int64_t s = rank; s < block.sequences; s += threads) {
      const int64_t sequence = block.order[s];
      T* const d_h = workspace.d_h + s * sizes.outputs;
      zero<T>(d_h, sizes.outputs);
      if (d_h_n != nullptr) copy<T>(d_h, d_h_n + sequence * H, H);
      if constexpr (C::has_cell_state) {
        T* const d_c = workspace.d_c + s * sizes.padded;
        zero<T>(d_c, sizes.padded);
        if (d_c_n != nullptr) copy<T>(d_c, d_c_n + sequence * H, H);
      }
    }
    synchronize();
  }

  void end_block(const Block& block) {
    const int64_t offset = direction * batch.sequences * H;
    for (int64_t s = rank; s < block.sequences; s += threads) {
      const int64_t to = offset + block.order[s] * H;
      if (call.d_h0 != nullptr) {
        copy<T>(static_cast<T*>(call.d_h0) + to, workspace.d_h + s * sizes.outputs, H);
      }
      if (C::has_cell_state && call.d_c0 != nullptr) {
        copy<T>(static_cast<T*>(call.d_c0) + to, workspace.d_c + s * sizes.padded, H);
      }
    }
  }

  // How many rows, at the beginning of a chunk, have zeros as the state before: nothing to multiply
  // by.
  int64_t from_zeros(const Block& block, int64_t begin) const {
    return begin == 0 && h0 == nullptr ? block.count[0] : 0;
  }

  // h before a step, H wide.
  const T* h_before(const Block& block, int64_t s, int64_t t) const {
    if (t > 0 && saved.h != nullptr) {
      return saved.h + (block.first_row + block.first[t - 1] + s) * sizes.padded;
    }
    if (t > 0) return output + row_at(batch, block, s, t - 1, reverse) * out;
    return h0 != nullptr ? h0 + block.order[s] * H : workspace.zeros;
  }

  void run_chunk(const Block& block, int64_t begin, int64_t end) {
    const int64_t first = block.first_row + block.first[begin];
    const int64_t count = block.first[end] - block.first[begin];
    const bool are_saved = saved.gates != nullptr;
    const Gates<T> gates{are_saved ? saved.gates + first * sizes.gate_step() : workspace.gates,
                         sizes.width, sizes.gate_step()};
    if (!are_saved) compute_gates(block, begin, end, gates);
    for (int64_t t = end - 1; t >= begin; --t) step(block, begin, t, gates, count);
    if (call.d_x[direction] != nullptr) input_gradient(block, begin, end);
    wait_for_all(&call.barrier[direction], threads);
    if (wants_weights) sums.add(count, from_zeros(block, begin));
    wait_for_all(&call.barrier[direction], threads);
  }

  // Computes the gates of this thread's part again, with the same bits as in the forward pass.
  void compute_gates(const Block& block, int64_t begin, int64_t end, const Gates<T>& gates) {
    const PackedWeights<T, C> weights(
        sizes, static_cast<char*>(const_cast<void*>(call.packed[direction])));
    const Strided panels = groups;
    int64_t mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = sequences.first; s < block.count[t]; s += sequences.step) {
        rows[mine] = x + row_at(batch, block, s, t, reverse) * D;
        numbers[mine++] = block.first[t] - block.first[begin] + s;
      }
    }
    input_product<T, C>(sizes, panels, weights, rows, numbers, mine, gates);
    const int64_t skipped = from_zeros(block, begin);
    int64_t last = 0, first = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = sequences.first; s < block.count[t]; s += sequences.step) {
        if (numbers[last] < skipped) ++first;
        rows[last++] = h_before(block, s, t);
      }
    }
    for (int64_t panel = panels.first; panel < sizes.panels; panel += panels.step) {
      panel_product<T, C::product_vectors, C::last_vector>(
          H, ProductRows<T>{rows + first, gates.at(panel, 0), numbers + first, gates.row},
          mine - first, weights.hh + panel * sizes.hidden_panel(), nullptr);
      for (int64_t i = 0; i < mine; ++i) C::activate(gates.at(panel, numbers[i]));
    }
    synchronize();
  }

  // The first of this thread's sequences that is not before `sequence`.
  int64_t first_from(int64_t sequence) const {
    const int64_t before = max(0, sequence - sequences.first);
    return sequences.first + (before + sequences.step - 1) / sequences.step * sequences.step;
  }

  // Gradients of the gates of one step, and of the state before it; `all` rows are in the chunk.
  void step(const Block& block, int64_t begin, int64_t t, const Gates<T>& gates, int64_t all) {
    const int64_t first = block.first[t] - block.first[begin], running = block.count[t];
    for (int64_t s = first_own_row(t); wants_weights && s < running; s += threads) {
      pack_right(x + row_at(batch, block, s, t, reverse) * D, D, workspace.right_ih, all,
                 first + s);
      if (first + s < from_zeros(block, begin)) continue;
      pack_right(h_before(block, s, t), H, workspace.right_hh, all, first + s);
    }
    // Sequences that end here. The others got theirs before the product of the step after.
    const int64_t ended = first_from(block.count[t + 1]);
    for (int64_t s = ended; s < running && d_output != nullptr; s += sequences.step) {
      add_output_gradient(block, s, t, true, false);
    }
    int64_t here = 0;
    for (int64_t s = sequences.first; s < running; s += sequences.step) {
      for (int64_t group = groups.first; group < sizes.groups(); group += groups.step) {
        gate_gradients(block, s, t, group, gates, first + s);
      }
      T* const d_row = workspace.d_rows + (first + s) * sizes.row_step();
      rows[here] = d_row + (C::row_blocks - C::gates) * sizes.padded;
      numbers[here++] = s;
    }
    if (here == 0) return;
    synchronize();  // d_h is a sum over the gates of all hidden units, and so is d_x
    if (t == 0 && call.d_h0 == nullptr) return;  // nobody asks for d_h before the first step
    const bool has_gradient = t > 0 && d_output != nullptr;
    for (int64_t i = 0; i < here; ++i) {
      add_output_gradient(block, numbers[i], t - 1, has_gradient, !C::interpolates);
    }
    const int64_t K = C::gates * sizes.padded;
    // Few rows wait for the weights. So every second step reads them in reverse: what the step
    // before read last is still in the cache.
    const bool in_reverse = here < TILE_ROWS<PANEL_VECTORS> && t % 2 == 1;
    const int64_t count = (sizes.groups() - groups.first + groups.step - 1) / groups.step;
    for (int64_t nth = 0; nth < count; ++nth) {
      const int64_t group = groups.first + (in_reverse ? count - 1 - nth : nth) * groups.step;
      const ProductRows<T> to{rows, workspace.d_h + group * sizes.width, numbers, sizes.outputs};
      plain_product<T>(plain_vectors<T>(H, group), K, to, here,
                       workspace.back_hh + group * K * sizes.width, nullptr);
    }
  }

  // Packs row k of the `count` rows of the right factor of a weight's gradient.
  void pack_right(const T* row, int64_t columns, T* packed, int64_t count, int64_t k) const {
    for (int64_t panel = 0; panel < plain_panels<T>(columns); ++panel) {
      const int64_t column = panel * sizes.width;
      pack_plain_row<T>(packed + column * count, plain_vectors<T>(columns, panel), count, k,
                        row + column, columns - column);
    }
  }

  // Adds to d_h what it gets from d_output, for this thread's groups of hidden units, or overwrites
  // it.
  void add_output_gradient(const Block& block, int64_t s, int64_t t, bool has_gradient,
                           bool overwrite) const {
    T* const d_h = workspace.d_h + s * sizes.outputs;
    const T* const d =
        has_gradient ? d_output + row_at(batch, block, s, t, reverse) * out : nullptr;
    for (int64_t group = groups.first; group < sizes.groups(); group += groups.step) {
      const int64_t first = group * sizes.width, count = min(sizes.width, H - first);
      if (overwrite && d != nullptr) copy<T>(d_h + first, d + first, count);
      if (overwrite && d == nullptr) zero<T>(d_h + first, count);
      for (int64_t i = first; !overwrite && d != nullptr && i < first + count; ++i) d_h[i] += d[i];
    }
  }

  // Gradients of one row's gates, for one group of hidden units.
  void gate_gradients(const Block& block, int64_t s, int64_t t, int64_t group,
                      const Gates<T>& gates, int64_t number) {
    const int64_t first = group * sizes.width, last = min(first + sizes.width, sizes.padded);
    const int64_t real = min(last, H) - first, filled = last - first - real;
    T* const d_h = workspace.d_h + s * sizes.outputs;
    // Zeros for the units that only fill up a panel, as their memory may hold anything.
    T* const before = workspace.before + s * sizes.padded;
    const auto fill_before = [&](const T* from) {
      zero<T>(before + first + real, filled);
      copy<T>(before + first, from + first, real);
    };
    if constexpr (C::interpolates) fill_before(h_before(block, s, t));
    const int64_t row = block.first_row + block.first[t] + s;
    const T* const c = C::has_cell_state ? saved.c + row * sizes.padded : nullptr;
    const T* c_before = nullptr;
    if constexpr (C::has_cell_state) {
      c_before = before;
      if (t > 0) {
        c_before = saved.c + (block.first_row + block.first[t - 1] + s) * sizes.padded;
      } else {
        fill_before(c0 != nullptr ? c0 + block.order[s] * H : workspace.zeros);
      }
    }
    T* const d_row = workspace.d_rows + number * sizes.row_step();
    for (int64_t unit = first; unit < last; unit += C::unit_vectors * L) {
      const T* const own = gates.at(unit / (C::unit_vectors * L), number);
      // What is saved is far away in memory: the gates of some rows further on are fetched
      // meanwhile.
      constexpr int64_t ahead = 3;
      for (int v = 0; v < PANEL_VECTORS; ++v) {
        __builtin_prefetch(own + ahead * sequences.step * gates.row + v * L);
      }
      if (C::has_cell_state)
        __builtin_prefetch(c_before + ahead * sequences.step * sizes.padded + unit);
      T d_panel[sizes.width];
      C::gradient(own, before + unit, C::has_cell_state ? c_before + unit : nullptr,
                  C::has_cell_state ? c + unit : nullptr, d_h + unit,
                  C::has_cell_state ? workspace.d_c + s * sizes.padded + unit : nullptr, d_panel);
      for (int v = 0; v < PANEL_VECTORS; ++v) {
        T* const to = C::unit_vectors == 1 ? d_row + C::row_block(v) * sizes.padded + unit
                                           : d_row + unit + v * L;
        store<T>(to, load<T>(d_panel + v * L));
      }
    }
    // The units that fill up a panel may have met inf * 0: their NaN must not reach others.
    for (int v = 0; v < C::row_blocks; ++v) {
      zero<T>(d_row + v * sizes.padded + first + real, filled);
    }
  }

  // d_x of a chunk, for this thread's rows.
  void input_gradient(const Block& block, int64_t begin, int64_t end) {
    int64_t mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = first_own_row(t); s < block.count[t]; s += threads) {
        numbers[mine] = block.first[t] - block.first[begin] + s;
        rows[mine] = workspace.d_rows + numbers[mine] * sizes.row_step();
        ++mine;
      }
    }
    const int64_t K = C::gates * sizes.padded, width = workspace.d_x_width;
    for (int64_t panel = 0; panel < plain_panels<T>(D); ++panel) {
      const ProductRows<T> to{rows, workspace.plain + panel * sizes.width, numbers, width};
      plain_product<T>(plain_vectors<T>(D, panel), K, to, mine,
                       workspace.back_ih + panel * K * sizes.width, workspace.zeros);
    }
    T* const d_x = static_cast<T*>(call.d_x[direction]);
    mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = first_own_row(t); s < block.count[t]; s += threads) {
        copy<T>(d_x + row_at(batch, block, s, t, reverse) * D,
                workspace.plain + numbers[mine++] * width, D);
      }
    }
  }
};

template <class T, class C>
void backward(Backward* call, int direction, int rank, int threads) {
  BackwardPass<T, C>(*call, direction, rank, threads).run();
}

}  // namespace
}  // namespace birnn
