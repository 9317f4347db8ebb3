// The functions of kernels.def, declared for this instruction set.
#pragma once

#include "kernels/kernels.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

#define CHAINRULE_KERNEL(name, types, result, parameters) \
  template <typename T>                                   \
  result name parameters;
#include "kernels/kernels.def"
#undef CHAINRULE_KERNEL

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
