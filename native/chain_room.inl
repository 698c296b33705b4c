// Where one thread keeps the chain's parameters and its own rows.

// What one thread has of the parameters, and its rows.
struct Room {
  int64_t* ready;      // what of the parameters is here already
  double* transition;  // (L, P) [from, to], minus infinity in the padding
  double* incoming;    // (L, P) [to, from], likewise
  double* factor;      // (L, P) [from, to], 1 in the padding
  double* back;        // (L, P) factor [to, from], 0 in the padding
  double* constant;    // (P) c, minus infinity in the padding
  double* start;       // (P) likewise
  double* end;         // (P) likewise
  double* power;       // (P) p
  double* marginal;    // (P)
  double* share;       // (P)
  double* alpha;       // (T, P) alpha, on the way back p; best scores where paths are asked for
  double* sum;         // (T, P) s, on the way back r
  double* most;        // (T) m
  int64_t labels, padded;
};

enum Ready : int64_t { SCORES = 1, FACTORS = 2, ORDERLY = 4 };

inline int64_t padded_labels(int64_t labels) {
  return (labels + LANE_COUNT - 1) / LANE_COUNT * LANE_COUNT;
}

inline double* take(uintptr_t& next, int64_t count) {
  const uintptr_t here = next;
  next += static_cast<uintptr_t>(count) * sizeof(double);
  return reinterpret_cast<double*>(here);
}

// The rooms, one after another from address `next` on, which ends up behind the last.
inline Room room_of(int64_t labels, int64_t longest, uintptr_t& next) {
  const int64_t padded = padded_labels(labels), steps = longest < 2 ? 2 : longest;
  Room room;
  room.labels = labels;
  room.padded = padded;
  room.ready = reinterpret_cast<int64_t*>(take(next, LANE_COUNT));
  room.transition = take(next, labels * padded);
  room.incoming = take(next, labels * padded);
  room.factor = take(next, labels * padded);
  room.back = take(next, labels * padded);
  room.constant = take(next, padded);
  room.start = take(next, padded);
  room.end = take(next, padded);
  room.power = take(next, padded);
  room.marginal = take(next, padded);
  room.share = take(next, padded);
  room.alpha = take(next, steps * padded);
  room.sum = take(next, steps * padded);
  room.most = take(next, steps);
  return room;
}

// Bytes for one thread; the first eight are to be 0 before the first call for a chain, so that its
// parameters are prepared once for all calls. `longest` is the length of the longest sequence; 2
// does where neither marginals nor gradients nor paths are asked for.
int64_t scratch(int64_t labels, int64_t longest) {
  constexpr int64_t line = 64;
  uintptr_t size = 0;
  room_of(labels, longest, size);
  return (static_cast<int64_t>(size) + line - 1) / line * line;
}

inline void prepare_scores(const Chain* chain, Room& room) {
  if (*room.ready & SCORES) {
    return;
  }
  Masks disorder = {};
  for (int64_t from = 0; from < room.labels; ++from) {
    const double* row = chain->transitions + from * room.labels;
    double* padded = room.transition + from * room.padded;
    for (int64_t to = 0; to < room.padded; to += LANE_COUNT) {
      const Doubles x = load_lanes(row + to, room.labels - to, row + room.labels, -INFINITE);
      disorder |= ~(x <= LARGEST);
      store(padded + to, x);
    }
  }
  for (int64_t to = 0; to < room.labels; ++to) {
    double* row = room.incoming + to * room.padded;
    for (int64_t from = 0; from < room.padded; ++from) {
      row[from] = from < room.labels ? chain->transitions[from * room.labels + to] : -INFINITE;
    }
  }
  for (int64_t label = 0; label < room.padded; ++label) {
    room.start[label] = label < room.labels ? chain->start[label] : -INFINITE;
    room.end[label] = label < room.labels ? chain->end[label] : -INFINITE;
  }
  *room.ready |= any(disorder) ? SCORES : SCORES | ORDERLY;
}

inline void prepare_factors(Room& room) {
  if (*room.ready & FACTORS) {
    return;
  }
  for (int64_t to = 0; to < room.padded; to += LANE_COUNT) {
    Doubles most = fill(-INFINITE);
    Masks unordered = {};
    for (int64_t from = 0; from < room.labels; ++from) {
      const Doubles x = load(room.transition + from * room.padded + to);
      most = larger(x, most);
      unordered |= x != x;
    }
    // A column with a NaN, or with nothing finite at the top, has s = 0: it is always computed
    // from the definition.
    const Masks usual = (most >= -LARGEST) & (most <= LARGEST) & ~unordered;
    const Masks real = lanes_below(room.labels - to);
    store(room.constant + to, real ? (usual ? most : Doubles{}) : fill(-INFINITE));
    for (int64_t from = 0; from < room.labels; ++from) {
      const Doubles x = load(room.transition + from * room.padded + to);
      const Doubles power = usual ? exp<double>(x - most) : Doubles{};
      store(room.factor + from * room.padded + to, real ? power : fill(1.0));
    }
  }
  for (int64_t to = 0; to < room.labels; ++to) {
    for (int64_t from = 0; from < room.padded; ++from) {
      room.back[to * room.padded + from] =
          from < room.labels ? room.factor[from * room.padded + to] : 0.0;
    }
  }
  *room.ready |= FACTORS;
}

// One sequence of a batch.
struct Rows {
  const double* emission;  // (T, L)
  const double* stop;      // where the batch's emissions end
  int64_t first, steps;    // first row in the batch, T
};

inline Rows rows_of(const Chain* chain, int64_t sequence) {
  const int64_t first = chain->offsets[sequence];
  return {chain->emissions + first * chain->labels,
          chain->emissions + chain->offsets[chain->sequences] * chain->labels, first,
          chain->offsets[sequence + 1] - first};
}

// The vector of row `step`'s emissions from label `at` on, 0 in the padding.
inline Doubles emission(const Rows& rows, const Room& room, int64_t step, int64_t at) {
  const double* p = rows.emission + step * room.labels + at;
  return load_lanes(p, room.labels - at, rows.stop, 0.0);
}
