// What the tasks share that write rows of a table at their indices, in place or in a copy.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "plan/names.h"
#include "tasks/building.h"
#include "tasks/finite.h"
#include "tasks/indices.h"
#include "tasks/row_log.h"

namespace chainrule {

class RowUpdateTask : public Task {
 public:
  RowLog* log() const override { return log_.get(); }

 protected:
  // Of PutRows or SubtractRows.
  template <typename Update>
  RowUpdateTask(const Update& update, const Building& building)
      : dtype_(update.dtype),
        length_(update.length),
        count_(update.count),
        row_bytes_(update.inner * itemsize(update.dtype)),
        x_(building.memory.at(update.x)),
        indices_(building.memory.at<const std::int64_t>(update.indices)),
        out_(building.memory.at(update.out)) {
    if (is_in_place() && update.out.space == Space::state) {
      log_ = std::make_unique<RowLog>(out_, count_, row_bytes_);
    }
  }

  std::int64_t rows_to_write() const { return is_in_place() ? count_ : count_ + length_; }
  std::byte* row(std::int64_t i) const { return out_ + position_of(i) * row_bytes_; }

  // Calls write(), which updates these bytes of each row. All indices are in range.
  template <typename Write>
  void update(std::int32_t chunk, Range bytes, Write write) const {
    const auto size = static_cast<std::size_t>(bytes.length());
    if (size == 0) return;
    if (!is_in_place()) {
      for (std::int64_t i = 0; i < length_; ++i) {
        const std::int64_t at = i * row_bytes_ + bytes.begin;
        std::memcpy(out_ + at, x_ + at, size);
      }
    }
    const bool keeps = log_ && log_->is_kept();
    for (std::int64_t i = 0; keeps && i < count_; ++i) {
      if (chunk == 0) log_->number(i) = position_of(i);
      std::memcpy(log_->old(i) + bytes.begin, row(i) + bytes.begin, size);
    }
    write();
    // Afterwards: what a later use of a row put there counts for nothing.
    for (std::int64_t i = 0; keeps && i < count_; ++i) {
      if (!is_finite(row(i) + bytes.begin, bytes.length(), dtype_)) log_->found_non_finite();
    }
  }

  DType dtype_;
  std::int64_t length_, count_, row_bytes_;
  const std::byte* x_;
  const std::int64_t* indices_;
  std::byte* out_;

 private:
  bool is_in_place() const { return x_ == out_; }
  std::int64_t position_of(std::int64_t i) const { return *position(indices_[i], length_); }

  std::unique_ptr<RowLog> log_;
};

}  // namespace chainrule
