// Random numbers by counter: Philox4x32-10, as src/chainrule/ops/random.py defines them.
#pragma once

#include <cstdint>

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename T>
void random_uniform(T* out, std::uint64_t seed, std::uint64_t position, std::int64_t first,
                    std::int64_t count);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
