// AVX-512 (F, BW, DQ, VL): vectors of 512 bits, masks in registers of their own. See vector.h.
#pragma once

// GCC 12 takes the header's deliberately undefined operands for mistakes (GCC bug 105593).
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#include <immintrin.h>
#pragma GCC diagnostic pop
#else
#include <immintrin.h>
#endif

#include "kernels/simd/vector_scalar.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

inline constexpr int vector_registers = 32;
inline constexpr bool has_fma = true;

template <>
struct Mask<float> {
  __mmask16 value;
};
CHAINRULE_INLINE Mask<float> operator&(Mask<float> a, Mask<float> b) {
  return {static_cast<__mmask16>(a.value & b.value)};
}
CHAINRULE_INLINE Mask<float> operator|(Mask<float> a, Mask<float> b) {
  return {static_cast<__mmask16>(a.value | b.value)};
}
CHAINRULE_INLINE Mask<float> operator!(Mask<float> a) { return {static_cast<__mmask16>(~a.value)}; }
CHAINRULE_INLINE unsigned lane_bits(Mask<float> a) { return a.value; }

template <>
struct Bits<float> {
  __m512i value;
  static CHAINRULE_INLINE Bits<float> broadcast(std::uint32_t x) {
    return {_mm512_set1_epi32(static_cast<int>(x))};
  }
  static CHAINRULE_INLINE Bits<float> load(const std::uint32_t* from) {
    return {_mm512_loadu_si512(from)};
  }
  CHAINRULE_INLINE void store(std::uint32_t* to) const { _mm512_storeu_si512(to, value); }
};
CHAINRULE_INLINE Bits<float> operator+(Bits<float> a, Bits<float> b) {
  return {_mm512_add_epi32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator-(Bits<float> a, Bits<float> b) {
  return {_mm512_sub_epi32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator&(Bits<float> a, Bits<float> b) {
  return {_mm512_and_si512(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator|(Bits<float> a, Bits<float> b) {
  return {_mm512_or_si512(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator^(Bits<float> a, Bits<float> b) {
  return {_mm512_xor_si512(a.value, b.value)};
}
template <int n>
CHAINRULE_INLINE Bits<float> shift_left(Bits<float> a) {
  return {_mm512_slli_epi32(a.value, n)};
}
template <int n>
CHAINRULE_INLINE Bits<float> shift_right(Bits<float> a) {
  return {_mm512_srli_epi32(a.value, n)};
}

template <>
struct Vector<float> {
  static constexpr int lanes = 16;
  __m512 value;
  static CHAINRULE_INLINE Vector<float> broadcast(float x) { return {_mm512_set1_ps(x)}; }
  static CHAINRULE_INLINE Vector<float> load(const float* from) { return {_mm512_loadu_ps(from)}; }
  static CHAINRULE_INLINE Vector<float> load_partial(const float* from, std::int64_t count) {
    return {_mm512_maskz_loadu_ps(first(count), from)};
  }
  CHAINRULE_INLINE void store(float* to) const { _mm512_storeu_ps(to, value); }
  CHAINRULE_INLINE void store_partial(float* to, std::int64_t count) const {
    _mm512_mask_storeu_ps(to, first(count), value);
  }
  static CHAINRULE_INLINE __mmask16 first(std::int64_t count) {
    return static_cast<__mmask16>((1u << count) - 1u);
  }
};
CHAINRULE_INLINE Mask<float> first_lanes(Vector<float>, std::int64_t count) {
  return {Vector<float>::first(count)};
}

CHAINRULE_INLINE Vector<float> operator+(Vector<float> a, Vector<float> b) {
  return {_mm512_add_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator-(Vector<float> a, Vector<float> b) {
  return {_mm512_sub_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator*(Vector<float> a, Vector<float> b) {
  return {_mm512_mul_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator/(Vector<float> a, Vector<float> b) {
  return {_mm512_div_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return {_mm512_fmadd_ps(a.value, b.value, c.value)};
}
CHAINRULE_INLINE Vector<float> negative_multiply_add(Vector<float> a, Vector<float> b,
                                                     Vector<float> c) {
  return {_mm512_fnmadd_ps(a.value, b.value, c.value)};
}
CHAINRULE_INLINE Vector<float> sqrt(Vector<float> a) { return {_mm512_sqrt_ps(a.value)}; }
CHAINRULE_INLINE Vector<float> lesser(Vector<float> a, Vector<float> b) {
  return {_mm512_min_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> greater(Vector<float> a, Vector<float> b) {
  return {_mm512_max_ps(a.value, b.value)};
}

CHAINRULE_INLINE Mask<float> operator==(Vector<float> a, Vector<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_EQ_OQ)};
}
CHAINRULE_INLINE Mask<float> operator!=(Vector<float> a, Vector<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_NEQ_UQ)};
}
CHAINRULE_INLINE Mask<float> operator<(Vector<float> a, Vector<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LT_OQ)};
}
CHAINRULE_INLINE Mask<float> operator<=(Vector<float> a, Vector<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_LE_OQ)};
}
CHAINRULE_INLINE Mask<float> operator>(Vector<float> a, Vector<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_GT_OQ)};
}
CHAINRULE_INLINE Mask<float> operator>=(Vector<float> a, Vector<float> b) {
  return {_mm512_cmp_ps_mask(a.value, b.value, _CMP_GE_OQ)};
}
CHAINRULE_INLINE Vector<float> select(Mask<float> mask, Vector<float> a, Vector<float> b) {
  return {_mm512_mask_blend_ps(mask.value, b.value, a.value)};
}
CHAINRULE_INLINE Vector<float> select_or_zero(Mask<float> mask, Vector<float> a) {
  return {_mm512_maskz_mov_ps(mask.value, a.value)};
}

CHAINRULE_INLINE Bits<float> to_bits(Vector<float> a) { return {_mm512_castps_si512(a.value)}; }
CHAINRULE_INLINE Vector<float> from_bits(Bits<float> a) { return {_mm512_castsi512_ps(a.value)}; }

template <int distance>
CHAINRULE_INLINE Vector<float> swap_lanes(Vector<float> a) {
  if constexpr (distance == 8) {
    return {_mm512_shuffle_f32x4(a.value, a.value, 0x4E)};
  } else if constexpr (distance == 4) {
    return {_mm512_shuffle_f32x4(a.value, a.value, 0xB1)};
  } else if constexpr (distance == 2) {
    return {_mm512_permute_ps(a.value, 0x4E)};
  } else {
    static_assert(distance == 1);
    return {_mm512_permute_ps(a.value, 0xB1)};
  }
}

// x * 2^n for whole n; denormal results are rounded once.
CHAINRULE_INLINE Vector<float> times_power_of_two(Vector<float> x, Vector<float> n) {
  return {_mm512_scalef_ps(x.value, n.value)};
}

template <>
struct Mask<double> {
  __mmask8 value;
};
CHAINRULE_INLINE Mask<double> operator&(Mask<double> a, Mask<double> b) {
  return {static_cast<__mmask8>(a.value & b.value)};
}
CHAINRULE_INLINE Mask<double> operator|(Mask<double> a, Mask<double> b) {
  return {static_cast<__mmask8>(a.value | b.value)};
}
CHAINRULE_INLINE Mask<double> operator!(Mask<double> a) {
  return {static_cast<__mmask8>(~a.value)};
}
CHAINRULE_INLINE unsigned lane_bits(Mask<double> a) { return a.value; }

template <>
struct Bits<double> {
  __m512i value;
  static CHAINRULE_INLINE Bits<double> broadcast(std::uint64_t x) {
    return {_mm512_set1_epi64(static_cast<long long>(x))};
  }
  static CHAINRULE_INLINE Bits<double> load(const std::uint64_t* from) {
    return {_mm512_loadu_si512(from)};
  }
  CHAINRULE_INLINE void store(std::uint64_t* to) const { _mm512_storeu_si512(to, value); }
};
CHAINRULE_INLINE Bits<double> operator+(Bits<double> a, Bits<double> b) {
  return {_mm512_add_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator-(Bits<double> a, Bits<double> b) {
  return {_mm512_sub_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator&(Bits<double> a, Bits<double> b) {
  return {_mm512_and_si512(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator|(Bits<double> a, Bits<double> b) {
  return {_mm512_or_si512(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator^(Bits<double> a, Bits<double> b) {
  return {_mm512_xor_si512(a.value, b.value)};
}
template <int n>
CHAINRULE_INLINE Bits<double> shift_left(Bits<double> a) {
  return {_mm512_slli_epi64(a.value, n)};
}
template <int n>
CHAINRULE_INLINE Bits<double> shift_right(Bits<double> a) {
  return {_mm512_srli_epi64(a.value, n)};
}

template <>
struct Vector<double> {
  static constexpr int lanes = 8;
  __m512d value;
  static CHAINRULE_INLINE Vector<double> broadcast(double x) { return {_mm512_set1_pd(x)}; }
  static CHAINRULE_INLINE Vector<double> load(const double* from) {
    return {_mm512_loadu_pd(from)};
  }
  static CHAINRULE_INLINE Vector<double> load_partial(const double* from, std::int64_t count) {
    return {_mm512_maskz_loadu_pd(first(count), from)};
  }
  CHAINRULE_INLINE void store(double* to) const { _mm512_storeu_pd(to, value); }
  CHAINRULE_INLINE void store_partial(double* to, std::int64_t count) const {
    _mm512_mask_storeu_pd(to, first(count), value);
  }
  static CHAINRULE_INLINE __mmask8 first(std::int64_t count) {
    return static_cast<__mmask8>((1u << count) - 1u);
  }
};
CHAINRULE_INLINE Mask<double> first_lanes(Vector<double>, std::int64_t count) {
  return {Vector<double>::first(count)};
}

CHAINRULE_INLINE Vector<double> operator+(Vector<double> a, Vector<double> b) {
  return {_mm512_add_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator-(Vector<double> a, Vector<double> b) {
  return {_mm512_sub_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator*(Vector<double> a, Vector<double> b) {
  return {_mm512_mul_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator/(Vector<double> a, Vector<double> b) {
  return {_mm512_div_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return {_mm512_fmadd_pd(a.value, b.value, c.value)};
}
CHAINRULE_INLINE Vector<double> negative_multiply_add(Vector<double> a, Vector<double> b,
                                                      Vector<double> c) {
  return {_mm512_fnmadd_pd(a.value, b.value, c.value)};
}
CHAINRULE_INLINE Vector<double> sqrt(Vector<double> a) { return {_mm512_sqrt_pd(a.value)}; }
CHAINRULE_INLINE Vector<double> lesser(Vector<double> a, Vector<double> b) {
  return {_mm512_min_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> greater(Vector<double> a, Vector<double> b) {
  return {_mm512_max_pd(a.value, b.value)};
}

CHAINRULE_INLINE Mask<double> operator==(Vector<double> a, Vector<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_EQ_OQ)};
}
CHAINRULE_INLINE Mask<double> operator!=(Vector<double> a, Vector<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_NEQ_UQ)};
}
CHAINRULE_INLINE Mask<double> operator<(Vector<double> a, Vector<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_LT_OQ)};
}
CHAINRULE_INLINE Mask<double> operator<=(Vector<double> a, Vector<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_LE_OQ)};
}
CHAINRULE_INLINE Mask<double> operator>(Vector<double> a, Vector<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_GT_OQ)};
}
CHAINRULE_INLINE Mask<double> operator>=(Vector<double> a, Vector<double> b) {
  return {_mm512_cmp_pd_mask(a.value, b.value, _CMP_GE_OQ)};
}
CHAINRULE_INLINE Vector<double> select(Mask<double> mask, Vector<double> a, Vector<double> b) {
  return {_mm512_mask_blend_pd(mask.value, b.value, a.value)};
}
CHAINRULE_INLINE Vector<double> select_or_zero(Mask<double> mask, Vector<double> a) {
  return {_mm512_maskz_mov_pd(mask.value, a.value)};
}

CHAINRULE_INLINE Bits<double> to_bits(Vector<double> a) { return {_mm512_castpd_si512(a.value)}; }
CHAINRULE_INLINE Vector<double> from_bits(Bits<double> a) { return {_mm512_castsi512_pd(a.value)}; }

template <int distance>
CHAINRULE_INLINE Vector<double> swap_lanes(Vector<double> a) {
  if constexpr (distance == 4) {
    return {_mm512_shuffle_f64x2(a.value, a.value, 0x4E)};
  } else if constexpr (distance == 2) {
    return {_mm512_shuffle_f64x2(a.value, a.value, 0xB1)};
  } else {
    static_assert(distance == 1);
    return {_mm512_permute_pd(a.value, 0x55)};
  }
}

// x * 2^n for whole n; denormal results are rounded once.
CHAINRULE_INLINE Vector<double> times_power_of_two(Vector<double> x, Vector<double> n) {
  return {_mm512_scalef_pd(x.value, n.value)};
}

template <typename T>
struct HalfVector;
template <typename T>
struct HalfMask {
  __mmask8 value;
};
template <typename T>
CHAINRULE_INLINE HalfMask<T> operator|(HalfMask<T> a, HalfMask<T> b) {
  return {static_cast<__mmask8>(a.value | b.value)};
}

template <>
struct HalfVector<float> {
  static constexpr int lanes = 8;
  __m256 value;
  static CHAINRULE_INLINE HalfVector broadcast(float x) { return {_mm256_set1_ps(x)}; }
  static CHAINRULE_INLINE HalfVector load(const float* from) { return {_mm256_loadu_ps(from)}; }
  static CHAINRULE_INLINE HalfVector load_partial(const float* from, std::int64_t count) {
    return {_mm256_maskz_loadu_ps(first(count), from)};
  }
  CHAINRULE_INLINE void store(float* to) const { _mm256_storeu_ps(to, value); }
  CHAINRULE_INLINE void store_partial(float* to, std::int64_t count) const {
    _mm256_mask_storeu_ps(to, first(count), value);
  }
  static CHAINRULE_INLINE __mmask8 first(std::int64_t count) {
    return static_cast<__mmask8>((1u << count) - 1u);
  }
};
CHAINRULE_INLINE HalfVector<float> operator+(HalfVector<float> a, HalfVector<float> b) {
  return {_mm256_add_ps(a.value, b.value)};
}
CHAINRULE_INLINE HalfVector<float> multiply_add(HalfVector<float> a, HalfVector<float> b,
                                                HalfVector<float> c) {
  return {_mm256_fmadd_ps(a.value, b.value, c.value)};
}
CHAINRULE_INLINE HalfMask<float> operator==(HalfVector<float> a, HalfVector<float> b) {
  return {_mm256_cmp_ps_mask(a.value, b.value, _CMP_EQ_OQ)};
}
CHAINRULE_INLINE HalfMask<float> operator!=(HalfVector<float> a, HalfVector<float> b) {
  return {_mm256_cmp_ps_mask(a.value, b.value, _CMP_NEQ_UQ)};
}
CHAINRULE_INLINE HalfMask<float> operator>(HalfVector<float> a, HalfVector<float> b) {
  return {_mm256_cmp_ps_mask(a.value, b.value, _CMP_GT_OQ)};
}
CHAINRULE_INLINE HalfVector<float> select(HalfMask<float> mask, HalfVector<float> a,
                                          HalfVector<float> b) {
  return {_mm256_mask_blend_ps(mask.value, b.value, a.value)};
}
CHAINRULE_INLINE HalfVector<float> select_or_zero(HalfMask<float> mask, HalfVector<float> a) {
  return {_mm256_maskz_mov_ps(mask.value, a.value)};
}

template <>
struct HalfVector<double> {
  static constexpr int lanes = 4;
  __m256d value;
  static CHAINRULE_INLINE HalfVector broadcast(double x) { return {_mm256_set1_pd(x)}; }
  static CHAINRULE_INLINE HalfVector load(const double* from) { return {_mm256_loadu_pd(from)}; }
  static CHAINRULE_INLINE HalfVector load_partial(const double* from, std::int64_t count) {
    return {_mm256_maskz_loadu_pd(first(count), from)};
  }
  CHAINRULE_INLINE void store(double* to) const { _mm256_storeu_pd(to, value); }
  CHAINRULE_INLINE void store_partial(double* to, std::int64_t count) const {
    _mm256_mask_storeu_pd(to, first(count), value);
  }
  static CHAINRULE_INLINE __mmask8 first(std::int64_t count) {
    return static_cast<__mmask8>((1u << count) - 1u);
  }
};
CHAINRULE_INLINE HalfVector<double> operator+(HalfVector<double> a, HalfVector<double> b) {
  return {_mm256_add_pd(a.value, b.value)};
}
CHAINRULE_INLINE HalfVector<double> multiply_add(HalfVector<double> a, HalfVector<double> b,
                                                 HalfVector<double> c) {
  return {_mm256_fmadd_pd(a.value, b.value, c.value)};
}
CHAINRULE_INLINE HalfMask<double> operator==(HalfVector<double> a, HalfVector<double> b) {
  return {_mm256_cmp_pd_mask(a.value, b.value, _CMP_EQ_OQ)};
}
CHAINRULE_INLINE HalfMask<double> operator!=(HalfVector<double> a, HalfVector<double> b) {
  return {_mm256_cmp_pd_mask(a.value, b.value, _CMP_NEQ_UQ)};
}
CHAINRULE_INLINE HalfMask<double> operator>(HalfVector<double> a, HalfVector<double> b) {
  return {_mm256_cmp_pd_mask(a.value, b.value, _CMP_GT_OQ)};
}
CHAINRULE_INLINE HalfVector<double> select(HalfMask<double> mask, HalfVector<double> a,
                                           HalfVector<double> b) {
  return {_mm256_mask_blend_pd(mask.value, b.value, a.value)};
}
CHAINRULE_INLINE HalfVector<double> select_or_zero(HalfMask<double> mask, HalfVector<double> a) {
  return {_mm256_maskz_mov_pd(mask.value, a.value)};
}

CHAINRULE_INLINE Vector<double> widen_low(Vector<float> a) {
  return {_mm512_cvtps_pd(_mm512_castps512_ps256(a.value))};
}
CHAINRULE_INLINE Vector<double> widen_high(Vector<float> a) {
  return {_mm512_cvtps_pd(_mm512_extractf32x8_ps(a.value, 1))};
}
CHAINRULE_INLINE Vector<float> narrow(Vector<double> low, Vector<double> high) {
  return {_mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(low.value)),
                             _mm512_cvtpd_ps(high.value), 1)};
}
CHAINRULE_INLINE Vector<float> from_int32(Bits<float> a) { return {_mm512_cvtepi32_ps(a.value)}; }

CHAINRULE_INLINE Bits<double> multiply_low_words(Bits<double> a, Bits<double> b) {
  return {_mm512_mul_epu32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> interleave_low(Bits<double> a, Bits<double> b) {
  return {_mm512_unpacklo_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> interleave_high(Bits<double> a, Bits<double> b) {
  return {_mm512_unpackhi_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> as_words(Bits<double> a) { return {a.value}; }

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
