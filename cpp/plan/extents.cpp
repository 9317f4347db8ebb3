#include "plan/extents.h"

#include "plan/names.h"

namespace chainrule {
namespace {

// Strides, with that of an axis of length 1 set to 0, so that equal layouts compare equal.
struct Strides {
  std::int64_t row, column;

  bool operator==(const Strides&) const = default;
};

Strides strides(const Program& program, std::int64_t row_stride, std::int64_t column_stride) {
  return {program.rows > 1 ? row_stride : 0, program.columns > 1 ? column_stride : 0};
}
Strides strides(const Program& program, const Load& load) {
  return strides(program, load.row_stride, load.column_stride);
}
Strides strides(const Program& program, const Store& store) {
  return strides(program, store.row_stride, 1);
}

Extent extent(const Program& program, Ref ref, DType dtype, Strides stride) {
  if (program.rows == 0 || program.columns == 0) return {ref.space, ref.offset, ref.offset};
  const std::int64_t last =
      sum(product(program.rows - 1, stride.row), product(program.columns - 1, stride.column));
  return {ref.space, ref.offset, sum(ref.offset, product(sum(last, 1), itemsize(dtype)))};
}

// Two column ranges of one matrix lie between each other's rows without touching.
bool interleaved(std::int64_t columns, Strides a, Strides b, std::int64_t bytes_apart,
                 std::int64_t itemsize) {
  if (a != b || a.row == 0 || bytes_apart % itemsize != 0) return false;
  const std::int64_t phase = ((bytes_apart / itemsize) % a.row + a.row) % a.row;
  return phase >= columns && phase <= a.row - columns;
}

template <typename Operand>
Overlap overlap_of(const Program& program, const Operand& one, const Store& store) {
  const Extent a = extent(program, one), b = extent(program, store);
  if (!shares_bytes(a, b)) return Overlap::none;
  const std::int64_t size = itemsize(one.dtype);
  if (size != itemsize(store.dtype)) return Overlap::mixed;
  const Strides a_strides = strides(program, one), b_strides = strides(program, store);
  if (interleaved(program.columns, a_strides, b_strides, b.begin - a.begin, size)) {
    return Overlap::none;
  }
  const bool is_same = a.begin == b.begin && a_strides == b_strides;
  return is_same ? Overlap::same_elements : Overlap::mixed;
}

}  // namespace

Extent extent(const Program& program, const Load& load) {
  if (load.random) return {load.ref.space, load.ref.offset, load.ref.offset + 16};
  return extent(program, load.ref, load.dtype, strides(program, load));
}
Extent extent(const Program& program, const Store& store) {
  return extent(program, store.ref, store.dtype, strides(program, store));
}

Overlap overlap(const Program& program, const Load& load, const Store& store) {
  if (!load.random) return overlap_of(program, load, store);
  const bool touches = shares_bytes(extent(program, load), extent(program, store));
  return touches ? Overlap::mixed : Overlap::none;
}
Overlap overlap(const Program& program, const Store& a, const Store& b) {
  return overlap_of(program, a, b);
}

}  // namespace chainrule
