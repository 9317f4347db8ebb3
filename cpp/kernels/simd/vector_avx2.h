// AVX2 with FMA: vectors of 256 bits; a mask is a vector whose lanes are all ones or all zeros. See
// vector.h.
#pragma once

#include <immintrin.h>

#include "kernels/simd/vector_scalar.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

inline constexpr int vector_registers = 16;
inline constexpr bool has_fma = true;

template <>
struct Mask<float> {
  __m256 value;
};
CHAINRULE_INLINE Mask<float> operator&(Mask<float> a, Mask<float> b) {
  return {_mm256_and_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator|(Mask<float> a, Mask<float> b) {
  return {_mm256_or_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator!(Mask<float> a) {
  return {_mm256_xor_ps(a.value, _mm256_castsi256_ps(_mm256_set1_epi32(-1)))};
}
CHAINRULE_INLINE unsigned lane_bits(Mask<float> a) {
  return static_cast<unsigned>(_mm256_movemask_ps(a.value));
}

template <>
struct Bits<float> {
  __m256i value;
  static CHAINRULE_INLINE Bits<float> broadcast(std::uint32_t x) {
    return {_mm256_set1_epi32(static_cast<int>(x))};
  }
  static CHAINRULE_INLINE Bits<float> load(const std::uint32_t* from) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))};
  }
  CHAINRULE_INLINE void store(std::uint32_t* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
};
CHAINRULE_INLINE Bits<float> operator+(Bits<float> a, Bits<float> b) {
  return {_mm256_add_epi32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator-(Bits<float> a, Bits<float> b) {
  return {_mm256_sub_epi32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator&(Bits<float> a, Bits<float> b) {
  return {_mm256_and_si256(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator|(Bits<float> a, Bits<float> b) {
  return {_mm256_or_si256(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator^(Bits<float> a, Bits<float> b) {
  return {_mm256_xor_si256(a.value, b.value)};
}
template <int n>
CHAINRULE_INLINE Bits<float> shift_left(Bits<float> a) {
  return {_mm256_slli_epi32(a.value, n)};
}
template <int n>
CHAINRULE_INLINE Bits<float> shift_right(Bits<float> a) {
  return {_mm256_srli_epi32(a.value, n)};
}

template <>
struct Vector<float> {
  static constexpr int lanes = 8;
  __m256 value;
  static CHAINRULE_INLINE Vector<float> broadcast(float x) { return {_mm256_set1_ps(x)}; }
  static CHAINRULE_INLINE Vector<float> load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static CHAINRULE_INLINE Vector<float> load_partial(const float* from, std::int64_t count) {
    return {_mm256_maskload_ps(from, first(count))};
  }
  CHAINRULE_INLINE void store(float* to) const { _mm256_storeu_ps(to, value); }
  // Not by a masked store, which takes some processors longer than all this.
  CHAINRULE_INLINE void store_partial(float* to, std::int64_t count) const {
    if (count == lanes) return store(to);
    __m128 rest = _mm256_castps256_ps128(value);
    if (count & 4) {
      _mm_storeu_ps(to, rest);
      rest = _mm256_extractf128_ps(value, 1);
      to += 4;
    }
    if (count & 2) {
      _mm_storel_pi(reinterpret_cast<__m64*>(to), rest);
      rest = _mm_movehl_ps(rest, rest);
      to += 2;
    }
    if (count & 1) _mm_store_ss(to, rest);
  }
  static CHAINRULE_INLINE __m256i first(std::int64_t count) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};
CHAINRULE_INLINE Mask<float> first_lanes(Vector<float>, std::int64_t count) {
  return {_mm256_castsi256_ps(Vector<float>::first(count))};
}

CHAINRULE_INLINE Vector<float> operator+(Vector<float> a, Vector<float> b) {
  return {_mm256_add_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator-(Vector<float> a, Vector<float> b) {
  return {_mm256_sub_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator*(Vector<float> a, Vector<float> b) {
  return {_mm256_mul_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator/(Vector<float> a, Vector<float> b) {
  return {_mm256_div_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return {_mm256_fmadd_ps(a.value, b.value, c.value)};
}
CHAINRULE_INLINE Vector<float> negative_multiply_add(Vector<float> a, Vector<float> b,
                                                     Vector<float> c) {
  return {_mm256_fnmadd_ps(a.value, b.value, c.value)};
}
CHAINRULE_INLINE Vector<float> sqrt(Vector<float> a) { return {_mm256_sqrt_ps(a.value)}; }
CHAINRULE_INLINE Vector<float> lesser(Vector<float> a, Vector<float> b) {
  return {_mm256_min_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> greater(Vector<float> a, Vector<float> b) {
  return {_mm256_max_ps(a.value, b.value)};
}

CHAINRULE_INLINE Mask<float> operator==(Vector<float> a, Vector<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_EQ_OQ)};
}
CHAINRULE_INLINE Mask<float> operator!=(Vector<float> a, Vector<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_NEQ_UQ)};
}
CHAINRULE_INLINE Mask<float> operator<(Vector<float> a, Vector<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_LT_OQ)};
}
CHAINRULE_INLINE Mask<float> operator<=(Vector<float> a, Vector<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_LE_OQ)};
}
CHAINRULE_INLINE Mask<float> operator>(Vector<float> a, Vector<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_GT_OQ)};
}
CHAINRULE_INLINE Mask<float> operator>=(Vector<float> a, Vector<float> b) {
  return {_mm256_cmp_ps(a.value, b.value, _CMP_GE_OQ)};
}
CHAINRULE_INLINE Vector<float> select(Mask<float> mask, Vector<float> a, Vector<float> b) {
  return {_mm256_blendv_ps(b.value, a.value, mask.value)};
}
CHAINRULE_INLINE Vector<float> select_or_zero(Mask<float> mask, Vector<float> a) {
  return {_mm256_and_ps(mask.value, a.value)};
}

CHAINRULE_INLINE Bits<float> to_bits(Vector<float> a) { return {_mm256_castps_si256(a.value)}; }
CHAINRULE_INLINE Vector<float> from_bits(Bits<float> a) { return {_mm256_castsi256_ps(a.value)}; }

template <int distance>
CHAINRULE_INLINE Vector<float> swap_lanes(Vector<float> a) {
  if constexpr (distance == 4) {
    return {_mm256_permute2f128_ps(a.value, a.value, 1)};
  } else if constexpr (distance == 2) {
    return {_mm256_permute_ps(a.value, 0x4E)};
  } else {
    static_assert(distance == 1);
    return {_mm256_permute_ps(a.value, 0xB1)};
  }
}

template <>
struct Mask<double> {
  __m256d value;
};
CHAINRULE_INLINE Mask<double> operator&(Mask<double> a, Mask<double> b) {
  return {_mm256_and_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator|(Mask<double> a, Mask<double> b) {
  return {_mm256_or_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator!(Mask<double> a) {
  return {_mm256_xor_pd(a.value, _mm256_castsi256_pd(_mm256_set1_epi32(-1)))};
}
CHAINRULE_INLINE unsigned lane_bits(Mask<double> a) {
  return static_cast<unsigned>(_mm256_movemask_pd(a.value));
}

template <>
struct Bits<double> {
  __m256i value;
  static CHAINRULE_INLINE Bits<double> broadcast(std::uint64_t x) {
    return {_mm256_set1_epi64x(static_cast<long long>(x))};
  }
  static CHAINRULE_INLINE Bits<double> load(const std::uint64_t* from) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(from))};
  }
  CHAINRULE_INLINE void store(std::uint64_t* to) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to), value);
  }
};
CHAINRULE_INLINE Bits<double> operator+(Bits<double> a, Bits<double> b) {
  return {_mm256_add_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator-(Bits<double> a, Bits<double> b) {
  return {_mm256_sub_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator&(Bits<double> a, Bits<double> b) {
  return {_mm256_and_si256(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator|(Bits<double> a, Bits<double> b) {
  return {_mm256_or_si256(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator^(Bits<double> a, Bits<double> b) {
  return {_mm256_xor_si256(a.value, b.value)};
}
template <int n>
CHAINRULE_INLINE Bits<double> shift_left(Bits<double> a) {
  return {_mm256_slli_epi64(a.value, n)};
}
template <int n>
CHAINRULE_INLINE Bits<double> shift_right(Bits<double> a) {
  return {_mm256_srli_epi64(a.value, n)};
}

template <>
struct Vector<double> {
  static constexpr int lanes = 4;
  __m256d value;
  static CHAINRULE_INLINE Vector<double> broadcast(double x) { return {_mm256_set1_pd(x)}; }
  static CHAINRULE_INLINE Vector<double> load(const double* from) {
    return {_mm256_loadu_pd(from)};
  }
  static CHAINRULE_INLINE Vector<double> load_partial(const double* from, std::int64_t count) {
    return {_mm256_maskload_pd(from, first(count))};
  }
  CHAINRULE_INLINE void store(double* to) const { _mm256_storeu_pd(to, value); }
  CHAINRULE_INLINE void store_partial(double* to, std::int64_t count) const {
    if (count == lanes) return store(to);
    __m128d rest = _mm256_castpd256_pd128(value);
    if (count & 2) {
      _mm_storeu_pd(to, rest);
      rest = _mm256_extractf128_pd(value, 1);
      to += 2;
    }
    if (count & 1) _mm_store_sd(to, rest);
  }
  static CHAINRULE_INLINE __m256i first(std::int64_t count) {
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
  }
};
CHAINRULE_INLINE Mask<double> first_lanes(Vector<double>, std::int64_t count) {
  return {_mm256_castsi256_pd(Vector<double>::first(count))};
}

CHAINRULE_INLINE Vector<double> operator+(Vector<double> a, Vector<double> b) {
  return {_mm256_add_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator-(Vector<double> a, Vector<double> b) {
  return {_mm256_sub_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator*(Vector<double> a, Vector<double> b) {
  return {_mm256_mul_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator/(Vector<double> a, Vector<double> b) {
  return {_mm256_div_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return {_mm256_fmadd_pd(a.value, b.value, c.value)};
}
CHAINRULE_INLINE Vector<double> negative_multiply_add(Vector<double> a, Vector<double> b,
                                                      Vector<double> c) {
  return {_mm256_fnmadd_pd(a.value, b.value, c.value)};
}
CHAINRULE_INLINE Vector<double> sqrt(Vector<double> a) { return {_mm256_sqrt_pd(a.value)}; }
CHAINRULE_INLINE Vector<double> lesser(Vector<double> a, Vector<double> b) {
  return {_mm256_min_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> greater(Vector<double> a, Vector<double> b) {
  return {_mm256_max_pd(a.value, b.value)};
}

CHAINRULE_INLINE Mask<double> operator==(Vector<double> a, Vector<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_EQ_OQ)};
}
CHAINRULE_INLINE Mask<double> operator!=(Vector<double> a, Vector<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_NEQ_UQ)};
}
CHAINRULE_INLINE Mask<double> operator<(Vector<double> a, Vector<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_LT_OQ)};
}
CHAINRULE_INLINE Mask<double> operator<=(Vector<double> a, Vector<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_LE_OQ)};
}
CHAINRULE_INLINE Mask<double> operator>(Vector<double> a, Vector<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_GT_OQ)};
}
CHAINRULE_INLINE Mask<double> operator>=(Vector<double> a, Vector<double> b) {
  return {_mm256_cmp_pd(a.value, b.value, _CMP_GE_OQ)};
}
CHAINRULE_INLINE Vector<double> select(Mask<double> mask, Vector<double> a, Vector<double> b) {
  return {_mm256_blendv_pd(b.value, a.value, mask.value)};
}
CHAINRULE_INLINE Vector<double> select_or_zero(Mask<double> mask, Vector<double> a) {
  return {_mm256_and_pd(mask.value, a.value)};
}

CHAINRULE_INLINE Bits<double> to_bits(Vector<double> a) { return {_mm256_castpd_si256(a.value)}; }
CHAINRULE_INLINE Vector<double> from_bits(Bits<double> a) { return {_mm256_castsi256_pd(a.value)}; }

template <int distance>
CHAINRULE_INLINE Vector<double> swap_lanes(Vector<double> a) {
  if constexpr (distance == 2) {
    return {_mm256_permute2f128_pd(a.value, a.value, 1)};
  } else {
    static_assert(distance == 1);
    return {_mm256_permute_pd(a.value, 0x5)};
  }
}

CHAINRULE_INLINE Vector<double> widen_low(Vector<float> a) {
  return {_mm256_cvtps_pd(_mm256_castps256_ps128(a.value))};
}
CHAINRULE_INLINE Vector<double> widen_high(Vector<float> a) {
  return {_mm256_cvtps_pd(_mm256_extractf128_ps(a.value, 1))};
}
CHAINRULE_INLINE Vector<float> narrow(Vector<double> low, Vector<double> high) {
  return {_mm256_insertf128_ps(_mm256_castps128_ps256(_mm256_cvtpd_ps(low.value)),
                               _mm256_cvtpd_ps(high.value), 1)};
}
CHAINRULE_INLINE Vector<float> from_int32(Bits<float> a) { return {_mm256_cvtepi32_ps(a.value)}; }

CHAINRULE_INLINE Bits<double> multiply_low_words(Bits<double> a, Bits<double> b) {
  return {_mm256_mul_epu32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> interleave_low(Bits<double> a, Bits<double> b) {
  return {_mm256_unpacklo_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> interleave_high(Bits<double> a, Bits<double> b) {
  return {_mm256_unpackhi_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> as_words(Bits<double> a) { return {a.value}; }

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
