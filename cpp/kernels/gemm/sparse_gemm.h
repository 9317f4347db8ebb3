// Matrix products that leave out zeros; the approach is told in sparse_gemm.cpp.
#pragma once

#include <cstdint>

#include "kernels/gemm/gemm_blocks.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// Multiplies if that pays, which depends on the sizes and on a sample of A and B: false, and
// nothing is done, where they have few zeros. The result has the bits that tiles give it
// (gemm.cpp), up to the sign of a zero: zeros are multiplied all the same by what is infinite or
// NaN. `workspace` has sparse_workspace(...) elements.
template <typename T>
bool multiply_without_zeros(const gemm_blocks::Product<T>& product, T* workspace);

// For the same flags and sizes, or for larger sizes.
template <typename T>
std::int64_t sparse_workspace(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                              std::int64_t k);

extern template bool multiply_without_zeros(const gemm_blocks::Product<float>&, float*);
extern template bool multiply_without_zeros(const gemm_blocks::Product<double>&, double*);
extern template std::int64_t sparse_workspace<float>(bool, bool, std::int64_t, std::int64_t,
                                                     std::int64_t);
extern template std::int64_t sparse_workspace<double>(bool, bool, std::int64_t, std::int64_t,
                                                      std::int64_t);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
