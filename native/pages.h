// Memory that the kernels work in.

#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace birnn {

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
