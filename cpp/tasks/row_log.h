// What a task keeps to take back the rows of a state that it has overwritten.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace chainrule {

// The old rows of one call after the other, up to a number of calls, once it is asked to keep them.
class RowLog {
 public:
  // Rows of `row_bytes` each, `rows` of them in a call.
  RowLog(std::byte* state, std::int64_t rows, std::int64_t row_bytes)
      : state_(state), rows_(rows), row_bytes_(row_bytes) {}

  // From now on. Its memory is taken here, and touched as calls come.
  void keep() {
    if (is_kept()) return;
    constexpr std::int64_t most_bytes = std::int64_t{32} << 20;
    const std::int64_t call = std::max<std::int64_t>(rows_ * (row_bytes_ + number_bytes), 1);
    const std::int64_t capacity = std::max<std::int64_t>(most_bytes / call, 1);
    const auto rows = static_cast<std::size_t>(capacity * rows_);
    numbers_ = std::make_unique_for_overwrite<std::int64_t[]>(rows);
    old_ = std::make_unique_for_overwrite<std::byte[]>(rows * static_cast<std::size_t>(row_bytes_));
    capacity_ = capacity;  // last: where memory is short, nothing is kept
  }
  bool is_kept() const { return capacity_ != 0; }

  // Before a run.
  void clear() {
    calls_ = 0;
    is_finite_.store(true, std::memory_order_relaxed);
  }
  // After a call that has done its work.
  void count_call() {
    if (is_kept()) ++calls_;
  }
  std::int64_t calls() const { return calls_; }
  bool is_full() const { return is_kept() && calls_ == capacity_; }

  // In a call, by any thread: for each row its number, and where its old bytes go.
  std::int64_t& number(std::int64_t i) { return numbers_[index(i)]; }
  std::byte* old(std::int64_t i) { return old_.get() + (calls_ * rows_ + i) * row_bytes_; }
  void found_non_finite() { is_finite_.store(false, std::memory_order_relaxed); }

  // Whether all that was written since `clear` is finite.
  bool is_finite() const { return is_finite_.load(std::memory_order_relaxed); }
  // Takes the last call back.
  void undo_call() {
    --calls_;
    for (std::int64_t i = 0; i < rows_; ++i) {
      std::copy_n(old(i), row_bytes_, state_ + number(i) * row_bytes_);
    }
  }

 private:
  static constexpr std::int64_t number_bytes = sizeof(std::int64_t);
  std::size_t index(std::int64_t i) const { return static_cast<std::size_t>(calls_ * rows_ + i); }

  std::byte* state_;
  std::int64_t rows_, row_bytes_, capacity_ = 0, calls_ = 0;
  std::unique_ptr<std::int64_t[]> numbers_;
  std::unique_ptr<std::byte[]> old_;
  std::atomic<bool> is_finite_ = true;
};

}  // namespace chainrule
