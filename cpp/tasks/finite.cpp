#include "tasks/finite.h"

#include <cstring>

namespace chainrule {
namespace {

// Only the exponent of infinity and NaN, all ones, carries into the bit of the sign when its lowest
// bit is added. A loop that compilers find vectors for, of any instruction set.
template <typename Bits>
bool is_finite(const std::byte* x, std::int64_t bytes, Bits exponent) {
  const Bits lowest = exponent & (~exponent + 1);
  const Bits sign = exponent + lowest;
  Bits found = 0;
  for (std::int64_t i = 0; i < bytes; i += static_cast<std::int64_t>(sizeof(Bits))) {
    Bits bits;
    std::memcpy(&bits, x + i, sizeof(Bits));
    found |= (bits & exponent) + lowest;
  }
  return (found & sign) == 0;
}

}  // namespace

bool is_finite(const std::byte* x, std::int64_t bytes, DType dtype) {
  if (dtype == DType::float32) return is_finite<std::uint32_t>(x, bytes, 0x7f800000u);
  if (dtype == DType::float64) return is_finite<std::uint64_t>(x, bytes, 0x7ff0000000000000u);
  return true;
}

}  // namespace chainrule
