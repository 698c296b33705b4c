// One direction of one layer, backward through time.
//
// Stretch after stretch from the end. In a stretch each thread first runs its own sequences
// backward: gradients of the gates, then of the state before. The weights' gradients are products
// over all rows of the stretch, so after a barrier each thread forms them for panels of its own.
// Their order of summation follows from the batch alone, never from the threads.

template <class T, class C>
struct BackwardScratch {
  static constexpr int strip = ROWS<C::product % CUT != 0 ? C::product : CUT>;
  int64_t input_strips, hidden_strips;  // of x and a one, of h before the step and a one
  T* gates;       // computed again where they were not kept
  T* d_gates;     // by panel
  T* d_rows;      // by row
  T* left_ih;     // strips of [x 1], the left factor of a weight's gradient
  T* left_hh;     // strips of [h 1]
  T* sum_ih;      // by panel: (strips * strip, product * L)
  T* sum_hh;
  T* back_ih;     // weight_ih packed for d_x
  T* back_hh;     // weight_hh packed for d_h
  T* d_h;
  T* d_c;
  T* before;      // h before the step, padded
  T* plain;       // one stretch of d_x, in whole panels
  T* zeros;
  const T** rows;
  int64_t* numbers;
  int64_t d_x_width;

  BackwardScratch(const Sizes<T, C>& sizes, const Batch& batch, Keep keep, int threads,
                  Cutter cutter, int64_t* used = nullptr) {
    const int64_t R = batch.stretch_rows, B = batch.block_sequences;
    constexpr int L = LANES<T>;
    input_strips = (sizes.inputs + 1 + strip - 1) / strip;
    hidden_strips = (sizes.hidden + 1 + strip - 1) / strip;
    d_x_width = plain_panels<T>(sizes.inputs) * FOUR * L;
    gates = cutter.cut<T>(keep == Keep::states ? R * sizes.panels * sizes.width : 0);
    d_gates = cutter.cut<T>(R * sizes.panels * sizes.width);
    d_rows = cutter.cut<T>(R * sizes.row_width());
    left_ih = cutter.cut<T>(R * input_strips * strip);
    left_hh = cutter.cut<T>(R * hidden_strips * strip);
    sum_ih = cutter.cut<T>(sizes.panels * input_strips * strip * C::product * L);
    sum_hh = cutter.cut<T>(sizes.panels * hidden_strips * strip * C::product * L);
    const int64_t K = C::gates * sizes.padded;
    back_ih = cutter.cut<T>(K * d_x_width);
    back_hh = cutter.cut<T>(K * sizes.outputs);
    d_h = cutter.cut<T>(B * sizes.outputs);
    d_c = cutter.cut<T>(C::memory ? B * sizes.padded : 0);
    before = cutter.cut<T>(B * sizes.padded);
    plain = cutter.cut<T>(R * d_x_width);
    zeros = cutter.cut<T>(greatest(sizes.outputs, sizes.width));
    rows = cutter.cut<const T*>(R * threads);
    numbers = cutter.cut<int64_t>(R * threads);
    if (used != nullptr) *used = cutter.used;
  }
};

template <class T, class C>
int64_t backward_scratch(const Shape* shape, const Batch* batch, Keep keep, int threads) {
  int64_t used = 0;
  BackwardScratch<T, C>(Sizes<T, C>(*shape), *batch, keep, threads, Cutter{nullptr}, &used);
  return used;
}

// Everything that one thread needs to go backward through one direction.
template <class T, class C>
struct BackwardPass {
  static constexpr int L = LANES<T>;
  static constexpr int strip = BackwardScratch<T, C>::strip;
  using Scratch = BackwardScratch<T, C>;

  Backward& call;
  const int direction, rank, threads;
  const Batch& batch;
  const Sizes<T, C> sizes;
  const int64_t D, H, out;
  const bool reverse;
  const Scratch scratch;
  const Saved<T, C> kept;
  const T *x, *output, *d_output, *h0, *c0;
  const T** rows;
  int64_t* numbers;

  BackwardPass(Backward& the_call, int the_direction, int the_rank, int the_threads)
      : call(the_call),
        direction(the_direction),
        rank(the_rank),
        threads(the_threads),
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
        output(static_cast<const T*>(call.output) + direction * H),
        d_output(part(call.d_output, H)),
        h0(part(call.h0, batch.sequences * H)),
        c0(part(call.c0, batch.sequences * H)),
        rows(scratch.rows + rank * batch.stretch_rows),
        numbers(scratch.numbers + rank * batch.stretch_rows) {}

  // This direction's part of an array, `offset` elements for each direction.
  const T* part(const void* array, int64_t offset) const {
    return array == nullptr ? nullptr : static_cast<const T*>(array) + direction * offset;
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
    finish();
  }

  // Weights for the way back, and sums at zero: panels of this thread.
  void prepare() {
    const T* const ih = static_cast<const T*>(call.weights[direction].ih);
    const T* const hh = static_cast<const T*>(call.weights[direction].hh);
    if (call.d_x[direction] != nullptr) pack_back(ih, D, scratch.back_ih, 0);
    pack_back(hh, H, scratch.back_hh, C::row_blocks - C::gates);
    for (int64_t panel = rank; panel < sizes.panels; panel += threads) {
      zero<T>(sum_ih(panel, 0), scratch.input_strips * strip * C::product * L);
      zero<T>(sum_hh(panel, 0), scratch.hidden_strips * strip * C::product * L);
    }
    if (rank == 0) zero<T>(scratch.zeros, greatest(sizes.outputs, sizes.width));
  }

  // Row k of a packed matrix is the row of w whose gradient stands at k in a row of gradients that
  // begins with block `skipped`.
  void pack_back(const T* w, int64_t columns, T* packed, int skipped) {
    const int64_t K = C::gates * sizes.padded;
    for (int64_t panel = rank; panel < plain_panels<T>(columns); panel += threads) {
      T* const to = packed + panel * K * FOUR * L;
      const int64_t column = panel * FOUR * L;
      for (int v = 0; v < C::row_blocks; ++v) {
        const int64_t at = C::row_block(v) - skipped;
        if (at < 0 || at >= C::gates) continue;
        // The GRU's fourth block is the recurrent part of its third gate.
        const int64_t gate = C::direct && v == 3 ? 2 : v;
        for (int64_t unit = 0; unit < sizes.padded; ++unit) {
          const bool real = unit < H;
          pack_plain_row<T>(to, K, at * sizes.padded + unit,
                            w + (real ? (gate * H + unit) * columns + column : 0),
                            real ? columns - column : 0);
        }
      }
    }
  }

  T* sum_ih(int64_t panel, int64_t strip_number) const {
    return scratch.sum_ih +
           (panel * scratch.input_strips + strip_number) * strip * C::product * L;
  }

  T* sum_hh(int64_t panel, int64_t strip_number) const {
    return scratch.sum_hh +
           (panel * scratch.hidden_strips + strip_number) * strip * C::product * L;
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
  }

  void end_block(const Block& block) {
    const int64_t offset = direction * batch.sequences * H;
    for (int64_t s = rank; s < block.sequences; s += threads) {
      const int64_t to = offset + block.order[s] * H;
      copy<T>(static_cast<T*>(call.d_h0) + to, scratch.d_h + s * sizes.outputs, H);
      if constexpr (C::memory) {
        copy<T>(static_cast<T*>(call.d_c0) + to, scratch.d_c + s * sizes.padded, H);
      }
    }
  }

  // h before a step, H wide.
  const T* h_before(const Block& block, int64_t s, int64_t t) const {
    if (t > 0) return output + row_at(batch, block, s, t - 1, reverse) * out;
    return h0 != nullptr ? h0 + block.order[s] * H : scratch.zeros;
  }

  void run_stretch(const Block& block, int64_t begin, int64_t end) {
    const int64_t place = block.first_place + block.first[begin];
    const int64_t count = block.first[end] - block.first[begin];
    const T* gates = kept.gates + place * sizes.panels * sizes.width;
    if (call.keep == Keep::states) {
      compute_gates(block, begin, end, count);
      gates = scratch.gates;
    }
    for (int64_t t = end - 1; t >= begin; --t) step(block, begin, t, gates, count);
    if (call.d_x[direction] != nullptr) input_gradient(block, begin, end);
    wait_for_all(&call.barrier[direction], threads);
    if (call.d_weights[direction].ih != nullptr) weight_gradients(count);
    wait_for_all(&call.barrier[direction], threads);
  }

  // The gates of this thread's rows as the forward pass had them, to the last bit.
  void compute_gates(const Block& block, int64_t begin, int64_t end, int64_t count) {
    const Packed<T, C> weights(sizes,
                               static_cast<char*>(const_cast<void*>(call.packed[direction])));
    int64_t mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = rank; s < block.count[t]; s += threads) {
        rows[mine] = x + row_at(batch, block, s, t, reverse) * D;
        numbers[mine++] = block.first[t] - block.first[begin] + s;
      }
    }
    input_product<T, C>(sizes, weights, rows, numbers, mine, scratch.gates, count);
    mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = rank; s < block.count[t]; s += threads) {
        rows[mine++] = h_before(block, s, t);
      }
    }
    for (int64_t panel = 0; panel < sizes.panels; ++panel) {
      T* const here = scratch.gates + panel * count * sizes.width;
      panel_product<T, C::product, C::last>(H, Rows<T>{rows, here, numbers, sizes.width}, mine,
                                            weights.hh + panel * sizes.hidden_panel(), nullptr);
      for (int64_t i = 0; i < mine; ++i) C::activate(here + numbers[i] * sizes.width);
    }
  }

  // Gradients of the gates of one step, and of the state before it.
  void step(const Block& block, int64_t begin, int64_t t, const T* gates, int64_t count) {
    int64_t here = 0;
    for (int64_t s = rank; s < block.count[t]; s += threads) {
      const int64_t number = block.first[t] - block.first[begin] + s;
      T* const d_h = scratch.d_h + s * sizes.outputs;
      if (d_output != nullptr) {
        const T* const d = d_output + row_at(batch, block, s, t, reverse) * out;
        for (int64_t unit = 0; unit < H; ++unit) d_h[unit] += d[unit];
      }
      const T* const h = h_before(block, s, t);
      T* const before = scratch.before + s * sizes.padded;
      if constexpr (C::direct) {
        zero<T>(before + H, sizes.padded - H);
        copy<T>(before, h, H);
      }
      fill_strips(scratch.left_hh, h, H, number, count);
      fill_strips(scratch.left_ih, x + row_at(batch, block, s, t, reverse) * D, D, number, count);

      const int64_t place = block.first_place + block.first[t] + s;
      const T* const c = C::memory ? kept.c + place * sizes.padded : nullptr;
      const T* c_before = nullptr;
      if constexpr (C::memory) {
        c_before = scratch.before + s * sizes.padded;
        if (t > 0) {
          c_before = kept.c + (block.first_place + block.first[t - 1] + s) * sizes.padded;
        } else {
          zero<T>(before, sizes.padded);
          if (c0 != nullptr) copy<T>(before, c0 + block.order[s] * H, H);
        }
      }
      T* const d_row = scratch.d_rows + number * sizes.row_width();
      for (int64_t panel = 0; panel < sizes.panels; ++panel) {
        const int64_t at = (panel * count + number) * sizes.width, unit = panel * C::units * L;
        T* const d_panel = scratch.d_gates + at;
        C::gradient(gates + at, before + unit, C::memory ? c_before + unit : nullptr,
                    C::memory ? c + unit : nullptr, d_h + unit,
                    C::memory ? scratch.d_c + s * sizes.padded + unit : nullptr, d_panel);
        for (int v = 0; v < FOUR; ++v) {
          T* const to = C::units == 1 ? d_row + C::row_block(v) * sizes.padded + unit
                                      : d_row + unit + v * L;
          store<T>(to, load<T>(d_panel + v * L));
        }
      }
      // Units that only fill up a panel may have met inf * 0: their NaN must not reach others.
      for (int v = 0; v < C::row_blocks; ++v) {
        zero<T>(d_row + v * sizes.padded + H, sizes.padded - H);
      }
      rows[here] = d_row + (C::row_blocks - C::gates) * sizes.padded;
      numbers[here++] = s;
    }
    if (here == 0) return;
    const int64_t K = C::gates * sizes.padded;
    for (int64_t panel = 0; panel * sizes.width < sizes.hidden; ++panel) {
      const Rows<T> to{rows, scratch.d_h + panel * sizes.width, numbers, sizes.outputs};
      panel_product<T, FOUR, FOUR - 1>(K, to, here, scratch.back_hh + panel * K * sizes.width,
                                       C::direct ? nullptr : scratch.zeros);
    }
  }

  // One row and a one, cut into strips: the left factor of a weight's gradient.
  void fill_strips(T* strips, const T* row, int64_t width, int64_t number, int64_t count) const {
    T* to = strips + number * strip;
    int64_t i = 0;
    for (; i + strip <= width; i += strip, to += count * strip) copy<T>(to, row + i, strip);
    for (int64_t j = 0; j < strip; ++j, ++i) to[j] = i < width ? row[i] : i == width ? T(1) : T(0);
  }

  void input_gradient(const Block& block, int64_t begin, int64_t end) {
    int64_t mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = rank; s < block.count[t]; s += threads) {
        numbers[mine] = block.first[t] - block.first[begin] + s;
        rows[mine] = scratch.d_rows + numbers[mine] * sizes.row_width();
        ++mine;
      }
    }
    const int64_t K = C::gates * sizes.padded, width = scratch.d_x_width;
    for (int64_t panel = 0; panel < plain_panels<T>(D); ++panel) {
      const Rows<T> to{rows, scratch.plain + panel * sizes.width, numbers, width};
      panel_product<T, FOUR, FOUR - 1>(K, to, mine, scratch.back_ih + panel * K * sizes.width,
                                       scratch.zeros);
    }
    T* const d_x = static_cast<T*>(call.d_x[direction]);
    mine = 0;
    for (int64_t t = begin; t < end; ++t) {
      for (int64_t s = rank; s < block.count[t]; s += threads) {
        copy<T>(d_x + row_at(batch, block, s, t, reverse) * D,
                scratch.plain + numbers[mine++] * width, D);
      }
    }
  }

  void weight_gradients(int64_t count) {
    constexpr int slice_width = C::product % CUT != 0 ? C::product : CUT;
    for (int64_t panel = rank; panel < sizes.panels; panel += threads) {
      const T* const d_gates = scratch.d_gates + panel * count * sizes.width;
      for (int v = 0; v < C::product; v += slice_width) {
        const T* const d = d_gates + v * L;
        for (int64_t i = 0; i < scratch.input_strips; ++i) {
          tile_over_rows<T, strip, slice_width, FOUR, slice_width - 1>(
              count, scratch.left_ih + i * count * strip, d, sum_ih(panel, i) + v * strip * L);
        }
        // The GRU's recurrent product takes the fourth vector for its third.
        constexpr int last = C::product == C::last ? C::last : slice_width - 1;
        for (int64_t i = 0; i < scratch.hidden_strips; ++i) {
          tile_over_rows<T, strip, slice_width, FOUR, last>(
              count, scratch.left_hh + i * count * strip, d, sum_hh(panel, i) + v * strip * L);
        }
      }
    }
  }

  // From the sums by panel to torch's layout: panels of this thread.
  void finish() {
    const Gradients& to = call.d_weights[direction];
    if (to.ih == nullptr) return;
    for (int64_t panel = rank; panel < sizes.panels; panel += threads) {
      turn_back(panel, sum_ih(panel, 0), D, static_cast<T*>(to.ih), static_cast<T*>(to.bias_ih));
      turn_back(panel, sum_hh(panel, 0), H, static_cast<T*>(to.hh), static_cast<T*>(to.bias_hh));
    }
  }

  void turn_back(int64_t panel, const T* sums, int64_t columns, T* weight, T* bias) const {
    constexpr int slice_width = C::product % CUT != 0 ? C::product : CUT;
    for (int v = 0; v < C::product; ++v) {
      const int64_t unit = (C::units == 1 ? panel : panel * FOUR + v) * L;
      const int64_t row = (C::units == 1 ? v : 0) * H + unit, lanes = least(L, H - unit);
      // Where the vector of column j stands.
      const auto column = [&](int64_t j) {
        const int64_t at = (j / strip * C::product + v / slice_width * slice_width) * strip +
                           j % strip * slice_width + v % slice_width;
        return sums + at * L;
      };
      int64_t j = 0;
      for (; lanes == L && j + L <= columns; j += L) {
        Vec<T> block[L];
        for (int i = 0; i < L; ++i) block[i] = load<T>(column(j + i));
        turn_block<T>(block);
        for (int i = 0; i < L; ++i) store<T>(weight + (row + i) * columns + j, block[i]);
      }
      for (; j < columns; ++j) {
        for (int64_t i = 0; i < lanes; ++i) weight[(row + i) * columns + j] = column(j)[i];
      }
      if (bias == nullptr) continue;
      for (int64_t i = 0; i < lanes; ++i) bias[row + i] = column(columns)[i];
    }
  }
};

template <class T, class C>
void backward(Backward* call, int direction, int rank, int threads) {
  BackwardPass<T, C>(*call, direction, rank, threads).run();
}
