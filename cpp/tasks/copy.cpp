// Copies from one strided array to another.
#include <algorithm>
#include <array>
#include <cstring>

#include "kernels/rounding.h"
#include "tasks/building.h"

namespace chainrule {
namespace {

// Nested loops; the innermost two by a copy of elements of one size.
class CopyTask final : public Task {
 public:
  CopyTask(const Copy& copy, const Building& building)
      : itemsize_(copy.itemsize),
        x_(building.memory.at(copy.x)),
        out_(building.memory.at(copy.out)) {
    const bool has_rows = copy.chain != 0;
    if (has_rows) rows_ = copy.shape[0];
    if (std::ranges::find(copy.shape, 0) != copy.shape.end()) return;
    count_ = 1;
    // Axes that follow each other in both arrays are one; rows stay apart.
    for (std::size_t i = 0; i < copy.shape.size(); ++i) {
      const bool is_row = has_rows && i == 0;
      if (copy.shape[i] == 1 && !is_row) continue;
      const Axis axis = {copy.shape[i], copy.x_strides[i] * itemsize_,
                         copy.out_strides[i] * itemsize_};
      count_ *= axis.size;
      if (axes_ > (has_rows ? 1 : 0)) {
        Axis& before = axis_[axes_ - 1];
        if (before.x == axis.x * axis.size && before.out == axis.out * axis.size) {
          before = {before.size * axis.size, axis.x, axis.out};
          continue;
        }
      }
      axis_[axes_++] = axis;
    }
    if (has_rows && axes_ == 1) axis_[axes_++] = {1, itemsize_, itemsize_};
    // The loops below want two axes at least, and the first is the one to split.
    while (axes_ < 2) {
      std::move_backward(axis_.begin(), axis_.begin() + axes_, axis_.begin() + axes_ + 1);
      axis_[0] = {1, 0, 0};
      ++axes_;
    }
    // A single run of elements is split in itself, by a cache line.
    by_last_ = axes_ == 2 && axis_[0].size == 1;
    split(building.chunks, by_last_ ? ceil_div(axis_[1].size, unit) : axis_[0].size,
          0.3 * number(count_));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    if (count_ == 0) return true;
    std::array<Axis, max_copy_axes + 1> axis;
    std::copy_n(axis_.begin(), axes_, axis.begin());
    Axis& shared = by_last_ ? axis[1] : axis[0];
    const Range range = share(chunk, shared.size, by_last_ ? unit : 1);
    shared.size = range.length();
    const std::byte* const x = x_ + range.begin * shared.x;
    std::byte* const out = out_ + range.begin * shared.out;
    copy(axis.data(), axes_, x, out);
    return true;
  }

  std::int64_t rows() const override { return rows_; }
  void run_rows(std::int64_t begin, std::int64_t end, const Worker&) const noexcept override {
    if (count_ == 0) return;
    std::array<Axis, max_copy_axes + 1> axis;
    std::copy_n(axis_.begin(), axes_, axis.begin());
    axis[0].size = end - begin;
    copy(axis.data(), axes_, x_ + begin * axis[0].x, out_ + begin * axis[0].out);
  }

 private:
  static constexpr std::int64_t unit = cache_line;
  static constexpr std::int64_t side = 16;  // of a square

  struct Axis {
    std::int64_t size, x, out;  // steps in bytes
  };

  void copy(const Axis* axis, std::size_t axes, const std::byte* x, std::byte* out) const {
    if (axes > 2) {
      for (std::int64_t i = 0; i < axis->size; ++i) {
        copy(axis + 1, axes - 1, x + i * axis->x, out + i * axis->out);
      }
      return;
    }
    switch (itemsize_) {
      case 1:
        return copy_plane<std::uint8_t>(axis[0], axis[1], x, out);
      case 2:
        return copy_plane<std::uint16_t>(axis[0], axis[1], x, out);
      case 4:
        return copy_plane<std::uint32_t>(axis[0], axis[1], x, out);
      default:
        return copy_plane<std::uint64_t>(axis[0], axis[1], x, out);
    }
  }

  template <typename T>
  static void copy_plane(const Axis& rows, const Axis& columns, const std::byte* x,
                         std::byte* out) {
    constexpr auto item = static_cast<std::int64_t>(sizeof(T));
    if (columns.x == item && columns.out == item) {
      for (std::int64_t row = 0; row < rows.size; ++row) {
        std::memcpy(out + row * rows.out, x + row * rows.x,
                    static_cast<std::size_t>(columns.size * item));
      }
      return;
    }
    if (rows.x == item && columns.out == item) return transpose<T>(rows, columns, x, out);
    if (columns.x == item && rows.out == item) return transpose<T>(columns, rows, x, out);
    copy_squares<T>(rows, columns, x, out);
  }

  // Each row of the result is a column of x. Squares go by a buffer in L1, line by line in and out.
  template <typename T>
  static void transpose(const Axis& rows, const Axis& columns, const std::byte* x, std::byte* out) {
    constexpr auto item = static_cast<std::int64_t>(sizeof(T));
    const Axis band = {side, rows.x, rows.out};
    std::int64_t row = 0;
    for (; row + side <= rows.size; row += side) {
      std::int64_t column = 0;
      for (; column + side <= columns.size; column += side) {
        const std::byte* const from = x + row * item + column * columns.x;
        std::byte* const to = out + row * rows.out + column * item;
        T lines[side][side];
        for (std::int64_t j = 0; j < side; ++j) {
          std::memcpy(lines[j], from + j * columns.x, sizeof(lines[j]));
        }
        for (std::int64_t i = 0; i < side; ++i) {
          T line[side];
          for (std::int64_t j = 0; j < side; ++j) line[j] = lines[j][i];
          std::memcpy(to + i * rows.out, line, sizeof(line));
        }
      }
      const Axis rest = {columns.size - column, columns.x, columns.out};
      copy_squares<T>(band, rest, x + row * item + column * columns.x,
                      out + row * rows.out + column * item);
    }
    const Axis rest = {rows.size - row, rows.x, rows.out};
    copy_squares<T>(rest, columns, x + row * item, out + row * rows.out);
  }

  // In squares: so a transposition reads each cache line once, not once per element.
  template <typename T>
  static void copy_squares(const Axis& rows, const Axis& columns, const std::byte* x,
                           std::byte* out) {
    for (std::int64_t row = 0; row < rows.size; row += side) {
      const std::int64_t row_end = std::min(rows.size, row + side);
      for (std::int64_t column = 0; column < columns.size; column += side) {
        const std::int64_t column_end = std::min(columns.size, column + side);
        for (std::int64_t i = row; i < row_end; ++i) {
          for (std::int64_t j = column; j < column_end; ++j) {
            std::memcpy(out + i * rows.out + j * columns.out, x + i * rows.x + j * columns.x,
                        sizeof(T));
          }
        }
      }
    }
  }

  std::int64_t itemsize_;
  std::int64_t count_ = 0, rows_ = 0;
  std::array<Axis, max_copy_axes + 1> axis_ = {};
  std::size_t axes_ = 0;
  bool by_last_ = false;
  const std::byte* x_;
  std::byte* out_;
};

}  // namespace

std::unique_ptr<Task> make_task(const Copy& copy, const Building& building) {
  return std::make_unique<CopyTask>(copy, building);
}

}  // namespace chainrule
