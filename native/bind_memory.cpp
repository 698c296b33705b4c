// Memory for arrays from a pool: a buffer comes back when the last array on it is gone, and is
// reused.
//
// What a training step keeps for its backward pass is tens of megabytes, asked for and freed at
// every step. The system's allocator maps fresh pages each time: clearing and unmapping them took a
// tenth of the step.

#include <algorithm>
#include <mutex>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "buffers.h"

namespace birnn {

namespace nb = nanobind;

namespace {

class BufferPool {
 public:
  // A buffer of at least `wanted` bytes; std::bad_alloc where it cannot be had.
  Buffer take(std::size_t wanted) {
    const std::lock_guard<std::mutex> lock(mutex_);
    ++taken_;
    const auto is_old = [this](const Free& one) { return taken_ - one.since > most_unused; };
    free_.erase(std::remove_if(free_.begin(), free_.end(), is_old), free_.end());
    auto best = free_.end();
    for (auto one = free_.begin(); one != free_.end(); ++one) {
      const auto size = one->buffer.size();
      const bool fits = size >= wanted && size / 2 <= wanted;
      if (fits && (best == free_.end() || size < best->buffer.size())) best = one;
    }
    if (best == free_.end()) return Buffer(wanted);
    Buffer found = std::move(best->buffer);
    free_.erase(best);
    return found;
  }

  void give_back(Buffer buffer) {
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back({std::move(buffer), taken_});
    // The oldest first.
    while (free_bytes_locked() > most_kept) free_.erase(free_.begin());
  }

  std::size_t free_bytes() {
    const std::lock_guard<std::mutex> lock(mutex_);
    return free_bytes_locked();
  }

 private:
  struct Free {
    Buffer buffer;
    std::uint64_t since;  // `taken_` when it came back
  };

  std::size_t free_bytes_locked() const {
    std::size_t size = 0;
    for (const Free& one : free_) size += one.buffer.size();
    return size;
  }

  static constexpr std::size_t most_kept = std::size_t{256} << 20;
  static constexpr std::uint64_t most_unused = 64;  // buffers that are taken before one is freed

  std::mutex mutex_;
  std::vector<Free> free_;
  std::uint64_t taken_ = 0;  // how many buffers have been
};

// Never destroyed: arrays may outlive everything else.
BufferPool& buffer_pool() {
  static BufferPool& one = *new BufferPool;
  return one;
}

using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::device::cpu>;

Bytes lend(std::int64_t size) {
  if (size < 0) throw std::invalid_argument("there cannot be fewer than 0 bytes");
  auto* const buffer = new Buffer(buffer_pool().take(static_cast<std::size_t>(size)));
  const nb::capsule owner(buffer, [](void* pointer) noexcept {
    auto* const mine = static_cast<Buffer*>(pointer);
    buffer_pool().give_back(std::move(*mine));
    delete mine;
  });
  return Bytes(buffer->data(), {static_cast<std::size_t>(size)}, owner);
}

}  // namespace

void bind_memory(nb::module_& m) {
  using namespace nb::literals;
  m.def("lend", &lend, "size"_a,
        "Memory for an array, on a cache line, not cleared. It is reused when the array is gone.");
  m.def(
      "lent_and_back", [] { return buffer_pool().free_bytes(); },
      "Bytes that came back and wait to be reused.");
}

}  // namespace birnn
