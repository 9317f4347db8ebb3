// NEON, the baseline of 64-bit ARM: vectors of 128 bits with FMA. See vector.h.
#pragma once

#include <arm_neon.h>

#include "kernels/simd/vector_scalar.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

inline constexpr int vector_registers = 32;
inline constexpr bool has_fma = true;

template <>
struct Mask<float> {
  uint32x4_t value;
};
CHAINRULE_INLINE Mask<float> operator&(Mask<float> a, Mask<float> b) {
  return {vandq_u32(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator|(Mask<float> a, Mask<float> b) {
  return {vorrq_u32(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator!(Mask<float> a) { return {vmvnq_u32(a.value)}; }
CHAINRULE_INLINE unsigned lane_bits(Mask<float> a) {
  const uint32x4_t weights = {1, 2, 4, 8};
  return vaddvq_u32(vandq_u32(a.value, weights));
}

template <>
struct Bits<float> {
  uint32x4_t value;
  static CHAINRULE_INLINE Bits<float> broadcast(std::uint32_t x) { return {vdupq_n_u32(x)}; }
  static CHAINRULE_INLINE Bits<float> load(const std::uint32_t* from) { return {vld1q_u32(from)}; }
  CHAINRULE_INLINE void store(std::uint32_t* to) const { vst1q_u32(to, value); }
};
CHAINRULE_INLINE Bits<float> operator+(Bits<float> a, Bits<float> b) {
  return {vaddq_u32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator-(Bits<float> a, Bits<float> b) {
  return {vsubq_u32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator&(Bits<float> a, Bits<float> b) {
  return {vandq_u32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator|(Bits<float> a, Bits<float> b) {
  return {vorrq_u32(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> operator^(Bits<float> a, Bits<float> b) {
  return {veorq_u32(a.value, b.value)};
}
template <int n>
CHAINRULE_INLINE Bits<float> shift_left(Bits<float> a) {
  return {vshlq_n_u32(a.value, n)};
}
template <int n>
CHAINRULE_INLINE Bits<float> shift_right(Bits<float> a) {
  return {vshrq_n_u32(a.value, n)};
}

template <>
struct Vector<float> {
  static constexpr int lanes = 4;
  float32x4_t value;
  static CHAINRULE_INLINE Vector<float> broadcast(float x) { return {vdupq_n_f32(x)}; }
  static CHAINRULE_INLINE Vector<float> load(const float* from) { return {vld1q_f32(from)}; }
  static CHAINRULE_INLINE Vector<float> load_partial(const float* from, std::int64_t count) {
    float lane[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) lane[i] = from[i];
    return load(lane);
  }
  CHAINRULE_INLINE void store(float* to) const { vst1q_f32(to, value); }
  CHAINRULE_INLINE void store_partial(float* to, std::int64_t count) const {
    float lane[lanes];
    store(lane);
    for (std::int64_t i = 0; i < count; ++i) to[i] = lane[i];
  }
};
CHAINRULE_INLINE Mask<float> first_lanes(Vector<float>, std::int64_t count) {
  const uint32x4_t index = {0, 1, 2, 3};
  return {vcltq_u32(index, vdupq_n_u32(static_cast<std::uint32_t>(count)))};
}

CHAINRULE_INLINE Vector<float> operator+(Vector<float> a, Vector<float> b) {
  return {vaddq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator-(Vector<float> a, Vector<float> b) {
  return {vsubq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator*(Vector<float> a, Vector<float> b) {
  return {vmulq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> operator/(Vector<float> a, Vector<float> b) {
  return {vdivq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return {vfmaq_f32(c.value, a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> negative_multiply_add(Vector<float> a, Vector<float> b,
                                                     Vector<float> c) {
  return {vfmsq_f32(c.value, a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> sqrt(Vector<float> a) { return {vsqrtq_f32(a.value)}; }
CHAINRULE_INLINE Vector<float> lesser(Vector<float> a, Vector<float> b) {
  return {vbslq_f32(vcltq_f32(a.value, b.value), a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> greater(Vector<float> a, Vector<float> b) {
  return {vbslq_f32(vcgtq_f32(a.value, b.value), a.value, b.value)};
}

CHAINRULE_INLINE Mask<float> operator==(Vector<float> a, Vector<float> b) {
  return {vceqq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator!=(Vector<float> a, Vector<float> b) { return !(a == b); }
CHAINRULE_INLINE Mask<float> operator<(Vector<float> a, Vector<float> b) {
  return {vcltq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator<=(Vector<float> a, Vector<float> b) {
  return {vcleq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator>(Vector<float> a, Vector<float> b) {
  return {vcgtq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Mask<float> operator>=(Vector<float> a, Vector<float> b) {
  return {vcgeq_f32(a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> select(Mask<float> mask, Vector<float> a, Vector<float> b) {
  return {vbslq_f32(mask.value, a.value, b.value)};
}
CHAINRULE_INLINE Vector<float> select_or_zero(Mask<float> mask, Vector<float> a) {
  return {vreinterpretq_f32_u32(vandq_u32(mask.value, vreinterpretq_u32_f32(a.value)))};
}

CHAINRULE_INLINE Bits<float> to_bits(Vector<float> a) { return {vreinterpretq_u32_f32(a.value)}; }
CHAINRULE_INLINE Vector<float> from_bits(Bits<float> a) { return {vreinterpretq_f32_u32(a.value)}; }

template <int distance>
CHAINRULE_INLINE Vector<float> swap_lanes(Vector<float> a) {
  if constexpr (distance == 2) {
    return {vextq_f32(a.value, a.value, 2)};
  } else {
    static_assert(distance == 1);
    return {vrev64q_f32(a.value)};
  }
}

template <>
struct Mask<double> {
  uint64x2_t value;
};
CHAINRULE_INLINE Mask<double> operator&(Mask<double> a, Mask<double> b) {
  return {vandq_u64(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator|(Mask<double> a, Mask<double> b) {
  return {vorrq_u64(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator!(Mask<double> a) {
  return {vreinterpretq_u64_u32(vmvnq_u32(vreinterpretq_u32_u64(a.value)))};
}
CHAINRULE_INLINE unsigned lane_bits(Mask<double> a) {
  const uint64x2_t weights = {1, 2};
  return static_cast<unsigned>(vaddvq_u64(vandq_u64(a.value, weights)));
}

template <>
struct Bits<double> {
  uint64x2_t value;
  static CHAINRULE_INLINE Bits<double> broadcast(std::uint64_t x) { return {vdupq_n_u64(x)}; }
  static CHAINRULE_INLINE Bits<double> load(const std::uint64_t* from) { return {vld1q_u64(from)}; }
  CHAINRULE_INLINE void store(std::uint64_t* to) const { vst1q_u64(to, value); }
};
CHAINRULE_INLINE Bits<double> operator+(Bits<double> a, Bits<double> b) {
  return {vaddq_u64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator-(Bits<double> a, Bits<double> b) {
  return {vsubq_u64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator&(Bits<double> a, Bits<double> b) {
  return {vandq_u64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator|(Bits<double> a, Bits<double> b) {
  return {vorrq_u64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> operator^(Bits<double> a, Bits<double> b) {
  return {veorq_u64(a.value, b.value)};
}
template <int n>
CHAINRULE_INLINE Bits<double> shift_left(Bits<double> a) {
  return {vshlq_n_u64(a.value, n)};
}
template <int n>
CHAINRULE_INLINE Bits<double> shift_right(Bits<double> a) {
  return {vshrq_n_u64(a.value, n)};
}

template <>
struct Vector<double> {
  static constexpr int lanes = 2;
  float64x2_t value;
  static CHAINRULE_INLINE Vector<double> broadcast(double x) { return {vdupq_n_f64(x)}; }
  static CHAINRULE_INLINE Vector<double> load(const double* from) { return {vld1q_f64(from)}; }
  static CHAINRULE_INLINE Vector<double> load_partial(const double* from, std::int64_t count) {
    double lane[lanes] = {};
    for (std::int64_t i = 0; i < count; ++i) lane[i] = from[i];
    return load(lane);
  }
  CHAINRULE_INLINE void store(double* to) const { vst1q_f64(to, value); }
  CHAINRULE_INLINE void store_partial(double* to, std::int64_t count) const {
    double lane[lanes];
    store(lane);
    for (std::int64_t i = 0; i < count; ++i) to[i] = lane[i];
  }
};
CHAINRULE_INLINE Mask<double> first_lanes(Vector<double>, std::int64_t count) {
  const uint64x2_t index = {0, 1};
  return {vcltq_u64(index, vdupq_n_u64(static_cast<std::uint64_t>(count)))};
}

CHAINRULE_INLINE Vector<double> operator+(Vector<double> a, Vector<double> b) {
  return {vaddq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator-(Vector<double> a, Vector<double> b) {
  return {vsubq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator*(Vector<double> a, Vector<double> b) {
  return {vmulq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> operator/(Vector<double> a, Vector<double> b) {
  return {vdivq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return {vfmaq_f64(c.value, a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> negative_multiply_add(Vector<double> a, Vector<double> b,
                                                      Vector<double> c) {
  return {vfmsq_f64(c.value, a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> sqrt(Vector<double> a) { return {vsqrtq_f64(a.value)}; }
CHAINRULE_INLINE Vector<double> lesser(Vector<double> a, Vector<double> b) {
  return {vbslq_f64(vcltq_f64(a.value, b.value), a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> greater(Vector<double> a, Vector<double> b) {
  return {vbslq_f64(vcgtq_f64(a.value, b.value), a.value, b.value)};
}

CHAINRULE_INLINE Mask<double> operator==(Vector<double> a, Vector<double> b) {
  return {vceqq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator!=(Vector<double> a, Vector<double> b) { return !(a == b); }
CHAINRULE_INLINE Mask<double> operator<(Vector<double> a, Vector<double> b) {
  return {vcltq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator<=(Vector<double> a, Vector<double> b) {
  return {vcleq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator>(Vector<double> a, Vector<double> b) {
  return {vcgtq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Mask<double> operator>=(Vector<double> a, Vector<double> b) {
  return {vcgeq_f64(a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> select(Mask<double> mask, Vector<double> a, Vector<double> b) {
  return {vbslq_f64(mask.value, a.value, b.value)};
}
CHAINRULE_INLINE Vector<double> select_or_zero(Mask<double> mask, Vector<double> a) {
  return {vreinterpretq_f64_u64(vandq_u64(mask.value, vreinterpretq_u64_f64(a.value)))};
}

CHAINRULE_INLINE Bits<double> to_bits(Vector<double> a) { return {vreinterpretq_u64_f64(a.value)}; }
CHAINRULE_INLINE Vector<double> from_bits(Bits<double> a) {
  return {vreinterpretq_f64_u64(a.value)};
}

template <int distance>
CHAINRULE_INLINE Vector<double> swap_lanes(Vector<double> a) {
  static_assert(distance == 1);
  return {vextq_f64(a.value, a.value, 1)};
}

CHAINRULE_INLINE Vector<double> widen_low(Vector<float> a) {
  return {vcvt_f64_f32(vget_low_f32(a.value))};
}
CHAINRULE_INLINE Vector<double> widen_high(Vector<float> a) { return {vcvt_high_f64_f32(a.value)}; }
CHAINRULE_INLINE Vector<float> narrow(Vector<double> low, Vector<double> high) {
  return {vcvt_high_f32_f64(vcvt_f32_f64(low.value), high.value)};
}
CHAINRULE_INLINE Vector<float> from_int32(Bits<float> a) {
  return {vcvtq_f32_s32(vreinterpretq_s32_u32(a.value))};
}

CHAINRULE_INLINE Bits<double> multiply_low_words(Bits<double> a, Bits<double> b) {
  return {vmull_u32(vmovn_u64(a.value), vmovn_u64(b.value))};
}
CHAINRULE_INLINE Bits<double> interleave_low(Bits<double> a, Bits<double> b) {
  return {vzip1q_u64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<double> interleave_high(Bits<double> a, Bits<double> b) {
  return {vzip2q_u64(a.value, b.value)};
}
CHAINRULE_INLINE Bits<float> as_words(Bits<double> a) { return {vreinterpretq_u32_u64(a.value)}; }

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
