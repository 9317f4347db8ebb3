// Sums and extremes over one axis; see ReduceKernel in kernels.h. The order in which elements are
// combined depends on the shape and the instruction set alone.
#pragma once

#include <cstdint>

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

#define CHAINRULE_REDUCTION(name)                                                 \
  template <typename T>                                                           \
  void reduce_##name(T* out, const T* x, std::int64_t outer, std::int64_t length, \
                     std::int64_t inner, std::int64_t inner_total);
#include "kernels/reductions.def"
#undef CHAINRULE_REDUCTION

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
