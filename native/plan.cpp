#include "plan.h"

#include <algorithm>
#include <new>
#include <numeric>
#include <stdexcept>
#include <string>

namespace birnn {

namespace {

// Sequences that run together. More do not make a product faster, and the memory that a chunk works
// in has to stay in the cache.
constexpr std::size_t block_sequences = 128;

// Rows of a chunk, unless one step has more: enough to read weights once for many rows, few enough
// for their gates to stay in the L2 cache.
constexpr std::int64_t chunk_rows = 192;

// No memory holds more. Sanitizers end a process that asks an allocator for so much.
constexpr std::int64_t most_rows = std::int64_t{1} << 38;

std::string numbered(const char* name, std::int64_t i, std::int64_t value) {
  return std::string(name) + "[" + std::to_string(i) + "] is " + std::to_string(value);
}

}  // namespace

Plan::Plan(const std::int64_t* lengths, const std::int64_t* starts, std::int64_t sequences,
           const std::int64_t* steps, std::int64_t step_count, std::int64_t rows)
    : rows_(rows) {
  if (rows < 0) throw std::invalid_argument("there cannot be fewer than 0 rows");
  if (rows > most_rows) throw std::bad_alloc();
  // A sequence's rows are inside if the last of them is: most[n] is the largest of the first n
  // steps.
  std::vector<std::int64_t> most(1, 0);
  const auto longest = sequences == 0 ? 0 : *std::max_element(lengths, lengths + sequences);
  if (longest > step_count) {
    throw std::invalid_argument("a length is " + std::to_string(longest) + ", there are " +
                                std::to_string(step_count) + " steps");
  }
  std::int64_t real_rows = 0;
  for (std::int64_t t = 0; t < longest; ++t) {
    if (steps[t] < 0 || steps[t] >= rows) {
      throw std::invalid_argument(numbered("steps", t, steps[t]) + ", there are " +
                                  std::to_string(rows) + " rows");
    }
    most.push_back(std::max(most.back(), steps[t]));
  }
  for (std::int64_t b = 0; b < sequences; ++b) {
    const auto length = lengths[b];
    if (length < 0) throw std::invalid_argument(numbered("lengths", b, length));
    if (length == 0) continue;
    if (starts[b] < 0 || starts[b] > rows - 1 - most[static_cast<std::size_t>(length)]) {
      throw std::invalid_argument(numbered("starts", b, starts[b]) + ": " + std::to_string(length) +
                                  " steps from there leave the " + std::to_string(rows) + " rows");
    }
    if (length > rows - real_rows) {
      throw std::invalid_argument("lengths sum to more than the " + std::to_string(rows) + " rows");
    }
    real_rows += length;
  }

  std::vector<std::int64_t> order(static_cast<std::size_t>(sequences));
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(),
                   [&](std::int64_t a, std::int64_t b) { return lengths[a] > lengths[b]; });
  const std::size_t count = order.size();
  const std::size_t blocks = (count + block_sequences - 1) / block_sequences;
  arrays_.reserve(blocks);
  blocks_.reserve(blocks);
  batch_.sequences = sequences;
  starts_.assign(starts, starts + sequences);
  steps_.assign(steps, steps + longest);
  batch_.starts = starts_.data();
  batch_.steps = steps_.data();
  for (std::size_t i = 0; i < blocks; ++i) {
    add_block(order, i * count / blocks, (i + 1) * count / blocks, lengths);
  }
  batch_.blocks = static_cast<std::int64_t>(blocks_.size());
  batch_.block = blocks_.data();
  if (real_rows < rows) find_padding(lengths, rows);
}

Plan Plan::ragged(const std::vector<std::int64_t>& lengths, std::int64_t rows) {
  std::vector<std::int64_t> starts, steps;
  std::int64_t row = 0, longest = 0;
  for (const auto length : lengths) {
    starts.push_back(row);
    // What is wrong is named by the constructor: nothing is added to an overflow here.
    if (length > 0 && length <= rows - row) row += length;
    longest = std::max(longest, std::min(length, rows));
  }
  steps.resize(static_cast<std::size_t>(longest));
  std::iota(steps.begin(), steps.end(), 0);
  return Plan(lengths.data(), starts.data(), static_cast<std::int64_t>(lengths.size()),
              steps.data(), longest, rows);
}

void Plan::find_padding(const std::int64_t* lengths, std::int64_t rows) {
  std::vector<char> real(static_cast<std::size_t>(rows), 0);
  for (std::size_t b = 0; b < starts_.size(); ++b) {
    for (std::int64_t t = 0; t < lengths[b]; ++t) {
      real[static_cast<std::size_t>(starts_[b] + steps_[static_cast<std::size_t>(t)])] = 1;
    }
  }
  for (std::int64_t row = 0; row < rows; ++row) {
    if (real[static_cast<std::size_t>(row)]) continue;
    if (padding_.empty() || padding_.back().end < row) padding_.push_back({row, row});
    padding_.back().end = row + 1;
  }
}

void Plan::add_block(const std::vector<std::int64_t>& order, std::size_t begin, std::size_t end,
                     const std::int64_t* lengths) {
  Arrays& to = arrays_.emplace_back();
  to.order.assign(order.begin() + static_cast<std::ptrdiff_t>(begin),
                  order.begin() + static_cast<std::ptrdiff_t>(end));
  for (const auto sequence : to.order) to.length.push_back(lengths[sequence]);
  const auto steps = to.length.front();
  to.count.reserve(static_cast<std::size_t>(steps) + 1);
  to.first.reserve(static_cast<std::size_t>(steps) + 1);
  std::int64_t rows = 0, in_chunk = 0;
  auto running = static_cast<std::int64_t>(to.length.size());
  to.chunk.push_back(0);
  for (std::int64_t t = 0; t < steps; ++t) {
    while (to.length[static_cast<std::size_t>(running - 1)] <= t) --running;
    if (in_chunk > 0 && in_chunk + running > chunk_rows) {
      to.chunk.push_back(t);
      in_chunk = 0;
    }
    to.count.push_back(running);
    to.first.push_back(rows);
    rows += running;
    in_chunk += running;
    batch_.chunk_rows = std::max(batch_.chunk_rows, in_chunk);
  }
  to.count.push_back(0);
  to.first.push_back(rows);
  if (steps > 0) to.chunk.push_back(steps);

  Block& block = blocks_.emplace_back();
  block.sequences = static_cast<std::int64_t>(to.order.size());
  block.steps = steps;
  block.chunks = static_cast<std::int64_t>(to.chunk.size()) - 1;
  block.first_row = batch_.real_rows;
  block.order = to.order.data();
  block.length = to.length.data();
  block.count = to.count.data();
  block.first = to.first.data();
  block.chunk = to.chunk.data();
  batch_.real_rows += rows;
  batch_.total_steps += steps;
  batch_.block_sequences = std::max(batch_.block_sequences, block.sequences);
}

}  // namespace birnn
