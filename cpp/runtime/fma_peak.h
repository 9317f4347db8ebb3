// The floating-point peak of this machine, measured: the yardstick of every speed claim.
#pragma once

#include "kernels/kernels.h"

namespace chainrule {

// GFLOP/s (1e9 multiplications and additions per second) of `threads` threads together, the best of
// many repetitions that take about `seconds` in all. Throws std::system_error where the threads
// cannot be started.
template <typename Scalar>
double fma_peak(const FmaChains<Scalar>& chains, int threads, double seconds);

extern template double fma_peak(const FmaChains<float>&, int, double);
extern template double fma_peak(const FmaChains<double>&, int, double);

}  // namespace chainrule
