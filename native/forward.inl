// One direction of one layer, forward.
//
// Threads share the sequences of every block, and then never wait for each other; or, where there are
// few sequences, the panels of hidden units. The recurrence goes step by step through a stretch of
// steps. Where many sequences run, a step's input and recurrent product are summed in one go. Where few
// do, the input product is formed for the whole stretch before, so that its weights are read once for
// many rows. Where the rows are entries of a table, it is formed once for each entry.

inline bool keeps_gates(Keep keep) { return keep == Keep::gates || keep == Keep::everything; }

// What is kept for the backward pass: hidden states, cell states and gates of all rows, in scan
// order; null is what is not kept.
template <class T, class C>
struct Saved {
  T* h = nullptr;
  T* c = nullptr;
  T* gates = nullptr;
  int64_t size = 0;

  Saved(const Sizes<T, C>& sizes, int64_t places, Keep keep, T* memory) {
    const auto cut = [&](bool is_kept, int64_t width) {
      T* const here = is_kept && memory != nullptr ? memory + size : nullptr;
      size += is_kept ? places * width : 0;
      return here;
    };
    h = cut(keep == Keep::everything, sizes.padded);
    c = cut(keep != Keep::nothing && C::memory, sizes.padded);
    gates = cut(keeps_gates(keep), sizes.gate_step());
  }
};

template <class T, class C>
int64_t saved(const Shape* shape, int64_t places, Keep keep) {
  return Saved<T, C>(Sizes<T, C>(*shape), places, keep, nullptr).size;
}

template <class T, class C>
struct ForwardScratch {
  T* table;  // input products of a table's entries
  T* gates;  // of one stretch, for each thread, where they are not kept
  T* h[2];
  T* c;
  const T** rows;    // states before a step
  const T** starts;  // rows of x, or of the table
  int64_t* numbers;

  ForwardScratch(const Sizes<T, C>& sizes, const Batch& batch, Keep keep, int64_t entries,
                 int threads, Cutter cutter, int64_t* used = nullptr) {
    const int64_t stretches = keeps_gates(keep) ? 0 : threads;
    table = cutter.cut<T>(entries * sizes.panels * sizes.width);
    gates = cutter.cut<T>(stretches * batch.stretch_rows * sizes.gate_step());
    for (auto& part : h) part = cutter.cut<T>(batch.block_sequences * sizes.padded);
    c = cutter.cut<T>(C::memory ? batch.block_sequences * sizes.padded : 0);
    rows = cutter.cut<const T*>(batch.stretch_rows * threads);
    starts = cutter.cut<const T*>(batch.stretch_rows * threads);
    numbers = cutter.cut<int64_t>(batch.stretch_rows * threads);
    if (used != nullptr) *used = cutter.used;
  }
};

template <class T, class C>
int64_t forward_scratch(const Shape* shape, const Batch* batch, Keep keep, int64_t entries,
                        int threads) {
  int64_t used = 0;
  ForwardScratch<T, C>(Sizes<T, C>(*shape), *batch, keep, entries, threads, Cutter{nullptr}, &used);
  return used;
}

// Gates of some rows.
template <class T>
struct Gates {
  T* data;
  int64_t panel;  // elements from one panel to the next
  int64_t row;    // and from one row to the next

  T* at(int64_t the_panel, int64_t number) const {
    return data + the_panel * panel + number * row;
  }
};

// Gates of `count` rows from their inputs, the recurrent part still to come.
template <class T, class C>
void input_product(const Sizes<T, C>& sizes, Part panels, const Packed<T, C>& weights,
                   const T* const* x, const int64_t* numbers, int64_t count, Gates<T> gates) {
  constexpr int L = LANES<T>;
  for (int64_t panel = panels.first; panel < sizes.panels; panel += panels.step) {
    const T* bias = weights.bias + panel * sizes.width;
    const Rows<T> rows{x, gates.at(panel, 0), numbers, gates.row};
    panel_product<T, C::product, C::product - 1>(
        sizes.inputs, rows, count, weights.ih + panel * sizes.input_panel(), bias);
    if constexpr (C::last == C::product) {
      const Vec<T> recurrent = load<T>(bias + C::last * L);
      for (int64_t i = 0; i < count; ++i) {
        store<T>(gates.at(panel, numbers[i]) + C::last * L, recurrent);
      }
    }
  }
}

template <class T, class C>
struct ForwardPass {
  Forward& call;
  const int direction, rank, threads;
  const bool together;           // whether threads share panels, not sequences
  const Part sequences, panels;  // of this thread
  const Batch& batch;
  const Sizes<T, C> sizes;
  const int64_t H, out;
  const bool reverse;
  const Packed<T, C> weights;
  const ForwardScratch<T, C> scratch;
  const Saved<T, C> kept;
  const T* const x;
  T* const output;
  const T *h0, *c0;
  T *h_n, *c_n;
  const T** const rows;
  const T** const starts;
  int64_t* const numbers;
  T* now;   // h before a step, by sequence of the block
  T* next;  // h after it

  ForwardPass(Forward& the_call, int the_direction, int the_rank, int the_threads)
      : call(the_call),
        direction(the_direction),
        rank(the_rank),
        threads(the_threads),
        together(call.share == Share::panels),
        sequences(together ? Part{0, 1} : Part{rank, threads}),
        panels(together ? Part{rank, threads} : Part{0, 1}),
        batch(*call.batch),
        sizes(call.shape),
        H(sizes.hidden),
        out(call.shape.directions * H),
        reverse(direction == 1),
        weights(sizes, static_cast<char*>(const_cast<void*>(call.packed[direction]))),
        scratch(sizes, batch, call.keep, call.entries, threads, Cutter{call.scratch[direction]}),
        kept(sizes, batch.places, call.keep, static_cast<T*>(call.saved[direction])),
        x(static_cast<const T*>(call.x)),
        output(static_cast<T*>(call.output) + direction * H),
        h0(part<const T>(call.h0)),
        c0(part<const T>(call.c0)),
        h_n(part<T>(call.h_n)),
        c_n(part<T>(call.c_n)),
        rows(scratch.rows + rank * batch.stretch_rows),
        starts(scratch.starts + rank * batch.stretch_rows),
        numbers(scratch.numbers + rank * batch.stretch_rows),
        now(scratch.h[0]),
        next(scratch.h[1]) {}

  // This direction's states of an array (directions, B, H).
  template <class Item, class Array>
  Item* part(Array* array) const {
    return array == nullptr ? nullptr
                            : static_cast<Item*>(array) + direction * batch.sequences * H;
  }

  // Waits for the threads that share panels with this one.
  void meet() {
    if (together) wait_for_all(&call.barrier[direction], threads);
  }

  void run() {
    if (call.numbers != nullptr && batch.places > 0) {
      fill_table();
      wait_for_all(&call.barrier[direction], threads);
    }
    for (int64_t b = 0; b < batch.blocks; ++b) {
      const Block& block = batch.block[b];
      start_block(block);
      for (int64_t stretch = 0; stretch < block.stretches; ++stretch) {
        run_stretch(block, block.stretch[stretch], block.stretch[stretch + 1]);
      }
    }
  }

  // Input products of this thread's share of the table.
  void fill_table() {
    const int64_t most = batch.stretch_rows;
    for (int64_t begin = rank * most; begin < call.entries; begin += threads * most) {
      const int64_t count = least(most, call.entries - begin);
      for (int64_t i = 0; i < count; ++i) {
        starts[i] = x + (begin + i) * sizes.inputs;
        numbers[i] = begin + i;
      }
      input_product<T, C>(sizes, Part{0, 1}, weights, starts, numbers, count,
                          Gates<T>{scratch.table, call.entries * sizes.width, sizes.width});
    }
  }

  void start_block(const Block& block) {
    meet();  // nobody reads states of the block before any more
    for (int64_t s = rank; s < block.sequences; s += threads) {
      const int64_t sequence = block.order[s];
      T* const h = now + s * sizes.padded;
      zero<T>(h, sizes.padded);
      if (h0 != nullptr) copy<T>(h, h0 + sequence * H, H);
      if constexpr (C::memory) {
        zero<T>(scratch.c + s * sizes.padded, sizes.padded);
        if (c0 != nullptr) copy<T>(scratch.c + s * sizes.padded, c0 + sequence * H, H);
      }
      if (block.length[s] == 0) finish(block, s, h);
    }
    meet();
  }

  // The state that a sequence ends in.
  void finish(const Block& block, int64_t s, const T* h) {
    copy<T>(h_n + block.order[s] * H, h, H);
    if constexpr (C::memory) copy<T>(c_n + block.order[s] * H, scratch.c + s * sizes.padded, H);
  }

  // Whether both products of a step are summed in one go, without the gates going to memory between
  // them. Every step then reads weight_ih as well, which takes enough rows to be worth it.
  bool sums_at_once(int64_t rows_here, int64_t steps) const {
    constexpr int64_t enough = 12;  // rows of a step, for this thread
    constexpr int64_t near = 4 << 20;  // bytes of weights that are not too far away for it
    // The GRU keeps the two products of its third gate apart.
    return C::last != C::product && call.numbers == nullptr && rows_here >= enough * steps &&
           sizes.panels * (sizes.input_panel() + sizes.hidden_panel()) *
                   static_cast<int64_t>(sizeof(T)) <= near;
  }

  // Where the gates of a stretch stand: in their place among all that is kept, else in memory of this
  // thread's own.
  Gates<T> gates_of(int64_t place, bool at_once) const {
    const int64_t step = sizes.gate_step();
    if (kept.gates != nullptr) return {kept.gates + place * step, sizes.width, step};
    T* const own = scratch.gates + rank * batch.stretch_rows * step;
    // Summed at once, they are gone before those of the next panel take their place.
    return at_once ? Gates<T>{own, 0, sizes.width} : Gates<T>{own, sizes.width, step};
  }

  void run_stretch(const Block& block, int64_t begin, int64_t end) {
    const int64_t rows_here = block.first[end] - block.first[begin];
    const bool at_once = sums_at_once(rows_here / sequences.step, end - begin);
    const Gates<T> gates = gates_of(block.first_place + block.first[begin], at_once);
    int64_t mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = sequences.first; s < block.count[t]; s += sequences.step) {
        const int64_t row = row_at(batch, block, s, t, reverse);
        starts[mine] = call.numbers != nullptr ? scratch.table + call.numbers[row] * sizes.width
                                               : x + row * sizes.inputs;
        numbers[mine] = kept.gates != nullptr ? block.first[t] - block.first[begin] + s
                        : at_once             ? s / sequences.step
                                              : mine;
        ++mine;
      }
    }
    if (call.numbers == nullptr && !at_once) {
      input_product<T, C>(sizes, panels, weights, starts, numbers, mine, gates);
    }
    int64_t done = 0;
    for (int64_t t = begin; t < end; ++t) {
      const int64_t here = step(block, t, gates, done, at_once);
      if (here == 0) break;  // shorter from here on: nothing of this thread's runs any more
      done += here;
    }
  }

  // One step of this thread's sequences; `done` of its rows in the stretch are before it.
  int64_t step(const Block& block, int64_t t, Gates<T> gates, int64_t done, bool at_once) {
    int64_t here = 0;
    for (int64_t s = sequences.first; s < block.count[t]; s += sequences.step) {
      rows[here++] = now + s * sizes.padded;
    }
    if (here == 0) return 0;
    // To and fro through the panels: what the last step read last is still in the cache.
    const bool back = t % 2 == 1;
    const int64_t count = (sizes.panels - panels.first + panels.step - 1) / panels.step;
    const auto nth = [&](int64_t i) {
      return panels.first + (back ? count - 1 - i : i) * panels.step;
    };
    // A row's functions wait for each other: with few rows, those of some panels run side by side.
    constexpr int64_t enough = 16;
    const int64_t group = at_once && kept.gates == nullptr ? 1 : (enough + here - 1) / here;
    for (int64_t begin = 0; begin < count; begin += group) {
      const int64_t end = least(begin + group, count);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t ahead = i + 1 < count ? nth(i + 1) - nth(i) : 0;
        product(t, nth(i), ahead, here, done, gates, at_once);
      }
      const int64_t* const number = numbers + done;
      for (int64_t i = begin; i < end; ++i) activate(nth(i), here, number, gates);
      for (int64_t i = begin; i < end; ++i) update(block, t, nth(i), here, number, gates);
    }
    meet();
    for (int64_t s = rank; s < block.count[t]; s += threads) leave(block, s, t);
    T* const swapped = now;
    now = next;
    next = swapped;
    return here;
  }

  // Gates of one panel before their functions; the next panel is `ahead` of it.
  void product(int64_t t, int64_t panel, int64_t ahead, int64_t here, int64_t done, Gates<T> gates,
               bool at_once) const {
    constexpr int L = LANES<T>;
    const int64_t* const number = numbers + done;
    Rows<T> to{rows, gates.at(panel, 0), number, gates.row};
    const bool table = call.numbers != nullptr;
    if (table) {
      const int64_t table_panel = call.entries * sizes.width;
      to.start = starts + done;
      to.start_offset = panel * table_panel;
      if (ahead != 0) prefetch(to, here, ahead * table_panel);
    }
    const T* bias = nullptr;
    if (at_once) {
      bias = weights.bias + panel * sizes.width;
      to.first_a = starts + done;
      to.first_b = weights.ih + panel * sizes.input_panel();
      to.first_K = sizes.inputs;
    }
    const int64_t K = t == 0 && h0 == nullptr ? 0 : H;  // zeros add nothing
    panel_product<T, C::product, C::last>(K, to, here, weights.hh + panel * sizes.hidden_panel(),
                                          bias);
    if constexpr (C::last == C::product) {
      // The input part of the GRU's third gate is not in the recurrent product.
      for (int64_t i = 0; table && i < here; ++i) {
        store<T>(gates.at(panel, number[i]) + 2 * L,
                 load<T>(to.start[i] + to.start_offset + 2 * L));
      }
    }
  }

  // Two loops, this and the next: a row's operations depend on each other, neighbours overlap.
  void activate(int64_t panel, int64_t here, const int64_t* number, Gates<T> gates) const {
    for (int64_t i = 0; i < here; ++i) C::activate(gates.at(panel, number[i]));
  }

  // States after the step, of one panel's hidden units.
  void update(const Block& block, int64_t t, int64_t panel, int64_t here, const int64_t* number,
              Gates<T> gates) const {
    constexpr int L = LANES<T>;
    const int64_t place = block.first_place + block.first[t];
    for (int64_t i = 0; i < here; ++i) {
      const int64_t s = sequences.first + i * sequences.step;
      const int64_t unit = panel * C::units * L, at = s * sizes.padded + unit;
      C::update(gates.at(panel, number[i]), now + at, scratch.c + at, next + at);
      const int64_t to_keep = (place + s) * sizes.padded + unit;
      if (kept.c != nullptr) store<T>(kept.c + to_keep, load<T>(scratch.c + at));
      for (int v = 0; kept.h != nullptr && v < C::units; ++v) {
        store<T>(kept.h + to_keep + v * L, load<T>(next + at + v * L));
      }
    }
  }

  // The table's rows stand anywhere: those of the next panel are fetched during this one's product.
  static void prefetch(const Rows<T>& to, int64_t count, int64_t ahead) {
    constexpr int64_t line = 64 / sizeof(T);
    for (int64_t i = 0; i < count; ++i) {
      const T* const row = to.start[i] + to.start_offset + ahead;
      for (int64_t at = 0; at < FOUR * LANES<T>; at += line) __builtin_prefetch(row + at);
    }
  }

  // A sequence's state after step t: to the output and to the final states.
  void leave(const Block& block, int64_t s, int64_t t) {
    const T* const h = next + s * sizes.padded;
    copy<T>(output + row_at(batch, block, s, t, reverse) * out, h, H);
    if (block.length[s] == t + 1) finish(block, s, h);
  }
};

template <class T, class C>
void forward(Forward* call, int direction, int rank, int threads) {
  ForwardPass<T, C>(*call, direction, rank, threads).run();
}
