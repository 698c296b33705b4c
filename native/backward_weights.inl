// The weights' gradients of one direction: products over all rows, summed stretch by stretch where the
// caller wants them, each row of a weight by one thread.

template <class T, class C>
struct WeightSums {
  using Scratch = BackwardScratch<T, C>;
  static constexpr int L = LANES<T>;

  const Sizes<T, C>& sizes;
  const Scratch& scratch;
  const Gradients& to;
  const int rank, threads;
  int64_t rows = 0;  // summed so far

  // This thread's rows of the weights.
  int64_t first() const { return rank * sizes.gate_rows() / threads; }
  int64_t end() const { return (rank + 1) * sizes.gate_rows() / threads; }

  // Calls visit(row, units, place) for this thread's rows, gate by gate: the first row and the number
  // of them, and where their gradients stand in a row of gradients.
  template <class Visit>
  void each_gate(bool recurrent, Visit visit) const {
    for (int gate = 0; gate < C::gates; ++gate) {
      const int64_t begin = greatest(first(), gate * sizes.hidden);
      const int64_t stop = least(end(), (gate + 1) * sizes.hidden);
      // The GRU's fourth block is the recurrent part of its third gate.
      const int v = C::direct && recurrent && gate == 2 ? 3 : gate;
      const int64_t unit = begin - gate * sizes.hidden;
      if (begin < stop) visit(begin, stop - begin, C::row_block(v) * sizes.padded + unit);
    }
  }

  void prepare() const {
    for (int recurrent = 0; recurrent < 2; ++recurrent) {
      const T** const left = recurrent == 1 ? scratch.left_hh : scratch.left_ih;
      each_gate(recurrent == 1, [&](int64_t row, int64_t units, int64_t place) {
        for (int64_t i = 0; i < units; ++i) left[row + i] = scratch.d_rows + place + i;
      });
    }
  }

  // Adds the rows of a stretch; before the first `from_zeros` of them the state is zeros.
  void add(int64_t count, int64_t from_zeros) {
    add_product(scratch.left_ih, scratch.right_ih, sizes.inputs, static_cast<T*>(to.ih), count, 0);
    add_product(scratch.left_hh, scratch.right_hh, sizes.hidden, static_cast<T*>(to.hh), count,
                from_zeros);
    add_bias(count);
    rows += count;
  }

  void add_product(const T* const* left, const T* right, int64_t columns, T* weight, int64_t count,
                   int64_t skipped) const {
    for (int64_t panel = 0; panel < plain_panels<T>(columns); ++panel) {
      const int64_t column = panel * sizes.width;
      const OverRows<T> product{count - skipped,
                                left + first(),
                                skipped * sizes.row_step(),
                                sizes.row_step(),
                                right + column * count,
                                weight + first() * columns + column,
                                columns,
                                least(sizes.width, columns - column),
                                rows > 0};
      plain_over_rows<T>(plain_vectors<T>(columns, panel), count, skipped, product,
                         end() - first());
    }
  }

  // Sums of whole rows of gradients, four vectors of them at a time.
  void add_bias(int64_t count) const {
    for (int64_t block = rank; block < sizes.row_width() / sizes.width; block += threads) {
      const T* row = scratch.d_rows + block * sizes.width;
      Vec<T> sum[FOUR] = {};
      for (int64_t k = 0; k < count; ++k, row += sizes.row_step()) {
        for (int v = 0; v < FOUR; ++v) sum[v] += load<T>(row + v * L);
      }
      T* const total = scratch.sum_bias + block * sizes.width;
      for (int v = 0; v < FOUR; ++v) {
        store<T>(total + v * L, rows > 0 ? load<T>(total + v * L) + sum[v] : sum[v]);
      }
    }
  }

  // The rest, once all threads have come here: biases, and zeros where there was no row.
  void finish() const {
    const int64_t begin = first(), stop = end();
    if (rows == 0) {
      zero<T>(static_cast<T*>(to.ih) + begin * sizes.inputs, (stop - begin) * sizes.inputs);
      zero<T>(static_cast<T*>(to.hh) + begin * sizes.hidden, (stop - begin) * sizes.hidden);
    }
    for (int recurrent = 0; recurrent < 2; ++recurrent) {
      T* const bias = static_cast<T*>(recurrent == 1 ? to.bias_hh : to.bias_ih);
      if (bias == nullptr) continue;
      each_gate(recurrent == 1, [&](int64_t row, int64_t units, int64_t place) {
        if (rows > 0) return copy<T>(bias + row, scratch.sum_bias + place, units);
        zero<T>(bias + row, units);
      });
    }
  }
};
