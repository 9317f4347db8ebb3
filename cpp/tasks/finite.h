// Whether numbers are finite.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/kinds.h"

namespace chainrule {

// Whether no exponent says infinity or NaN. A loop that compilers find vectors for.
template <typename Bits>
bool is_finite(const std::byte* x, std::int64_t bytes, Bits exponent) {
  Bits found = 0;
  for (std::int64_t i = 0; i < bytes; i += static_cast<std::int64_t>(sizeof(Bits))) {
    Bits bits;
    std::memcpy(&bits, x + i, sizeof(Bits));
    found |= static_cast<Bits>((bits & exponent) == exponent);
  }
  return found == 0;
}

// Of all dtypes; whole numbers are finite.
inline bool is_finite(const std::byte* x, std::int64_t bytes, DType dtype) {
  if (dtype == DType::float32) return is_finite<std::uint32_t>(x, bytes, 0x7f800000u);
  if (dtype == DType::float64) return is_finite<std::uint64_t>(x, bytes, 0x7ff0000000000000u);
  return true;
}

}  // namespace chainrule
