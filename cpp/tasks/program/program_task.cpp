// Elementwise programs as instructions of their own.
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
    const std::int64_t blocks = (program_.columns() + unit_ - 1) / unit_;
    // Rows that are not summed together.
    unit_rows_ = program_.has_sums() ? program_.rows_of_a_sum() : 1;
    const std::int64_t parts = program_.rows() / unit_rows_;
    by_rows_ = parts >= blocks;
    split(building.chunks, by_rows_ ? parts : blocks, program_.nanoseconds());
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
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

  std::int64_t chains() const override { return program_.fused_chains(); }

 private:
  // Fewer columns of many rows would be copied together into blocks.
  static constexpr std::int64_t sum_columns = 256;

  ElementwiseProgram<T> program_;
  std::int64_t unit_, unit_rows_;  // columns, and rows, that stay together
  bool by_rows_;
};

}  // namespace

std::unique_ptr<Task> make_task(const Program& program, const Building& building) {
  return make_task_of<ProgramTask>(program, building);
}

}  // namespace chainrule
