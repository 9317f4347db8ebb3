// Whether numbers are finite.
#pragma once

#include <cstddef>
#include <cstdint>

#include "plan/plan.h"

namespace chainrule {

// Whether all numbers are finite; whole numbers always are. One pass over the memory.
bool is_finite(const std::byte* x, std::int64_t bytes, DType dtype);

}  // namespace chainrule
