// Kernels on contiguous rows: a function for each line of rows.def.
#pragma once

#include "kernels/kernels.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// False where a label is not in 0 ... columns - 1.
#define CHAINRULE_ROW(name, types, inputs, out, second) \
  template <typename T>                                 \
  bool name(const RowCall<T>& call);
#include "kernels/rows.def"
#undef CHAINRULE_ROW

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
