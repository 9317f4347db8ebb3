// Matrix products that leave out zeros; sparse_gemm.cpp explains how.
#pragma once

#include <cstdint>

#include "kernels/gemm/gemm_blocks.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// The share of zeros in a sample of op(x) = rows x columns.
template <typename T>
double share_of_zeros(const gemm_blocks::Matrix<T>& x, std::int64_t rows, std::int64_t columns);

// Leaves out the zeros of A. The result has the bits that tiles give it (gemm.cpp), up to the sign
// of a zero: zeros are multiplied all the same by what is infinite or NaN. `workspace` has
// sparse_workspace(...) elements.
template <typename T>
void multiply_without_zeros(const gemm_blocks::Product<T>& product, T* workspace);

// For the same flags and sizes, or for larger sizes.
template <typename T>
std::int64_t sparse_workspace(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                              std::int64_t k);

extern template double share_of_zeros(const gemm_blocks::Matrix<float>&, std::int64_t,
                                      std::int64_t);
extern template double share_of_zeros(const gemm_blocks::Matrix<double>&, std::int64_t,
                                      std::int64_t);
extern template void multiply_without_zeros(const gemm_blocks::Product<float>&, float*);
extern template void multiply_without_zeros(const gemm_blocks::Product<double>&, double*);
extern template std::int64_t sparse_workspace<float>(bool, bool, std::int64_t, std::int64_t,
                                                     std::int64_t);
extern template std::int64_t sparse_workspace<double>(bool, bool, std::int64_t, std::int64_t,
                                                      std::int64_t);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
