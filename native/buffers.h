// Memory that kernels work in: aligned buffers, and one that each thread keeps between calls.

#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>

namespace birnn {

struct AlignedDelete {
  std::align_val_t alignment{64};
  void operator()(char* p) const { ::operator delete[](p, alignment); }
};

// Memory that is aligned to a cache line and not cleared; where it is large, in huge pages if the
// system has them.
//
// Packed weights fill the L2 cache. Small pages have any physical addresses: some sets of the cache
// would get too many of them, and how fast a call is would be chance.
class Buffer {
 public:
  Buffer() = default;

  // std::bad_alloc where there is no memory.
  explicit Buffer(std::size_t wanted) {
    constexpr std::size_t huge_page = std::size_t{2} << 20;  // of x86 and ARM
    // No process has more addresses. Sanitizers end a process that asks an allocator for more.
    constexpr std::size_t most = std::size_t{1} << 47;
    if (wanted > most) throw std::bad_alloc();
    const bool large = wanted >= huge_page / 4;
    if (large) wanted = (wanted + huge_page - 1) / huge_page * huge_page;
    const std::align_val_t alignment{large ? huge_page : 64};
    memory_ = {static_cast<char*>(::operator new[](wanted, alignment)), AlignedDelete{alignment}};
    size_ = wanted;
#if defined(__linux__)
    if (large) madvise(memory_.get(), wanted, MADV_HUGEPAGE);
#endif
  }

  char* data() const { return memory_.get(); }
  std::size_t size() const { return size_; }

 private:
  std::unique_ptr<char[], AlignedDelete> memory_;
  std::size_t size_ = 0;
};

// Memory that a thread keeps between calls: fresh pages cost more than the work on a small batch.
class Workspace {
 public:
  // At least `bytes`; std::bad_alloc where they cannot be had.
  char* reserve(std::int64_t bytes) {
    const auto wanted = static_cast<std::size_t>(bytes > 0 ? bytes : 1);
    if (wanted > buffer_.size()) {
      buffer_ = Buffer();
      buffer_ = Buffer(wanted);
    }
    return buffer_.data();
  }

  // Frees what is too much to keep until the next call.
  void trim() {
    if (buffer_.size() > most_kept) buffer_ = Buffer();
  }

 private:
  static constexpr std::size_t most_kept = std::size_t{64} << 20;
  Buffer buffer_;
};

// The calling thread's own.
inline Workspace& thread_workspace() {
  static thread_local Workspace workspace;
  return workspace;
}

}  // namespace birnn
