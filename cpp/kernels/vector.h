// Vector<Scalar>: one SIMD register of the instruction set that this compilation targets.
#pragma once

#if defined(__AVX512F__) || defined(__AVX2__) || defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#elif defined(__aarch64__) || defined(_M_ARM64)
#include <arm_neon.h>
#endif

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename Scalar>
struct Vector;

#if defined(__AVX512F__)

inline constexpr int vector_registers = 32;

template <>
struct Vector<float> {
  static constexpr int lanes = 16;
  __m512 value;
  static Vector broadcast(float x) { return {_mm512_set1_ps(x)}; }
  void store(float* to) const { _mm512_storeu_ps(to, value); }
};
inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return {_mm512_fmadd_ps(a.value, b.value, c.value)};
}

template <>
struct Vector<double> {
  static constexpr int lanes = 8;
  __m512d value;
  static Vector broadcast(double x) { return {_mm512_set1_pd(x)}; }
  void store(double* to) const { _mm512_storeu_pd(to, value); }
};
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return {_mm512_fmadd_pd(a.value, b.value, c.value)};
}

#elif defined(__AVX2__)

inline constexpr int vector_registers = 16;

template <>
struct Vector<float> {
  static constexpr int lanes = 8;
  __m256 value;
  static Vector broadcast(float x) { return {_mm256_set1_ps(x)}; }
  void store(float* to) const { _mm256_storeu_ps(to, value); }
};
inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return {_mm256_fmadd_ps(a.value, b.value, c.value)};
}

template <>
struct Vector<double> {
  static constexpr int lanes = 4;
  __m256d value;
  static Vector broadcast(double x) { return {_mm256_set1_pd(x)}; }
  void store(double* to) const { _mm256_storeu_pd(to, value); }
};
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return {_mm256_fmadd_pd(a.value, b.value, c.value)};
}

#elif defined(__x86_64__) || defined(_M_X64)

// SSE2 has no FMA: a product and a sum, each rounded.
inline constexpr int vector_registers = 16;

template <>
struct Vector<float> {
  static constexpr int lanes = 4;
  __m128 value;
  static Vector broadcast(float x) { return {_mm_set1_ps(x)}; }
  void store(float* to) const { _mm_storeu_ps(to, value); }
};
inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return {_mm_add_ps(_mm_mul_ps(a.value, b.value), c.value)};
}

template <>
struct Vector<double> {
  static constexpr int lanes = 2;
  __m128d value;
  static Vector broadcast(double x) { return {_mm_set1_pd(x)}; }
  void store(double* to) const { _mm_storeu_pd(to, value); }
};
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return {_mm_add_pd(_mm_mul_pd(a.value, b.value), c.value)};
}

#elif defined(__aarch64__) || defined(_M_ARM64)

inline constexpr int vector_registers = 32;

template <>
struct Vector<float> {
  static constexpr int lanes = 4;
  float32x4_t value;
  static Vector broadcast(float x) { return {vdupq_n_f32(x)}; }
  void store(float* to) const { vst1q_f32(to, value); }
};
inline Vector<float> multiply_add(Vector<float> a, Vector<float> b, Vector<float> c) {
  return {vfmaq_f32(c.value, a.value, b.value)};
}

template <>
struct Vector<double> {
  static constexpr int lanes = 2;
  float64x2_t value;
  static Vector broadcast(double x) { return {vdupq_n_f64(x)}; }
  void store(double* to) const { vst1q_f64(to, value); }
};
inline Vector<double> multiply_add(Vector<double> a, Vector<double> b, Vector<double> c) {
  return {vfmaq_f64(c.value, a.value, b.value)};
}

#else

// Any other processor: scalars, which are correct everywhere.
inline constexpr int vector_registers = 16;

template <typename Scalar>
struct Vector {
  static constexpr int lanes = 1;
  Scalar value;
  static Vector broadcast(Scalar x) { return {x}; }
  void store(Scalar* to) const { *to = value; }
};
template <typename Scalar>
inline Vector<Scalar> multiply_add(Vector<Scalar> a, Vector<Scalar> b, Vector<Scalar> c) {
  return {a.value * b.value + c.value};
}

#endif

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
