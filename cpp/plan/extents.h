// Where the operands of an instruction lie, and which of them meet.
#pragma once

#include <cstdint>
#include <limits>

#include "plan/plan.h"

namespace chainrule {

inline constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

// Of numbers that are not negative; what does not fit is `huge`, which no space holds.
inline std::int64_t product(std::int64_t a, std::int64_t b) {
  if (a == 0 || b == 0) return 0;
  return a > huge / b ? huge : a * b;
}
template <typename... Rest>
std::int64_t product(std::int64_t a, std::int64_t b, Rest... rest) {
  return product(product(a, b), rest...);
}
inline std::int64_t sum(std::int64_t a, std::int64_t b) { return a > huge - b ? huge : a + b; }

inline bool overlap(const Extent& a, const Extent& b) {
  return a.space == b.space && a.begin < b.end && b.begin < a.end;
}

// Steps between rows and columns with those that are never taken as 0, so that they compare.
struct Steps {
  std::int64_t row, column;
};
Steps steps(const Program& program, std::int64_t row_stride, std::int64_t column_stride);

Extent extent(const Program& program, const Load& load);
Extent extent(const Program& program, const Store& store);

// As `meeting`, of two extents with elements of these sizes.
Meeting meet(const Program& program, const Extent& a, Steps a_steps, std::int64_t a_size,
             const Extent& b, Steps b_steps, std::int64_t b_size);

}  // namespace chainrule
