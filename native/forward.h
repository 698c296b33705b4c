// The forward pass of one direction of one layer.
//
// Threads divide the sequences of every block, and then never wait for each other; or, where there
// are few sequences, the panels of hidden units, with a barrier after every step.
//
// The recurrence goes step by step through a chunk of steps. Where many sequences run, the input
// and the recurrent product of a step are summed in one go (`fused`). Where few do, the input
// product is formed for the whole chunk before, so that its weights are read once for many rows.
// Where it is given, it is read from where it stands.
//
// In low precision a thread converts the rows that its products read: those of x chunk by chunk,
// states step by step. `fused` is one product after the other there, panel by panel, while the
// panel's gates are in the nearest cache.

#pragma once

#include "barrier.h"
#include "cells.h"
#include "gemm.h"
#include "isa.h"
#include "kernels.h"
#include "layer.h"
#include "simd.h"

namespace birnn {
namespace {

// Memory of the forward pass of one direction, shared by its threads.
template <class A, class C>
struct ForwardWorkspace {
  using T = NumberOf<A>;
  T* gates;          // of one chunk, for each thread, where they are not saved
  T* h[2];           // before and after a step, by sequence of the block
  T* c;              // likewise
  const T** rows;    // of each thread: states before a step
  const T** starts;  // rows of x, or their input products
  int64_t* numbers;  // where the gates of these rows stand
  RowBufferOf<A> x_rows;  // of each thread: rows of x of a chunk, as products read them
  RowBufferOf<A> h_rows;  // and states before a step

  ForwardWorkspace(const Sizes<A, C>& sizes, const Batch& batch, Keep keep, int threads,
                   BumpAllocator allocator, int64_t* used = nullptr)
      : x_rows(allocator, batch.chunk_rows * threads, sizes.inputs),
        h_rows(allocator, batch.block_sequences * threads, sizes.hidden) {
    const int64_t chunks = keeps_gates(keep) ? 0 : threads;
    gates = allocator.allocate<T>(chunks * batch.chunk_rows * sizes.gate_step());
    for (auto& part : h) part = allocator.allocate<T>(batch.block_sequences * sizes.padded);
    c = allocator.allocate<T>(C::has_cell_state ? batch.block_sequences * sizes.padded : 0);
    rows = allocator.allocate<const T*>(batch.chunk_rows * threads);
    starts = allocator.allocate<const T*>(batch.chunk_rows * threads);
    numbers = allocator.allocate<int64_t>(batch.chunk_rows * threads);
    if (used != nullptr) *used = allocator.used;
  }
};

template <class A, class C>
int64_t forward_workspace(const Shape* shape, const Batch* batch, Keep keep, int threads) {
  int64_t used = 0;
  ForwardWorkspace<A, C>(Sizes<A, C>(*shape), *batch, keep, threads, BumpAllocator{nullptr},
                         &used);
  return used;
}

// One thread's work in one direction.
template <class A, class C>
struct ForwardPass {
  using T = NumberOf<A>;
  static constexpr bool LOW = Arithmetic<A>::LOW;
  Forward& call;
  const int direction, rank, threads;
  const bool split_panels;          // whether threads divide panels, not sequences
  const Strided sequences, panels;  // those of this thread
  const Batch& batch;
  const Sizes<A, C> sizes;
  const int64_t H, out;
  const bool reverse;
  const PackedWeights<A, C> weights;
  const ForwardWorkspace<A, C> workspace;
  const Saved<A, C> saved;
  const T* const x;
  T* const output;
  const T *h0, *c0;
  T *h_n, *c_n;
  const T** const rows;
  const T** const starts;
  int64_t* const numbers;
  RowsOf<A> x_rows{};  // this thread's, of the chunk
  RowsOf<A> h_rows{};  // its states before the step
  T* now;              // h before a step, by sequence of the block
  T* next;             // h after it

  ForwardPass(Forward& the_call, int the_direction, int the_rank, int the_threads)
      : call(the_call),
        direction(the_direction),
        rank(the_rank),
        threads(the_threads),
        split_panels(call.partition == Partition::panels),
        sequences(split_panels ? Strided{0, 1} : Strided{rank, threads}),
        panels(split_panels ? Strided{rank, threads} : Strided{0, 1}),
        batch(*call.batch),
        sizes(call.shape),
        H(sizes.hidden),
        out(call.shape.directions * H),
        reverse(direction == 1),
        weights(sizes, static_cast<char*>(const_cast<void*>(call.packed[direction]))),
        workspace(sizes, batch, call.keep, threads, BumpAllocator{call.workspace[direction]}),
        saved(sizes, batch.real_rows, call.keep, static_cast<T*>(call.saved[direction])),
        x(static_cast<const T*>(call.x)),
        output(static_cast<T*>(call.output) + direction * H),
        h0(part<const T>(call.h0)),
        c0(part<const T>(call.c0)),
        h_n(part<T>(call.h_n)),
        c_n(part<T>(call.c_n)),
        rows(workspace.rows + rank * batch.chunk_rows),
        starts(workspace.starts + rank * batch.chunk_rows),
        numbers(workspace.numbers + rank * batch.chunk_rows),
        now(workspace.h[0]),
        next(workspace.h[1]) {}

  // This direction's states of an array (directions, B, H).
  template <class Item, class Array>
  Item* part(Array* array) const {
    return array == nullptr ? nullptr : static_cast<Item*>(array) + direction * batch.sequences * H;
  }

  // Waits for the threads that run the same sequences: each has a part of their panels.
  void synchronize() {
    if (split_panels) wait_for_all(&call.barrier[direction], threads);
  }

  void run() {
    for (int64_t b = 0; b < batch.blocks; ++b) {
      const Block& block = batch.block[b];
      start_block(block);
      for (int64_t chunk = 0; chunk < block.chunks; ++chunk) {
        run_chunk(block, block.chunk[chunk], block.chunk[chunk + 1]);
      }
    }
  }

  void start_block(const Block& block) {
    synchronize();  // nobody reads states of the block before any more
    for (int64_t s = rank; s < block.sequences; s += threads) {
      const int64_t sequence = block.order[s];
      T* const h = now + s * sizes.padded;
      zero<T>(h, sizes.padded);
      if (h0 != nullptr) copy<T>(h, h0 + sequence * H, H);
      if constexpr (C::has_cell_state) {
        zero<T>(workspace.c + s * sizes.padded, sizes.padded);
        if (c0 != nullptr) copy<T>(workspace.c + s * sizes.padded, c0 + sequence * H, H);
      }
      if (block.length[s] == 0) store_final_state(block, s, h);
    }
    synchronize();
  }

  // The state after a sequence's last step.
  void store_final_state(const Block& block, int64_t s, const T* h) {
    copy<T>(h_n + block.order[s] * H, h, H);
    if constexpr (C::has_cell_state)
      copy<T>(c_n + block.order[s] * H, workspace.c + s * sizes.padded, H);
  }

  // Whether both products of a step are summed in one go, so that the gates do not go to memory
  // between them. Every step then reads weight_ih as well, which pays with enough rows.
  bool fuses_products(int64_t rows_here, int64_t steps) const {
    constexpr int64_t min_rows = 12;          // rows of a step, for this thread
    constexpr int64_t max_weights = 4 << 20;  // bytes of weights, for the cache
    // The GRU keeps the two products of its third gate apart.
    return (LOW || C::last_vector != C::product_vectors) && call.numbers == nullptr &&
           rows_here >= min_rows * steps &&
           sizes.panels * (sizes.input_panel() + sizes.hidden_panel()) *
                   static_cast<int64_t>(sizeof(PackedOf<A>)) <=
               max_weights;
  }

  // Where the gates of a chunk stand: among what is saved, from its row `first` on, else in this
  // thread's own memory.
  Gates<T> gates_of(int64_t first, bool fused) const {
    const int64_t step = sizes.gate_step();
    if (saved.gates != nullptr) return {saved.gates + first * step, sizes.width, step};
    T* const own = workspace.gates + rank * batch.chunk_rows * step;
    // If fused, a panel's gates have been used before those of the next panel are written over
    // them.
    return fused ? Gates<T>{own, 0, sizes.width} : Gates<T>{own, sizes.width, step};
  }

  // A row of x, or its input product in this direction.
  const T* start_of(int64_t row) const {
    if (call.numbers == nullptr) return x + row * sizes.inputs;
    return x + call.numbers[row] * call.product_row + direction * sizes.gate_step();
  }

  void run_chunk(const Block& block, int64_t begin, int64_t end) {
    const int64_t rows_here = block.first[end] - block.first[begin];
    const bool fused = fuses_products(rows_here / sequences.step, end - begin);
    const Gates<T> gates = gates_of(block.first_row + block.first[begin], fused);
    int64_t mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = sequences.first; s < block.count[t]; s += sequences.step) {
        const int64_t row = row_at(batch, block, s, t, reverse);
        starts[mine] = start_of(row);
        numbers[mine] = saved.gates != nullptr ? block.first[t] - block.first[begin] + s
                        : fused                ? s / sequences.step
                                               : mine;
        ++mine;
      }
    }
    if (call.numbers == nullptr) {
      x_rows = workspace.x_rows.fill(starts, mine, sizes.inputs, rank * batch.chunk_rows);
      if (!fused) input_product<A, C>(sizes, panels, weights, x_rows, numbers, mine, gates);
    }
    int64_t done = 0;
    for (int64_t t = begin; t < end; ++t) {
      const int64_t here = step(block, t, gates, done, fused);
      if (here == 0) break;  // none of this thread's sequences runs any more
      done += here;
    }
  }

  // One step of this thread's sequences, returns how many run; `done` of its rows in the chunk are
  // before.
  int64_t step(const Block& block, int64_t t, Gates<T> gates, int64_t done, bool fused) {
    int64_t here = 0;
    for (int64_t s = sequences.first; s < block.count[t]; s += sequences.step) {
      rows[here++] = now + s * sizes.padded;
    }
    if (here == 0) return 0;
    const int64_t K = t == 0 && h0 == nullptr ? 0 : H;  // zeros add nothing
    h_rows = workspace.h_rows.fill(rows, here, K, rank * batch.block_sequences);
    // Every second step goes through the panels in reverse: what the step before read last is still
    // in the cache.
    const bool in_reverse = t % 2 == 1;
    const int64_t count = (sizes.panels - panels.first + panels.step - 1) / panels.step;
    const auto nth = [&](int64_t i) {
      return panels.first + (in_reverse ? count - 1 - i : i) * panels.step;
    };
    // The functions of one row wait for each other. With few rows, those of several panels are
    // computed together, so that they overlap.
    constexpr int64_t enough = 16;
    const int64_t group = fused && saved.gates == nullptr ? 1 : (enough + here - 1) / here;
    for (int64_t begin = 0; begin < count; begin += group) {
      const int64_t end = min(begin + group, count);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t ahead = i + 1 < count ? nth(i + 1) - nth(i) : 0;
        product(K, nth(i), ahead, here, done, gates, fused);
      }
      const int64_t* const number = numbers + done;
      for (int64_t i = begin; i < end; ++i) activate(nth(i), here, number, gates);
      for (int64_t i = begin; i < end; ++i) update(block, t, nth(i), here, number, gates);
    }
    synchronize();
    for (int64_t s = rank; s < block.count[t]; s += threads) store_output(block, s, t);
    T* const swapped = now;
    now = next;
    next = swapped;
    return here;
  }

  // Sums of one panel of gates; the next panel, `ahead` of it, is prefetched.
  void product(int64_t K, int64_t panel, int64_t ahead, int64_t here, int64_t done, Gates<T> gates,
               bool fused) const {
    constexpr int L = LANES<T>;
    const int64_t* const number = numbers + done;
    ProductRows<A> to{h_rows, gates.at(panel, 0), number, gates.row};
    const bool given = call.numbers != nullptr;
    if (given) {
      to.start = starts + done;
      to.start_offset = panel * sizes.width;
      if (ahead != 0) prefetch(to, here, ahead * sizes.width);
    }
    if constexpr (!LOW) to.ahead = weights_ahead(panel, ahead, here);
    const T* bias = nullptr;
    if (fused) {
      if constexpr (LOW) {
        const Strided this_panel{panel, sizes.panels};
        input_product<A, C>(sizes, this_panel, weights, x_rows + done, number, here, gates);
      } else {
        bias = weights.bias + panel * sizes.width;
        to.first_a = x_rows + done;
        to.first_b = weights.ih + panel * sizes.input_panel();
        to.first_K = sizes.inputs;
      }
    }
    panel_product<A, C::product_vectors, C::last_vector>(
        K, to, here, weights.hh + panel * sizes.hidden_panel(), bias);
    if constexpr (C::last_vector == C::product_vectors) {
      // The input part of the GRU's third gate is not in the recurrent product.
      for (int64_t i = 0; given && i < here; ++i) {
        store<T>(gates.at(panel, number[i]) + 2 * L,
                 load<T>(to.start[i] + to.start_offset + 2 * L));
      }
    }
  }

  // The weights of the next panel, where they are far away in memory and one panel's leave room for
  // them in the second cache; null elsewhere.
  const T* weights_ahead(int64_t panel, int64_t ahead, int64_t here) const {
    constexpr int64_t most = 384 << 10, far = 4 << 20;  // bytes
    const int64_t size = sizes.hidden_panel() * static_cast<int64_t>(sizeof(T));
    const bool fetched = ahead != 0 && here > TILE_ROWS<C::product_vectors> && size <= most &&
                         size * sizes.panels > far;
    return fetched ? weights.hh + (panel + ahead) * sizes.hidden_panel() : nullptr;
  }

  // A loop of its own: the operations of one row depend on each other, those of several rows
  // overlap.
  void activate(int64_t panel, int64_t here, const int64_t* number, Gates<T> gates) const {
    for (int64_t i = 0; i < here; ++i) C::activate(gates.at(panel, number[i]));
  }

  // States after the step, of one panel's hidden units.
  void update(const Block& block, int64_t t, int64_t panel, int64_t here, const int64_t* number,
              Gates<T> gates) const {
    constexpr int L = LANES<T>;
    const int64_t first = block.first_row + block.first[t];
    for (int64_t i = 0; i < here; ++i) {
      const int64_t s = sequences.first + i * sequences.step;
      const int64_t unit = panel * C::unit_vectors * L, at = s * sizes.padded + unit;
      C::update(gates.at(panel, number[i]), now + at, workspace.c + at, next + at);
      const int64_t to = (first + s) * sizes.padded + unit;
      if (saved.c != nullptr) store<T>(saved.c + to, load<T>(workspace.c + at));
      for (int v = 0; saved.h != nullptr && v < C::unit_vectors; ++v) {
        store<T>(saved.h + to + v * L, load<T>(next + at + v * L));
      }
    }
  }

  // Given products stand anywhere: those of the next panel are fetched while this one is summed.
  static void prefetch(const ProductRows<A>& to, int64_t count, int64_t ahead) {
    constexpr int64_t line = 64 / sizeof(T);
    for (int64_t i = 0; i < count; ++i) {
      const T* const row = to.start[i] + to.start_offset + ahead;
      for (int64_t at = 0; at < PANEL_VECTORS * LANES<T>; at += line) __builtin_prefetch(row + at);
    }
  }

  // Copies a sequence's state after step t to the output, and to the final states after its last
  // step.
  void store_output(const Block& block, int64_t s, int64_t t) {
    const T* const h = next + s * sizes.padded;
    copy<T>(output + row_at(batch, block, s, t, reverse) * out, h, H);
    if (block.length[s] == t + 1) store_final_state(block, s, h);
  }
};

template <class A, class C>
void forward(Forward* call, int direction, int rank, int threads) {
  ForwardPass<A, C>(*call, direction, rank, threads).run();
}

}  // namespace
}  // namespace birnn
