// The work whose speed is the machine's floating-point peak.
#pragma once

#include <cstdint>

#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// Two units with a latency of four cycles need 8 chains, Apple's four units 16. Two thirds or three
// quarters of the registers leave room for the multiplier and the addend.
inline constexpr int parallel_chains = vector_registers == 32 ? 24 : 12;

inline constexpr std::int64_t fma_chains_float32_flops = 2 * parallel_chains * Vector<float>::lanes;
inline constexpr std::int64_t fma_chains_float64_flops =
    2 * parallel_chains * Vector<double>::lanes;

float fma_chains_float32(std::int64_t iterations, float multiplier, float addend);
double fma_chains_float64(std::int64_t iterations, double multiplier, double addend);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
