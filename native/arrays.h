// NumPy arrays as the bindings take them, and the checks that keep bad ones from the kernels.

#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>

namespace birnn {

namespace nb = nanobind;

using In = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;
using Out = nb::ndarray<nb::c_contig, nb::device::cpu>;
using MaybeIn = std::optional<In>;
using MaybeOut = std::optional<Out>;
using Integers = nb::ndarray<const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using Extents = std::initializer_list<std::int64_t>;

inline std::string shape_text(const std::int64_t* shape, std::size_t ndim) {
  std::string text = "(";
  for (std::size_t i = 0; i < ndim; ++i) {
    text += (i == 0 ? "" : ", ") + std::to_string(shape[i]);
  }
  return text + ")";
}

// Throws where items do not stand at multiples of `bytes`, as in an array cut out of a file.
template <class Array>
void check_aligned(const Array& array, const char* name, std::size_t bytes) {
  if (array.size() > 0 && reinterpret_cast<std::uintptr_t>(array.data()) % bytes != 0) {
    throw std::invalid_argument(std::string(name) + " does not begin at a multiple of " +
                                std::to_string(bytes) + " bytes. Copy it");
  }
}

template <class Array>
void check(const Array& array, const char* name, nb::dlpack::dtype dtype, Extents shape) {
  if (array.dtype() != dtype) {
    throw std::invalid_argument(std::string(name) + " has another dtype than x");
  }
  bool same = array.ndim() == shape.size();
  for (std::size_t i = 0; same && i < shape.size(); ++i) {
    same = static_cast<std::int64_t>(array.shape(i)) == shape.begin()[i];
  }
  if (!same) {
    throw std::invalid_argument(std::string(name) + " has shape " +
                                shape_text(array.shape_ptr(), array.ndim()) + ", it must be " +
                                shape_text(shape.begin(), shape.size()));
  }
  check_aligned(array, name, dtype.bits / 8u);
}

// Where the rows of sequences stand, and packed weights, which are of the kernels' own making.
inline void check_integers(const Integers& array, const char* name) {
  check_aligned(array, name, sizeof(std::int64_t));
}

template <class Array>
void check_packed(const Array& array, Extents shape) {
  check(array, "packed", nb::dtype<std::uint8_t>(), shape);
  check_aligned(array, "packed", sizeof(double));
}

// The data of an array that is there, null for one that is not.
inline const void* data_of(const MaybeIn& array, const char* name, nb::dlpack::dtype dtype,
                           Extents shape) {
  if (!array) return nullptr;
  check(*array, name, dtype, shape);
  return array->data();
}

inline void* data_of(const MaybeOut& array, const char* name, nb::dlpack::dtype dtype,
                     Extents shape) {
  if (!array) return nullptr;
  check(*array, name, dtype, shape);
  return array->data();
}

// Whether arrays are float64; throws for anything but float32 and float64.
inline bool is_double(nb::dlpack::dtype dtype) {
  if (dtype == nb::dtype<float>()) return false;
  if (dtype == nb::dtype<double>()) return true;
  throw std::invalid_argument("x is neither float32 nor float64");
}

struct Free {
  std::align_val_t alignment{64};
  void operator()(char* p) const { ::operator delete[](p, alignment); }
};

// Memory on a cache line; where it is large, in huge pages if the system has them.
//
// Packed weights fill the second cache. Small pages stand anywhere in memory: some sets of the cache
// would get too many of them, and it would be another call's luck that it is fast.
class Pages {
 public:
  Pages() = default;

  // std::bad_alloc where there is no memory.
  explicit Pages(std::size_t wanted) {
    constexpr std::size_t huge_page = std::size_t{2} << 20;  // of x86 and ARM
    // No process has more addresses. Sanitizers end it where an allocator is asked for more.
    constexpr std::size_t most = std::size_t{1} << 47;
    if (wanted > most) throw std::bad_alloc();
    const bool large = wanted >= huge_page / 4;
    if (large) wanted = (wanted + huge_page - 1) / huge_page * huge_page;
    const std::align_val_t alignment{large ? huge_page : 64};
    memory_ = {static_cast<char*>(::operator new[](wanted, alignment)), Free{alignment}};
    size_ = wanted;
#if defined(__linux__)
    if (large) madvise(memory_.get(), wanted, MADV_HUGEPAGE);
#endif
  }

  char* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }

 private:
  std::unique_ptr<char[], Free> memory_;
  std::size_t size_ = 0;
};

// Memory that a thread keeps between calls: fresh pages cost more than the work on a small batch.
class Scratch {
 public:
  // Room for `bytes`; std::bad_alloc where it cannot be had.
  char* room(std::int64_t bytes) {
    const auto wanted = static_cast<std::size_t>(bytes > 0 ? bytes : 1);
    if (wanted > pages_.size()) {
      pages_ = Pages();
      pages_ = Pages(wanted);
    }
    return pages_.data();
  }

  // Gives back what is too much to keep.
  void settle() {
    if (pages_.size() > most_kept) pages_ = Pages();
  }

 private:
  static constexpr std::size_t most_kept = std::size_t{64} << 20;
  Pages pages_;
};

// The calling thread's own.
inline Scratch& scratch() {
  static thread_local Scratch memory;
  return memory;
}

}  // namespace birnn
