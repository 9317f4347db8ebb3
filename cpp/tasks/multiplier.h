// Matrix products on the calling thread: by BLAS, whose functions Python hands over, or by our own
// kernels where those are faster.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"

namespace chainrule {

// cblas_sgemm and cblas_dgemm with 32-bit sizes.
template <typename T>
using BlasGemm = void (*)(int order, int transpose_a, int transpose_b, int m, int n, int k, T alpha,
                          const T* a, int lda, const T* b, int ldb, T beta, T* c, int ldc);

// Addresses of the functions, 0 for none. Plans built later use them.
void set_blas(std::uintptr_t sgemm, std::uintptr_t dgemm);

template <typename T>
struct Matrix {
  T* data;
  std::int64_t stride;  // from row to row
  bool transposed;
};

// Multiplies two matrices by the functions that were there when the plan was built.
template <typename T>
class MatrixMultiplier {
 public:
  explicit MatrixMultiplier(const Kernels<T>& kernels);

  // Whether there is any way to multiply.
  bool is_available() const { return own_ != nullptr || blas_ != nullptr; }
  // Whether our own kernels do it; see kernels/gemm/choice.h.
  bool uses_own_kernels(std::int64_t m, std::int64_t n, std::int64_t k) const;
  // Elements that `multiply` needs for these sizes.
  std::int64_t workspace(bool transpose_a, bool transpose_b, std::int64_t m, std::int64_t n,
                         std::int64_t k) const;
  // c (m x n) = op(a) op(b), or added to c; sizes above 0.
  void multiply(Matrix<T> c, Matrix<const T> a, Matrix<const T> b, std::int64_t m, std::int64_t n,
                std::int64_t k, T* workspace, bool adds = false) const;

 private:
  decltype(Kernels<T>::gemm) own_;
  decltype(Kernels<T>::gemm_workspace) own_workspace_;
  double largest_own_product_;
  BlasGemm<T> blas_;
};

extern template class MatrixMultiplier<float>;
extern template class MatrixMultiplier<double>;

}  // namespace chainrule
