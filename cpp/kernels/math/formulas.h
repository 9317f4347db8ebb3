// The formula of every elementwise opcode of ops.def, over vectors. Those that integers have too
// take any Vector; the others are for floating types only.
#pragma once

#include "kernels/math/power.h"
#include "kernels/math/transcendental.h"
#include "kernels/math/trigonometric.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::formulas {

template <typename T>
concept Floating = !is_integer<T>;

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
  return select(x > zero, broadcast(T(1)), select(x < zero, broadcast(T(-1)), x));  // 0 and NaN
}
template <Floating T>
CHAINRULE_INLINE Vector<T> heaviside(Vector<T> x) {
  return truth(x > broadcast(T(0)));
}

template <Floating T>
CHAINRULE_INLINE Vector<T> exp(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::exp(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> log(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::log(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> log1p(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::log1p(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> expm1(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::expm1(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> sqrt(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::sqrt(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> sin(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::sin(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> cos(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::cos(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> asinh(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::asinh(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> tanh(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::tanh(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> sigmoid(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::sigmoid(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> relu(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::greater(broadcast(T(0)), x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> softplus(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::softplus(x);
}
template <Floating T>
CHAINRULE_INLINE Vector<T> erf(Vector<T> x) {
  return CHAINRULE_INSTRUCTION_SET::erf(x);
}
template <typename T>
CHAINRULE_INLINE Vector<T> copy(Vector<T> x) {
  return x;
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::formulas
