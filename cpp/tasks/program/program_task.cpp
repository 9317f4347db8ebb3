// Elementwise programs as instructions of their own.
#include <algorithm>
#include <atomic>
#include <vector>

#include "kernels/rounding.h"
#include "tasks/building.h"
#include "tasks/program/program.h"

namespace chainrule {
namespace {

template <typename T>
class ProgramTask final : public Task {
 public:
  ProgramTask(const Program& program, const Building& building)
      : program_(program, building, program.chain == 0), unit_(program_.block()) {
    need_scratch(program_.scratch_bytes());
    if (program_.has_sums()) unit_ = sum_columns;
    const std::int64_t blocks = ceil_div(program_.columns(), unit_);
    // Rows that are not summed together.
    unit_rows_ = program_.has_sums() ? program_.rows_of_a_sum() : 1;
    const std::int64_t parts = program_.rows() / unit_rows_;
    by_rows_ = parts >= blocks;
    std::int64_t units = std::max(parts, blocks), rows_of_a_piece = unit_rows_, pieces = 1;
    if (program_.has_sums() && units < enough_units) {
      rows_of_a_piece = program_.rows_added;
      while (rows_of_a_piece * most_pieces < program_.rows_of_a_sum()) rows_of_a_piece *= 2;
      pieces = ceil_div(program_.rows_of_a_sum(), rows_of_a_piece);
      if (parts * pieces <= units) pieces = 1;
      units = std::max(units, parts * pieces);
    }
    split(building.chunks, units, program_.nanoseconds());
    if (pieces > 1 && chunks() > 1) {
      unit_rows_ = rows_of_a_piece;
      pieces_of_a_sum_ = pieces;
      pieces_.resize(static_cast<std::size_t>(units * program_.piece_sums()));
      left_.store(chunks(), std::memory_order_relaxed);
    }
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    if (pieces_of_a_sum_ > 1) {
      run_pieces(chunk, worker);
      return true;
    }
    Region region = {0, program_.rows(), 0, program_.columns()};
    if (by_rows_) {
      const Range rows = share(chunk, program_.rows(), unit_rows_);
      region.row_begin = rows.begin;
      region.row_end = rows.end;
    } else {
      const Range columns = share(chunk, program_.columns(), unit_);
      region.column_begin = columns.begin;
      region.column_end = columns.end;
    }
    program_.run(region, worker.scratch);
    return true;
  }

  std::int64_t rows() const override { return program_.rows(); }
  void run_rows(std::int64_t begin, std::int64_t end,
                const Worker& worker) const noexcept override {
    program_.run({begin, end, 0, program_.columns()}, worker.scratch);
  }

  std::int64_t fused_chains() const override { return program_.fused_chains(); }

 private:
  // Fewer columns of many rows would be copied together into blocks.
  static constexpr std::int64_t sum_columns = 256;
  // From this number of parts on, a few more or less do not keep a thread waiting.
  static constexpr std::int64_t enough_units = 8;
  static constexpr std::int64_t most_pieces = 64;

  // The rows of a sum are shared out, too: who is last adds up what the pieces gave.
  void run_pieces(std::int32_t chunk, const Worker& worker) const noexcept {
    const std::int64_t of_a_sum = program_.rows_of_a_sum();
    const std::int64_t sums = program_.rows() / of_a_sum;
    const Range range = share(chunk, sums * pieces_of_a_sum_);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t first = i / pieces_of_a_sum_ * of_a_sum;
      const std::int64_t row = first + i % pieces_of_a_sum_ * unit_rows_;
      const std::int64_t end = std::min(row + unit_rows_, first + of_a_sum);
      program_.run({row, end, 0, program_.columns()}, worker.scratch, piece(i));
    }
    if (left_.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    left_.store(chunks(), std::memory_order_relaxed);
    for (std::int64_t i = 0; i < sums; ++i) {
      program_.join_pieces(i, piece(i * pieces_of_a_sum_), pieces_of_a_sum_);
    }
  }

  T* piece(std::int64_t number) const { return pieces_.data() + number * program_.piece_sums(); }

  ElementwiseProgram<T> program_;
  std::int64_t unit_, unit_rows_;  // columns, and rows, that stay together
  bool by_rows_;
  std::int64_t pieces_of_a_sum_ = 1;
  // Of the run under way: the sums of pieces, and how many chunks are left.
  mutable std::vector<T> pieces_;
  mutable std::atomic<std::int32_t> left_ = 0;
};

}  // namespace

std::unique_ptr<Task> make_task(const Program& program, const Building& building) {
  return make_task_of<ProgramTask>(program, building);
}

}  // namespace chainrule
