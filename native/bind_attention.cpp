// Attention for Python: contexts and weights, and their gradients.

#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cstring>

#include "array_checks.h"
#include "batch_parts.h"
#include "buffers.h"
#include "dispatch.h"
#include "kernels.h"

namespace birnn {

namespace {

// Multiplications below which another thread costs more than it brings; those that a tanh takes.
constexpr std::int64_t min_work = 500'000, tanh_work = 8;

// Arrays that fit together, and the threads that work on them.
struct AttentionBatch {
  Attention call{};
  nb::dlpack::dtype dtype;
  bool wide = false;
  std::int64_t queries = 0, keys = 0, pairs = 0, parts = 1;
  WorkerThreads threads;
  Offsets query_offsets, key_offsets, weight_offsets;

  const Kernels& kernels() const { return wide ? engine().float64 : engine().float32; }
  std::int64_t item() const { return wide ? 8 : 4; }
};

AttentionBatch batch_of(const In& queries, const In& keys, const In& values, const MaybeIn& vector,
                        const Integers& query_offsets, const Integers& key_offsets,
                        WorkerThreads asked) {
  for (const In* rows : {&queries, &keys, &values}) {
    if (rows->ndim() != 2 || rows->shape(1) < 1) {
      throw std::invalid_argument("queries, keys and values are rows of one number or more");
    }
  }
  AttentionBatch batch;
  Attention& call = batch.call;
  batch.dtype = queries.dtype();
  batch.wide = is_double(batch.dtype);
  batch.queries = static_cast<std::int64_t>(queries.shape(0));
  batch.keys = static_cast<std::int64_t>(keys.shape(0));
  call.width = static_cast<std::int64_t>(queries.shape(1));
  call.value_width = static_cast<std::int64_t>(values.shape(1));
  check(keys, "keys", batch.dtype, {batch.keys, call.width});
  check(values, "values", batch.dtype, {batch.keys, call.value_width});
  call.vector = data_of(vector, "vector", batch.dtype, {call.width});
  batch.query_offsets = checked_offsets(query_offsets, "query_offsets", batch.queries);
  batch.key_offsets = checked_offsets(key_offsets, "key_offsets", batch.keys);
  if (batch.query_offsets.size() != batch.key_offsets.size()) {
    throw std::invalid_argument("query_offsets and key_offsets are of different numbers of sources");
  }
  call.sources = static_cast<std::int64_t>(batch.query_offsets.size()) - 1;
  batch.weight_offsets.assign(batch.query_offsets.size(), 0);
  for (std::size_t i = 1; i < batch.weight_offsets.size(); ++i) {
    const auto own_queries = batch.query_offsets[i] - batch.query_offsets[i - 1];
    const auto own_keys = batch.key_offsets[i] - batch.key_offsets[i - 1];
    std::int64_t own = 0;
    if (__builtin_mul_overflow(own_queries, own_keys, &own) ||
        __builtin_add_overflow(batch.pairs, own, &batch.pairs)) {
      throw std::bad_alloc();
    }
    batch.weight_offsets[i] = batch.pairs;
    call.longest = std::max(call.longest, own_keys);
  }
  call.query_offsets = batch.query_offsets.data();
  call.key_offsets = batch.key_offsets.data();
  call.weight_offsets = batch.weight_offsets.data();
  call.queries = queries.data();
  call.keys = keys.data();
  call.values = values.data();
  batch.parts = parts_of(call.sources, call.sources);
  const double of_pair = static_cast<double>(call.width) * (vector ? tanh_work : 1) +
                         static_cast<double>(call.value_width);
  const double work = uses_all_threads() ? static_cast<double>(batch.parts)
                                         : static_cast<double>(batch.pairs) * of_pair / min_work;
  const int threads = useful_threads(std::max(threads_wanted(asked.count), 1));
  const auto useful = std::min({static_cast<double>(threads), static_cast<double>(batch.parts),
                                std::max(work, 1.0)});
  batch.threads = {static_cast<int>(useful), asked.openmp};
  return batch;
}

void attention_forward(const In& queries, const In& keys, const In& values, const MaybeIn& vector,
                       const Integers& query_offsets, const Integers& key_offsets,
                       const Out& contexts, const MaybeOut& weights, int threads, bool openmp) {
  const auto batch = batch_of(queries, keys, values, vector, query_offsets, key_offsets,
                              {threads, openmp});
  check(contexts, "contexts", batch.dtype, {batch.queries, batch.call.value_width});
  const AttentionForward out{contexts.data(),
                             data_of(weights, "weights", batch.dtype, {batch.pairs})};
  const Kernels& kernels = batch.kernels();
  const auto bytes = kernels.attention_workspace(batch.call.longest);
  char* const memory = thread_workspace().reserve(batch.threads.count * bytes);
  run_parts(batch.threads, batch.call.sources, batch.parts, memory, bytes,
                  [&](std::int64_t first, std::int64_t last, std::int64_t, char* here) {
                    kernels.attention(&batch.call, &out, first, last, here);
                  });
  thread_workspace().trim();
}

void attention_backward(const In& queries, const In& keys, const In& values, const MaybeIn& vector,
                        const Integers& query_offsets, const Integers& key_offsets,
                        const In& weights, const MaybeIn& d_contexts, const MaybeIn& d_weights,
                        const Out& d_queries, const Out& d_keys, const Out& d_values,
                        const MaybeOut& d_vector, int threads, bool openmp) {
  const auto batch = batch_of(queries, keys, values, vector, query_offsets, key_offsets,
                              {threads, openmp});
  const auto dtype = batch.dtype;
  const auto width = batch.call.width, value_width = batch.call.value_width;
  check(weights, "weights", dtype, {batch.pairs});
  check(d_queries, "d_queries", dtype, {batch.queries, width});
  check(d_keys, "d_keys", dtype, {batch.keys, width});
  check(d_values, "d_values", dtype, {batch.keys, value_width});
  if (vector.has_value() != d_vector.has_value()) {
    throw std::invalid_argument("d_vector is there where a vector is");
  }
  void* const sum = data_of(d_vector, "d_vector", dtype, {width});
  AttentionBackward in{};
  in.weights = weights.data();
  in.d_contexts = data_of(d_contexts, "d_contexts", dtype, {batch.queries, value_width});
  in.d_weights = data_of(d_weights, "d_weights", dtype, {batch.pairs});
  in.d_queries = d_queries.data();
  in.d_keys = d_keys.data();
  in.d_values = d_values.data();
  const Kernels& kernels = batch.kernels();
  const auto bytes = kernels.attention_workspace(batch.call.longest);
  const auto gradients = sum == nullptr ? 0 : batch.parts * width * batch.item();
  char* const memory = thread_workspace().reserve(batch.threads.count * bytes + gradients);
  in.d_vector = memory + batch.threads.count * bytes;
  std::memset(in.d_vector, 0, static_cast<std::size_t>(gradients));
  run_parts(batch.threads, batch.call.sources, batch.parts, memory, bytes,
                  [&](std::int64_t first, std::int64_t last, std::int64_t part, char* here) {
                    kernels.attention_gradient(&batch.call, &in, first, last, part, here);
                  });
  if (sum != nullptr) {
    if (batch.wide) {
      add_parts(static_cast<const double*>(in.d_vector), batch.parts, width,
                static_cast<double*>(sum));
    } else {
      add_parts(static_cast<const float*>(in.d_vector), batch.parts, width,
                static_cast<float*>(sum));
    }
  }
  thread_workspace().trim();
}

}  // namespace

void bind_attention(nb::module_& m) {
  using namespace nb::literals;
  m.def("attention_forward", &attention_forward, "queries"_a, "keys"_a, "values"_a,
        "vector"_a.none(), "query_offsets"_a.noconvert(), "key_offsets"_a.noconvert(),
        "contexts"_a, "weights"_a.none(), "threads"_a, "openmp"_a = false,
        "Contexts and weights of attention over the key rows of each query's source.");
  m.def("attention_backward", &attention_backward, "queries"_a, "keys"_a, "values"_a,
        "vector"_a.none(), "query_offsets"_a.noconvert(), "key_offsets"_a.noconvert(),
        "weights"_a, "d_contexts"_a.none(), "d_weights"_a.none(), "d_queries"_a, "d_keys"_a,
        "d_values"_a, "d_vector"_a.none(), "threads"_a, "openmp"_a = false,
        "Gradients of attention, from the weights of the forward pass.");
}

}  // namespace birnn
