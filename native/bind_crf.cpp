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
}

}  // namespace birnn
