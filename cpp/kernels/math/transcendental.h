// exp, log and their kin as polynomials over vectors.
//
// Beside each function stand its largest errors, in units in the last place (ulp): in float32 over
// 67 million floats spread over all of them, denormals included; in float64 over random samples of
// each range that matters. Polynomials are minimax approximations (Remez) on the ranges named.
#pragma once

#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename T>
inline constexpr bool is_float32 = sizeof(T) == 4;

template <typename T>
struct Float {  // what IEEE's format of T has
  static constexpr T infinity = static_cast<T>(__builtin_huge_val());
  static constexpr int mantissa = is_float32<T> ? 23 : 52;
  static constexpr int bias = is_float32<T> ? 127 : 1023;
  static constexpr T smallest_normal = is_float32<T> ? T(0x1p-126) : T(0x1p-1022);
  // x + whole - whole rounds a small x to a whole number; the sum's low bits are that number.
  static constexpr T whole = is_float32<T> ? T(0x1.8p23) : T(0x1.8p52);
  // ln 2 as a sum; multiples of the first by any exponent are exact.
  static constexpr T ln2_high = is_float32<T> ? T(0x1.62e3p-1) : T(0x1.62e42feep-1);
  static constexpr T ln2_low = is_float32<T> ? T(0x1.2fefa4p-17) : T(0x1.a39ef35793c76p-33);
};

// c[0] + c[1] x + ... + c[n - 1] x^(n - 1), by Horner's rule.
template <int i, typename T, int n>
CHAINRULE_INLINE Vector<T> polynomial_from(Vector<T> x, const T (&c)[n]) {
  if constexpr (i == n - 1) {
    return broadcast(c[i]);
  } else {
    return multiply_add(polynomial_from<i + 1>(x, c), x, broadcast(c[i]));
  }
}
template <typename T, int n>
CHAINRULE_INLINE Vector<T> polynomial(Vector<T> x, const T (&c)[n]) {
  return polynomial_from<0>(x, c);
}

// exp and expm1: x = n ln 2 + r with |r| <= ln 2 / 2, and e^r = 1 + r + r^2 p(r).
template <typename T>
struct ExpCoefficients;
template <>
struct ExpCoefficients<float> {
  static constexpr float p[] = {0.5f,           0.166666672f,   0.041666355f,
                                0.00833327323f, 0.00139411027f, 0.000199143338f};
  static constexpr float log2_e = 1.44269502f;
  static constexpr float lowest = -104.0f, highest = 89.0f;  // beyond: 0 and infinity
};
template <>
struct ExpCoefficients<double> {
  static constexpr double p[] = {
      0.5,
      0.16666666666666677,
      0.041666666666666699,
      0.0083333333333215319,
      0.0013888888888866568,
      0.00019841269886401451,
      2.4801587361051451e-05,
      2.7557243911310489e-06,
      2.7557242356578564e-07,
      2.5109147519186371e-08,
      2.0924563681140205e-09,
  };
  static constexpr double log2_e = 1.4426950408889634;
  static constexpr double lowest = -746.0, highest = 710.0;
};

template <typename T>
struct ExpReduced {
  Vector<T> n, r;
};
template <typename T>
CHAINRULE_INLINE ExpReduced<T> exp_reduce(Vector<T> x) {
  const auto whole = broadcast(Float<T>::whole);
  const auto n = multiply_add(x, broadcast(ExpCoefficients<T>::log2_e), whole) - whole;
  auto r = negative_multiply_add(n, broadcast(Float<T>::ln2_high), x);
  r = negative_multiply_add(n, broadcast(Float<T>::ln2_low), r);
  return {n, r};
}
// x within the bounds beyond which exp is 0 or infinite; NaN stays.
template <typename T>
CHAINRULE_INLINE Vector<T> exp_clamp(Vector<T> x) {
  x = greater(broadcast(ExpCoefficients<T>::lowest), x);
  return lesser(broadcast(ExpCoefficients<T>::highest), x);
}

// At most 0.97 ulp in float32, 0.93 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> exp(Vector<T> x) {
  const auto [n, r] = exp_reduce(exp_clamp(x));
  const auto p = polynomial(r, ExpCoefficients<T>::p);
  return times_power_of_two(multiply_add(r * r, p, r) + broadcast(T(1)), n);
}

// x = n + r with |r| <= 1/2, and 2^r = e^(r ln 2). At most 1.04 ulp; exact where x is whole.
template <typename T>
CHAINRULE_INLINE Vector<T> exp2(Vector<T> x) {
  const auto bound = broadcast(is_float32<T> ? T(152) : T(1076));  // beyond: 0 and infinity
  x = lesser(bound, greater(-bound, x));
  const auto whole = broadcast(Float<T>::whole);
  const auto n = (x + whole) - whole;
  const auto r = (x - n) * broadcast(T(0.69314718055994531));
  const auto p = polynomial(r, ExpCoefficients<T>::p);
  return times_power_of_two(multiply_add(r * r, p, r) + broadcast(T(1)), n);
}

// At most 1.46 ulp in float32, 1.84 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> expm1(Vector<T> x) {
  const auto half = broadcast(T(0.5));
  const auto [n, r] = exp_reduce(exp_clamp(x));
  const auto q = multiply_add(r * r, polynomial(r, ExpCoefficients<T>::p), r);  // e^r - 1
  // 2^(n - 1) (1 + q) - 1 / 2, doubled, because 2^n could overflow before the result does.
  const auto scale = times_power_of_two(half, n);
  const auto result = multiply_add(scale, q, scale - half);
  return select(abs(x) < broadcast(T(is_float32<T> ? 0x1p-25 : 0x1p-54)), x, result + result);
}

// log(1 + f) = 2 atanh(s) = 2 s + s^3 p(s^2), s = f / (2 + f); p here times s^2. In the form
// f - f^2 / 2 + s (f^2 / 2 + s^2 p) the error of s hardly counts. This returns f - log(1 + f).
template <typename T, int n>
CHAINRULE_INLINE Vector<T> log_correction(Vector<T> f, const T (&p)[n]) {
  const auto s = f / (broadcast(T(2)) + f);
  const auto z = s * s;
  const auto half_square = broadcast(T(0.5)) * f * f;
  return negative_multiply_add(s, multiply_add(z, polynomial(z, p), half_square), half_square);
}

template <typename T>
struct LogCoefficients;
template <>
struct LogCoefficients<float> {
  // For 1 + f in sqrt(1/2) ... sqrt(2), and for f in 0 ... 1.
  static constexpr float p[] = {0.666666687f, 0.400001228f, 0.285506994f, 0.233334184f};
  static constexpr float p_one[] = {0.666666687f, 0.399996936f, 0.285928816f, 0.216988727f,
                                    0.232597709f};
};
template <>
struct LogCoefficients<double> {
  static constexpr double p[] = {
      0.66666666666666696, 0.39999999999897889, 0.28571428626651407, 0.22222211031749325,
      0.18182896207631685, 0.15331497764506818, 0.14619096992012279,
  };
  static constexpr double p_one[] = {
      0.66666666666666663, 0.39999999999999497,  0.28571428571608509, 0.22222222197250691,
      0.18181819956651349, 0.15384541959791079,  0.13335220313681195, 0.11733742995689948,
      0.1084934304871842,  0.074742369199146771, 0.15663290654246792,
  };
};

// x = 2^e m with m in sqrt(1/2) ... sqrt(2), for positive finite x.
template <typename T>
struct LogReduced {
  Vector<T> e, m;
};
template <typename T>
CHAINRULE_INLINE LogReduced<T> log_reduce(Vector<T> x) {
  using B = Bits<T>;
  constexpr int mantissa = Float<T>::mantissa;
  constexpr T up = is_float32<T> ? T(0x1p24) : T(0x1p54);
  const auto small = x < broadcast(Float<T>::smallest_normal);
  x = select(small, x * broadcast(up), x);
  // Adding the distance from sqrt(1/2) to 1 carries into the exponent from sqrt(2) on.
  const auto root = to_bits(broadcast(T(0.70710678118654752)));
  const auto bits = to_bits(x) - root + to_bits(broadcast(T(1)));
  const auto fraction = B::broadcast((static_cast<Word<T>>(1) << mantissa) - 1);
  const auto m = from_bits((bits & fraction) + root);
  // The exponent as the low bits of a number whose unit is its last bit.
  constexpr T unit = is_float32<T> ? T(0x1p23) : T(0x1p52);
  const auto biased = from_bits(shift_right<mantissa>(bits) | to_bits(broadcast(unit)));
  const auto offset = select(small, broadcast(unit + Float<T>::bias + (is_float32<T> ? 24 : 54)),
                             broadcast(unit + Float<T>::bias));
  return {biased - offset, m};
}

// f + e ln 2 - (correction - rest), the small terms first.
template <typename T>
CHAINRULE_INLINE Vector<T> log_sum(Vector<T> e, Vector<T> f, Vector<T> correction) {
  const auto low = negative_multiply_add(e, broadcast(Float<T>::ln2_low), correction);
  return multiply_add(e, broadcast(Float<T>::ln2_high), f - low);
}

// At most 0.83 ulp in float32, 0.80 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> log(Vector<T> x) {
  const auto [e, m] = log_reduce(x);
  const auto f = m - broadcast(T(1));
  auto result = log_sum(e, f, log_correction(f, LogCoefficients<T>::p));
  const auto zero = broadcast(T(0)), infinity = broadcast(Float<T>::infinity);
  result = select(x < infinity, result, x);                // infinity and NaN
  result = select(x < zero, infinity - infinity, result);  // NaN
  return select(x == zero, -infinity, result);
}

// e + log(m) / ln 2. At most 1.83 ulp in float32, 1.64 in float64; exact at powers of 2.
template <typename T>
CHAINRULE_INLINE Vector<T> log2(Vector<T> x) {
  const auto [e, m] = log_reduce(x);
  const auto f = m - broadcast(T(1));
  const auto logarithm = f - log_correction(f, LogCoefficients<T>::p);
  auto result = multiply_add(logarithm, broadcast(T(1.4426950408889634)), e);
  const auto zero = broadcast(T(0)), infinity = broadcast(Float<T>::infinity);
  result = select(x < infinity, result, x);                // infinity and NaN
  result = select(x < zero, infinity - infinity, result);  // NaN
  return select(x == zero, -infinity, result);
}

// At most 0.85 ulp in float32, 0.81 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> log1p(Vector<T> x) {
  const auto zero = broadcast(T(0)), one = broadcast(T(1));
  const auto infinity = broadcast(Float<T>::infinity);
  const auto u = one + x;
  const auto [e, m] = log_reduce(u);
  // What rounding u lost, which counts where f is not x itself.
  const auto near = e == zero;
  const auto lost = select(u > broadcast(T(2)), one - (u - x), x - (u - one)) / u;
  const auto f = select(near, x, m - one);
  auto correction = log_correction(f, LogCoefficients<T>::p);
  correction = select(near, correction, correction - lost);
  auto result = log_sum(e, f, correction);
  result = select(x < infinity, result, x);
  result = select(x < -one, infinity - infinity, result);
  result = select(x == -one, -infinity, result);
  return select(x == zero, x, result);  // -0 too
}

// log(|x| + sqrt(x^2 + 1)) as log1p(|x| + x^2 / (1 + sqrt(x^2 + 1))), and as log1p(|x|) + ln 2
// where 1 no longer counts, so that x^2 does not overflow.
// At most 1.73 ulp in float32, 1.7 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> asinh(Vector<T> x) {
  const auto one = broadcast(T(1));
  const auto t = abs(x);
  const auto large = t > broadcast(is_float32<T> ? T(0x1p26) : T(0x1p55));
  const auto square = t * t;
  const auto near = t + square / (one + sqrt(square + one));
  const auto result = log1p(select(large, t, near));
  const auto ln2 = broadcast(T(0.69314718055994531));
  return copy_sign(select(large, result + ln2, result), x);
}

// e^(f x) for f = halves / 2, a power of two or minus one: 2^n (1 + q), where that is a normal
// number. All but the signs and exponents of the constants is as in exp.
template <typename T, int halves>
struct ExpScaled {
  static constexpr int terms = sizeof(ExpCoefficients<T>::p) / sizeof(T) + 1;
  struct Series {
    T c[terms] = {};
  };
  static constexpr T factor = T(halves) / 2;
  // q = r (c[0] + c[1] r + ...).
  static constexpr Series series = [] {
    Series s;
    T power = s.c[0] = factor;
    for (int i = 1; i < terms; ++i) s.c[i] = ExpCoefficients<T>::p[i - 1] * (power *= factor);
    return s;
  }();

  Vector<T> q;
  Bits<T> n;  // at the place of the exponent

  // `low` is what x lacks.
  static CHAINRULE_INLINE ExpScaled of(Vector<T> x, Vector<T> low = broadcast(T(0))) {
    constexpr T log2_e = ExpCoefficients<T>::log2_e * factor;
    constexpr T high = Float<T>::ln2_high / factor, rest = Float<T>::ln2_low / factor;
    const auto whole = broadcast(Float<T>::whole);
    const auto sum = multiply_add(x, broadcast(log2_e), whole);
    const auto n = sum - whole;
    auto r = negative_multiply_add(n, broadcast(high), x);
    r = negative_multiply_add(n, broadcast(rest), r) + low;
    return {r * polynomial(r, series.c), shift_left<Float<T>::mantissa>(to_bits(sum))};
  }
  CHAINRULE_INLINE Vector<T> power_of_two() const {
    return from_bits(to_bits(broadcast(T(1))) + n);
  }
  CHAINRULE_INLINE Vector<T> value() const { return from_bits(to_bits(broadcast(T(1)) + q) + n); }
};
// Up to this bound e^x is finite; from there on 1 / (1 + e^x) is less than any normal number.
template <typename T>
inline constexpr T exp_bound = is_float32<T> ? T(87.6) : T(708.6);

// (1 - e^(-2 |x|)) / (1 + e^(-2 |x|)). At most 2.49 ulp in float32, 2.9 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> tanh(Vector<T> x) {
  const auto one = broadcast(T(1));
  const auto last = broadcast(T(is_float32<T> ? 10 : 20));  // from here on it is 1
  const auto e = ExpScaled<T, -4>::of(lesser(last, abs(x)));
  const auto power = e.power_of_two();
  const auto rest = negative_multiply_add(power, e.q, one - power);  // 1 - e^(-2 |x|)
  return copy_sign(rest / (broadcast(T(2)) - rest), x);
}

// 1 / (1 + e^-x). At most 2.32 ulp in float32, 2.3 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> sigmoid(Vector<T> x) {
  const auto one = broadcast(T(1)), bound = broadcast(exp_bound<T>);
  return one / (one + ExpScaled<T, -2>::of(lesser(bound, greater(-bound, x))).value());
}

// log(1 + e^x) = max(x, 0) + log(1 + e^-|x|). At most 2.0 ulp in float32, 1.65 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> softplus(Vector<T> x) {
  const auto f = exp(-abs(x));
  return greater(broadcast(T(0)), x) + (f - log_correction(f, LogCoefficients<T>::p_one));
}

// tanh(log(1 + e^x)) = n / (n + 2) with n = e^x (e^x + 2). At most 4 ulp.
template <typename T>
CHAINRULE_INLINE Vector<T> tanh_softplus(Vector<T> x) {
  const auto two = broadcast(T(2)), last = broadcast(T(20));  // from here on it is 1
  const auto e = exp(lesser(last, x));
  const auto n = e * (e + two);
  return n / (n + two);
}

// log(e^a + e^b) = max(a, b) + log(1 + e^-|a - b|). Of equal infinities a - b is NaN, so equal
// operands take log(2 e^a). At most 1 ulp where the result is beyond 1; nearer to 0 terms cancel.
template <typename T>
CHAINRULE_INLINE Vector<T> logaddexp(Vector<T> a, Vector<T> b) {
  const auto sum = maximum(a, b) + log1p(exp(-abs(a - b)));
  return select(a == b, a + broadcast(T(0.69314718055994531)), sum);
}

// erf(x) = x + x p(x^2) for |x| < 1, else 1 - exp(q(x)), q approximating log(1 - erf).
template <typename T>
struct ErfCoefficients;
template <>
struct ErfCoefficients<float> {
  static constexpr float p[] = {0.128379166f,   -0.37612626f,     0.112836003f,   -0.0268544443f,
                                0.00518953474f, -0.000802083407f, 7.88909529e-05f};
  static constexpr float q[] = {-0.000353717682f, -1.12704003f,    -0.638225675f,  -0.103037357f,
                                0.0218053106f,    -0.00293960446f, 0.000185573605f};
  static constexpr float last = 4.0f;  // from here on it is 1
};
template <>
struct ErfCoefficients<double> {
  static constexpr double p[] = {
      0.12837916709551256,     -0.37612638903183548,    0.11283791670945253,
      -0.026866170643276219,   0.0052239776074234677,   -0.00085483259896967576,
      0.00012055295320494294,  -1.4924744663335489e-05, 1.6447517677871873e-06,
      -1.6209175911748696e-07, 1.3722976265924504e-08,  -7.8011888740977512e-10,
  };
  static constexpr double q[] = {
      -1.8438785014972396e-07, -1.1283772823667788,     -0.63662870389515425,
      -0.10274664205143527,    0.019076954114421941,    0.00028223053645690756,
      -0.0017709274851046574,  0.00064283535636733627,  -4.5956942756095614e-05,
      -6.9749990124514698e-05, 4.4769756972938614e-05,  -1.6421434144371468e-05,
      4.3017668930825757e-06,  -8.4518961564879144e-07, 1.2483016573788987e-07,
      -1.3522120803479397e-08, 1.0170356334479061e-09,  -4.7516309464716844e-11,
      1.0390269467187596e-12,
  };
  static constexpr double last = 6.0;
};

// At most 1.38 ulp in float32, 1.3 in float64.
template <typename T>
CHAINRULE_INLINE Vector<T> erf(Vector<T> x) {
  const auto t = lesser(broadcast(ErfCoefficients<T>::last), abs(x));
  const auto near = multiply_add(polynomial(x * x, ErfCoefficients<T>::p), x, x);
  const auto far = broadcast(T(1)) - exp(polynomial(t, ErfCoefficients<T>::q));
  return select(t < broadcast(T(1)), near, copy_sign(far, x));
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
