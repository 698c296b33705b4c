// Plans for Python: a batch is cut once, for all layers and for the way back.

#include "arrays.h"
#include "plan.h"

namespace birnn {

namespace {

void make(Plan* here, const Integers& lengths, const Integers& starts, const Integers& steps,
          std::int64_t rows) {
  check_integers(lengths, "lengths");
  check_integers(starts, "starts");
  check_integers(steps, "steps");
  if (starts.shape(0) != lengths.shape(0)) {
    throw std::invalid_argument("starts and lengths differ in number");
  }
  new (here) Plan(lengths.data(), starts.data(), static_cast<std::int64_t>(lengths.shape(0)),
                  steps.data(), static_cast<std::int64_t>(steps.shape(0)), rows);
}

}  // namespace

void bind_plan(nb::module_& m) {
  using namespace nb::literals;
  nb::class_<Plan>(m, "Plan", "How a ragged batch is cut into blocks, steps and stretches.")
      .def("__init__", &make, "lengths"_a.noconvert(), "starts"_a.noconvert(),
           "steps"_a.noconvert(), "rows"_a)
      .def_prop_ro("places", [](const Plan& plan) { return plan.batch().places; },
                   "Rows in which sequences stand.");
}

}  // namespace birnn
