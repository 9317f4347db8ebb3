// Matrix products. See Kernels<T>::gemm in kernels.h; gemm.cpp explains how.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// C (m x n, row stride ldc) = op(A) op(B), where op transposes if its flag says so; all matrices
// lie in rows, `lda`, `ldb` and `ldc` elements apart. For k = 0 the product is zero. The order of
// the sums over k depends on the shape alone, and on whether A or B have many zeros. C must not
// overlap A or B. `workspace` has gemm_workspace(...) elements for the same flags and sizes, or for
// larger sizes.
template <typename T>
void gemm(T* c, std::int64_t ldc, const T* a, std::int64_t lda, bool transpose_a, const T* b,
          std::int64_t ldb, bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k,
          T* workspace);

template <typename T>
std::int64_t gemm_workspace(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                            std::int64_t k);

// See Kernels<T> in kernels.h.
template <typename T>
SmallGemmKernel<T> small_gemm(const SmallGemm<T>& gemm);

extern template void gemm(float*, std::int64_t, const float*, std::int64_t, bool, const float*,
                          std::int64_t, bool, std::int64_t, std::int64_t, std::int64_t, float*);
extern template void gemm(double*, std::int64_t, const double*, std::int64_t, bool, const double*,
                          std::int64_t, bool, std::int64_t, std::int64_t, std::int64_t, double*);
extern template std::int64_t gemm_workspace<float>(bool, bool, std::int64_t, std::int64_t,
                                                   std::int64_t);
extern template std::int64_t gemm_workspace<double>(bool, bool, std::int64_t, std::int64_t,
                                                    std::int64_t);
extern template SmallGemmKernel<float> small_gemm(const SmallGemm<float>&);
extern template SmallGemmKernel<double> small_gemm(const SmallGemm<double>&);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
