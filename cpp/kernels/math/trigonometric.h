// sin and cos: x = n pi/2 + r with |r| <= pi/4, then a polynomial in r^2. The r of a float is found
// in double. Float32 is within 1.6 ulp, float64 within 0.81. Beyond `reducible` each element is
// the C library's.
#pragma once

#include "kernels/math/transcendental.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// pi/2 as a sum: products of the first three with whole numbers below 2^20 are exact.
inline constexpr double half_pi[] = {0x1.921fb544p+0, 0x1.0b4611a6p-34, 0x1.3198a2ep-69,
                                     0x1.b839a252049c1p-104};
inline constexpr double reducible = 0x1p19;

// sin(r) = r + r^3 p(r^2), cos(r) = 1 - r^2 / 2 + r^4 q(r^2).
inline constexpr double sin_coefficients[] = {
    -0.16666666666666666,   0.0083333333333309272,   -0.00019841269836724877,
    2.7557316084930363e-06, -2.5051128149984701e-08, 1.5917861853805866e-10,
};
inline constexpr double cos_coefficients[] = {
    0.041666666666666664,    -0.0013888888888887382, 2.4801587298744435e-05,
    -2.7557317260628172e-07, 2.0876143942503467e-09, -1.1382464188417552e-11,
};

// The same for floats; their n is rounded in float32, and |r| <= pi/4 + 0.02.
inline constexpr float sin_coefficients_of_float[] = {-0.16666652f, 0.008332036f, -0.00019498495f};
inline constexpr float cos_coefficients_of_float[] = {0.04166664f, -0.0013887148f, 2.4413966e-05f};

struct Angle {
  Vector<double> high, low;  // r = high + low
  Bits<double> quadrant;     // n in the low bits
};

// a - b and what its rounding lost.
struct Difference {
  Vector<double> value, error;
};
CHAINRULE_INLINE Difference exact_difference(Vector<double> a, Vector<double> b) {
  const auto value = a - b;
  const auto part = value - a;
  return {value, (a - (value - part)) - (b + part)};
}

CHAINRULE_INLINE Angle reduce_angle(Vector<double> x) {
  const auto whole = broadcast(Float<double>::whole);
  const auto shifted = multiply_add(x, broadcast(0.63661977236758134), whole);
  const auto n = shifted - whole;
  const auto r = x - n * broadcast(half_pi[0]);
  const auto second = exact_difference(r, n * broadcast(half_pi[1]));
  const auto third = exact_difference(second.value, n * broadcast(half_pi[2]));
  const auto low = (second.error + third.error) - n * broadcast(half_pi[3]);
  const auto high = third.value + low;
  return {high, low - (high - third.value), to_bits(shifted)};
}

// The sine, the cosine or minus one of them, by the low bits of the number of quarter turns.
template <typename T>
CHAINRULE_INLINE Vector<T> by_quadrant(Vector<T> sine, Vector<T> cosine, Bits<T> quadrant) {
  using B = Bits<T>;
  constexpr int top = 8 * sizeof(T) - 2;
  const auto odd = from_bits(shift_left<top>(quadrant & B::broadcast(1)));  // 2 or 0
  const auto sign = shift_left<top>(quadrant & B::broadcast(2));
  return from_bits(to_bits(select(odd != broadcast(T(0)), cosine, sine)) ^ sign);
}

// sin(x + quarter_turns * pi/2) for |x| <= reducible.
template <int quarter_turns>
CHAINRULE_INLINE Vector<double> sin_reducible(Vector<double> x) {
  const auto [r, low, n] = reduce_angle(x);
  const auto one = broadcast(1.0), half = broadcast(0.5);
  const auto z = r * r;
  const auto half_z = half * z;
  const auto sine = r + multiply_add(z * r, polynomial(z, sin_coefficients), low * (one - half_z));
  const auto w = one - half_z;
  const auto cosine =
      w + (((one - w) - half_z) + (z * z * polynomial(z, cos_coefficients) - r * low));
  return by_quadrant(sine, cosine, n + Bits<double>::broadcast(quarter_turns));
}

// x - n pi/2: a double's 53 bits are plenty of it.
CHAINRULE_INLINE Vector<double> rest_of_angle(Vector<double> x, Vector<double> n) {
  return (x - n * broadcast(half_pi[0])) - n * broadcast(half_pi[1]);
}

template <int quarter_turns, typename T>
  requires(is_float32<T>)
CHAINRULE_INLINE Vector<T> sin_reducible(Vector<T> x) {
  const auto whole = broadcast(Float<T>::whole), one = broadcast(T(1));
  const auto shifted = multiply_add(x, broadcast(T(0.63661977236758134)), whole);
  const auto n = shifted - whole;
  const auto r = narrow(rest_of_angle(widen_low(x), widen_low(n)),
                        rest_of_angle(widen_high(x), widen_high(n)));
  const auto z = r * r;
  const auto half_z = broadcast(T(0.5)) * z;
  const auto sine = multiply_add(z * r, polynomial(z, sin_coefficients_of_float), r);
  const auto w = one - half_z;
  const auto cosine =
      w + multiply_add(z * z, polynomial(z, cos_coefficients_of_float), (one - w) - half_z);
  return by_quadrant(sine, cosine, to_bits(shifted) + Bits<T>::broadcast(quarter_turns));
}

template <int quarter_turns, typename T>
Vector<T> sin_of_lanes(Vector<T> x, Vector<T> result, unsigned lanes) {
  T xs[Vector<T>::lanes], results[Vector<T>::lanes];
  x.store(xs);
  result.store(results);
  for (int i = 0; i < Vector<T>::lanes; ++i) {
    const double angle = static_cast<double>(xs[i]);
    if ((lanes >> i & 1u) != 0) {
      results[i] = static_cast<T>(quarter_turns == 0 ? ::sin(angle) : ::cos(angle));
    }
  }
  return Vector<T>::load(results);
}

template <int quarter_turns, typename T>
CHAINRULE_INLINE Vector<T> sin_shifted(Vector<T> x) {
  const auto result = sin_reducible<quarter_turns>(x);
  const auto size = abs(x);
  const auto large = (size > broadcast(T(reducible))) & (size < broadcast(Float<T>::infinity));
  if (any(large)) return sin_of_lanes<quarter_turns>(x, result, lane_bits(large));
  return result;
}

template <typename T>
CHAINRULE_INLINE Vector<T> sin(Vector<T> x) {
  return select(x == broadcast(T(0)), x, sin_shifted<0>(x));  // -0 too
}

template <typename T>
CHAINRULE_INLINE Vector<T> cos(Vector<T> x) {
  return sin_shifted<1>(x);
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
