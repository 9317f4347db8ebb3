// Which instruction sets the kernels were compiled for, and which of them this machine can run.
#pragma once

#include <string_view>
#include <vector>

#include "kernels/kernels.h"

namespace chainrule {

struct InstructionSet {
  std::string_view name;
  const KernelTable* kernels;
};

// Those that the processor and the operating system support, the best one last.
const std::vector<InstructionSet>& instruction_sets();

// The set of that name, or the best one for an empty name.
// Throws std::invalid_argument where the machine does not support it.
const InstructionSet& instruction_set(std::string_view name);

}  // namespace chainrule
