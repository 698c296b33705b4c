// Arrays of Python without copies: NumPy's, and tensors.
//
// NumPy's come through nanobind. Tensors come through the table of functions that DLPack has for it
// (DLPack 1.3, `DLPackExchangeAPI`): tens of nanoseconds for each, where `tensor.numpy()` and what
// it calls take a microsecond, and more while the caches hold weights instead of the interpreter.

#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <type_traits>

namespace birnn {

namespace nb = nanobind;

// DLPack's table of functions for a class of arrays. The names are ours, the order is DLPack's.
struct ExchangeApi {
  std::uint32_t major, minor;
  const ExchangeApi* older;
  void (*allocate)();
  void (*give)();
  void (*take)();
  int (*borrow)(void* object, nb::dlpack::dltensor* found);
  void (*stream)();
};

// The table of a class, null where it has none.
inline const ExchangeApi* exchange_of(PyTypeObject* type) {
  // A cache of the classes that came last. It holds references to them, as another class could get
  // the address of one that is gone.
  struct Known {
    PyTypeObject* type;
    const ExchangeApi* exchange;
  };
  static Known known[4] = {};
  static std::size_t next = 0;
  for (const Known& one : known) {
    if (one.type == type) return one.exchange;
  }
  const ExchangeApi* exchange = nullptr;
  auto* const object = reinterpret_cast<PyObject*>(type);
  auto* const capsule = PyObject_GetAttrString(object, "__dlpack_c_exchange_api__");
  if (capsule != nullptr) {
    exchange =
        static_cast<const ExchangeApi*>(PyCapsule_GetPointer(capsule, "dlpack_exchange_api"));
    while (exchange != nullptr && exchange->major != 1) exchange = exchange->older;
    if (exchange != nullptr && exchange->borrow == nullptr) exchange = nullptr;
  }
  PyErr_Clear();
  Py_XDECREF(capsule);
  auto* const before = reinterpret_cast<PyObject*>(known[next].type);
  Py_INCREF(object);
  known[next] = {type, exchange};
  next = (next + 1) % 4;
  Py_XDECREF(before);
  return exchange;
}

// An array for the time of a call: C-contiguous and aligned. One that is to be written must be so;
// one that is read is copied where it is not.
template <bool writable>
class ArrayView {
 public:
  nb::dlpack::dtype dtype() const { return here_.dtype; }
  std::size_t ndim() const { return static_cast<std::size_t>(here_.ndim); }
  std::size_t shape(std::size_t i) const { return static_cast<std::size_t>(here_.shape[i]); }
  const std::int64_t* shape_ptr() const { return here_.shape; }

  std::size_t size() const {
    std::size_t count = 1;
    for (std::size_t i = 0; i < ndim(); ++i) count *= shape(i);
    return count;
  }

  // std::bad_alloc where a copy is needed and cannot be had.
  std::conditional_t<writable, void*, const void*> data() const {
    if (!usable_in_place_ && copy_ == nullptr) {
      copy_.reset(new char[size() * item()]);
      char* to = copy_.get();
      copy(0, start(), &to);
    }
    return copy_ != nullptr ? copy_.get() : start();
  }

  // Borrows the array of a Python object; false for what is no array, or not one that can be
  // written.
  bool borrow(nb::handle object, nb::detail::cleanup_list* cleanup) noexcept {
    owner_ = Owner();
    copy_.reset();
    const ExchangeApi* const exchange = exchange_of(Py_TYPE(object.ptr()));
    if (exchange != nullptr) {
      here_ = nb::dlpack::dltensor();
      if (exchange->borrow(object.ptr(), &here_) != 0) {
        PyErr_Clear();
        return false;
      }
      if (here_.device.device_type != nb::device::cpu::value) return false;
    } else {
      nb::detail::make_caster<Owner> caster;
      if (!caster.from_python(object, 0, cleanup)) return false;
      owner_ = std::move(caster.value);
      here_.data = const_cast<void*>(static_cast<const void*>(owner_.data()));
      here_.ndim = static_cast<std::int32_t>(owner_.ndim());
      here_.dtype = owner_.dtype();
      here_.shape = const_cast<std::int64_t*>(owner_.shape_ptr());
      here_.strides = const_cast<std::int64_t*>(owner_.stride_ptr());
      here_.byte_offset = 0;  // counted already
    }
    if (here_.data == nullptr && size() != 0) return false;
    if (here_.dtype.lanes != 1 || here_.dtype.bits % 8 != 0) return false;
    usable_in_place_ = size() == 0 || (contiguous() && aligned());
    return usable_in_place_ || !writable;
  }

 private:
  using Owner = std::conditional_t<writable, nb::ndarray<nb::device::cpu>,
                                   nb::ndarray<nb::ro, nb::device::cpu>>;

  std::size_t item() const { return here_.dtype.bits / 8u; }
  char* start() const { return static_cast<char*>(here_.data) + here_.byte_offset; }

  bool aligned() const {
    return item() == 0 || reinterpret_cast<std::uintptr_t>(start()) % item() == 0;
  }

  bool contiguous() const {
    if (here_.strides == nullptr) return true;
    std::int64_t expected = 1;
    for (auto i = here_.ndim - 1; i >= 0; --i) {
      if (here_.shape[i] != 1 && here_.strides[i] != expected) return false;
      expected *= here_.shape[i];
    }
    return true;
  }

  // Copies axes `axis` and higher of the array that begins at `from`, row after row.
  void copy(std::size_t axis, const char* from, char** to) const {
    if (axis == ndim()) {
      std::memcpy(*to, from, item());
      *to += item();
      return;
    }
    const auto step = stride(axis) * static_cast<std::int64_t>(item());
    for (std::size_t i = 0; i < shape(axis); ++i, from += step) copy(axis + 1, from, to);
  }

  std::int64_t stride(std::size_t axis) const {
    if (here_.strides != nullptr) return here_.strides[axis];
    std::int64_t behind = 1;
    for (auto i = axis + 1; i < ndim(); ++i) behind *= here_.shape[i];
    return behind;
  }

  nb::dlpack::dltensor here_;
  Owner owner_;  // holds a reference where nanobind made one
  bool usable_in_place_ = true;
  mutable std::unique_ptr<char[]> copy_;
};

}  // namespace birnn

NAMESPACE_BEGIN(NB_NAMESPACE)
NAMESPACE_BEGIN(detail)

template <bool writable>
struct type_caster<birnn::ArrayView<writable>> {
  NB_TYPE_CASTER(birnn::ArrayView<writable>, const_name("array"))

  template <class Flags>
  bool from_python(handle source, Flags, cleanup_list* cleanup) noexcept {
    return value.borrow(source, cleanup);
  }
};

NAMESPACE_END(detail)
NAMESPACE_END(NB_NAMESPACE)
