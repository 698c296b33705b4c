// What the backward pass of one direction needs beside its arguments, shared by its threads.

template <class T, class C>
struct BackwardScratch {
  // Columns of a weight's gradient that one tile sums, and the elements of their sums.
  static constexpr int strip = ROWS<C::product % CUT != 0 ? C::product : CUT>;
  static constexpr int64_t strip_size = strip * C::product * LANES<T>;
  int64_t input_strips, hidden_strips;  // of x, of h before the step
  T* gates;       // computed again where they were not kept
  T* d_gates;     // by panel
  T* d_rows;      // by row
  const T** left_ih;  // rows of x, the left factor of a weight's gradient
  const T** left_hh;  // h before each of them
  T* sum_ih;      // by panel
  T* sum_hh;
  T* sum_bias;    // by panel, all four vectors
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
    input_strips = (sizes.inputs + strip - 1) / strip;
    hidden_strips = (sizes.hidden + strip - 1) / strip;
    d_x_width = plain_panels<T>(sizes.inputs) * FOUR * L;
    gates = cutter.cut<T>(keep == Keep::states ? R * sizes.panels * sizes.width : 0);
    d_gates = cutter.cut<T>(R * sizes.panels * sizes.width);
    d_rows = cutter.cut<T>(R * sizes.row_width());
    left_ih = cutter.cut<const T*>(R);
    left_hh = cutter.cut<const T*>(R);
    sum_ih = cutter.cut<T>(sizes.panels * input_strips * strip_size);
    sum_hh = cutter.cut<T>(sizes.panels * hidden_strips * strip_size);
    sum_bias = cutter.cut<T>(sizes.panels * sizes.width);
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
