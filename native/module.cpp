// The Python module birnn.engine._native.

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include "dispatch.h"
#include "pool.h"

namespace nb = nanobind;

namespace birnn {
void bind_plan(nb::module_& m);
void bind_layer(nb::module_& m);
void bind_linear(nb::module_& m);
void bind_chain(nb::module_& m);
void bind_memory(nb::module_& m);
}  // namespace birnn

NB_MODULE(_native, m) {
  using namespace nb::literals;
  m.doc() = "Compiled kernels of birnn.";
  // Plans of common shapes are kept to the end of the process: nothing to be told of there.
  nb::set_leak_warnings(false);
  m.attr("compiler") =
#if defined(__clang__)
      "clang " __clang_version__;
#elif defined(__GNUC__)
      "gcc " __VERSION__;
#else
      "unknown";
#endif
  m.def("engines", &birnn::engines, "Engines that this processor has, best first.");
  m.def("choose_engine", &birnn::choose_engine, "name"_a, "Run on one of `engines`.");
  m.def(
      "engine", [] { return std::string(birnn::engine().name); }, "The engine in use.");
  m.def("set_threads", &birnn::set_threads, "threads"_a, "Threads of a call that asks for none.");
  m.def("threads_worth", &birnn::threads_worth, "wanted"_a,
        "How many of the wanted threads would work on a call now.");
  m.def("use_all_threads", &birnn::use_all_threads, "always"_a,
        "All threads that are asked for work on each call, however small; for tests.");
  m.def("stop_threads", &birnn::stop_threads, "End the threads that wait for work.");
  birnn::bind_plan(m);
  birnn::bind_layer(m);
  birnn::bind_linear(m);
  birnn::bind_chain(m);
  birnn::bind_memory(m);
}
