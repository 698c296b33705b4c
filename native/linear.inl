// A linear layer over rows, each with the same bits whatever stands beside it.

template <class T>
int64_t packed_linear(int64_t inputs, int64_t outputs) {
  return plain_panels<T>(outputs) * inputs * FOUR * LANES<T> * static_cast<int64_t>(sizeof(T));
}

template <class T>
void pack_linear(const void* weight, int64_t inputs, int64_t outputs, void* packed) {
  constexpr int L = LANES<T>;
  for (int64_t panel = 0; panel < plain_panels<T>(outputs); ++panel) {
    T* const to = static_cast<T*>(packed) + panel * inputs * FOUR * L;
    const int vectors = plain_vectors<T>(outputs, panel);
    for (int v = 0; v < vectors; ++v) {
      const int64_t row = panel * FOUR * L + v * L;
      const int64_t rows = greatest(0, least(L, outputs - row));
      turn<T>(static_cast<const T*>(weight) + (rows > 0 ? row * inputs : 0), rows, inputs,
              to + plain_place<T>(vectors, inputs, 0, v), plain_step<T>(vectors));
    }
  }
}

template <class T>
void linear(const Linear* call, int rank, int threads) {
  constexpr int L = LANES<T>, width = FOUR * L;
  constexpr int64_t together = 48;  // rows whose results are in the nearest cache when copied
  const T* const x = static_cast<const T*>(call->x);
  T* const y = static_cast<T*>(call->y);
  alignas(64) T result[together * width];
  alignas(64) T bias[width];
  const T* rows[together];
  int64_t numbers[together];
  for (int64_t i = 0; i < together; ++i) numbers[i] = i;
  const int64_t groups = (call->rows + together - 1) / together;
  for (int64_t panel = 0; panel < plain_panels<T>(call->outputs); ++panel) {
    const int64_t column = panel * width, columns = least(width, call->outputs - column);
    zero<T>(bias, width);
    if (call->bias != nullptr) copy<T>(bias, static_cast<const T*>(call->bias) + column, columns);
    for (int64_t group = rank; group < groups; group += threads) {
      const int64_t first = group * together, count = least(together, call->rows - first);
      for (int64_t i = 0; i < count; ++i) rows[i] = x + (first + i) * call->inputs;
      plain_product<T>(plain_vectors<T>(call->outputs, panel), call->inputs,
                       Rows<T>{rows, result, numbers, width}, count,
                       static_cast<const T*>(call->packed) + panel * call->inputs * width, bias);
      for (int64_t i = 0; i < count; ++i) {
        copy<T>(y + (first + i) * call->outputs + column, result + i * width, columns);
      }
    }
  }
}

// Fused multiply-adds on twelve registers that stay there: what the processor can do at best.
template <class T>
__attribute__((noinline)) double fma(int64_t rounds) {
  constexpr int chains = 12;
  Vec<T> sum[chains];
  // Not known to the compiler, which else finds the chain that stays what it is and leaves it out.
  volatile T given[] = {T(0.999), T(0.001)};
  const Vec<T> factor = fill<T>(given[0]), step = fill<T>(given[1]);
#pragma GCC unroll 16
  for (int i = 0; i < chains; ++i) sum[i] = fill<T>(T(i));
  for (int64_t k = 0; k < rounds; ++k) {
#pragma GCC unroll 16
    for (int i = 0; i < chains; ++i) sum[i] = sum[i] * factor + step;
  }
  volatile T seen = T(0);
  for (int i = 0; i < chains; ++i) seen = seen + sum[i][0];
  (void)seen;
  return static_cast<double>(rounds) * chains * LANES<T> * 2;
}
