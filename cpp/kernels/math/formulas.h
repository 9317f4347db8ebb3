// The formula of every elementwise opcode of ops.def, over vectors. Those that integers have too
// take any Vector; the others are for floating types only.
#pragma once

#include "kernels/math/normal.h"
#include "kernels/math/power.h"
#include "kernels/math/rounding.h"
#include "kernels/math/transcendental.h"
#include "kernels/math/trigonometric.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::formulas {

template <typename T>
concept Floating = !is_integer<T>;
template <typename T>
concept Integer = is_integer<T>;

template <typename T>
CHAINRULE_INLINE Vector<T> truth(Mask<T> mask) {
  return select_or_zero(mask, broadcast(T(1)));
}

template <typename T>
CHAINRULE_INLINE Vector<T> add(Vector<T> a, Vector<T> b) {
  return a + b;
}
template <typename T>
CHAINRULE_INLINE Vector<T> subtract(Vector<T> a, Vector<T> b) {
  return a - b;
}
template <typename T>
CHAINRULE_INLINE Vector<T> multiply(Vector<T> a, Vector<T> b) {
  return a * b;
}
template <Floating T>
CHAINRULE_INLINE Vector<T> divide(Vector<T> a, Vector<T> b) {
  return a / b;
}
template <Floating T>
CHAINRULE_INLINE Vector<T> power(Vector<T> a, Vector<T> b) {
  return CHAINRULE_INSTRUCTION_SET::power(a, b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> negative(Vector<T> x) {
  return -x;
}
template <Floating T>
CHAINRULE_INLINE Vector<T> multiply_add(Vector<T> a, Vector<T> b, Vector<T> c) {
  return CHAINRULE_INSTRUCTION_SET::multiply_add(a, b, c);
}

template <typename T>
CHAINRULE_INLINE Vector<T> equal(Vector<T> a, Vector<T> b) {
  return truth(a == b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> not_equal(Vector<T> a, Vector<T> b) {
  return truth(a != b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> less(Vector<T> a, Vector<T> b) {
  return truth(a < b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> less_equal(Vector<T> a, Vector<T> b) {
  return truth(a <= b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> greater(Vector<T> a, Vector<T> b) {
  return truth(a > b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> greater_equal(Vector<T> a, Vector<T> b) {
  return truth(a >= b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> where(Vector<T> condition, Vector<T> a, Vector<T> b) {
  return select(condition != broadcast(T(0)), a, b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> maximum(Vector<T> a, Vector<T> b) {
  return CHAINRULE_INSTRUCTION_SET::maximum(a, b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> minimum(Vector<T> a, Vector<T> b) {
  return CHAINRULE_INSTRUCTION_SET::minimum(a, b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> abs(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::abs(x);
}
template <typename T>
CHAINRULE_INLINE Vector<T> sign(Vector<T> x) {
  const auto zero = broadcast(T(0));
  // x + 0 is x for NaN, and 0 for -0.
  return select(x > zero, broadcast(T(1)), select(x < zero, broadcast(T(-1)), x + zero));
}
template <Floating T>
CHAINRULE_INLINE Vector<T> heaviside(Vector<T> x) {
  return truth(x > broadcast(T(0)));
}

template <Floating T>
CHAINRULE_INLINE Vector<T> copysign(Vector<T> a, Vector<T> b) {
  return copy_sign(CHAINRULE_INSTRUCTION_SET::abs(a), b);
}
template <typename T>
CHAINRULE_INLINE Vector<T> fmod(Vector<T> a, Vector<T> b) {
  return by_lanes(a, b, fmod_of<T>);
}
template <typename T>
CHAINRULE_INLINE Vector<T> remainder(Vector<T> a, Vector<T> b) {
  return by_lanes(a, b, remainder_of<T>);
}
template <typename T>
CHAINRULE_INLINE Vector<T> floor_divide(Vector<T> a, Vector<T> b) {
  return by_lanes(a, b, floor_divide_of<T>);
}

template <Integer T>
CHAINRULE_INLINE Vector<T> bitwise_and(Vector<T> a, Vector<T> b) {
  return {a.value & b.value};
}
template <Integer T>
CHAINRULE_INLINE Vector<T> bitwise_or(Vector<T> a, Vector<T> b) {
  return {a.value | b.value};
}
template <Integer T>
CHAINRULE_INLINE Vector<T> bitwise_xor(Vector<T> a, Vector<T> b) {
  return {a.value ^ b.value};
}
// Bits that are shifted out of all places are gone, as in NumPy.
template <Integer T>
CHAINRULE_INLINE Vector<T> left_shift(Vector<T> a, Vector<T> b) {
  const bool inside = static_cast<Word<T>>(b.value) < 8 * sizeof(T);
  return {inside ? static_cast<T>(static_cast<Word<T>>(a.value) << b.value) : T(0)};
}
template <Integer T>
CHAINRULE_INLINE Vector<T> right_shift(Vector<T> a, Vector<T> b) {
  const bool inside = static_cast<Word<T>>(b.value) < 8 * sizeof(T);
  return {inside ? a.value >> b.value : T(a.value < 0 ? -1 : 0)};
}

// The formulas that the vector function of the same name computes.
#define CHAINRULE_VECTOR_FUNCTION(name)          \
  template <Floating T>                          \
  CHAINRULE_INLINE Vector<T> name(Vector<T> x) { \
    return CHAINRULE_INSTRUCTION_SET::name(x);   \
  }
CHAINRULE_VECTOR_FUNCTION(floor)
CHAINRULE_VECTOR_FUNCTION(ceil)
CHAINRULE_VECTOR_FUNCTION(rint)
CHAINRULE_VECTOR_FUNCTION(trunc)
CHAINRULE_VECTOR_FUNCTION(exp)
CHAINRULE_VECTOR_FUNCTION(log)
CHAINRULE_VECTOR_FUNCTION(log1p)
CHAINRULE_VECTOR_FUNCTION(expm1)
CHAINRULE_VECTOR_FUNCTION(sqrt)
CHAINRULE_VECTOR_FUNCTION(sin)
CHAINRULE_VECTOR_FUNCTION(cos)
CHAINRULE_VECTOR_FUNCTION(asinh)
CHAINRULE_VECTOR_FUNCTION(tanh)
CHAINRULE_VECTOR_FUNCTION(sigmoid)
CHAINRULE_VECTOR_FUNCTION(softplus)
CHAINRULE_VECTOR_FUNCTION(tanh_softplus)
CHAINRULE_VECTOR_FUNCTION(erf)
CHAINRULE_VECTOR_FUNCTION(normal_cdf)
CHAINRULE_VECTOR_FUNCTION(normal_pdf)
CHAINRULE_VECTOR_FUNCTION(exp2)
CHAINRULE_VECTOR_FUNCTION(log2)
#undef CHAINRULE_VECTOR_FUNCTION

template <Floating T>
CHAINRULE_INLINE Vector<T> relu(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::greater(broadcast(T(0)), x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> logaddexp(Vector<T> a, Vector<T> b) {
  return CHAINRULE_INSTRUCTION_SET::logaddexp(a, b);
}
// At most 1.92 ulp in float32, 2.26 in float64.
template <Floating T>
CHAINRULE_INLINE Vector<T> tan(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::sin(x) / CHAINRULE_INSTRUCTION_SET::cos(x);
}

// The formulas that the C library computes, lane by lane.
#define CHAINRULE_LIBRARY_FUNCTION(name)         \
  template <Floating T>                          \
  CHAINRULE_INLINE Vector<T> name(Vector<T> x) { \
    return of_library<::name>(x);                \
  }
CHAINRULE_LIBRARY_FUNCTION(log10)
CHAINRULE_LIBRARY_FUNCTION(cbrt)
CHAINRULE_LIBRARY_FUNCTION(asin)
CHAINRULE_LIBRARY_FUNCTION(acos)
CHAINRULE_LIBRARY_FUNCTION(atan)
CHAINRULE_LIBRARY_FUNCTION(sinh)
CHAINRULE_LIBRARY_FUNCTION(cosh)
CHAINRULE_LIBRARY_FUNCTION(acosh)
CHAINRULE_LIBRARY_FUNCTION(atanh)
CHAINRULE_LIBRARY_FUNCTION(erfc)
#undef CHAINRULE_LIBRARY_FUNCTION

template <Floating T>
CHAINRULE_INLINE Vector<T> atan2(Vector<T> a, Vector<T> b) {
  return of_library<::atan2>(a, b);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> hypot(Vector<T> a, Vector<T> b) {
  return of_library<::hypot>(a, b);
}

template <typename T>
CHAINRULE_INLINE Vector<T> copy(Vector<T> x) {
  return x;
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::formulas
