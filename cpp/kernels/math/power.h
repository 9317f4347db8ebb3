// a to the power b = e^(b log a). The rounding errors of b log a are errors of the result, so
// float32 is computed in double (within 0.501 ulp), and float64 with a logarithm of two doubles
// (within 1.1 ulp).
#pragma once

#include "kernels/math/transcendental.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// The sum of two doubles, the second at most half a unit in the last place of the first.
struct DoubleDouble {
  Vector<double> high, low;
};

// a + b exactly; of fast_sum |a| >= |b| or a = 0.
CHAINRULE_INLINE DoubleDouble exact_sum(Vector<double> a, Vector<double> b) {
  const auto sum = a + b;
  const auto part = sum - a;
  return {sum, (a - (sum - part)) + (b - part)};
}
CHAINRULE_INLINE DoubleDouble fast_sum(Vector<double> a, Vector<double> b) {
  const auto sum = a + b;
  return {sum, b - (sum - a)};
}

// a * b exactly: without FMA from halves of 26 bits (Dekker 1971).
CHAINRULE_INLINE DoubleDouble exact_product(Vector<double> a, Vector<double> b) {
  const auto product = a * b;
  if constexpr (has_fma) {
    return {product, multiply_add(a, b, -product)};
  } else {
    const auto splitter = broadcast(0x1p27 + 1);
    const auto split_a = a * splitter, split_b = b * splitter;
    const auto high_a = split_a - (split_a - a), high_b = split_b - (split_b - b);
    const auto low_a = a - high_a, low_b = b - high_b;
    return {product,
            ((high_a * high_b - product) + high_a * low_b + low_a * high_b) + low_a * low_b};
  }
}
CHAINRULE_INLINE DoubleDouble product(DoubleDouble a, DoubleDouble b) {
  const auto [high, low] = exact_product(a.high, b.high);
  return fast_sum(high, low + (a.high * b.low + a.low * b.high));
}

// log x of positive finite x to about 2^-65 of itself: log m = 2 s + s^3 (2/3 + s^2 p(s^2)).
inline constexpr double double_log_coefficients[] = {
    0.40000000000000002, 0.28571428571428564, 0.22222222222228524,
    0.18181818179630302, 0.15384615764868062, 0.13333296255972202,
    0.1176682471979168,  0.10456076050137503, 0.10764632078126314,
};
CHAINRULE_INLINE DoubleDouble double_log(Vector<double> x) {
  const auto one = broadcast(1.0);
  const auto [e, m] = log_reduce(x);
  const auto numerator = m - one;
  const auto denominator = exact_sum(one, m);
  const auto quotient = numerator / denominator.high;
  const auto back = exact_product(quotient, denominator.high);
  const auto rest = ((numerator - back.high) - back.low) - quotient * denominator.low;
  const DoubleDouble s = fast_sum(quotient, rest / denominator.high);
  const DoubleDouble z = product(s, s);
  const auto tail = z.high * polynomial(z.high, double_log_coefficients);
  DoubleDouble factor = fast_sum(broadcast(0.66666666666666663), tail);
  factor.low = factor.low + broadcast(3.700743415417188e-17);
  const DoubleDouble cubic = product(product(s, z), factor);
  const DoubleDouble low_part = exact_product(e, broadcast(Float<double>::ln2_low));
  const auto first = exact_sum(e * broadcast(Float<double>::ln2_high), s.high + s.high);
  const auto second = exact_sum(first.high, cubic.high);
  const auto third = exact_sum(second.high, low_part.high);
  const auto low =
      (first.low + second.low + third.low) + (s.low + s.low + cubic.low + low_part.low);
  return fast_sum(third.high, low);
}

// e^(b log a) for positive finite a and |b| <= 2^64.
CHAINRULE_INLINE Vector<double> power_of_positive(Vector<double> a, Vector<double> b) {
  const auto logarithm = double_log(a);
  const auto [high, error] = exact_product(b, logarithm.high);
  const auto low = multiply_add(b, logarithm.low, error);
  const auto [n, r] = exp_reduce(exp_clamp(high));
  // Where the result is 0 or infinite, `low` may be large.
  const auto rest = r + select_or_zero(abs(high) < broadcast(800.0), low);
  const auto p = polynomial(rest, ExpCoefficients<double>::p);
  return times_power_of_two(multiply_add(rest * rest, p, rest) + broadcast(1.0), n);
}
CHAINRULE_INLINE Vector<float> power_of_positive(Vector<float> a, Vector<float> b) {
  return narrow(exp(widen_low(b) * log(widen_low(a))), exp(widen_high(b) * log(widen_high(a))));
}

// Whether x, not negative, is a whole number; false for NaN.
template <typename T>
CHAINRULE_INLINE Mask<T> is_whole(Vector<T> x) {
  const auto unit = broadcast(is_float32<T> ? T(0x1p23) : T(0x1p52));
  return (x >= unit) | ((x + unit) - unit == x);
}

template <typename T>
CHAINRULE_INLINE Vector<T> power(Vector<T> a, Vector<T> b) {
  const auto zero = broadcast(T(0)), one = broadcast(T(1));
  const auto infinity = broadcast(Float<T>::infinity);
  const auto base = abs(a);
  const auto bound = broadcast(T(0x1p64));  // beyond, the result is 0, 1 or infinite
  auto result = power_of_positive(base, lesser(bound, greater(-bound, b)));
  const auto growing = b > zero;
  result = select(base == zero, select(growing, zero, infinity), result);
  result = select(base == infinity, select(growing, infinity, zero), result);
  // Negative bases: whole exponents only, of which odd ones keep the sign.
  const auto size = abs(b);
  const auto whole = is_whole(size);
  const auto odd = whole & !is_whole(size * broadcast(T(0.5)));
  const auto sign = select_or_zero(odd, a);
  result = copy_sign(result, sign);
  result = select((a < zero) & (base < infinity) & !whole, infinity - infinity, result);
  result = select(a != a, a, select(b != b, b, result));
  return select((b == zero) | (a == one), one, result);
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
