// The best path (Viterbi): the scores of all steps stay, and the way back looks for the label
// before by the same additions, so no step has to note where its maxima came from.

constexpr int BEST_BLOCK = 4;  // vectors of labels whose maxima stand in registers

// out[j] = max_k score[k] + matrix[k, j] for WIDTH vectors of columns j
template <int WIDTH>
inline void best_columns(const double* score, const double* matrix, int64_t labels, int64_t padded,
                         Doubles* out) {
  Doubles best[WIDTH];
  for (int v = 0; v < WIDTH; ++v) {
    best[v] = fill(score[0]) + load(matrix + v * LANE_COUNT);
  }
  for (int64_t k = 1; k < labels; ++k) {
    const Doubles by = fill(score[k]);
    for (int v = 0; v < WIDTH; ++v) {
      best[v] = larger(by + load(matrix + k * padded + v * LANE_COUNT), best[v]);
    }
  }
  for (int v = 0; v < WIDTH; ++v) {
    out[v] = best[v];
  }
}

// First of the largest a[i] + b[i]; of NaN the first.
inline int64_t first_largest(const double* a, const double* b, int64_t labels) {
  int64_t at = 0;
  double best = a[0] + b[0];
  for (int64_t i = 1; i < labels && best == best; ++i) {
    const double x = a[i] + b[i];
    if (!(x <= best)) {
      best = x;
      at = i;
    }
  }
  return at;
}

// The same over a row of P where there is no NaN.
inline int64_t first_largest_of_row(const double* a, const double* b, int64_t padded) {
  Doubles best = load(a) + load(b), place, here;
  for (int lane = 0; lane < LANE_COUNT; ++lane) {
    here[lane] = lane;
  }
  place = here;
  for (int64_t at = LANE_COUNT; at < padded; at += LANE_COUNT) {
    const Doubles x = load(a + at) + load(b + at);
    here += double(LANE_COUNT);
    const Masks more = x > best;
    best = more ? x : best;
    place = more ? here : place;
  }
  const Doubles most = largest(best);
  return static_cast<int64_t>(-largest(best == most ? -place : fill(-INFINITE))[0]);
}

// The scores of row `step` from those of the row before. Where there is NaN, or infinity could
// make one, label by label; returns whether there is, or may be in the row after.
inline bool best_step(const Rows& rows, const Room& room, int64_t step, bool orderly) {
  const double* before = room.alpha + (step - 1) * room.padded;
  double* here = room.alpha + step * room.padded;
  if (orderly) {
    for (int64_t at = 0; at < room.padded; at += BEST_BLOCK * LANE_COUNT) {
      Doubles best[BEST_BLOCK];
      const int64_t width = (room.padded - at) / LANE_COUNT;
      const double* matrix = room.transition + at;
      if (width >= 4) {
        best_columns<4>(before, matrix, room.labels, room.padded, best);
      } else if (width == 3) {
        best_columns<3>(before, matrix, room.labels, room.padded, best);
      } else if (width == 2) {
        best_columns<2>(before, matrix, room.labels, room.padded, best);
      } else {
        best_columns<1>(before, matrix, room.labels, room.padded, best);
      }
      for (int64_t v = 0; v < width && v < BEST_BLOCK; ++v) {
        store(here + at + v * LANE_COUNT, best[v]);
      }
    }
  } else {
    for (int64_t to = 0; to < room.padded; ++to) {
      here[to] = -INFINITE;
      if (to < room.labels) {
        const double* score = room.incoming + to * room.padded;
        const int64_t from = first_largest(before, score, room.labels);
        here[to] = before[from] + score[from];
      }
    }
  }
  Masks disorder = {};
  for (int64_t at = 0; at < room.padded; at += LANE_COUNT) {
    const Doubles x = load(here + at) + emission(rows, room, step, at);
    disorder |= ~(x <= LARGEST);
    store(here + at, x);
  }
  return !any(disorder) && orderly;
}

inline double best_path(const Rows& rows, const Room& room, int64_t* tags) {
  const int64_t padded = room.padded, last = rows.steps - 1;
  bool orderly = *room.ready & ORDERLY;
  Masks disorder = {};
  for (int64_t at = 0; at < padded; at += LANE_COUNT) {
    const Doubles x = load(room.start + at) + emission(rows, room, 0, at);
    disorder |= ~(x <= LARGEST);
    store(room.alpha + at, x);
  }
  orderly = orderly && !any(disorder);
  for (int64_t step = 1; step <= last; ++step) {
    orderly = best_step(rows, room, step, orderly);
  }
  const double* score = room.alpha + last * padded;
  int64_t label = first_largest(score, room.end, room.labels);
  const double best = score[label] + room.end[label];
  tags[last] = label;
  for (int64_t step = last; step > 0; --step) {
    const double* before = room.alpha + (step - 1) * padded;
    const double* from = room.incoming + label * padded;
    label = orderly ? first_largest_of_row(before, from, padded)
                    : first_largest(before, from, room.labels);
    tags[step - 1] = label;
  }
  return best;
}

void paths(const Chain* chain, const ChainPaths* paths, int64_t begin, int64_t end,
                 char* scratch) {
  int64_t longest = 0;
  for (int64_t sequence = begin; sequence < end; ++sequence) {
    const int64_t steps = chain->offsets[sequence + 1] - chain->offsets[sequence];
    longest = steps > longest ? steps : longest;
  }
  uintptr_t next = reinterpret_cast<uintptr_t>(scratch);
  Room room = room_of(chain->labels, longest, next);
  prepare_scores(chain, room);
  for (int64_t sequence = begin; sequence < end; ++sequence) {
    const Rows rows = rows_of(chain, sequence);
    const double score = rows.steps == 0 ? 0.0 : best_path(rows, room, paths->tags + rows.first);
    if (paths->scores) {
      paths->scores[sequence] = score;
    }
  }
}
