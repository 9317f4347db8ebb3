// Division and rounding of whole numbers upwards.
#pragma once

#include <cstdint>

namespace chainrule {

// Static, as sources for several instruction sets include this: each has its own.
static constexpr std::int64_t ceil_div(std::int64_t count, std::int64_t size) {
  return (count + size - 1) / size;
}

static constexpr std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return ceil_div(value, unit) * unit;
}

}  // namespace chainrule
