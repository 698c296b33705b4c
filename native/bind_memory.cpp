// Memory that is lent to arrays and comes back with the last of them.
//
// What a training step keeps for its backward pass is tens of megabytes, asked for and freed at every
// step. The system's allocator maps fresh pages each time: clearing and unmapping them took a tenth
// of the step. Here pieces that come back wait for the next loan.

#include <algorithm>
#include <mutex>
#include <vector>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include "pages.h"

namespace birnn {

namespace nb = nanobind;

namespace {

class Lender {
 public:
  // A piece of at least `wanted` bytes; std::bad_alloc where it cannot be had.
  Pages take(std::size_t wanted) {
    const std::lock_guard<std::mutex> hold(mutex_);
    ++loans_;
    waiting_.erase(std::remove_if(waiting_.begin(), waiting_.end(),
                                  [this](const Waiting& one) { return loans_ - one.since > patience; }),
                   waiting_.end());
    auto best = waiting_.end();
    for (auto one = waiting_.begin(); one != waiting_.end(); ++one) {
      const auto size = one->pages.size();
      const bool fits = size >= wanted && size / 2 <= wanted;
      if (fits && (best == waiting_.end() || size < best->pages.size())) best = one;
    }
    if (best == waiting_.end()) return Pages(wanted);
    Pages found = std::move(best->pages);
    waiting_.erase(best);
    return found;
  }

  void give_back(Pages pages) {
    const std::lock_guard<std::mutex> hold(mutex_);
    waiting_.push_back({std::move(pages), loans_});
    // The oldest first.
    while (sum() > most_kept) waiting_.erase(waiting_.begin());
  }

  // Bytes that wait for the next loan.
  std::size_t waiting() {
    const std::lock_guard<std::mutex> hold(mutex_);
    return sum();
  }

 private:
  struct Waiting {
    Pages pages;
    std::uint64_t since;  // loan after which it came back
  };

  std::size_t sum() const {
    std::size_t size = 0;
    for (const Waiting& one : waiting_) size += one.pages.size();
    return size;
  }

  static constexpr std::size_t most_kept = std::size_t{256} << 20;
  static constexpr std::uint64_t patience = 64;  // loans that a piece waits through

  std::mutex mutex_;
  std::vector<Waiting> waiting_;
  std::uint64_t loans_ = 0;
};

// Never destroyed: arrays may outlive everything else.
Lender& lender() {
  static Lender& one = *new Lender;
  return one;
}

using Bytes = nb::ndarray<nb::numpy, std::uint8_t, nb::ndim<1>, nb::device::cpu>;

Bytes lend(std::int64_t size) {
  if (size < 0) throw std::invalid_argument("there cannot be fewer than 0 bytes");
  auto* const loan = new Pages(lender().take(static_cast<std::size_t>(size)));
  const nb::capsule owner(loan, [](void* pages) noexcept {
    auto* const mine = static_cast<Pages*>(pages);
    lender().give_back(std::move(*mine));
    delete mine;
  });
  return Bytes(loan->data(), {static_cast<std::size_t>(size)}, owner);
}

}  // namespace

void bind_memory(nb::module_& m) {
  using namespace nb::literals;
  m.def("lend", &lend, "size"_a,
        "Memory for an array, on a cache line, not cleared. It is lent again when the array is gone.");
  m.def("lent_and_back", [] { return lender().waiting(); },
        "Bytes that came back and wait for the next loan.");
}

}  // namespace birnn
