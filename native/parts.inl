// Memory cut into arrays, work cut into threads' parts.

inline int64_t round_up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
inline int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t greatest(int64_t a, int64_t b) { return a > b ? a : b; }

template <class T>
inline void copy(T* to, const T* from, int64_t count) {
  __builtin_memcpy(to, from, static_cast<size_t>(count) * sizeof(T));
}

template <class T>
inline void zero(T* to, int64_t count) {
  __builtin_memset(to, 0, static_cast<size_t>(count) * sizeof(T));
}

// Cuts one piece of memory into arrays, each on a cache line of its own. Without memory it only
// counts, so the size that is asked for and the arrays that are cut cannot differ.
struct Cutter {
  char* memory;
  int64_t used = 0;

  template <class T>
  T* cut(int64_t count) {
    char* here = memory == nullptr ? nullptr : memory + used;
    used += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
    return reinterpret_cast<T*>(here);
  }
};

// The items first, first + step, ... of a work: one thread's part.
struct Part {
  int64_t first, step;
};
