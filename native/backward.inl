// One direction of one layer, backward through time.
//
// Stretch after stretch from the end. In a stretch each thread first runs its part backward, its own
// sequences or its own groups of hidden units: gradients of the gates, then of the state before. The
// weights' gradients are products over all rows of the stretch, so after a barrier each thread forms
// them for some rows of the weights. Their order of summation follows from the batch alone, never
// from the threads.

// Everything that one thread needs to go backward through one direction.
template <class T, class C>
struct BackwardPass {
  static constexpr int L = LANES<T>;
  using Scratch = BackwardScratch<T, C>;

  Backward& call;
  const int direction, rank, threads;
  const bool together;  // whether threads share hidden units, not sequences
  // Of this thread; a group is as many hidden units as a panel of a plain product has.
  const Part sequences, groups;
  const Batch& batch;
  const Sizes<T, C> sizes;
  const int64_t D, H, out;
  const bool reverse;
  const Scratch scratch;
  const Saved<T, C> kept;
  const T *x, *output, *d_output, *h0, *c0;
  const T** rows;
  int64_t* numbers;
  const bool wants_weights;
  WeightSums<T, C> sums;

  BackwardPass(Backward& the_call, int the_direction, int the_rank, int the_threads)
      : call(the_call),
        direction(the_direction),
        rank(the_rank),
        threads(the_threads),
        together(the_call.share == Share::panels),
        sequences(together ? Part{0, 1} : Part{rank, threads}),
        groups(together ? Part{rank, threads} : Part{0, 1}),
        batch(*the_call.batch),
        sizes(the_call.shape),
        D(sizes.inputs),
        H(sizes.hidden),
        out(the_call.shape.directions * sizes.hidden),
        reverse(the_direction == 1),
        scratch(sizes, batch, call.keep, threads, Cutter{call.scratch[direction]}),
        kept(sizes, batch.places, call.keep,
             static_cast<T*>(const_cast<void*>(call.saved[direction]))),
        x(static_cast<const T*>(call.x)),
        output(part(call.output, H)),
        d_output(part(call.d_output, H)),
        h0(part(call.h0, batch.sequences * H)),
        c0(part(call.c0, batch.sequences * H)),
        rows(scratch.rows + rank * batch.stretch_rows),
        numbers(scratch.numbers + rank * batch.stretch_rows),
        wants_weights(the_call.d_weights[the_direction].ih != nullptr),
        sums{sizes, scratch, the_call.d_weights[the_direction], rank, threads} {}

  // This direction's part of an array, `offset` elements for each direction.
  const T* part(const void* array, int64_t offset) const {
    return array == nullptr ? nullptr : static_cast<const T*>(array) + direction * offset;
  }

  // Waits for the threads that share hidden units with this one.
  void meet() {
    if (together) wait_for_all(&call.barrier[direction], threads);
  }

  // The first of this thread's rows of a step, where work is shared by rows; then every `threads`th.
  int64_t first_row(int64_t t) const {
    return together ? (rank + threads - t % threads) % threads : rank;
  }

  void run() {
    prepare();
    wait_for_all(&call.barrier[direction], threads);
    for (int64_t b = 0; b < batch.blocks; ++b) {
      const Block& block = batch.block[b];
      start_block(block);
      for (int64_t stretch = block.stretches - 1; stretch >= 0; --stretch) {
        run_stretch(block, block.stretch[stretch], block.stretch[stretch + 1]);
      }
      end_block(block);
    }
    if (wants_weights) sums.finish();
  }

  // Weights for the way back: rows of this thread.
  void prepare() {
    const T* const ih = static_cast<const T*>(call.weights[direction].ih);
    const T* const hh = static_cast<const T*>(call.weights[direction].hh);
    if (call.d_x[direction] != nullptr) pack_back(ih, D, scratch.back_ih, 0);
    pack_back(hh, H, scratch.back_hh, C::row_blocks - C::gates);
    if (wants_weights) sums.prepare();
    if (rank == 0) zero<T>(scratch.zeros, greatest(sizes.outputs, sizes.width));
  }

  // Row k of a packed matrix is the row of w whose gradient stands at k in a row of gradients that
  // begins with block `skipped`.
  void pack_back(const T* w, int64_t columns, T* packed, int skipped) {
    const int64_t K = C::gates * sizes.padded;
    for (int v = 0; v < C::row_blocks; ++v) {
      const int64_t at = C::row_block(v) - skipped;
      if (at < 0 || at >= C::gates) continue;
      // The GRU's fourth block is the recurrent part of its third gate.
      const int64_t gate = C::direct && v == 3 ? 2 : v;
      // A thread's rows one after another, as they stand: the next ones are fetched meanwhile.
      const int64_t first = rank * sizes.padded / threads, end = (rank + 1) * sizes.padded / threads;
      for (int64_t unit = first; unit < end; ++unit) {
        const bool real = unit < H;
        const T* const row = w + (real ? (gate * H + unit) * columns : 0);
        for (int64_t panel = 0; panel < plain_panels<T>(columns); ++panel) {
          const int64_t column = panel * FOUR * L;
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
      T* const d_h = scratch.d_h + s * sizes.outputs;
      zero<T>(d_h, sizes.outputs);
      if (d_h_n != nullptr) copy<T>(d_h, d_h_n + sequence * H, H);
      if constexpr (C::memory) {
        T* const d_c = scratch.d_c + s * sizes.padded;
        zero<T>(d_c, sizes.padded);
        if (d_c_n != nullptr) copy<T>(d_c, d_c_n + sequence * H, H);
      }
    }
    meet();
  }

  void end_block(const Block& block) {
    const int64_t offset = direction * batch.sequences * H;
    for (int64_t s = rank; s < block.sequences; s += threads) {
      const int64_t to = offset + block.order[s] * H;
      if (call.d_h0 != nullptr) {
        copy<T>(static_cast<T*>(call.d_h0) + to, scratch.d_h + s * sizes.outputs, H);
      }
      if (C::memory && call.d_c0 != nullptr) {
        copy<T>(static_cast<T*>(call.d_c0) + to, scratch.d_c + s * sizes.padded, H);
      }
    }
  }

  // Rows of a stretch, its first ones, before which the state is zeros: nothing to multiply by.
  int64_t from_zeros(const Block& block, int64_t begin) const {
    return begin == 0 && h0 == nullptr ? block.count[0] : 0;
  }

  // h before a step, H wide.
  const T* h_before(const Block& block, int64_t s, int64_t t) const {
    if (t > 0 && kept.h != nullptr) {
      return kept.h + (block.first_place + block.first[t - 1] + s) * sizes.padded;
    }
    if (t > 0) return output + row_at(batch, block, s, t - 1, reverse) * out;
    return h0 != nullptr ? h0 + block.order[s] * H : scratch.zeros;
  }

  void run_stretch(const Block& block, int64_t begin, int64_t end) {
    const int64_t place = block.first_place + block.first[begin];
    const int64_t count = block.first[end] - block.first[begin];
    const bool are_kept = kept.gates != nullptr;
    const Gates<T> gates{are_kept ? kept.gates + place * sizes.gate_step() : scratch.gates,
                         sizes.width, sizes.gate_step()};
    if (!are_kept) compute_gates(block, begin, end, gates);
    for (int64_t t = end - 1; t >= begin; --t) step(block, begin, t, gates, count);
    if (call.d_x[direction] != nullptr) input_gradient(block, begin, end);
    wait_for_all(&call.barrier[direction], threads);
    if (wants_weights) sums.add(count, from_zeros(block, begin));
    wait_for_all(&call.barrier[direction], threads);
  }

  // The gates of this thread's part as the forward pass had them, to the last bit.
  void compute_gates(const Block& block, int64_t begin, int64_t end, const Gates<T>& gates) {
    const Packed<T, C> weights(sizes,
                               static_cast<char*>(const_cast<void*>(call.packed[direction])));
    const Part panels = groups;
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
      panel_product<T, C::product, C::last>(
          H, Rows<T>{rows + first, gates.at(panel, 0), numbers + first, gates.row}, mine - first,
          weights.hh + panel * sizes.hidden_panel(), nullptr);
      for (int64_t i = 0; i < mine; ++i) C::activate(gates.at(panel, numbers[i]));
    }
    meet();
  }

  // The first of this thread's sequences that is not before `sequence`.
  int64_t first_from(int64_t sequence) const {
    const int64_t before = greatest(0, sequence - sequences.first);
    return sequences.first + (before + sequences.step - 1) / sequences.step * sequences.step;
  }

  // Gradients of the gates of one step, and of the state before it; `all` rows are in the stretch.
  void step(const Block& block, int64_t begin, int64_t t, const Gates<T>& gates, int64_t all) {
    const int64_t first = block.first[t] - block.first[begin], running = block.count[t];
    for (int64_t s = first_row(t); wants_weights && s < running; s += threads) {
      pack_right(x + row_at(batch, block, s, t, reverse) * D, D, scratch.right_ih, all, first + s);
      if (first + s < from_zeros(block, begin)) continue;
      pack_right(h_before(block, s, t), H, scratch.right_hh, all, first + s);
    }
    // Those that end here; the others got theirs before the product of the step after.
    const int64_t ended = first_from(block.count[t + 1]);
    for (int64_t s = ended; s < running && d_output != nullptr; s += sequences.step) {
      receive(block, s, t, true, false);
    }
    int64_t here = 0;
    for (int64_t s = sequences.first; s < running; s += sequences.step) {
      for (int64_t group = groups.first; group < sizes.groups(); group += groups.step) {
        gate_gradients(block, s, t, group, gates, first + s);
      }
      T* const d_row = scratch.d_rows + (first + s) * sizes.row_step();
      rows[here] = d_row + (C::row_blocks - C::gates) * sizes.padded;
      numbers[here++] = s;
    }
    if (here == 0) return;
    meet();  // a state's gradient is a sum over the gates of all hidden units, as is that of x
    if (t == 0 && call.d_h0 == nullptr) return;  // nobody asks for the gradient before it
    const bool receives = t > 0 && d_output != nullptr;
    for (int64_t i = 0; i < here; ++i) receive(block, numbers[i], t - 1, receives, !C::direct);
    const int64_t K = C::gates * sizes.padded;
    // Few rows wait for the weights: to and fro, what the last step read last is still in the cache.
    const bool back = here < ROWS<FOUR> && t % 2 == 1;
    const int64_t count = (sizes.groups() - groups.first + groups.step - 1) / groups.step;
    for (int64_t nth = 0; nth < count; ++nth) {
      const int64_t group = groups.first + (back ? count - 1 - nth : nth) * groups.step;
      const Rows<T> to{rows, scratch.d_h + group * sizes.width, numbers, sizes.outputs};
      plain_product<T>(plain_vectors<T>(H, group), K, to, here,
                       scratch.back_hh + group * K * sizes.width, nullptr);
    }
  }

  // Row k of `count` of the right factor of a weight's gradient.
  void pack_right(const T* row, int64_t columns, T* packed, int64_t count, int64_t k) const {
    for (int64_t panel = 0; panel < plain_panels<T>(columns); ++panel) {
      const int64_t column = panel * sizes.width;
      pack_plain_row<T>(packed + column * count, plain_vectors<T>(columns, panel), count, k,
                        row + column, columns - column);
    }
  }

  // What a state's gradient gets from d_output, for this thread's groups of hidden units: added to
  // what is there, or in the place of it.
  void receive(const Block& block, int64_t s, int64_t t, bool has_some, bool anew) const {
    T* const d_h = scratch.d_h + s * sizes.outputs;
    const T* const d = has_some ? d_output + row_at(batch, block, s, t, reverse) * out : nullptr;
    for (int64_t group = groups.first; group < sizes.groups(); group += groups.step) {
      const int64_t first = group * sizes.width, count = least(sizes.width, H - first);
      if (anew && d != nullptr) copy<T>(d_h + first, d + first, count);
      if (anew && d == nullptr) zero<T>(d_h + first, count);
      for (int64_t i = first; !anew && d != nullptr && i < first + count; ++i) d_h[i] += d[i];
    }
  }

  // Gradients of one row's gates, for one group of hidden units.
  void gate_gradients(const Block& block, int64_t s, int64_t t, int64_t group,
                      const Gates<T>& gates, int64_t number) {
    const int64_t first = group * sizes.width, last = least(first + sizes.width, sizes.padded);
    const int64_t real = least(last, H) - first, filled = last - first - real;
    T* const d_h = scratch.d_h + s * sizes.outputs;
    // Units that only fill up a panel: zeros, as their memory may hold anything.
    T* const before = scratch.before + s * sizes.padded;
    const auto fill_before = [&](const T* from) {
      zero<T>(before + first + real, filled);
      copy<T>(before + first, from + first, real);
    };
    if constexpr (C::direct) fill_before(h_before(block, s, t));
    const int64_t place = block.first_place + block.first[t] + s;
    const T* const c = C::memory ? kept.c + place * sizes.padded : nullptr;
    const T* c_before = nullptr;
    if constexpr (C::memory) {
      c_before = before;
      if (t > 0) {
        c_before = kept.c + (block.first_place + block.first[t - 1] + s) * sizes.padded;
      } else {
        fill_before(c0 != nullptr ? c0 + block.order[s] * H : scratch.zeros);
      }
    }
    T* const d_row = scratch.d_rows + number * sizes.row_step();
    for (int64_t unit = first; unit < last; unit += C::units * L) {
      const T* const own = gates.at(unit / (C::units * L), number);
      // What is kept comes from far away: that of some rows on is fetched meanwhile.
      constexpr int64_t ahead = 3;
      for (int v = 0; v < FOUR; ++v) {
        __builtin_prefetch(own + ahead * sequences.step * gates.row + v * L);
      }
      if (C::memory) __builtin_prefetch(c_before + ahead * sequences.step * sizes.padded + unit);
      T d_panel[sizes.width];
      C::gradient(own, before + unit, C::memory ? c_before + unit : nullptr,
                  C::memory ? c + unit : nullptr, d_h + unit,
                  C::memory ? scratch.d_c + s * sizes.padded + unit : nullptr, d_panel);
      for (int v = 0; v < FOUR; ++v) {
        T* const to = C::units == 1 ? d_row + C::row_block(v) * sizes.padded + unit
                                    : d_row + unit + v * L;
        store<T>(to, load<T>(d_panel + v * L));
      }
    }
    // Those units may have met inf * 0: their NaN must not reach others.
    for (int v = 0; v < C::row_blocks; ++v) {
      zero<T>(d_row + v * sizes.padded + first + real, filled);
    }
  }

  void input_gradient(const Block& block, int64_t begin, int64_t end) {
    int64_t mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = first_row(t); s < block.count[t]; s += threads) {
        numbers[mine] = block.first[t] - block.first[begin] + s;
        rows[mine] = scratch.d_rows + numbers[mine] * sizes.row_step();
        ++mine;
      }
    }
    const int64_t K = C::gates * sizes.padded, width = scratch.d_x_width;
    for (int64_t panel = 0; panel < plain_panels<T>(D); ++panel) {
      const Rows<T> to{rows, scratch.plain + panel * sizes.width, numbers, width};
      plain_product<T>(plain_vectors<T>(D, panel), K, to, mine,
                       scratch.back_ih + panel * K * sizes.width, scratch.zeros);
    }
    T* const d_x = static_cast<T*>(call.d_x[direction]);
    mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = first_row(t); s < block.count[t]; s += threads) {
        copy<T>(d_x + row_at(batch, block, s, t, reverse) * D,
                scratch.plain + numbers[mine++] * width, D);
      }
    }
  }
};

template <class T, class C>
void backward(Backward* call, int direction, int rank, int threads) {
  BackwardPass<T, C>(*call, direction, rank, threads).run();
}
