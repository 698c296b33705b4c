// The weights' gradients of one direction: products over all rows, summed stretch by stretch, each
// panel by one thread.

template <class T, class C>
struct WeightSums {
  using Scratch = BackwardScratch<T, C>;
  static constexpr int L = LANES<T>;
  static constexpr int strip = Scratch::strip;
  static constexpr int64_t strip_size = Scratch::strip_size;
  static constexpr int slice_width = C::product % CUT != 0 ? C::product : CUT;

  const Sizes<T, C>& sizes;
  const Scratch& scratch;
  const int rank, threads;
  int64_t rows = 0;  // summed so far

  // Sums of a panel: strip after strip of columns, each with the vectors of a tile for every column.
  T* ih(int64_t panel) const { return scratch.sum_ih + panel * scratch.input_strips * strip_size; }
  T* hh(int64_t panel) const { return scratch.sum_hh + panel * scratch.hidden_strips * strip_size; }
  T* bias(int64_t panel) const { return scratch.sum_bias + panel * sizes.width; }

  // Adds the rows of a stretch; before the first `from_zeros` of them the state is zeros.
  void add(int64_t count, int64_t from_zeros) {
    // The GRU's recurrent product takes the fourth vector for its third.
    constexpr int last = C::product == C::last ? C::last : slice_width - 1;
    const bool has_some = rows > 0;
    rows += count;
    for (int64_t panel = rank; panel < sizes.panels; panel += threads) {
      const T* const d_gates = scratch.d_gates + panel * count * sizes.width;
      for (int v = 0; v < C::product; v += slice_width) {
        const T* const d = d_gates + v * L;
        strips_over_rows<T, slice_width, FOUR, slice_width - 1>(
            count, scratch.left_ih, sizes.inputs, d, ih(panel) + v * strip * L, strip_size, has_some);
        strips_over_rows<T, slice_width, FOUR, last>(
            count - from_zeros, scratch.left_hh + from_zeros, sizes.hidden,
            d + from_zeros * sizes.width, hh(panel) + v * strip * L, strip_size, has_some);
      }
      add_bias(count, d_gates, bias(panel), has_some);
    }
  }

  void add_bias(int64_t count, const T* d_gates, T* to, bool has_some) const {
    Vec<T> sum[FOUR] = {};
    for (int64_t i = 0; i < count; ++i) {
      for (int v = 0; v < FOUR; ++v) sum[v] += load<T>(d_gates + i * sizes.width + v * L);
    }
    for (int v = 0; v < FOUR; ++v) {
      store<T>(to + v * L, has_some ? load<T>(to + v * L) + sum[v] : sum[v]);
    }
  }

  // From the sums by panel to torch's layout.
  void finish(const Gradients& to) const {
    for (int64_t panel = rank; panel < sizes.panels; panel += threads) {
      if (rows == 0) {
        zero<T>(ih(panel), scratch.input_strips * strip_size);
        zero<T>(hh(panel), scratch.hidden_strips * strip_size);
        zero<T>(bias(panel), sizes.width);
      }
      turn_back(panel, ih(panel), sizes.inputs, static_cast<T*>(to.ih));
      turn_back(panel, hh(panel), sizes.hidden, static_cast<T*>(to.hh));
      turn_bias(panel, C::product - 1, static_cast<T*>(to.bias_ih));
      turn_bias(panel, C::last, static_cast<T*>(to.bias_hh));
    }
  }

  // First hidden unit of a panel's vector v, and the row of the weights that it stands at.
  static int64_t first_unit(int64_t panel, int v) {
    return (C::units == 1 ? panel : panel * FOUR + v) * L;
  }

  int64_t first_row(int64_t panel, int v) const {
    return (C::units == 1 ? v : 0) * sizes.hidden + first_unit(panel, v);
  }

  void turn_back(int64_t panel, const T* sums, int64_t columns, T* weight) const {
    for (int v = 0; v < C::product; ++v) {
      const int64_t row = first_row(panel, v), lanes = least(L, sizes.hidden - first_unit(panel, v));
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
    }
  }

  // A panel's part of a bias's gradient; the last of its vectors is at `last`.
  void turn_bias(int64_t panel, int last, T* to) const {
    for (int v = 0; to != nullptr && v < C::product; ++v) {
      const int64_t units = least(L, sizes.hidden - first_unit(panel, v));
      const T* const sum = bias(panel) + (v == C::product - 1 ? last : v) * L;
      if (units > 0) copy<T>(to + first_row(panel, v), sum, units);
    }
  }
};
