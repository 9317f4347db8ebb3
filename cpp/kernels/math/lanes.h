// Functions that are computed lane by lane, by the C library or in scalars: those that programs
// rarely spend their time in.
#pragma once

#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename T, typename F>
CHAINRULE_INLINE Vector<T> by_lanes(Vector<T> a, F f) {
  T x[Vector<T>::lanes];
  a.store(x);
  for (T& lane : x) lane = f(lane);
  return Vector<T>::load(x);
}
template <typename T, typename F>
CHAINRULE_INLINE Vector<T> by_lanes(Vector<T> a, Vector<T> b, F f) {
  T x[Vector<T>::lanes], y[Vector<T>::lanes];
  a.store(x);
  b.store(y);
  for (int i = 0; i < Vector<T>::lanes; ++i) x[i] = f(x[i], y[i]);
  return Vector<T>::load(x);
}

// The C library's function of doubles; of floats it is rounded once more.
template <double (*function)(double), typename T>
CHAINRULE_INLINE Vector<T> of_library(Vector<T> a) {
  return by_lanes(a, [](T x) { return static_cast<T>(function(static_cast<double>(x))); });
}
template <double (*function)(double, double), typename T>
CHAINRULE_INLINE Vector<T> of_library(Vector<T> a, Vector<T> b) {
  return by_lanes(a, b, [](T x, T y) {
    return static_cast<T>(function(static_cast<double>(x), static_cast<double>(y)));
  });
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
