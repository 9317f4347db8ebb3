// Rows written at their indices.
#include <algorithm>
#include <cstring>

#include "kernels/rounding.h"
#include "plan/names.h"
#include "tasks/building.h"
#include "tasks/finite.h"
#include "tasks/indices.h"
#include "tasks/row_log.h"

namespace chainrule {
namespace {

class PutRowsTask final : public Task {
 public:
  PutRowsTask(const PutRows& put, const Building& building)
      : put_(put),
        row_(put.inner * itemsize(put.dtype)),
        x_(building.memory.at(put.x)),
        indices_(building.memory.at<const std::int64_t>(put.indices)),
        values_(building.memory.at(put.values)),
        out_(building.memory.at(put.out)) {
    // By columns: of equal indices the first wins.
    const std::int64_t rows = is_in_place() ? put.count : put.count + put.length;
    split(building.chunks, column_parts(ceil_div(row_, cache_line)),
          number(rows) * (20 + 0.1 * number(row_)));
    if (is_in_place() && put.out.space == Space::state) {
      log_ = std::make_unique<RowLog>(out_, put.count, row_);
    }
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    // Before anything is written.
    for (std::int64_t i = 0; i < put_.count; ++i) {
      if (!position(indices_[i], put_.length)) return false;
    }
    const Range columns = share(chunk, row_, cache_line);
    const auto bytes = static_cast<std::size_t>(columns.length());
    if (bytes == 0) return true;
    if (!is_in_place()) {
      for (std::int64_t i = 0; i < put_.length; ++i) {
        const std::int64_t at = i * row_ + columns.begin;
        std::memcpy(out_ + at, x_ + at, bytes);
      }
    }
    const bool keeps = log_ && log_->is_kept();
    for (std::int64_t i = put_.count - 1; i >= 0; --i) {
      std::byte* const to = row(i) + columns.begin;
      if (keeps) {
        if (chunk == 0) log_->number(i) = *position(indices_[i], put_.length);
        std::memcpy(log_->old(i) + columns.begin, to, bytes);
      }
      std::memcpy(to, values_ + i * row_ + columns.begin, bytes);
    }
    // Afterwards: what a later use of a row put there counts for nothing.
    for (std::int64_t i = 0; keeps && i < put_.count; ++i) {
      if (!is_finite(row(i) + columns.begin, columns.length(), put_.dtype)) {
        log_->found_non_finite();
      }
    }
    return true;
  }

  RowLog* log() const override { return log_.get(); }

 private:
  std::byte* row(std::int64_t i) const { return out_ + *position(indices_[i], put_.length) * row_; }

  bool is_in_place() const { return x_ == out_; }

  PutRows put_;
  std::int64_t row_;  // bytes
  const std::byte* x_;
  const std::int64_t* indices_;
  const std::byte* values_;
  std::byte* out_;
  std::unique_ptr<RowLog> log_;
};

}  // namespace

std::unique_ptr<Task> make_task(const PutRows& put, const Building& building) {
  return std::make_unique<PutRowsTask>(put, building);
}

}  // namespace chainrule
