#include "plan/extents.h"

namespace chainrule {
namespace {

Extent extent(const Program& program, Ref ref, DType dtype, Steps step) {
  if (program.rows == 0 || program.columns == 0) return {ref.space, ref.offset, ref.offset};
  const std::int64_t last =
      sum(product(program.rows - 1, step.row), product(program.columns - 1, step.column));
  return {ref.space, ref.offset, sum(ref.offset, product(sum(last, 1), itemsize(dtype)))};
}

// Two column ranges of one matrix lie between each other's rows without touching.
bool interleaved(std::int64_t columns, Steps a, Steps b, std::int64_t bytes_apart,
                 std::int64_t itemsize) {
  if (a.row != b.row || a.row == 0 || a.column != b.column || bytes_apart % itemsize != 0) {
    return false;
  }
  const std::int64_t phase = ((bytes_apart / itemsize) % a.row + a.row) % a.row;
  return phase >= columns && phase <= a.row - columns;
}

}  // namespace

Steps steps(const Program& program, std::int64_t row_stride, std::int64_t column_stride) {
  return {program.rows > 1 ? row_stride : 0, program.columns > 1 ? column_stride : 0};
}

Extent extent(const Program& program, const Load& load) {
  if (load.drawn) return {load.ref.space, load.ref.offset, load.ref.offset + 16};
  return extent(program, load.ref, load.dtype, steps(program, load.row_stride, load.column_stride));
}
Extent extent(const Program& program, const Store& store) {
  return extent(program, store.ref, store.dtype, steps(program, store.row_stride, 1));
}

Meeting meet(const Program& program, const Extent& a, Steps a_steps, std::int64_t a_size,
             const Extent& b, Steps b_steps, std::int64_t b_size) {
  if (!overlap(a, b)) return Meeting::apart;
  if (a_size == b_size) {
    if (interleaved(program.columns, a_steps, b_steps, b.begin - a.begin, a_size)) {
      return Meeting::apart;
    }
    if (a.begin == b.begin && a_steps.row == b_steps.row && a_steps.column == b_steps.column) {
      return Meeting::same_elements;
    }
  }
  return Meeting::mixed;
}

Meeting meeting(const Program& program, const Load& load, const Store& store) {
  if (load.drawn) {
    return overlap(extent(program, load), extent(program, store)) ? Meeting::mixed : Meeting::apart;
  }
  return meet(program, extent(program, load), steps(program, load.row_stride, load.column_stride),
              itemsize(load.dtype), extent(program, store), steps(program, store.row_stride, 1),
              itemsize(store.dtype));
}

}  // namespace chainrule
