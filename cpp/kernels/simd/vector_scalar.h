// One element per vector: correct on every processor, and what integers use everywhere. The other
// vector_*.h specialise it for float and double. See vector.h.
#pragma once

#include <math.h>

#include <cstdint>
#include <cstring>

#if defined(_MSC_VER) && !defined(__clang__)
#define CHAINRULE_INLINE __forceinline
#define CHAINRULE_INLINE_LAMBDA
#else
#define CHAINRULE_INLINE __attribute__((always_inline)) inline
#define CHAINRULE_INLINE_LAMBDA __attribute__((always_inline))  // after a lambda's parameters
#endif

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename T>
inline constexpr bool is_integer = static_cast<T>(0.5) == 0;

// The unsigned integer of the size of T.
template <int size>
struct UnsignedOfSize {
  using type = std::uint32_t;
};
template <>
struct UnsignedOfSize<8> {
  using type = std::uint64_t;
};
template <typename T>
using Word = typename UnsignedOfSize<sizeof(T)>::type;

template <typename T>
struct Mask {
  bool value;
};

template <typename T>
struct Bits {
  Word<T> value;
  static CHAINRULE_INLINE Bits broadcast(Word<T> x) { return {x}; }
  static CHAINRULE_INLINE Bits load(const Word<T>* from) { return {*from}; }
  CHAINRULE_INLINE void store(Word<T>* to) const { *to = value; }
};

template <typename T>
struct Vector {
  static constexpr int lanes = 1;
  T value;
  static CHAINRULE_INLINE Vector broadcast(T x) { return {x}; }
  static CHAINRULE_INLINE Vector load(const T* from) { return {*from}; }
  static CHAINRULE_INLINE Vector load_partial(const T* from, std::int64_t count) {
    return {count > 0 ? *from : T(0)};
  }
  CHAINRULE_INLINE void store(T* to) const { *to = value; }
  CHAINRULE_INLINE void store_partial(T* to, std::int64_t count) const {
    if (count > 0) *to = value;
  }
};

// Integers wrap around, as NumPy's do.
template <typename T>
CHAINRULE_INLINE Vector<T> operator+(Vector<T> a, Vector<T> b) {
  if constexpr (is_integer<T>) {
    return {static_cast<T>(static_cast<Word<T>>(a.value) + static_cast<Word<T>>(b.value))};
  } else {
    return {a.value + b.value};
  }
}
template <typename T>
CHAINRULE_INLINE Vector<T> operator-(Vector<T> a, Vector<T> b) {
  if constexpr (is_integer<T>) {
    return {static_cast<T>(static_cast<Word<T>>(a.value) - static_cast<Word<T>>(b.value))};
  } else {
    return {a.value - b.value};
  }
}
template <typename T>
CHAINRULE_INLINE Vector<T> operator*(Vector<T> a, Vector<T> b) {
  if constexpr (is_integer<T>) {
    return {static_cast<T>(static_cast<Word<T>>(a.value) * static_cast<Word<T>>(b.value))};
  } else {
    return {a.value * b.value};
  }
}
template <typename T>
CHAINRULE_INLINE Vector<T> operator/(Vector<T> a, Vector<T> b) {
  return {a.value / b.value};
}
template <typename T>
CHAINRULE_INLINE Vector<T> multiply_add(Vector<T> a, Vector<T> b, Vector<T> c) {
  return a * b + c;
}
template <typename T>
CHAINRULE_INLINE Vector<T> negative_multiply_add(Vector<T> a, Vector<T> b, Vector<T> c) {
  return c - a * b;
}
// The root in double, rounded to float, is the correctly rounded one.
template <typename T>
CHAINRULE_INLINE Vector<T> sqrt(Vector<T> a) {
  return {static_cast<T>(::sqrt(static_cast<double>(a.value)))};
}
template <typename T>
CHAINRULE_INLINE Vector<T> lesser(Vector<T> a, Vector<T> b) {
  return {a.value < b.value ? a.value : b.value};
}
template <typename T>
CHAINRULE_INLINE Vector<T> greater(Vector<T> a, Vector<T> b) {
  return {a.value > b.value ? a.value : b.value};
}

template <typename T>
CHAINRULE_INLINE Mask<T> operator==(Vector<T> a, Vector<T> b) {
  return {a.value == b.value};
}
template <typename T>
CHAINRULE_INLINE Mask<T> operator!=(Vector<T> a, Vector<T> b) {
  return {a.value != b.value};
}
template <typename T>
CHAINRULE_INLINE Mask<T> operator<(Vector<T> a, Vector<T> b) {
  return {a.value < b.value};
}
template <typename T>
CHAINRULE_INLINE Mask<T> operator<=(Vector<T> a, Vector<T> b) {
  return {a.value <= b.value};
}
template <typename T>
CHAINRULE_INLINE Mask<T> operator>(Vector<T> a, Vector<T> b) {
  return {a.value > b.value};
}
template <typename T>
CHAINRULE_INLINE Mask<T> operator>=(Vector<T> a, Vector<T> b) {
  return {a.value >= b.value};
}

template <typename T>
CHAINRULE_INLINE Mask<T> operator&(Mask<T> a, Mask<T> b) {
  return {a.value && b.value};
}
template <typename T>
CHAINRULE_INLINE Mask<T> operator|(Mask<T> a, Mask<T> b) {
  return {a.value || b.value};
}
template <typename T>
CHAINRULE_INLINE Mask<T> operator!(Mask<T> a) {
  return {!a.value};
}
template <typename T>
CHAINRULE_INLINE unsigned lane_bits(Mask<T> a) {
  return a.value;
}
template <typename T>
CHAINRULE_INLINE Mask<T> first_lanes(Vector<T>, std::int64_t count) {
  return {count > 0};
}
template <typename T>
CHAINRULE_INLINE Vector<T> select(Mask<T> mask, Vector<T> a, Vector<T> b) {
  return {mask.value ? a.value : b.value};
}
template <typename T>
CHAINRULE_INLINE Vector<T> select_or_zero(Mask<T> mask, Vector<T> a) {
  return {mask.value ? a.value : T(0)};
}

template <typename T>
CHAINRULE_INLINE Bits<T> operator+(Bits<T> a, Bits<T> b) {
  return {a.value + b.value};
}
template <typename T>
CHAINRULE_INLINE Bits<T> operator-(Bits<T> a, Bits<T> b) {
  return {a.value - b.value};
}
template <typename T>
CHAINRULE_INLINE Bits<T> operator&(Bits<T> a, Bits<T> b) {
  return {a.value & b.value};
}
template <typename T>
CHAINRULE_INLINE Bits<T> operator|(Bits<T> a, Bits<T> b) {
  return {a.value | b.value};
}
template <typename T>
CHAINRULE_INLINE Bits<T> operator^(Bits<T> a, Bits<T> b) {
  return {a.value ^ b.value};
}
template <int n, typename T>
CHAINRULE_INLINE Bits<T> shift_left(Bits<T> a) {
  return {a.value << n};
}
template <int n, typename T>
CHAINRULE_INLINE Bits<T> shift_right(Bits<T> a) {
  return {a.value >> n};
}
template <typename T>
CHAINRULE_INLINE Bits<T> to_bits(Vector<T> a) {
  Bits<T> bits;
  ::memcpy(&bits.value, &a.value, sizeof(T));
  return bits;
}
template <typename T>
CHAINRULE_INLINE Vector<T> from_bits(Bits<T> a) {
  Vector<T> vector;
  ::memcpy(&vector.value, &a.value, sizeof(T));
  return vector;
}

template <int distance, typename T>
CHAINRULE_INLINE Vector<T> swap_lanes(Vector<T> a) {
  return a;
}

// x * 2^n for whole n, by two factors so that neither is out of range; denormal results are
// rounded once.
template <typename T>
CHAINRULE_INLINE Vector<T> times_power_of_two(Vector<T> x, Vector<T> n) {
  constexpr bool is_float = sizeof(T) == 4;
  constexpr int mantissa = is_float ? 23 : 52;
  constexpr Word<T> bias = is_float ? 127 : 1023;
  constexpr Word<T> shift = 4 * (bias + 1);  // makes n positive, and is even
  constexpr T whole = is_float ? T(0x1.8p23) : T(0x1.8p52);
  using B = Bits<T>;
  // The low bits of n + 1.5 * 2^mantissa are n.
  const B low = to_bits(n + Vector<T>::broadcast(whole));
  const B positive = low - to_bits(Vector<T>::broadcast(whole)) + B::broadcast(shift);
  const B half = shift_right<1>(positive);
  const B offset = B::broadcast(shift / 2 - bias);
  const auto first = from_bits(shift_left<mantissa>(half - offset));
  const auto second = from_bits(shift_left<mantissa>(positive - half - offset));
  return x * first * second;
}

// The product of the lower 32 bits of a and b.
template <typename T>
CHAINRULE_INLINE Bits<T> multiply_low_words(Bits<T> a, Bits<T> b) {
  return {static_cast<Word<T>>(static_cast<std::uint32_t>(a.value)) *
          static_cast<std::uint32_t>(b.value)};
}

// As if there were a second lane: both halves of one element are the element.
template <typename T, typename Wide = double>
CHAINRULE_INLINE Vector<Wide> widen_low(Vector<T> a) {
  return {a.value};
}
template <typename T, typename Wide = double>
CHAINRULE_INLINE Vector<Wide> widen_high(Vector<T> a) {
  return {a.value};
}
template <typename T, typename Narrow = float>
CHAINRULE_INLINE Vector<Narrow> narrow(Vector<T> low, Vector<T>) {
  return {static_cast<Narrow>(low.value)};
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
