// Vector<T>: one SIMD register of the instruction set that this compilation targets. Every kernel
// is written once, as a template over it.
//
//   Vector<T>            `lanes` elements: broadcast, load, store; load_partial and store_partial
//                        touch only the first `count` in 1 ... lanes, the others load as 0
//   + - * / sqrt         as IEEE says
//   multiply_add         a * b + c, rounded once where has_fma; negative_multiply_add: c - a * b
//   lesser, greater      a < b ? a : b and a > b ? a : b: b where either is NaN
//   == != < <= > >=      give a Mask<T>; & | ! combine masks, select and select_or_zero take them,
//                        first_lanes makes one, lane_bits has bit i set where lane i is
//   Bits<T>              the lanes as unsigned integers of the same size: to_bits, from_bits
//   swap_lanes<d>        lane i takes the value of lane i xor d
//   times_power_of_two   x * 2^n
//   widen_*, narrow      float to double and back, the lower and the higher half of the lanes
//   from_int32           int32 lanes to float
//   multiply_low_words   of 64-bit lanes: the product of the lower 32 bits
//   HalfVector<T>        for few elements side by side: of half the lanes where vectors are so wide
//                        that some processors take two halves in the time of one, else a Vector<T>;
//                        it has what convolutions and poolings need
//   interleave_*         of 64-bit lanes, in each 128 bits: the lower (higher) of a, then that of b
//
// Integers, and processors that none of these files knows, have vectors of one lane.
#pragma once

#include "kernels/simd/vector_scalar.h"

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

#if defined(__AVX512F__)
#include "kernels/simd/vector_avx512.h"
#elif defined(__AVX2__)
#include "kernels/simd/vector_avx2.h"
#elif defined(__x86_64__) || defined(_M_X64)
#include "kernels/simd/vector_sse2.h"
#elif defined(__aarch64__) || defined(_M_ARM64)
#include "kernels/simd/vector_neon.h"
#else
namespace chainrule::CHAINRULE_INSTRUCTION_SET {
inline constexpr int vector_registers = 16;
inline constexpr bool has_fma = false;
}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
#endif

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

#if !defined(__AVX512F__)
template <typename T>
using HalfVector = Vector<T>;
#endif

template <typename T>
CHAINRULE_INLINE Vector<T> broadcast(T x) {
  return Vector<T>::broadcast(x);
}

template <typename T>
inline constexpr Word<T> sign_bit = static_cast<Word<T>>(1) << (8 * sizeof(T) - 1);

template <typename T>
CHAINRULE_INLINE Vector<T> operator-(Vector<T> a) {
  if constexpr (is_integer<T>) {
    return broadcast(T(0)) - a;
  } else {
    return from_bits(to_bits(a) ^ Bits<T>::broadcast(sign_bit<T>));
  }
}

template <typename T>
CHAINRULE_INLINE Vector<T> abs(Vector<T> a) {
  if constexpr (is_integer<T>) {
    return select(a < broadcast(T(0)), -a, a);
  } else {
    return from_bits(to_bits(a) & Bits<T>::broadcast(~sign_bit<T>));
  }
}

// The magnitude of a, which is not negative, with the sign of b.
template <typename T>
CHAINRULE_INLINE Vector<T> copy_sign(Vector<T> a, Vector<T> b) {
  return from_bits(to_bits(a) | (to_bits(b) & Bits<T>::broadcast(sign_bit<T>)));
}

// The least and the greatest value of T.
template <typename T>
inline constexpr T lowest =
    is_integer<T> ? static_cast<T>(sign_bit<T>) : static_cast<T>(-__builtin_huge_val());
template <typename T>
inline constexpr T highest =
    is_integer<T> ? static_cast<T>(~sign_bit<T>) : static_cast<T>(__builtin_huge_val());

// The larger and the smaller of a and b; NaN where either is.
template <typename T>
CHAINRULE_INLINE Vector<T> maximum(Vector<T> a, Vector<T> b) {
  const auto larger = greater(a, b);  // b where either is NaN: only a's are left
  if constexpr (is_integer<T>) {
    return larger;
  } else {
    return select(a != a, a, larger);
  }
}
template <typename T>
CHAINRULE_INLINE Vector<T> minimum(Vector<T> a, Vector<T> b) {
  const auto smaller = lesser(a, b);
  if constexpr (is_integer<T>) {
    return smaller;
  } else {
    return select(a != a, a, smaller);
  }
}

// All lanes combined by `op`, which commutes, in the order of a fixed tree; in every lane.
template <int distance, typename T, typename Op>
CHAINRULE_INLINE Vector<T> across_lanes(Vector<T> a, Op op) {
  if constexpr (distance == 0) {
    return a;
  } else {
    return across_lanes<distance / 2>(op(a, swap_lanes<distance>(a)), op);
  }
}
template <typename T, typename Op>
CHAINRULE_INLINE Vector<T> across_lanes(Vector<T> a, Op op) {
  return across_lanes<Vector<T>::lanes / 2>(a, op);
}

template <typename T>
CHAINRULE_INLINE T one_lane(Vector<T> a) {
  T lane[Vector<T>::lanes];
  a.store(lane);
  return lane[0];
}

// The number of the lowest bit that is set; there is one.
CHAINRULE_INLINE int lowest_bit(std::uint64_t bits) {
#if defined(_MSC_VER) && !defined(__clang__)
  unsigned long index;
  _BitScanForward64(&index, bits);
  return static_cast<int>(index);
#else
  return __builtin_ctzll(bits);
#endif
}

template <typename T>
CHAINRULE_INLINE bool any(Mask<T> mask) {
  return lane_bits(mask) != 0;
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
