// Attention of query rows over the key rows of their own source: forward and backward.
//
//   score[i, j]  = query[i] . key[j]    or    vector . tanh(query[i] + key[j])
//   weight[i, j] = exp(score[i, j] - m[i]) / sum_k exp(score[i, k] - m[i]),  m[i] = max score[i]
//   context[i]   = sum_j weight[i, j] value[j]
//
// and with the gradients d of what comes out
//
//   d_weight[i, j] = d_context[i] . value[j] + d_weight given
//   d_score[i, j]  = weight[i, j] (d_weight[i, j] - sum_k weight[i, k] d_weight[i, k])
//   d_value[j]     = sum_i weight[i, j] d_context[i]
//   d_query[i]     = sum_j d_score[i, j] key[j]
//   d_key[j]       = sum_i d_score[i, j] query[i]
//
// where for tanh t of a pair d_score t'(t) vector stands in place of the other row, with t'(t) =
// 1 - t^2, and d_vector = sum_ij d_score[i, j] t.
//
// A score is one sum over columns, lane by lane and then of the lanes; a context and a gradient of a
// query are one sum over keys, first to last; a gradient of a key is one over queries. None hangs on
// the tile that computes it, nor on how many queries are taken at a time, so a query has the same
// bits whatever other queries there are.
//
// A width of a query and a key, V of a value, S key rows of a source

#pragma once

#include "isa.h"
#include "kernels.h"
#include "simd.h"
#include "vector_math.h"

namespace birnn {
namespace {
namespace attention {

constexpr int64_t QUERY_BLOCK = 8;  // query rows whose scores are held at a time

// A tile of products: rows of the left and the right factor. A tile of a weighted sum: as many rows,
// and vectors of columns.
constexpr int TILE_LEFT = BIRNN_REGISTERS == 32 ? 4 : 2;
constexpr int TILE_RIGHT = 4;
constexpr int TILE_COLUMNS = BIRNN_REGISTERS == 32 ? 4 : 2;

// Rows of an array, one after another.
template <class T>
struct Rows {
  const T* first;
  int64_t width;

  const T* row(int64_t i) const { return first + i * width; }
  Rows from(int64_t i) const { return {row(i), width}; }
};

// The `count` numbers at `from`, then zeros; and back. Not inlined: their branches would cut the code
// around them into pieces, in which the compiler fuses products with additions or not, as it comes.
template <class T>
__attribute__((noinline)) Vec<T> load_first(const T* from, int64_t count) {
  T numbers[LANES<T>] = {};
  copy<T>(numbers, from, count);
  return load<T>(numbers);
}

template <class T>
__attribute__((noinline)) void store_first(T* to, int64_t count, Vec<T> v) {
  T numbers[LANES<T>];
  store<T>(numbers, v);
  copy<T>(to, numbers, count);
}

// A vector of columns, WHOLE or the last of its row, which has `count` of them.
template <class T, bool WHOLE>
inline Vec<T> load_columns(const T* from, int64_t count) {
  if constexpr (WHOLE) return load<T>(from);
  return load_first<T>(from, count);
}

template <class T, bool WHOLE>
inline void store_columns(T* to, int64_t count, Vec<T> v) {
  if constexpr (WHOLE) return store<T>(to, v);
  store_first<T>(to, count, v);
}

// Columns of a block of scores: a vector may be read and written from each multiple of its lanes.
template <class T>
inline int64_t padded_scores(int64_t keys) {
  return round_up(keys, LANES<T>);
}

// ------------------------------------------------------------------------------------- scores

// to[i, j] = left[i] . right[j] of a tile of rows, `stride` from one i to the next.
template <class T, int LEFT, int RIGHT>
__attribute__((noinline)) void product_tile(const Rows<T>& left, const Rows<T>& right, T* to,
                                            int64_t stride) {
  constexpr int L = LANES<T>;
  const int64_t width = left.width, whole = width / L * L;
  Vec<T> sum[LEFT][RIGHT] = {};
  for (int64_t at = 0; at < whole; at += L) {
    Vec<T> b[RIGHT];
#pragma GCC unroll 8
    for (int j = 0; j < RIGHT; ++j) b[j] = load<T>(right.row(j) + at);
#pragma GCC unroll 8
    for (int i = 0; i < LEFT; ++i) {
      const Vec<T> a = load<T>(left.row(i) + at);
#pragma GCC unroll 8
      for (int j = 0; j < RIGHT; ++j) sum[i][j] += a * b[j];
    }
  }
  if (whole < width) {
    Vec<T> b[RIGHT];
#pragma GCC unroll 8
    for (int j = 0; j < RIGHT; ++j) b[j] = load_first<T>(right.row(j) + whole, width - whole);
#pragma GCC unroll 8
    for (int i = 0; i < LEFT; ++i) {
      const Vec<T> a = load_first<T>(left.row(i) + whole, width - whole);
#pragma GCC unroll 8
      for (int j = 0; j < RIGHT; ++j) sum[i][j] += a * b[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < LEFT; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < RIGHT; ++j) to[i * stride + j] = horizontal_sum<T>(sum[i][j]);
  }
}

// to[i, j] = left[i] . right[j]
template <class T>
void products(const Rows<T>& left, int64_t count, const Rows<T>& right, int64_t keys, T* to,
              int64_t stride) {
  using Tile = void (*)(const Rows<T>&, const Rows<T>&, T*, int64_t);
  constexpr int most = TILE_LEFT, third = most >= 3 ? 3 : 1;
  static constexpr Tile tiles[4][TILE_RIGHT] = {
      {product_tile<T, 1, 1>, product_tile<T, 1, 2>, product_tile<T, 1, 3>, product_tile<T, 1, 4>},
      {product_tile<T, 2, 1>, product_tile<T, 2, 2>, product_tile<T, 2, 3>, product_tile<T, 2, 4>},
      {product_tile<T, third, 1>, product_tile<T, third, 2>, product_tile<T, third, 3>,
       product_tile<T, third, 4>},
      {product_tile<T, most, 1>, product_tile<T, most, 2>, product_tile<T, most, 3>,
       product_tile<T, most, 4>},
  };
  for (int64_t i = 0; i < count; i += most) {
    for (int64_t j = 0; j < keys; j += TILE_RIGHT) {
      tiles[min(most, count - i) - 1][min(TILE_RIGHT, keys - j) - 1](left.from(i), right.from(j),
                                                                    to + i * stride + j, stride);
    }
  }
}

// to[j] = vector . tanh(query + key[j]) of one query and COUNT keys
template <class T, int COUNT>
__attribute__((noinline)) void tanh_tile(const Rows<T>& query, const Rows<T>& keys,
                                         const Rows<T>& vector, T* to) {
  constexpr int L = LANES<T>;
  const int64_t width = query.width, whole = width / L * L;
  Vec<T> sum[COUNT] = {};
  for (int64_t at = 0; at < whole; at += L) {
    const Vec<T> q = load<T>(query.first + at), v = load<T>(vector.first + at);
#pragma GCC unroll 4
    for (int j = 0; j < COUNT; ++j) sum[j] += v * tanh<T>(q + load<T>(keys.row(j) + at));
  }
  if (whole < width) {
    const Vec<T> q = load_first<T>(query.first + whole, width - whole);
    const Vec<T> v = load_first<T>(vector.first + whole, width - whole);
#pragma GCC unroll 4
    for (int j = 0; j < COUNT; ++j) {
      sum[j] += v * tanh<T>(q + load_first<T>(keys.row(j) + whole, width - whole));
    }
  }
#pragma GCC unroll 4
  for (int j = 0; j < COUNT; ++j) to[j] = horizontal_sum<T>(sum[j]);
}

// to[i, j] = vector . tanh(query[i] + key[j])
template <class T>
void tanh_scores(const Rows<T>& queries, int64_t count, const Rows<T>& keys, int64_t key_count,
                 const Rows<T>& vector, T* to, int64_t stride) {
  using Tile = void (*)(const Rows<T>&, const Rows<T>&, const Rows<T>&, T*);
  static constexpr Tile tiles[] = {tanh_tile<T, 1>, tanh_tile<T, 2>, tanh_tile<T, 3>,
                                   tanh_tile<T, 4>};
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < key_count; j += 4) {
      tiles[min(4, key_count - j) - 1](queries.from(i), keys.from(j), vector, to + i * stride + j);
    }
  }
}

// In place; what stands behind the last score becomes 0. Of nothing but minus infinities, and with
// plus infinity or NaN, it is NaN.
template <class T>
void softmax(T* scores, int64_t keys) {
  constexpr int L = LANES<T>;
  const T least = -static_cast<T>(INFINITE);
  const int64_t padded = padded_scores<T>(keys);
  for (int64_t j = keys; j < padded; ++j) scores[j] = least;
  Vec<T> maximum = broadcast<T>(least), sum = {};
  for (int64_t j = 0; j < padded; j += L) maximum = lanewise_max<T>(load<T>(scores + j), maximum);
  maximum = horizontal_max<T>(maximum);
  for (int64_t j = 0; j < padded; j += L) {
    const Vec<T> power = exp<T>(load<T>(scores + j) - maximum);
    store<T>(scores + j, power);
    sum += power;
  }
  const Vec<T> all = broadcast<T>(horizontal_sum<T>(sum));
  for (int64_t j = 0; j < padded; j += L) store<T>(scores + j, load<T>(scores + j) / all);
}

// ------------------------------------------------------------------------------ weighted sums

// Factors of a weighted sum: of row i and summand j at first[i * row + j * summand].
template <class T>
struct Factors {
  const T* first;
  int64_t row, summand;
};

// to[i] = sum_j factor[i, j] rows[j], or to[i] += that, for R rows and V vectors of columns
// beginning at `column`, WHOLE or a single one that is the last part of the rows.
template <class T, int R, int V, bool WHOLE>
__attribute__((noinline)) void sum_tile(const Factors<T>& factors, const Rows<T>& rows,
                                        int64_t count, int64_t column, bool add, T* to) {
  constexpr int L = LANES<T>;
  const int64_t width = rows.width, left = width - column;
  Vec<T> sum[R][V] = {};
  if (add) {
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        sum[i][v] = load_columns<T, WHOLE>(to + i * width + column + v * L, left);
      }
    }
  }
  for (int64_t j = 0; j < count; ++j) {
    Vec<T> b[V];
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      b[v] = load_columns<T, WHOLE>(rows.row(j) + column + v * L, left);
    }
#pragma GCC unroll 4
    for (int i = 0; i < R; ++i) {
      const Vec<T> by = broadcast<T>(factors.first[i * factors.row + j * factors.summand]);
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) sum[i][v] += by * b[v];
    }
  }
#pragma GCC unroll 4
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      store_columns<T, WHOLE>(to + i * width + column + v * L, left, sum[i][v]);
    }
  }
}

// to[i] = sum_j factor[i, j] rows[j], or to[i] += that: `results` rows, each a sum of `count`.
template <class T>
void weighted_sums(Factors<T> factors, int64_t results, const Rows<T>& rows, int64_t count,
                   bool add, T* to) {
  using Tile = void (*)(const Factors<T>&, const Rows<T>&, int64_t, int64_t, bool, T*);
  constexpr int V = TILE_COLUMNS;
  static constexpr Tile wide[] = {sum_tile<T, 1, V, true>, sum_tile<T, 2, V, true>,
                                  sum_tile<T, 3, V, true>, sum_tile<T, 4, V, true>};
  static constexpr Tile narrow[] = {sum_tile<T, 1, 1, true>, sum_tile<T, 2, 1, true>,
                                    sum_tile<T, 3, 1, true>, sum_tile<T, 4, 1, true>};
  static constexpr Tile last[] = {sum_tile<T, 1, 1, false>, sum_tile<T, 2, 1, false>,
                                  sum_tile<T, 3, 1, false>, sum_tile<T, 4, 1, false>};
  constexpr int64_t L = LANES<T>;
  const int64_t width = rows.width;
  for (int64_t i = 0; i < results; i += 4) {
    const int64_t tile = min(4, results - i) - 1;
    int64_t column = 0;
    for (; column + V * L <= width; column += V * L) {
      wide[tile](factors, rows, count, column, add, to);
    }
    for (; column + L <= width; column += L) narrow[tile](factors, rows, count, column, add, to);
    if (column < width) last[tile](factors, rows, count, column, add, to);
    factors.first += 4 * factors.row;
    to += 4 * width;
  }
}

// ----------------------------------------------------------------------------------- a source

// One source's share of a call.
template <class T>
struct Source {
  int64_t query, queries;  // first row and number of rows
  int64_t key, keys;
  int64_t weight;  // first of its weights
  Rows<T> query_rows, key_rows, value_rows, vector;

  Source(const Attention* call, int64_t number) {
    query = call->query_offsets[number];
    queries = call->query_offsets[number + 1] - query;
    key = call->key_offsets[number];
    keys = call->key_offsets[number + 1] - key;
    weight = call->weight_offsets[number];
    query_rows = rows_of(call->queries, query, call->width);
    key_rows = rows_of(call->keys, key, call->width);
    value_rows = rows_of(call->values, key, call->value_width);
    vector = rows_of(call->vector, 0, call->width);
  }

  static Rows<T> rows_of(const void* data, int64_t first, int64_t width) {
    return {static_cast<const T*>(data) + first * width, width};
  }
};

// Blocks of weights and of gradients of scores, (QUERY_BLOCK, S) each, for one thread.
template <class T>
struct Blocks {
  T* weights;
  T* scores;
  int64_t used;

  Blocks(char* memory, int64_t longest) {
    BumpAllocator allocator{memory};
    weights = allocator.allocate<T>(QUERY_BLOCK * padded_scores<T>(longest));
    scores = allocator.allocate<T>(QUERY_BLOCK * padded_scores<T>(longest));
    used = allocator.used;
  }
};

template <class T>
int64_t workspace_size(int64_t longest) {
  return Blocks<T>(nullptr, longest).used;
}

template <class T>
void forward_source(const Source<T>& source, const AttentionForward* out, T* scores) {
  const int64_t keys = source.keys, stride = padded_scores<T>(keys);
  T* const contexts = static_cast<T*>(out->contexts) + source.query * source.value_rows.width;
  if (keys == 0) return zero<T>(contexts, source.queries * source.value_rows.width);
  for (int64_t first = 0; first < source.queries; first += QUERY_BLOCK) {
    const int64_t count = min(QUERY_BLOCK, source.queries - first);
    const Rows<T> queries = source.query_rows.from(first);
    if (source.vector.first == nullptr) {
      products<T>(queries, count, source.key_rows, keys, scores, stride);
    } else {
      tanh_scores<T>(queries, count, source.key_rows, keys, source.vector, scores, stride);
    }
    for (int64_t i = 0; i < count; ++i) {
      softmax<T>(scores + i * stride, keys);
      if (out->weights == nullptr) continue;
      copy<T>(static_cast<T*>(out->weights) + source.weight + (first + i) * keys,
              scores + i * stride, keys);
    }
    weighted_sums<T>({scores, stride, 1}, count, source.value_rows, keys, false,
                     contexts + first * source.value_rows.width);
  }
}

// d_score = weight (d_weight - sum weight d_weight), in place of d_weight; padded with zeros, as the
// weights are.
template <class T>
void softmax_gradient(const T* weights, T* d_weights, int64_t keys) {
  constexpr int L = LANES<T>;
  const int64_t padded = padded_scores<T>(keys);
  for (int64_t j = keys; j < padded; ++j) d_weights[j] = T(0);
  Vec<T> sum = {};
  for (int64_t j = 0; j < padded; j += L) sum += load<T>(weights + j) * load<T>(d_weights + j);
  const Vec<T> mean = broadcast<T>(horizontal_sum<T>(sum));
  for (int64_t j = 0; j < padded; j += L) {
    store<T>(d_weights + j, load<T>(weights + j) * (load<T>(d_weights + j) - mean));
  }
}

// Gradients of the additive score of a block of queries: stores those of the queries, adds those of
// the keys and the vector. Of one vector of columns from `at` on, which is WHOLE or the last part of
// the rows.
template <class T, bool WHOLE>
__attribute__((noinline)) void tanh_gradient_columns(const Rows<T>& queries, int64_t count,
                                                     const Rows<T>& keys, int64_t key_count,
                                                     const Rows<T>& vector, const T* d_scores,
                                                     int64_t stride, int64_t at, T* d_queries,
                                                     T* d_keys, T* d_vector) {
  const int64_t width = queries.width, left = width - at;
  const auto load_here = [&](const T* row) { return load_columns<T, WHOLE>(row + at, left); };
  const auto store_here = [&](T* row, Vec<T> v) { store_columns<T, WHOLE>(row + at, left, v); };
  const Vec<T> v = load_here(vector.first);
  Vec<T> d_v = load_here(d_vector);
  for (int64_t i = 0; i < count; ++i) {
    const Vec<T> q = load_here(queries.row(i));
    Vec<T> d_q = {};
    for (int64_t j = 0; j < key_count; ++j) {
      const Vec<T> t = tanh<T>(q + load_here(keys.row(j)));
      const Vec<T> d_score = broadcast<T>(d_scores[i * stride + j]);
      Vec<T> d_sum = d_score * (v * (T(1) - t * t));
      // It is added twice: the compiler may fuse its last product with either addition, or with none.
      keep_in_register(d_sum);
      d_v += d_score * t;
      d_q += d_sum;
      store_here(d_keys + j * width, load_here(d_keys + j * width) + d_sum);
    }
    store_here(d_queries + i * width, d_q);
  }
  store_here(d_vector, d_v);
}

// The same of all columns.
template <class T>
void tanh_gradient(const Rows<T>& queries, int64_t count, const Rows<T>& keys, int64_t key_count,
                   const Rows<T>& vector, const T* d_scores, int64_t stride, T* d_queries,
                   T* d_keys, T* d_vector) {
  for (int64_t at = 0; at < queries.width; at += LANES<T>) {
    const bool whole = at + LANES<T> <= queries.width;
    (whole ? tanh_gradient_columns<T, true> : tanh_gradient_columns<T, false>)(
        queries, count, keys, key_count, vector, d_scores, stride, at, d_queries, d_keys, d_vector);
  }
}

template <class T>
void backward_source(const Source<T>& source, const AttentionBackward* in, T* d_vector,
                     const Blocks<T>& blocks) {
  const int64_t keys = source.keys, stride = padded_scores<T>(keys);
  const int64_t width = source.query_rows.width, value_width = source.value_rows.width;
  T* const d_queries = static_cast<T*>(in->d_queries) + source.query * width;
  T* const d_keys = static_cast<T*>(in->d_keys) + source.key * width;
  T* const d_values = static_cast<T*>(in->d_values) + source.key * value_width;
  if (keys == 0) return zero<T>(d_queries, source.queries * width);
  zero<T>(d_keys, keys * width);
  zero<T>(d_values, keys * value_width);
  for (int64_t first = 0; first < source.queries; first += QUERY_BLOCK) {
    const int64_t count = min(QUERY_BLOCK, source.queries - first);
    const int64_t weight = source.weight + first * keys;
    for (int64_t i = 0; i < count; ++i) {
      T* const to = blocks.weights + i * stride;
      copy<T>(to, static_cast<const T*>(in->weights) + weight + i * keys, keys);
      zero<T>(to + keys, stride - keys);
    }
    if (in->d_contexts == nullptr) {
      zero<T>(blocks.scores, count * stride);
    } else {
      const auto d_contexts =
          Source<T>::rows_of(in->d_contexts, source.query + first, value_width);
      products<T>(d_contexts, count, source.value_rows, keys, blocks.scores, stride);
      weighted_sums<T>({blocks.weights, 1, stride}, keys, d_contexts, count, true, d_values);
    }
    for (int64_t i = 0; i < count; ++i) {
      T* const d_scores = blocks.scores + i * stride;
      if (in->d_weights != nullptr) {
        const T* const given = static_cast<const T*>(in->d_weights) + weight + i * keys;
        for (int64_t j = 0; j < keys; ++j) d_scores[j] += given[j];
      }
      softmax_gradient<T>(blocks.weights + i * stride, d_scores, keys);
    }
    const Rows<T> queries = source.query_rows.from(first);
    T* const d_block = d_queries + first * width;
    if (source.vector.first == nullptr) {
      weighted_sums<T>({blocks.scores, stride, 1}, count, source.key_rows, keys, false, d_block);
      weighted_sums<T>({blocks.scores, 1, stride}, keys, queries, count, true, d_keys);
    } else {
      tanh_gradient<T>(queries, count, source.key_rows, keys, source.vector, blocks.scores, stride,
                       d_block, d_keys, d_vector);
    }
  }
}

// ------------------------------------------------------------------------------------- kernels

template <class T>
void forward(const Attention* call, const AttentionForward* out, int64_t begin, int64_t end,
             char* memory) {
  const Blocks<T> blocks(memory, call->longest);
  for (int64_t i = begin; i < end; ++i) forward_source<T>(Source<T>(call, i), out, blocks.scores);
}

// Adds to the gradient of the vector of part `part`.
template <class T>
void backward(const Attention* call, const AttentionBackward* in, int64_t begin, int64_t end,
              int64_t part, char* memory) {
  const Blocks<T> blocks(memory, call->longest);
  T* const d_vector = static_cast<T*>(in->d_vector) + part * call->width;
  for (int64_t i = begin; i < end; ++i) {
    backward_source<T>(Source<T>(call, i), in, d_vector, blocks);
  }
}

}  // namespace attention
}  // namespace
}  // namespace birnn
