// The CRF for Python: sums over all paths with their gradients, and the best path.

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

using Flags = nb::ndarray<const std::uint8_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

constexpr std::int64_t most_gradients = std::int64_t{8} << 20;  // doubles in all parts

// Additions below which another thread costs more than it brings.
constexpr std::int64_t min_work = 200'000;

// A batch whose arrays fit together, and the threads that work on it.
struct CrfBatch {
  Crf crf{};
  std::int64_t rows = 0, longest = 0, parts = 1;
  WorkerThreads threads;
  Offsets offsets;
};

CrfBatch batch_of(const In& emissions, const Integers& offsets, const In& transitions,
                  const In& start, const In& end, WorkerThreads asked) {
  if (emissions.ndim() != 2 || emissions.shape(1) < 1) {
    throw std::invalid_argument("emissions are rows of one score for each label");
  }
  if (!is_double(emissions.dtype())) throw std::invalid_argument("emissions are not float64");
  CrfBatch batch;
  Crf& crf = batch.crf;
  batch.rows = static_cast<std::int64_t>(emissions.shape(0));
  crf.labels = static_cast<std::int64_t>(emissions.shape(1));
  check(transitions, "transitions", nb::dtype<double>(), {crf.labels, crf.labels});
  check(start, "start", nb::dtype<double>(), {crf.labels});
  check(end, "end", nb::dtype<double>(), {crf.labels});
  batch.offsets = checked_offsets(offsets, "offsets", batch.rows);
  const Offsets& edges = batch.offsets;
  for (std::size_t i = 1; i < edges.size(); ++i) {
    batch.longest = std::max(batch.longest, edges[i] - edges[i - 1]);
  }
  crf.sequences = static_cast<std::int64_t>(edges.size()) - 1;
  crf.offsets = edges.data();
  crf.emissions = static_cast<const double*>(emissions.data());
  crf.transitions = static_cast<const double*>(transitions.data());
  crf.start = static_cast<const double*>(start.data());
  crf.end = static_cast<const double*>(end.data());
  batch.parts = parts_of(crf.sequences, most_gradients / (crf.labels * crf.labels));
  const auto work =
      uses_all_threads() ? batch.parts : batch.rows * crf.labels * (crf.labels + 40) / min_work;
  const int threads = useful_threads(std::max(threads_wanted(asked.count), 1));
  batch.threads = {static_cast<int>(std::min<std::int64_t>(
                       {threads, batch.parts, std::max<std::int64_t>(work, 1)})),
                   asked.openmp};
  return batch;
}

// Calls run(begin, end, part, workspace) for the sequences of every part.
template <class Run>
void run_parts(const CrfBatch& batch, char* memory, std::int64_t bytes, Run run) {
  for (int rank = 0; rank < batch.threads.count; ++rank) {
    std::memset(memory + rank * bytes, 0, sizeof(std::int64_t));  // nothing is prepared there yet
  }
  run_parts(batch.threads, batch.crf.sequences, batch.parts, memory, bytes, run);
}

void crf_sums(const In& emissions, const Integers& offsets, const In& transitions, const In& start,
              const In& end, const MaybeOut& log_partition, const MaybeOut& marginals,
              const MaybeIn& weight, const MaybeOut& d_emissions, const MaybeOut& d_transitions,
              const MaybeOut& d_start, const MaybeOut& d_end, int threads, bool openmp) {
  const auto batch = batch_of(emissions, offsets, transitions, start, end, {threads, openmp});
  const auto sequences = batch.crf.sequences, labels = batch.crf.labels;
  const auto dtype = nb::dtype<double>();
  const auto out = [&](const MaybeOut& array, const char* name, Extents shape) {
    return static_cast<double*>(data_of(array, name, dtype, shape));
  };
  CrfSums sums{};
  sums.log_partition = out(log_partition, "log_partition", {sequences});
  sums.marginals = out(marginals, "marginals", {batch.rows, labels});
  sums.weight = static_cast<const double*>(data_of(weight, "weight", dtype, {sequences}));
  sums.d_emissions = out(d_emissions, "d_emissions", {batch.rows, labels});
  double* const to[] = {out(d_transitions, "d_transitions", {labels, labels}),
                        out(d_start, "d_start", {labels}), out(d_end, "d_end", {labels})};
  const std::int64_t count[] = {labels * labels, labels, labels};
  double** const parts[] = {&sums.d_transitions, &sums.d_start, &sums.d_end};

  const bool keep = sums.marginals || sums.d_emissions || to[0] || to[1] || to[2];
  const CrfKernels& kernels = engine().crf;
  const auto bytes = kernels.workspace(labels, keep ? batch.longest : 0);
  std::int64_t gradients = 0;
  for (int i = 0; i < 3; ++i) gradients += to[i] ? batch.parts * count[i] : 0;
  char* const memory = thread_workspace().reserve(
      batch.threads.count * bytes + gradients * static_cast<std::int64_t>(sizeof(double)));
  auto* next = reinterpret_cast<double*>(memory + batch.threads.count * bytes);
  std::memset(next, 0, static_cast<std::size_t>(gradients) * sizeof(double));
  for (int i = 0; i < 3; ++i) {
    if (to[i] == nullptr) continue;
    *parts[i] = next;
    next += batch.parts * count[i];
  }
  run_parts(batch, memory, bytes,
            [&](std::int64_t first, std::int64_t last, std::int64_t part, char* here) {
              kernels.sums(&batch.crf, &sums, first, last, part, here);
            });
  for (int i = 0; i < 3; ++i) {
    if (to[i] != nullptr) add_parts<double>(*parts[i], batch.parts, count[i], to[i]);
  }
  thread_workspace().trim();
}

void crf_paths(const In& emissions, const Integers& offsets, const In& transitions, const In& start,
               const In& end, const Out& tags, const Out& scores, int threads, bool openmp) {
  const auto batch = batch_of(emissions, offsets, transitions, start, end, {threads, openmp});
  if (tags.dtype() != nb::dtype<std::int64_t>()) throw std::invalid_argument("tags are not int64");
  check(tags, "tags", nb::dtype<std::int64_t>(), {batch.rows});
  check(scores, "scores", nb::dtype<double>(), {batch.crf.sequences});
  const CrfPaths paths{static_cast<std::int64_t*>(tags.data()),
                       static_cast<double*>(scores.data())};
  const CrfKernels& kernels = engine().crf;
  const auto bytes = kernels.workspace(batch.crf.labels, batch.longest);
  char* const memory = thread_workspace().reserve(batch.threads.count * bytes);
  run_parts(batch, memory, bytes,
            [&](std::int64_t first, std::int64_t last, std::int64_t, char* here) {
              kernels.paths(&batch.crf, &paths, first, last, here);
            });
  thread_workspace().trim();
}

// Offsets of the spans of each sequence, which are given in the order of their sequences.
Offsets span_offsets(const CrfBatch& batch, const Offsets& sequences, const Offsets& starts,
                     const Offsets& stops, std::size_t types) {
  const auto count = sequences.size();
  if (starts.size() != count || stops.size() != count || types != count) {
    throw std::invalid_argument("spans need as many starts, stops and types as sequences");
  }
  Offsets edges(static_cast<std::size_t>(batch.crf.sequences) + 1, 0);
  for (std::size_t i = 0; i < count; ++i) {
    const auto here = sequences[i];
    if (here < 0 || here >= batch.crf.sequences || (i > 0 && here < sequences[i - 1])) {
      throw std::invalid_argument("spans stand in the order of their sequences");
    }
    const auto steps = batch.crf.offsets[here + 1] - batch.crf.offsets[here];
    if (starts[i] < 0 || starts[i] >= stops[i] || stops[i] > steps) {
      throw std::invalid_argument("a span lies in its sequence, and has a step");
    }
    ++edges[static_cast<std::size_t>(here) + 1];
  }
  for (std::size_t i = 1; i < edges.size(); ++i) edges[i] += edges[i - 1];
  return edges;
}

// A copy, which nobody changes while kernels run.
template <class T, class Array>
std::vector<T> copied(const Array& array, const char* name) {
  if (array.data() == nullptr && array.size() > 0) {
    throw std::invalid_argument(std::string(name) + " has a shape, and no numbers");
  }
  check_aligned(array, name, sizeof(T));
  return {array.data(), array.data() + array.size()};
}

void crf_spans(const In& emissions, const Integers& offsets, const In& transitions, const In& start,
               const In& end, const Integers& sequences, const Integers& starts,
               const Integers& stops, const Integers& span_types, const Integers& types,
               const Flags& first, const Flags& begins, const Flags& continues,
               const Out& marginals, const Out& probabilities, int threads, bool openmp) {
  const auto batch = batch_of(emissions, offsets, transitions, start, end, {threads, openmp});
  const auto labels = batch.crf.labels;
  check(marginals, "marginals", nb::dtype<double>(), {batch.rows, labels});
  const auto of = copied<std::int64_t>(sequences, "sequences");
  const auto from = copied<std::int64_t>(starts, "starts");
  const auto to = copied<std::int64_t>(stops, "stops");
  const auto kinds = copied<std::int64_t>(span_types, "span_types");
  const auto label_types = copied<std::int64_t>(types, "types");
  const auto firsts = copied<std::uint8_t>(first, "first");
  const auto opening = copied<std::uint8_t>(begins, "begins");
  const auto inside = copied<std::uint8_t>(continues, "continues");
  const auto edges = span_offsets(batch, of, from, to, kinds.size());
  check(probabilities, "probabilities", nb::dtype<double>(),
        {static_cast<std::int64_t>(of.size())});
  const auto pairs = static_cast<std::size_t>(labels * labels);
  if (label_types.size() != static_cast<std::size_t>(labels) ||
      firsts.size() != label_types.size() || opening.size() != pairs || inside.size() != pairs) {
    throw std::invalid_argument("the rules of spans are of as many labels as the emissions");
  }
  const CrfSpans spans{edges.data(),
                       from.data(),
                       to.data(),
                       kinds.data(),
                       label_types.data(),
                       firsts.data(),
                       opening.data(),
                       inside.data(),
                       static_cast<double*>(marginals.data()),
                       static_cast<double*>(probabilities.data())};
  const CrfKernels& kernels = engine().crf;
  const auto bytes = kernels.span_workspace(labels, batch.longest);
  char* const memory = thread_workspace().reserve(batch.threads.count * bytes);
  run_parts(batch, memory, bytes,
            [&](std::int64_t begin, std::int64_t last, std::int64_t, char* here) {
              kernels.spans(&batch.crf, &spans, begin, last, here);
            });
  thread_workspace().trim();
}

}  // namespace

void bind_crf(nb::module_& m) {
  using namespace nb::literals;
  m.def("chain_sums", &crf_sums, "emissions"_a, "offsets"_a.noconvert(), "transitions"_a, "start"_a,
        "end"_a, "log_partition"_a.none(), "marginals"_a.none(), "weight"_a.none(),
        "d_emissions"_a.none(), "d_transitions"_a.none(), "d_start"_a.none(), "d_end"_a.none(),
        "threads"_a, "openmp"_a = false,
        "Log-partitions, marginals and gradients of a linear chain: those there is room for.");
  m.def("chain_paths", &crf_paths, "emissions"_a, "offsets"_a.noconvert(), "transitions"_a,
        "start"_a, "end"_a, "tags"_a, "scores"_a, "threads"_a, "openmp"_a = false,
        "The best path of each sequence through a linear crf.");
  m.def("chain_spans", &crf_spans, "emissions"_a, "offsets"_a.noconvert(), "transitions"_a,
        "start"_a, "end"_a, "sequences"_a.noconvert(), "starts"_a.noconvert(),
        "stops"_a.noconvert(), "span_types"_a.noconvert(), "types"_a.noconvert(),
        "first"_a.noconvert(), "begins"_a.noconvert(), "continues"_a.noconvert(), "marginals"_a,
        "probabilities"_a, "threads"_a, "openmp"_a = false,
        "Marginals of labels, and probabilities of spans that labels mark.");
}

}  // namespace birnn
