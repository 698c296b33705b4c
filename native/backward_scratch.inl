// What the backward pass of one direction needs beside its arguments, shared by its threads.

template <class T, class C>
struct BackwardScratch {
  T* gates;       // computed again where they were not kept
  T* d_rows;      // gradients of the gates, a row for each row of a stretch
  T* right_ih;    // rows of x, packed: the right factor of a weight's gradient
  T* right_hh;    // h before each of them
  const T** left_ih;  // where a weight's row finds its gate's gradients in the first row
  const T** left_hh;
  T* sum_bias;    // of rows of gradients
  T* back_ih;     // weight_ih packed for d_x
  T* back_hh;     // weight_hh packed for d_h
  T* d_h;
  T* d_c;
  T* before;      // h before the step, padded
  T* plain;       // one stretch of d_x, in whole panels
  T* zeros;
  const T** rows;
  int64_t* numbers;
  int64_t d_x_width;  // inputs in whole panels

  BackwardScratch(const Sizes<T, C>& sizes, const Batch& batch, Keep keep, int threads,
                  Cutter cutter, int64_t* used = nullptr) {
    const int64_t R = batch.stretch_rows, B = batch.block_sequences;
    constexpr int L = LANES<T>;
    d_x_width = plain_panels<T>(sizes.inputs) * FOUR * L;
    gates = cutter.cut<T>(keep == Keep::states ? R * sizes.gate_step() : 0);
    d_rows = cutter.cut<T>(R * sizes.row_step());
    right_ih = cutter.cut<T>(R * d_x_width);
    right_hh = cutter.cut<T>(R * sizes.outputs);
    left_ih = cutter.cut<const T*>(sizes.gate_rows());
    left_hh = cutter.cut<const T*>(sizes.gate_rows());
    sum_bias = cutter.cut<T>(sizes.row_width());
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
