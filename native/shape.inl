// Sizes, where the rows of a batch stand, and packing of weights.

// Row of the batch at a step of a block's sequence.
inline int64_t row_at(const Batch& batch, const Block& block, int64_t sequence, int64_t step,
                      bool reverse) {
  const int64_t at = reverse ? block.length[sequence] - 1 - step : step;
  return batch.starts[block.order[sequence]] + batch.steps[at];
}

// What follows from the sizes of a layer and its cell C.
template <class T, class C>
struct Sizes {
  static constexpr int L = LANES<T>;
  static constexpr int width = FOUR * L;  // of a panel of gates
  int64_t inputs, hidden;
  int64_t panels;   // of gates
  int64_t padded;   // hidden units in whole panels
  int64_t outputs;  // hidden units in whole panels of a plain product

  explicit Sizes(const Shape& shape)
      : inputs(shape.inputs),
        hidden(shape.hidden),
        panels((shape.hidden + C::units * L - 1) / (C::units * L)),
        padded(panels * C::units * L),
        outputs(round_up(padded, width)) {}

  // Elements of the packed weights of one panel.
  int64_t input_panel() const { return inputs * C::product * L; }
  int64_t hidden_panel() const { return hidden * C::product * L; }
  int64_t gate_rows() const { return C::gates * hidden; }
  int64_t row_width() const { return C::row_blocks * padded; }
  // Elements from one row of gates, or of their gradients, to the next.
  int64_t gate_step() const { return apart(panels * width); }
  int64_t row_step() const { return apart(row_width()); }
  int64_t groups() const { return outputs / width; }

 private:
  // With a large power of two between rows, a column of them falls into few sets of the first cache.
  static int64_t apart(int64_t elements) {
    constexpr int64_t size = sizeof(T), line = 64, far = 1024;
    return elements + (elements * size % far == 0 ? line / size : 0);
  }
};

// Packed forward weights: all panels of weight_ih, of weight_hh, of the biases.
template <class T, class C>
struct Packed {
  T* ih;
  T* hh;
  T* bias;

  // Where the arrays are in `memory`; without it, `used` tells how much they take.
  Packed(const Sizes<T, C>& sizes, char* memory, int64_t* used = nullptr)
      : Packed(sizes, Cutter{memory}, used) {}

 private:
  Packed(const Sizes<T, C>& sizes, Cutter cutter, int64_t* used)
      : ih(cutter.cut<T>(sizes.panels * sizes.input_panel())),
        hh(cutter.cut<T>(sizes.panels * sizes.hidden_panel())),
        bias(cutter.cut<T>(sizes.panels * sizes.width)) {
    if (used != nullptr) *used = cutter.used;
  }
};

template <class T, class C>
int64_t packed_forward(const Shape* shape) {
  int64_t used = 0;
  Packed<T, C>(Sizes<T, C>(*shape), nullptr, &used);
  return used;
}

// [a0 b0 a1 b1 ...] of the first halves of two vectors, or of the second.
template <class T, int HALF>
inline Vec<T> interleave(Vec<T> a, Vec<T> b) {
  constexpr int L = LANES<T>;
#if defined(__clang__)
  Vec<T> mixed;
  for (int i = 0; i < L; ++i) mixed[i] = i % 2 == 0 ? a[HALF * L / 2 + i / 2] : b[HALF * L / 2 + i / 2];
  return mixed;
#else
  Int<T> from;
  for (int i = 0; i < L; ++i) from[i] = i % 2 * L + HALF * L / 2 + i / 2;
  return __builtin_shuffle(a, b, from);
#endif
}

// L vectors turned in place: lane j of vector i becomes lane i of vector j. Interleaving the first
// half of the vectors with the second turns their number by one bit, log2 L times is all of it.
template <class T>
inline void turn_block(Vec<T>* block) {
  constexpr int L = LANES<T>;
#pragma GCC unroll 4
  for (int turned = 1; turned < L; turned *= 2) {
    Vec<T> mixed[L];
#pragma GCC unroll 16
    for (int i = 0; i < L / 2; ++i) {
      mixed[2 * i] = interleave<T, 0>(block[i], block[i + L / 2]);
      mixed[2 * i + 1] = interleave<T, 1>(block[i], block[i + L / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) block[i] = mixed[i];
  }
}

// Up to L rows of a row-major matrix of `columns`, turned: to[k * step + lane], zeros for the rows
// that are missing.
template <class T>
void turn(const T* from, int64_t rows, int64_t columns, T* to, int64_t step) {
  constexpr int L = LANES<T>;
  int64_t k = 0;
  for (; rows == L && k + L <= columns; k += L) {
    Vec<T> block[L];
#pragma GCC unroll 16
    for (int lane = 0; lane < L; ++lane) block[lane] = load<T>(from + lane * columns + k);
    turn_block<T>(block);
#pragma GCC unroll 16
    for (int lane = 0; lane < L; ++lane) store<T>(to + (k + lane) * step, block[lane]);
  }
  for (; k < columns; ++k) {
    for (int lane = 0; lane < L; ++lane) {
      to[k * step + lane] = lane < rows ? from[lane * columns + k] : T(0);
    }
  }
}

template <class T, class C>
void pack_forward(const Shape* shape, const Weights* weights, void* packed, int rank, int threads) {
  constexpr int L = LANES<T>;
  constexpr int product = C::product;
  constexpr int slice_width = (product % CUT != 0 ? product : CUT) * L;
  const Sizes<T, C> sizes(*shape);
  const Packed<T, C> to(sizes, static_cast<char*>(packed));
  const T* ih = static_cast<const T*>(weights->ih);
  const T* hh = static_cast<const T*>(weights->hh);
  const T* bias_ih = static_cast<const T*>(weights->bias_ih);
  const T* bias_hh = static_cast<const T*>(weights->bias_hh);
  for (int64_t panel = rank; panel < sizes.panels; panel += threads) {
    for (int v = 0; v < product; ++v) {
      const int64_t gate = C::units == 1 ? v : 0;
      const int64_t unit = (C::units == 1 ? panel : panel * FOUR + v) * L;
      const int64_t units = greatest(0, least(L, sizes.hidden - unit));
      const int64_t row = gate * sizes.hidden + (units > 0 ? unit : 0);
      turn<T>(ih + row * sizes.inputs, units, sizes.inputs,
              to.ih + panel * sizes.input_panel() + packed_place<T, product>(sizes.inputs, 0, v),
              slice_width);
      turn<T>(hh + row * sizes.hidden, units, sizes.hidden,
              to.hh + panel * sizes.hidden_panel() + packed_place<T, product>(sizes.hidden, 0, v),
              slice_width);
    }
    T* bias = to.bias + panel * sizes.width;
    for (int i = 0; i < sizes.width; ++i) bias[i] = T(0);
    for (int v = 0; v < FOUR; ++v) {
      // The GRU's third gate keeps its two biases apart, because r scales the recurrent one.
      const bool input_only = C::direct && v == 2, recurrent_only = C::direct && v == 3;
      const int64_t gate = C::units != 1 ? 0 : recurrent_only ? 2 : v;
      const int64_t unit = (C::units == 1 ? panel : panel * FOUR + v) * L;
      for (int lane = 0; lane < L && unit + lane < sizes.hidden; ++lane) {
        const int64_t row = gate * sizes.hidden + unit + lane;
        const T input = bias_ih == nullptr || recurrent_only ? T(0) : bias_ih[row];
        const T recurrent = bias_hh == nullptr || input_only ? T(0) : bias_hh[row];
        bias[v * L + lane] = input + recurrent;
      }
    }
  }
}

// Weights of a plain product y = x w: `outputs` columns in panels of four vectors, the last panel of
// as many as are left.
template <class T>
inline int64_t plain_panels(int64_t outputs) {
  return (outputs + FOUR * LANES<T> - 1) / (FOUR * LANES<T>);
}

template <class T>
inline int plain_vectors(int64_t outputs, int64_t panel) {
  const int64_t left = outputs - panel * FOUR * LANES<T>;
  return static_cast<int>(least(FOUR, (left + LANES<T> - 1) / LANES<T>));
}

// Element v, lane of row k of a packed panel of `vectors`.
template <class T>
inline int64_t plain_place(int vectors, int64_t K, int64_t k, int v) {
  switch (vectors) {
    case 1: return packed_place<T, 1>(K, k, v);
    case 2: return packed_place<T, 2>(K, k, v);
    case 3: return packed_place<T, 3>(K, k, v);
    default: return packed_place<T, 4>(K, k, v);
  }
}

// Elements from one row of a packed panel of `vectors` to the next.
template <class T>
inline int64_t plain_step(int vectors) {
  return plain_place<T>(vectors, 0, 1, 0);
}

// Row k of a plain panel from a row of w, of which `columns` belong to the panel; zeros beyond.
template <class T>
inline void pack_plain_row(T* panel, int vectors, int64_t K, int64_t k, const T* row,
                           int64_t columns) {
  constexpr int L = LANES<T>;
  for (int v = 0; v < vectors; ++v) {
    T* const to = panel + plain_place<T>(vectors, K, k, v);
    const int64_t here = greatest(0, least(L, columns - v * L));
    if (here == L) {
      store<T>(to, load<T>(row + v * L));
      continue;
    }
    copy<T>(to, row + v * L, here);
    zero<T>(to + here, L - here);
  }
}

// c[i] = start + a[i] b for `count` rows and one plain panel.
template <class T>
void plain_product(int vectors, int64_t K, const Rows<T>& rows, int64_t count, const T* b,
                   const T* bias) {
  switch (vectors) {
    case 1: return panel_product<T, 1, 0>(K, rows, count, b, bias);
    case 2: return panel_product<T, 2, 1>(K, rows, count, b, bias);
    case 3: return panel_product<T, 3, 2>(K, rows, count, b, bias);
    default: return panel_product<T, 4, 3>(K, rows, count, b, bias);
  }
}

// c (+)= a^T b for `count` columns of a and one plain panel of b, `filled` rows high, from its row
// `skipped` on.
template <class T>
void plain_over_rows(int vectors, int64_t filled, int64_t skipped, OverRows<T> product,
                     int64_t count) {
  constexpr int L = LANES<T>;
  const int width = vectors % CUT != 0 ? vectors : CUT;
  const T* const panel = product.b;
  const int64_t columns = product.columns;
  for (int v = 0; v < vectors; v += width) {
    product.b = panel + (v * filled + skipped * width) * L;
    product.columns = least(columns - v * L, width * L);
    switch (width) {
      case 1: slice_over_rows<T, 1>(product, count); break;
      case 2: slice_over_rows<T, 2>(product, count); break;
      case 3: slice_over_rows<T, 3>(product, count); break;
      default: slice_over_rows<T, 4>(product, count); break;
    }
    product.c += width * L;
  }
}
