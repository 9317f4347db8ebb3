#include "tasks/multiplier.h"

#include <atomic>

#include "tasks/building.h"

namespace chainrule {
namespace {

template <typename T>
std::atomic<BlasGemm<T>> blas_gemm = nullptr;

}  // namespace

void set_blas(std::uintptr_t sgemm, std::uintptr_t dgemm) {
  blas_gemm<float> = reinterpret_cast<BlasGemm<float>>(sgemm);
  blas_gemm<double> = reinterpret_cast<BlasGemm<double>>(dgemm);
}

template <typename T>
MatrixMultiplier<T>::MatrixMultiplier(const Kernels<T>& kernels)
    : own_(kernels.gemm),
      own_workspace_(kernels.gemm_workspace),
      largest_own_product_(kernels.largest_own_product),
      blas_(blas_gemm<T>) {}

template <typename T>
bool MatrixMultiplier<T>::uses_own_kernels(std::int64_t m, std::int64_t n, std::int64_t k) const {
  if (own_ == nullptr || blas_ == nullptr) return own_ != nullptr;
  return number(m) * number(n) * number(k) <= largest_own_product_;
}

template <typename T>
std::int64_t MatrixMultiplier<T>::workspace(bool transpose_a, bool transpose_b, std::int64_t m,
                                            std::int64_t n, std::int64_t k) const {
  if (!uses_own_kernels(m, n, k) || own_workspace_ == nullptr) return 0;
  return own_workspace_(transpose_a, transpose_b, m, n, k);
}

template <typename T>
void MatrixMultiplier<T>::multiply(Matrix<T> c, Matrix<const T> a, Matrix<const T> b,
                                   std::int64_t m, std::int64_t n, std::int64_t k, T* workspace,
                                   bool adds) const {
  if (uses_own_kernels(m, n, k)) {
    own_(c.data, c.stride, a.data, a.stride, a.transposed, b.data, b.stride, b.transposed, m, n, k,
         adds, workspace);
    return;
  }
  constexpr int row_major = 101;
  constexpr int not_transposed = 111;
  constexpr int transposed = 112;
  blas_(row_major, a.transposed ? transposed : not_transposed,
        b.transposed ? transposed : not_transposed, static_cast<int>(m), static_cast<int>(n),
        static_cast<int>(k), T(1), a.data, static_cast<int>(a.stride), b.data,
        static_cast<int>(b.stride), T(adds ? 1 : 0), c.data, static_cast<int>(c.stride));
}

template class MatrixMultiplier<float>;
template class MatrixMultiplier<double>;

}  // namespace chainrule
