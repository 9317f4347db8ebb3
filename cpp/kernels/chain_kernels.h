// One kernel per chain of chains.h, for float and double.
#pragma once

#include "kernels/elementwise.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// results[r][i] = the chain's r-th result of inputs[0][i], inputs[1][i], ... Of a scalar input only
// element 0 is read. A result may lie where an input lies.
template <const Chain& chain, typename T>
void run_chain(T* const* results, const T* const* inputs, std::int64_t n);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
