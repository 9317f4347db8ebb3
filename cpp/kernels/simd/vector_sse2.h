// SSE2, the baseline of x86-64: vectors of 128 bits, no FMA (a product and a sum, each rounded).
// See vector.h.
#pragma once

#include <immintrin.h>

#include "kernels/simd/vector_scalar.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

inline constexpr int vector_registers = 16;
inline constexpr bool has_fma = false;

template <>
struct Mask<float> {
  __m128 value;
};
CHAINRULE_INLINE Mask<float> operator&(Mask<float> a, Mask<float> b) {
  return {_mm_and_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator|(Mask<float> a, Mask<float> b) {
  return {_mm_or_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator!(Mask<float> a) {
  return {_mm_xor_ps(a.value, _mm_castsi128_ps(_mm_set1_epi32(-1)))};
}
CHAINRULE_INLINE unsigned lane_bits(Mask<float> a) {
  return static_cast<unsigned>(_mm_movemask_ps(a.value));
}

template <>
struct Bits<float> {
  __m128i value;
  static CHAINRULE_INLINE Bits<float> broadcast(std::uint32_t x) {
    return {_mm_set1_epi32(static_cast<int>(x))};
  }
  static CHAINRULE_INLINE Bits<float> load(const std::uint32_t* from) {
    return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))};
  }
  CHAINRULE_INLINE void store(std::uint32_t* to) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }
};
CHAINRULE_INLINE Bits<float> operator+(Bits<float> a, Bits<float> b) {
  return {_mm_add_epi32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator-(Bits<float> a, Bits<float> b) {
  return {_mm_sub_epi32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator&(Bits<float> a, Bits<float> b) {
  return {_mm_and_si128(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator|(Bits<float> a, Bits<float> b) {
  return {_mm_or_si128(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator^(Bits<float> a, Bits<float> b) {
  return {_mm_xor_si128(a.value, b.value)};
}
template <int n>
CHAINRULE_INLINE Bits<float> shift_left(Bits<float> a) {
  return {_mm_slli_epi32(a.value, n)};
}
template <int n>
CHAINRULE_INLINE Bits<float> shift_right(Bits<float> a) {
  return {_mm_srli_epi32(a.value, n)};
}

template <>
struct Vector<float> {
  static constexpr int lanes = 4;
  __m128 value;
  static CHAINRULE_INLINE Vector<float> broadcast(float x) { return {_mm_set1_ps(x)}; }
  static CHAINRULE_INLINE Vector<float> load(const float* from) { return {_mm_loadu_ps(from)}; }
  static CHAINRULE_INLINE Vector<float> load_partial(const float* from, std::int64_t count) {
    switch (count) {
      case 1:
        return {_mm_set_ps(0, 0, 0, from[0])};
      case 2:
        return {_mm_set_ps(0, 0, from[1], from[0])};
      case 3:
        return {_mm_set_ps(0, from[2], from[1], from[0])};
      default:
        return load(from);
    }
  }
  CHAINRULE_INLINE void store(float* to) const { _mm_storeu_ps(to, value); }
  CHAINRULE_INLINE void store_partial(float* to, std::int64_t count) const {
    alignas(16) float lane[lanes];
    _mm_store_ps(lane, value);
    for (std::int64_t i = 0; i < count; ++i) to[i] = lane[i];
  }
};
CHAINRULE_INLINE Mask<float> first_lanes(Vector<float>, std::int64_t count) {
  return {_mm_castsi128_ps(
      _mm_cmpgt_epi32(_mm_set1_epi32(static_cast<int>(count)), _mm_setr_epi32(0, 1, 2, 3)))};
}

CHAINRULE_INLINE Vector<float> operator+(Vector<float> a, Vector<float> b) {
  return {_mm_add_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator-(Vector<float> a, Vector<float> b) {
  return {_mm_sub_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator*(Vector<float> a, Vector<float> b) {
  return {_mm_mul_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator/(Vector<float> a, Vector<float> b) {
  return {_mm_div_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return a * b + c;
}
CHAINRULE_INLINE Vector<float> negative_multiply_add(Vector<float> a, Vector<float> b,
                                                     Vector<float> c) {
  return c - a * b;
}
CHAINRULE_INLINE Vector<float> sqrt(Vector<float> a) { return {_mm_sqrt_ps(a.value)}; }
CHAINRULE_INLINE Vector<float> lesser(Vector<float> a, Vector<float> b) {
  return {_mm_min_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> greater(Vector<float> a, Vector<float> b) {
  return {_mm_max_ps(a.value, b.value)};
}

CHAINRULE_INLINE Mask<float> operator==(Vector<float> a, Vector<float> b) {
  return {_mm_cmpeq_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator!=(Vector<float> a, Vector<float> b) {
  return {_mm_cmpneq_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator<(Vector<float> a, Vector<float> b) {
  return {_mm_cmplt_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator<=(Vector<float> a, Vector<float> b) {
  return {_mm_cmple_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator>(Vector<float> a, Vector<float> b) {
  return {_mm_cmpgt_ps(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator>=(Vector<float> a, Vector<float> b) {
  return {_mm_cmpge_ps(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> select(Mask<float> mask, Vector<float> a, Vector<float> b) {
  return {_mm_or_ps(_mm_and_ps(mask.value, a.value), _mm_andnot_ps(mask.value, b.value))};
}
CHAINRULE_INLINE Vector<float> select_or_zero(Mask<float> mask, Vector<float> a) {
  return {_mm_and_ps(mask.value, a.value)};
}

CHAINRULE_INLINE Bits<float> to_bits(Vector<float> a) { return {_mm_castps_si128(a.value)}; }
CHAINRULE_INLINE Vector<float> from_bits(Bits<float> a) { return {_mm_castsi128_ps(a.value)}; }

template <int distance>
CHAINRULE_INLINE Vector<float> swap_lanes(Vector<float> a) {
  if constexpr (distance == 2) {
    return {_mm_shuffle_ps(a.value, a.value, 0x4E)};
  } else {
    static_assert(distance == 1);
    return {_mm_shuffle_ps(a.value, a.value, 0xB1)};
  }
}

template <>
struct Mask<double> {
  __m128d value;
};
CHAINRULE_INLINE Mask<double> operator&(Mask<double> a, Mask<double> b) {
  return {_mm_and_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator|(Mask<double> a, Mask<double> b) {
  return {_mm_or_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator!(Mask<double> a) {
  return {_mm_xor_pd(a.value, _mm_castsi128_pd(_mm_set1_epi32(-1)))};
}
CHAINRULE_INLINE unsigned lane_bits(Mask<double> a) {
  return static_cast<unsigned>(_mm_movemask_pd(a.value));
}

template <>
struct Bits<double> {
  __m128i value;
  static CHAINRULE_INLINE Bits<double> broadcast(std::uint64_t x) {
    return {_mm_set1_epi64x(static_cast<long long>(x))};
  }
  static CHAINRULE_INLINE Bits<double> load(const std::uint64_t* from) {
    return {_mm_loadu_si128(reinterpret_cast<const __m128i*>(from))};
  }
  CHAINRULE_INLINE void store(std::uint64_t* to) const {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(to), value);
  }
};
CHAINRULE_INLINE Bits<double> operator+(Bits<double> a, Bits<double> b) {
  return {_mm_add_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator-(Bits<double> a, Bits<double> b) {
  return {_mm_sub_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator&(Bits<double> a, Bits<double> b) {
  return {_mm_and_si128(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator|(Bits<double> a, Bits<double> b) {
  return {_mm_or_si128(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator^(Bits<double> a, Bits<double> b) {
  return {_mm_xor_si128(a.value, b.value)};
}
template <int n>
CHAINRULE_INLINE Bits<double> shift_left(Bits<double> a) {
  return {_mm_slli_epi64(a.value, n)};
}
template <int n>
CHAINRULE_INLINE Bits<double> shift_right(Bits<double> a) {
  return {_mm_srli_epi64(a.value, n)};
}

template <>
struct Vector<double> {
  static constexpr int lanes = 2;
  __m128d value;
  static CHAINRULE_INLINE Vector<double> broadcast(double x) { return {_mm_set1_pd(x)}; }
  static CHAINRULE_INLINE Vector<double> load(const double* from) { return {_mm_loadu_pd(from)}; }
  static CHAINRULE_INLINE Vector<double> load_partial(const double* from, std::int64_t count) {
    return {count == 1 ? _mm_load_sd(from) : _mm_loadu_pd(from)};
  }
  CHAINRULE_INLINE void store(double* to) const { _mm_storeu_pd(to, value); }
  CHAINRULE_INLINE void store_partial(double* to, std::int64_t count) const {
    if (count == 1) {
      _mm_store_sd(to, value);
    } else {
      _mm_storeu_pd(to, value);
    }
  }
};
CHAINRULE_INLINE Mask<double> first_lanes(Vector<double>, std::int64_t count) {
  const int low = -(count > 0), high = -(count > 1);
  return {_mm_castsi128_pd(_mm_setr_epi32(low, low, high, high))};
}

CHAINRULE_INLINE Vector<double> operator+(Vector<double> a, Vector<double> b) {
  return {_mm_add_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator-(Vector<double> a, Vector<double> b) {
  return {_mm_sub_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator*(Vector<double> a, Vector<double> b) {
  return {_mm_mul_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator/(Vector<double> a, Vector<double> b) {
  return {_mm_div_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return a * b + c;
}
CHAINRULE_INLINE Vector<double> negative_multiply_add(Vector<double> a, Vector<double> b,
                                                      Vector<double> c) {
  return c - a * b;
}
CHAINRULE_INLINE Vector<double> sqrt(Vector<double> a) { return {_mm_sqrt_pd(a.value)}; }
CHAINRULE_INLINE Vector<double> lesser(Vector<double> a, Vector<double> b) {
  return {_mm_min_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> greater(Vector<double> a, Vector<double> b) {
  return {_mm_max_pd(a.value, b.value)};
}

CHAINRULE_INLINE Mask<double> operator==(Vector<double> a, Vector<double> b) {
  return {_mm_cmpeq_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator!=(Vector<double> a, Vector<double> b) {
  return {_mm_cmpneq_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator<(Vector<double> a, Vector<double> b) {
  return {_mm_cmplt_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator<=(Vector<double> a, Vector<double> b) {
  return {_mm_cmple_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator>(Vector<double> a, Vector<double> b) {
  return {_mm_cmpgt_pd(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator>=(Vector<double> a, Vector<double> b) {
  return {_mm_cmpge_pd(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> select(Mask<double> mask, Vector<double> a, Vector<double> b) {
  return {_mm_or_pd(_mm_and_pd(mask.value, a.value), _mm_andnot_pd(mask.value, b.value))};
}
CHAINRULE_INLINE Vector<double> select_or_zero(Mask<double> mask, Vector<double> a) {
  return {_mm_and_pd(mask.value, a.value)};
}

CHAINRULE_INLINE Bits<double> to_bits(Vector<double> a) { return {_mm_castpd_si128(a.value)}; }
CHAINRULE_INLINE Vector<double> from_bits(Bits<double> a) { return {_mm_castsi128_pd(a.value)}; }

template <int distance>
CHAINRULE_INLINE Vector<double> swap_lanes(Vector<double> a) {
  static_assert(distance == 1);
  return {_mm_shuffle_pd(a.value, a.value, 1)};
}

CHAINRULE_INLINE Vector<double> widen_low(Vector<float> a) { return {_mm_cvtps_pd(a.value)}; }
CHAINRULE_INLINE Vector<double> widen_high(Vector<float> a) {
  return {_mm_cvtps_pd(_mm_movehl_ps(a.value, a.value))};
}
CHAINRULE_INLINE Vector<float> narrow(Vector<double> low, Vector<double> high) {
  return {_mm_movelh_ps(_mm_cvtpd_ps(low.value), _mm_cvtpd_ps(high.value))};
}
CHAINRULE_INLINE Vector<float> from_int32(Bits<float> a) { return {_mm_cvtepi32_ps(a.value)}; }

CHAINRULE_INLINE Bits<double> multiply_low_words(Bits<double> a, Bits<double> b) {
  return {_mm_mul_epu32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> interleave_low(Bits<double> a, Bits<double> b) {
  return {_mm_unpacklo_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> interleave_high(Bits<double> a, Bits<double> b) {
  return {_mm_unpackhi_epi64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> as_words(Bits<double> a) { return {a.value}; }

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
