// How a ragged batch is divided into blocks of sequences, steps, and chunks of steps.

#pragma once

#include <cstdint>
#include <vector>

#include "kernels.h"

namespace birnn {

// Owns the arrays that a `Batch` points to: copies, so that nobody can change them while the
// interpreter's lock is released. The division follows from the lengths alone, so that results
// cannot depend on the number of threads.
class Plan {
 public:
  // Throws std::invalid_argument for rows that are outside of the array.
  Plan(const std::int64_t* lengths, const std::int64_t* starts, std::int64_t sequences,
       const std::int64_t* steps, std::int64_t step_count, std::int64_t rows);

  // Sequences one after another, in all rows.
  static Plan ragged(const std::vector<std::int64_t>& lengths, std::int64_t rows);

  Plan(const Plan&) = delete;
  Plan& operator=(const Plan&) = delete;

  const Batch& batch() const { return batch_; }

  // Rows of the array, those of padding included.
  std::int64_t rows() const { return rows_; }

  // Rows from begin on, before end.
  struct Range {
    std::int64_t begin, end;
  };

  // Rows in which no sequence stands.
  const std::vector<Range>& padding() const { return padding_; }

 private:
  struct Arrays {
    std::vector<std::int64_t> order, length, count, first, chunk;
  };

  void add_block(const std::vector<std::int64_t>& order, std::size_t begin, std::size_t end,
                 const std::int64_t* lengths);

  void find_padding(const std::int64_t* lengths, std::int64_t rows);

  std::int64_t rows_;
  std::vector<std::int64_t> starts_, steps_;
  std::vector<Range> padding_;
  std::vector<Arrays> arrays_;
  std::vector<Block> blocks_;
  Batch batch_{};
};

}  // namespace birnn
