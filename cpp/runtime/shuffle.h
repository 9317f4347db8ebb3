// The order in which an epoch visits rows.
#pragma once

#include <cstdint>
#include <span>

namespace chainrule {

// Fills `order` with 0 ... n - 1 shuffled: to the bit what
// numpy.random.Generator(numpy.random.Philox(key=[seed, epoch])).permutation(n) gives, in less
// than half the time.
void shuffle(std::span<std::int64_t> order, std::uint64_t seed, std::uint64_t epoch);

}  // namespace chainrule
