#include "kernels/fma_chains.h"

#include <utility>

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

// The chains are unrolled through the pack of indices: compilers stop unrolling loops at 16, and an
// array that is indexed in a loop lives in memory, not in registers.
template <typename Scalar, int... chain>
Scalar run_chains(std::integer_sequence<int, chain...>, std::int64_t iterations, Scalar multiplier,
                  Scalar addend) {
  const auto factor = Vector<Scalar>::broadcast(multiplier);
  const auto term = Vector<Scalar>::broadcast(addend);
  // Chains that start alike would be merged into one.
  Vector<Scalar> x[] = {Vector<Scalar>::broadcast(static_cast<Scalar>(chain))...};
  for (std::int64_t i = 0; i < iterations; ++i) {
    ((x[chain] = multiply_add(x[chain], factor, term)), ...);
  }
  Scalar sum = 0;
  for (const auto& values : x) {
    Scalar lanes[Vector<Scalar>::lanes];
    values.store(lanes);
    for (const Scalar lane : lanes) sum += lane;
  }
  return sum;
}

using Chains = std::make_integer_sequence<int, parallel_chains>;

}  // namespace

float fma_chains_float32(std::int64_t iterations, float multiplier, float addend) {
  return run_chains(Chains{}, iterations, multiplier, addend);
}

double fma_chains_float64(std::int64_t iterations, double multiplier, double addend) {
  return run_chains(Chains{}, iterations, multiplier, addend);
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
