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
      own_has_wide_vectors_(&kernels != &kernels_of<T>(baseline::kernel_table)),
      blas_(blas_gemm<T>) {}

// The rule, from measurements on a Zen 5, one thread: our AVX-512 kernels do 1.7 to 2.5 times the
// work of OpenBLAS, which takes AVX2 there, from 32 x 16 x 16 to 512 x 512 x 256; our AVX2 kernels
// are from equal to 1.7 times as fast. On a Zen 4, where OpenBLAS takes AVX-512, ours do 1.05
// to 1.2 times its work from 64 x 512 x 512 to 256 x 2048 x 2048. The baseline's (SSE2) do a third
// of it: they are worth it where a call of BLAS costs more than the product.
template <typename T>
bool MatrixMultiplier<T>::own_is_faster(std::int64_t m, std::int64_t n, std::int64_t k) const {
  if (own_ == nullptr || blas_ == nullptr) return own_ != nullptr;
  constexpr double small = 8.0 * 8 * 16;
  return own_has_wide_vectors_ ||
         static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) <= small;
}

template <typename T>
std::int64_t MatrixMultiplier<T>::workspace(bool transpose_a, bool transpose_b, std::int64_t m,
                                            std::int64_t n, std::int64_t k) const {
  if (!own_is_faster(m, n, k) || own_workspace_ == nullptr) return 0;
  return own_workspace_(transpose_a, transpose_b, m, n, k);
}

template <typename T>
void MatrixMultiplier<T>::multiply(Matrix<T> c, Matrix<const T> a, Matrix<const T> b,
                                   std::int64_t m, std::int64_t n, std::int64_t k,
                                   T* workspace) const {
  if (own_is_faster(m, n, k)) {
    own_(c.data, c.stride, a.data, a.stride, a.transposed, b.data, b.stride, b.transposed, m, n, k,
         workspace);
    return;
  }
  constexpr int row_major = 101;
  constexpr int as_it_is = 111;
  constexpr int transposed = 112;
  blas_(row_major, a.transposed ? transposed : as_it_is, b.transposed ? transposed : as_it_is,
        static_cast<int>(m), static_cast<int>(n), static_cast<int>(k), T(1), a.data,
        static_cast<int>(a.stride), b.data, static_cast<int>(b.stride), T(0), c.data,
        static_cast<int>(c.stride));
}

template class MatrixMultiplier<float>;
template class MatrixMultiplier<double>;

}  // namespace chainrule
