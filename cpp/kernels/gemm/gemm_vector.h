// What the matrix products need of SIMD beyond vector.h: interleaving, of which transposing and the
// sums of several vectors are made, and prefetching.
#pragma once

#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_vector {

// interleave(a, b, low, high): low, high = a0 b0 a1 b1 ...

#if defined(__AVX512F__)

CHAINRULE_INLINE void interleave(Vector<float> a, Vector<float> b, Vector<float>& low,
                                 Vector<float>& high) {
  const __m512i first = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
  const __m512i second =
      _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
  low.value = _mm512_permutex2var_ps(a.value, first, b.value);
  high.value = _mm512_permutex2var_ps(a.value, second, b.value);
}
CHAINRULE_INLINE void interleave(Vector<double> a, Vector<double> b, Vector<double>& low,
                                 Vector<double>& high) {
  const __m512i first = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11);
  const __m512i second = _mm512_setr_epi64(4, 12, 5, 13, 6, 14, 7, 15);
  low.value = _mm512_permutex2var_pd(a.value, first, b.value);
  high.value = _mm512_permutex2var_pd(a.value, second, b.value);
}

#elif defined(__AVX2__)

CHAINRULE_INLINE void interleave(Vector<float> a, Vector<float> b, Vector<float>& low,
                                 Vector<float>& high) {
  const __m256 even = _mm256_unpacklo_ps(a.value, b.value);
  const __m256 odd = _mm256_unpackhi_ps(a.value, b.value);
  low.value = _mm256_permute2f128_ps(even, odd, 0x20);
  high.value = _mm256_permute2f128_ps(even, odd, 0x31);
}
CHAINRULE_INLINE void interleave(Vector<double> a, Vector<double> b, Vector<double>& low,
                                 Vector<double>& high) {
  const __m256d even = _mm256_unpacklo_pd(a.value, b.value);
  const __m256d odd = _mm256_unpackhi_pd(a.value, b.value);
  low.value = _mm256_permute2f128_pd(even, odd, 0x20);
  high.value = _mm256_permute2f128_pd(even, odd, 0x31);
}

#elif defined(__x86_64__) || defined(_M_X64)

CHAINRULE_INLINE void interleave(Vector<float> a, Vector<float> b, Vector<float>& low,
                                 Vector<float>& high) {
  low.value = _mm_unpacklo_ps(a.value, b.value);
  high.value = _mm_unpackhi_ps(a.value, b.value);
}
CHAINRULE_INLINE void interleave(Vector<double> a, Vector<double> b, Vector<double>& low,
                                 Vector<double>& high) {
  low.value = _mm_unpacklo_pd(a.value, b.value);
  high.value = _mm_unpackhi_pd(a.value, b.value);
}

#elif defined(__aarch64__) || defined(_M_ARM64)

CHAINRULE_INLINE void interleave(Vector<float> a, Vector<float> b, Vector<float>& low,
                                 Vector<float>& high) {
  low.value = vzip1q_f32(a.value, b.value);
  high.value = vzip2q_f32(a.value, b.value);
}
CHAINRULE_INLINE void interleave(Vector<double> a, Vector<double> b, Vector<double>& low,
                                 Vector<double>& high) {
  low.value = vzip1q_f64(a.value, b.value);
  high.value = vzip2q_f64(a.value, b.value);
}

#endif

// to[0 .. 3] = the sums of all lanes of a, b, c and d.
template <typename T>
CHAINRULE_INLINE void sum_of_each(Vector<T> a, Vector<T> b, Vector<T> c, Vector<T> d, T* to) {
  constexpr int lanes = Vector<T>::lanes;
  T parts[lanes < 4 ? 4 * lanes : lanes];
  if constexpr (lanes < 4) {
    a.store(parts);
    b.store(parts + lanes);
    c.store(parts + 2 * lanes);
    d.store(parts + 3 * lanes);
    for (int i = 0; i < 4; ++i) to[i] = parts[i * lanes] + (lanes > 1 ? parts[i * lanes + 1] : 0);
  } else {
    // Interleaving and adding halves what there is of each: a c a c ..., b d b d ..., a b c d ...
    Vector<T> low, high, even, odd;
    interleave(a, c, low, high);
    even = low + high;
    interleave(b, d, low, high);
    odd = low + high;
    interleave(even, odd, low, high);
    (low + high).store(parts);
    for (int width = lanes / 2; width >= 4; width /= 2) {
      for (int i = 0; i < width; ++i) parts[i] += parts[i + width];
    }
    for (int i = 0; i < 4; ++i) to[i] = parts[i];
  }
}

// A hint that x will be written soon.
CHAINRULE_INLINE void prefetch_to_write([[maybe_unused]] const void* x) {
#if defined(__GNUC__)
  __builtin_prefetch(x, 1);
#elif defined(_M_X64)
  _mm_prefetch(static_cast<const char*>(x), _MM_HINT_T0);
#endif
}

// A hint that x will be read, though not so soon that it should take a place in L1.
CHAINRULE_INLINE void prefetch_to_read([[maybe_unused]] const void* x) {
#if defined(__GNUC__)
  __builtin_prefetch(x, 0, 2);
#elif defined(_M_X64)
  _mm_prefetch(static_cast<const char*>(x), _MM_HINT_T1);
#endif
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_vector
