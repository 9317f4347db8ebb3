// Where the operands of an instruction lie, and which of them overlap.
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

// Bytes of a space.
struct Extent {
  Space space;
  std::int64_t begin, end;
};

inline bool shares_bytes(const Extent& a, const Extent& b) {
  return a.space == b.space && a.begin < b.end && b.begin < a.end;
}

Extent extent(const Program& program, const Load& load);
Extent extent(const Program& program, const Store& store);

// How two operands of a program lie to each other: with no byte in common, with each element in the
// place of the same element of the other, or in any other way.
enum class Overlap : std::uint8_t { none, same_elements, mixed };
Overlap overlap(const Program& program, const Load& load, const Store& store);
Overlap overlap(const Program& program, const Store& a, const Store& b);

}  // namespace chainrule
