// The Python module birnn.engine._native.

#include <nanobind/nanobind.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <optional>
#include <tuple>

#include "array_checks.h"
#include "dispatch.h"
#include "plan.h"
#include "pool.h"
#include "processor.h"

namespace nb = nanobind;

namespace birnn {

void bind_layer(nb::module_& m);
void bind_packed(nb::module_& m);
void bind_linear(nb::module_& m);
void bind_crf(nb::module_& m);
void bind_attention(nb::module_& m);
void bind_memory(nb::module_& m);

namespace {

void make_plan(Plan* here, const Integers& lengths, const std::optional<Integers>& starts,
               const std::optional<Integers>& steps, std::int64_t rows) {
  check_integers(lengths, "lengths");
  const auto sequences = static_cast<std::int64_t>(lengths.shape(0));
  if (!starts && !steps) {
    const std::vector<std::int64_t> counts(lengths.data(), lengths.data() + sequences);
    new (here) Plan(Plan::ragged(counts, rows));
    return;
  }
  if (!starts || !steps) throw std::invalid_argument("starts and steps come together");
  check_integers(*starts, "starts");
  check_integers(*steps, "steps");
  if (starts->shape(0) != lengths.shape(0)) {
    throw std::invalid_argument("starts and lengths differ in number");
  }
  new (here) Plan(lengths.data(), starts->data(), sequences, steps->data(),
                  static_cast<std::int64_t>(steps->shape(0)), rows);
}

std::vector<std::tuple<std::string, std::vector<std::string>, std::string>> levels_here() {
  std::vector<std::tuple<std::string, std::vector<std::string>, std::string>> all;
  for (const Level& level : levels()) {
    all.emplace_back(level.name, level.precisions, level.missing);
  }
  return all;
}

void choose_numbered(const std::string& name, int precision) {
  choose_engine(name, precision_of(precision));
}

std::string engine_numbered(int precision) { return engine_name(precision_of(precision)); }

// A batch is planned once, for all layers and for the backward pass.
void bind_plan(nb::module_& m) {
  using namespace nb::literals;
  nb::class_<Plan>(m, "Plan",
                   "How a ragged batch is divided into blocks, steps and chunks of steps.")
      .def("__init__", &make_plan, "lengths"_a.noconvert(), "starts"_a.noconvert().none(),
           "steps"_a.noconvert().none(), "rows"_a)
      .def_prop_ro(
          "places", [](const Plan& plan) { return plan.batch().real_rows; },
          "Rows in which sequences stand.");
}

}  // namespace

}  // namespace birnn

NB_MODULE(_native, m) {
  using namespace nb::literals;
  m.doc() = "Compiled kernels of birnn.";
  // Plans of common shapes are cached to the end of the process: no leaks to warn of.
  nb::set_leak_warnings(false);
  m.attr("compiler") =
#if defined(__clang__)
      "clang " __clang_version__;
#elif defined(__GNUC__)
      "gcc " __VERSION__;
#else
      "unknown";
#endif
  m.attr("vendor") = birnn::processor().vendor;
  m.attr("features") = birnn::processor().features;
  m.def("levels", &birnn::levels_here,
        "Instruction sets, best first: name, precisions, and what is missing for it here.");
  m.def("tiles_refused", &birnn::tiles_refused,
        "Why the system keeps AMX's tiles from this process; empty where it grants them.");
  m.def("choose_engine", &birnn::choose_numbered, "name"_a, "precision"_a = 0,
        "Run a precision on one of `levels`.");
  m.def("engine", &birnn::engine_numbered, "precision"_a = 0,
        "The engine in use for a precision; empty where none was chosen.");
  m.def("set_threads", &birnn::set_threads, "threads"_a, "Threads of a call that asks for none.");
  m.def("threads_worth", &birnn::useful_threads, "wanted"_a,
        "How many of the wanted threads would work on a call now.");
  m.def("use_all_threads", &birnn::use_all_threads, "always"_a,
        "All threads that are asked for work on each call, however small; for tests.");
  m.def("stop_threads", &birnn::stop_threads, "End the threads that wait for work.");
  birnn::bind_plan(m);
  birnn::bind_layer(m);
  birnn::bind_packed(m);
  birnn::bind_linear(m);
  birnn::bind_crf(m);
  birnn::bind_attention(m);
  birnn::bind_memory(m);
}
