// The linear chain's kernels as functions of NumPy arrays.

#include <nanobind/stl/optional.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "arrays.h"
#include "dispatch.h"
#include "pages.h"
#include "team.h"

namespace birnn {

namespace {

using Offsets = std::vector<std::int64_t>;

// Sequences are dealt out in parts that follow from their number and the labels alone, so that
// gradients are added up in one order on any number of threads.
constexpr std::int64_t few_parts = 8, most_parts = 32, sequences_in_part = 4;
constexpr std::int64_t most_gradients = std::int64_t{8} << 20;  // doubles in all parts

// Below so many additions another thread costs more than it takes over.
constexpr std::int64_t work_of_thread = 200'000;

std::int64_t parts_of(std::int64_t sequences, std::int64_t labels) {
  const auto wanted = std::clamp(sequences / sequences_in_part, few_parts, most_parts);
  const auto most = std::min(sequences, most_gradients / (labels * labels));
  return std::max<std::int64_t>(std::min(wanted, most), 1);
}

// A chain whose arrays fit together, and who works on it.
struct Problem {
  Chain chain{};
  std::int64_t rows = 0, longest = 0, parts = 1;
  Crew crew;
  Offsets offsets;  // ours: nobody changes them while the kernels run
};

Problem problem_of(const In& emissions, const Integers& offsets, const In& transitions,
                   const In& start, const In& end, Crew crew) {
  if (emissions.ndim() != 2 || emissions.shape(1) < 1) {
    throw std::invalid_argument("emissions are rows of one score for each label");
  }
  if (!is_double(emissions.dtype())) throw std::invalid_argument("emissions are not float64");
  Problem problem;
  Chain& chain = problem.chain;
  problem.rows = static_cast<std::int64_t>(emissions.shape(0));
  chain.labels = static_cast<std::int64_t>(emissions.shape(1));
  check(transitions, "transitions", nb::dtype<double>(), {chain.labels, chain.labels});
  check(start, "start", nb::dtype<double>(), {chain.labels});
  check(end, "end", nb::dtype<double>(), {chain.labels});
  check_integers(offsets, "offsets");
  problem.offsets.assign(offsets.data(), offsets.data() + offsets.shape(0));
  const Offsets& edges = problem.offsets;
  if (edges.empty() || edges.front() != 0 || edges.back() != problem.rows) {
    throw std::invalid_argument("offsets begin with 0 and end with the number of rows");
  }
  for (std::size_t i = 1; i < edges.size(); ++i) {
    if (edges[i] < edges[i - 1]) throw std::invalid_argument("offsets must not fall");
    problem.longest = std::max(problem.longest, edges[i] - edges[i - 1]);
  }
  chain.sequences = static_cast<std::int64_t>(edges.size()) - 1;
  chain.offsets = edges.data();
  chain.emissions = static_cast<const double*>(emissions.data());
  chain.transitions = static_cast<const double*>(transitions.data());
  chain.start = static_cast<const double*>(start.data());
  chain.end = static_cast<const double*>(end.data());
  problem.parts = parts_of(chain.sequences, chain.labels);
  const auto work = uses_all_threads()
                        ? problem.parts
                        : problem.rows * chain.labels * (chain.labels + 40) / work_of_thread;
  const int threads = threads_worth(std::max(threads_wanted(crew.threads), 1));
  problem.crew = {static_cast<int>(std::min<std::int64_t>(
                      {threads, problem.parts, std::max<std::int64_t>(work, 1)})),
                  crew.openmp};
  return problem;
}

// run(begin, end, part, scratch) for the sequences of every part, each thread with its own scratch
// of `room` bytes, which `memory` holds one after another.
template <class Run>
void run_parts(const Problem& problem, char* memory, std::int64_t room, Run run) {
  for (int rank = 0; rank < problem.crew.threads; ++rank) {
    std::memset(memory + rank * room, 0, sizeof(std::int64_t));  // nothing is prepared there yet
  }
  const auto sequences = problem.chain.sequences, parts = problem.parts;
  in_parts(problem.crew, parts, [&](std::int64_t part, int rank) {
    run(sequences * part / parts, sequences * (part + 1) / parts, part, memory + rank * room);
  });
}

// to = sum of `parts` rows of `count`, first to last
void add_parts(const double* from, std::int64_t parts, std::int64_t count, double* to) {
  std::memcpy(to, from, static_cast<std::size_t>(count) * sizeof(double));
  for (std::int64_t part = 1; part < parts; ++part) {
    for (std::int64_t i = 0; i < count; ++i) to[i] += from[part * count + i];
  }
}

void chain_sums(const In& emissions, const Integers& offsets, const In& transitions,
                const In& start, const In& end, const MaybeOut& log_partition,
                const MaybeOut& marginals, const MaybeIn& weight, const MaybeOut& d_emissions,
                const MaybeOut& d_transitions, const MaybeOut& d_start, const MaybeOut& d_end,
                int threads, bool openmp) {
  const auto problem =
      problem_of(emissions, offsets, transitions, start, end, {threads, openmp});
  const auto sequences = problem.chain.sequences, labels = problem.chain.labels;
  const auto dtype = nb::dtype<double>();
  const auto out = [&](const MaybeOut& array, const char* name, Extents shape) {
    return static_cast<double*>(data_of(array, name, dtype, shape));
  };
  ChainSums sums{};
  sums.log_partition = out(log_partition, "log_partition", {sequences});
  sums.marginals = out(marginals, "marginals", {problem.rows, labels});
  sums.weight = static_cast<const double*>(data_of(weight, "weight", dtype, {sequences}));
  sums.d_emissions = out(d_emissions, "d_emissions", {problem.rows, labels});
  double* const to[] = {out(d_transitions, "d_transitions", {labels, labels}),
                        out(d_start, "d_start", {labels}), out(d_end, "d_end", {labels})};
  const std::int64_t count[] = {labels * labels, labels, labels};
  double** const parts[] = {&sums.d_transitions, &sums.d_start, &sums.d_end};

  const bool keep = sums.marginals || sums.d_emissions || to[0] || to[1] || to[2];
  const ChainKernels& kernels = engine().chain;
  const auto room = kernels.scratch(labels, keep ? problem.longest : 0);
  std::int64_t gradients = 0;
  for (int i = 0; i < 3; ++i) gradients += to[i] ? problem.parts * count[i] : 0;
  char* const memory = scratch().room(problem.crew.threads * room +
                                      gradients * static_cast<std::int64_t>(sizeof(double)));
  auto* next = reinterpret_cast<double*>(memory + problem.crew.threads * room);
  std::memset(next, 0, static_cast<std::size_t>(gradients) * sizeof(double));
  for (int i = 0; i < 3; ++i) {
    if (to[i] == nullptr) continue;
    *parts[i] = next;
    next += problem.parts * count[i];
  }
  run_parts(problem, memory, room,
            [&](std::int64_t first, std::int64_t last, std::int64_t part, char* here) {
              kernels.sums(&problem.chain, &sums, first, last, part, here);
            });
  for (int i = 0; i < 3; ++i) {
    if (to[i] != nullptr) add_parts(*parts[i], problem.parts, count[i], to[i]);
  }
  scratch().settle();
}

void chain_paths(const In& emissions, const Integers& offsets, const In& transitions,
                 const In& start, const In& end, const Out& tags, const Out& scores, int threads,
                 bool openmp) {
  const auto problem =
      problem_of(emissions, offsets, transitions, start, end, {threads, openmp});
  if (tags.dtype() != nb::dtype<std::int64_t>()) throw std::invalid_argument("tags are not int64");
  check(tags, "tags", nb::dtype<std::int64_t>(), {problem.rows});
  check(scores, "scores", nb::dtype<double>(), {problem.chain.sequences});
  const ChainPaths paths{static_cast<std::int64_t*>(tags.data()),
                         static_cast<double*>(scores.data())};
  const ChainKernels& kernels = engine().chain;
  const auto room = kernels.scratch(problem.chain.labels, problem.longest);
  char* const memory = scratch().room(problem.crew.threads * room);
  run_parts(problem, memory, room,
            [&](std::int64_t first, std::int64_t last, std::int64_t, char* here) {
              kernels.paths(&problem.chain, &paths, first, last, here);
            });
  scratch().settle();
}

}  // namespace

void bind_chain(nb::module_& m) {
  using namespace nb::literals;
  m.def("chain_sums", &chain_sums, "emissions"_a, "offsets"_a.noconvert(),
        "transitions"_a, "start"_a, "end"_a,
        "log_partition"_a.none(), "marginals"_a.none(),
        "weight"_a.none(), "d_emissions"_a.none(),
        "d_transitions"_a.none(), "d_start"_a.none(),
        "d_end"_a.none(), "threads"_a, "openmp"_a = false,
        "Log-partitions, marginals and gradients of a linear chain: those there is room for.");
  m.def("chain_paths", &chain_paths, "emissions"_a, "offsets"_a.noconvert(),
        "transitions"_a, "start"_a, "end"_a,
        "tags"_a, "scores"_a, "threads"_a, "openmp"_a = false,
        "The best path of each sequence through a linear chain.");
}

}  // namespace birnn
