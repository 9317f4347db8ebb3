// The standard normal distribution: its function and its density.
//
// Both need e^(-x^2/2), so that a chain of both (kernels/chains.h) computes it once. The upper tail
// is e^(-x^2/2) R(x), with a rational R: a minimax approximation for x in 0 ... `last`.
#pragma once

#include "kernels/math/transcendental.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename T>
struct NormalCoefficients;
template <>
struct NormalCoefficients<float> {
  static constexpr float p[] = {0.500000002f, 0.435687288f, 0.181307477f, 0.0399844136f,
                                0.0040202257f};
  static constexpr float q[] = {1.0f,         1.66925949f,  1.1944872f,
                                0.464382226f, 0.100233442f, 0.0100770682f};
  static constexpr float last = 13.2f;  // beyond, the density is less than any normal number
};
template <>
struct NormalCoefficients<double> {
  static constexpr double p[] = {
      0.49999999999999998,    0.77403979377406310,    0.59283854660352763,   0.28847052196011222,
      0.097312643555428178,   0.023504358083858591,   0.0040642541397508232, 0.00048679630581166046,
      3.6925582110660629e-05, 1.3710858256364910e-06,
  };
  static constexpr double q[] = {
      1.0,
      2.3459641483509821,
      2.5574856673736494,
      1.7104988184806187,
      0.77959924337490335,
      0.25392906839625273,
      0.060130032782177292,
      0.010280133038102960,
      0.0012236541868487436,
      9.2558708173420087e-05,
      3.4368024974978704e-06,
  };
  static constexpr double last = 37.64;
};

template <typename T>
struct SquareParts {
  Vector<T> high, low;
};
// x^2 as a sum: without FMA from the higher half of x's bits and what they lack.
template <typename T>
CHAINRULE_INLINE SquareParts<T> square_parts(Vector<T> x) {
  if constexpr (has_fma) {
    const auto square = x * x;
    return {square, multiply_add(x, x, -square)};
  } else {
    constexpr int lower = Float<T>::mantissa / 2 + 1;
    const auto high = from_bits(shift_left<lower>(shift_right<lower>(to_bits(x))));
    return {high * high, (x - high) * (x + high)};
  }
}

// |x|, at most `last`, and e^(-x^2/2), which is 0 beyond.
template <typename T>
struct NormalParts {
  Vector<T> size, exp;
};
template <typename T>
CHAINRULE_INLINE NormalParts<T> normal_parts(Vector<T> x) {
  const auto last = broadcast(NormalCoefficients<T>::last);
  const auto size = lesser(last, abs(x));
  const auto square = square_parts(size);
  const auto e = ExpScaled<T, -1>::of(square.high, square.low).value();
  return {size, select_or_zero(!(size == last), e)};
}

// e^(-x^2/2) / sqrt(2 pi). At most 2.15 ulp in float32, 2.3 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> normal_pdf(Vector<T> x) {
  return normal_parts(x).exp * broadcast(T(0.39894228040143268));
}

// The integral of the density up to x. At most 6.1 ulp in float32, 9.3 in float64, far below 0; 3.4
// and 3.3 where it is above 1/4.
template <typename T>
CHAINRULE_INLINE Vector<T> normal_cdf(Vector<T> x) {
  const auto [size, e] = normal_parts(x);
  const auto p = polynomial(size, NormalCoefficients<T>::p);
  const auto tail = e * (p / polynomial(size, NormalCoefficients<T>::q));
  return select(x < broadcast(T(0)), tail, broadcast(T(1)) - tail);
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
