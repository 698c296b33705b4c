// The Python module birnn.kernels._native.
//
// The kernels themselves come with the performance work; today the module proves the build chain
// (CMake, nanobind, the wheel, the fallback without a compiler) with one function that Python
// checks against its own arithmetic.

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <stdexcept>

namespace nb = nanobind;

namespace {

using Lengths = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

// Number of rows of a ragged batch: the sum of its lengths.
std::int64_t count_rows(const Lengths& lengths) {
  std::int64_t rows = 0;
  for (std::size_t i = 0; i < lengths.shape(0); ++i) {
    if (lengths(i) < 0) {
      throw std::invalid_argument("lengths must not be negative");
    }
    rows += lengths(i);
  }
  return rows;
}

}  // namespace

NB_MODULE(_native, m) {
  m.doc() = "Compiled kernels of birnn.";
  m.def("count_rows", &count_rows, nb::arg("lengths"), "Sum of non-negative int64 lengths.");
  m.attr("compiler") =
#if defined(__clang__)
      "clang " __clang_version__;
#elif defined(__GNUC__)
      "gcc " __VERSION__;
#else
      "unknown";
#endif
}
