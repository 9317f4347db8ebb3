// Loops that are unrolled whatever the compiler thinks.
#pragma once

#include <utility>

#include "kernels/simd/vector_scalar.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// f(0) ... f(count - 1): an array that is indexed in a loop that is left over lives in memory, not
// in registers.
template <int count, typename F>
CHAINRULE_INLINE void each(F f) {
  [&]<int... i>(std::integer_sequence<int, i...>)
      CHAINRULE_INLINE_LAMBDA { (f(i), ...); }(std::make_integer_sequence<int, count>{});
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
