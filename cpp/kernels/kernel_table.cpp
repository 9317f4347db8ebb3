// The table of one instruction set: every kernel that this compilation offers.
#include "fma_chains.h"
#include "kernels.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

extern const KernelTable kernel_table;

// Constant-initialised, so no code of this instruction set runs while the library loads.
constinit const KernelTable kernel_table = {
    .fma_chains_float32 = {fma_chains_float32, fma_chains_float32_flops},
    .fma_chains_float64 = {fma_chains_float64, fma_chains_float64_flops},
};

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
