// Rounding to whole numbers, and the remainders that follow from it. All are exact.
#pragma once

#include "kernels/math/lanes.h"
#include "kernels/math/transcendental.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// The nearest whole number, of two the even one; -0 stays. From `whole` on all numbers are whole.
template <typename T>
CHAINRULE_INLINE Vector<T> rint(Vector<T> x) {
  const auto whole = broadcast(is_float32<T> ? T(0x1p23) : T(0x1p52));
  const auto size = abs(x);
  return select(size < whole, copy_sign((size + whole) - whole, x), x);
}

template <typename T>
CHAINRULE_INLINE Vector<T> floor(Vector<T> x) {
  const auto nearest = rint(x);
  return select(nearest > x, nearest - broadcast(T(1)), nearest);
}

template <typename T>
CHAINRULE_INLINE Vector<T> ceil(Vector<T> x) {
  return -floor(-x);
}

template <typename T>
CHAINRULE_INLINE Vector<T> trunc(Vector<T> x) {
  return copy_sign(floor(abs(x)), x);
}

// a - b trunc(a / b): of the sign of a. Of integers, 0 where b is 0.
template <typename T>
CHAINRULE_INLINE T fmod_of(T a, T b) {
  if constexpr (is_integer<T>) {
    return b == 0 || b == -1 ? T(0) : a % b;  // the least integer % -1 would trap
  } else {
    return static_cast<T>(::fmod(static_cast<double>(a), static_cast<double>(b)));
  }
}

// a - b floor(a / b): of the sign of b.
template <typename T>
CHAINRULE_INLINE T remainder_of(T a, T b) {
  const T rest = fmod_of(a, b);
  if constexpr (!is_integer<T>) {
    if (rest == 0) return static_cast<T>(::copysign(0.0, static_cast<double>(b)));
  }
  return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

// floor(a / b). Of integers, 0 where b is 0.
template <typename T>
CHAINRULE_INLINE T floor_divide_of(T a, T b) {
  const T rest = fmod_of(a, b);
  if constexpr (is_integer<T>) {
    if (b == 0) return 0;
    if (b == -1) return static_cast<T>(0 - static_cast<Word<T>>(a));
    return a / b - (rest != 0 && (rest < 0) != (b < 0) ? 1 : 0);
  } else {
    if (b == 0) return a / b;
    // a - rest is a multiple of b, so that the quotient is whole but for its rounding.
    T quotient = (a - rest) / b;
    if (rest != 0 && (rest < 0) != (b < 0)) quotient -= 1;
    if (quotient == 0) {
      return static_cast<T>(::copysign(0.0, static_cast<double>(a) / static_cast<double>(b)));
    }
    const T below = static_cast<T>(::floor(static_cast<double>(quotient)));
    return quotient - below > T(0.5) ? below + 1 : below;
  }
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
