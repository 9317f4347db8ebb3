// The kernels as the rest of the core sees them: one table of function pointers per instruction
// set.
//
// Every file of this folder is compiled once per instruction set, into the namespace
// chainrule::CHAINRULE_INSTRUCTION_SET. Such a file must not instantiate inline functions or
// templates from outside that namespace (std::vector, std::max, ...): the linker keeps one copy of
// each, and could keep the AVX-512 one for all.
#pragma once

#include <cstdint>

namespace chainrule {

// Independent chains x = x * multiplier + addend, as many as hide the latency of an FMA.
// `run` returns the sum of all chains, so that no compiler can leave out the work.
template <typename Scalar>
struct FmaChains {
  Scalar (*run)(std::int64_t iterations, Scalar multiplier, Scalar addend);
  std::int64_t flops_per_iteration;
};

struct KernelTable {
  FmaChains<float> fma_chains_float32;
  FmaChains<double> fma_chains_float64;
};

namespace baseline {
extern const KernelTable kernel_table;
}
#if defined(CHAINRULE_X86_64_KERNELS)
namespace avx2 {
extern const KernelTable kernel_table;
}
namespace avx512 {
extern const KernelTable kernel_table;
}
#endif

}  // namespace chainrule
