// Sums and extremes over one axis; see ReduceCall in kernels.h. The order in which elements are
// combined depends on the shape and the instruction set alone.
#pragma once

#include "kernels/kernels.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

#define CHAINRULE_REDUCTION(name) \
  template <typename T>           \
  void reduce_##name(const ReduceCall<T>& call);
#include "kernels/reductions.def"
#undef CHAINRULE_REDUCTION

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
