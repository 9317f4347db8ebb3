#include "kernels/convert.h"

#include "kernels/simd/vector_scalar.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

template <typename T>
CHAINRULE_INLINE T loaded(Boolean x) {
  return static_cast<T>(x.byte != 0);
}
template <typename T, typename Stored>
CHAINRULE_INLINE T loaded(Stored x) {
  return static_cast<T>(x);
}

template <typename T>
inline constexpr bool is_unsigned_word = false;
template <>
inline constexpr bool is_unsigned_word<std::uint32_t> = true;

template <typename Stored>
struct Storing {
  // Narrow integers by way of a wider one, so that what does not fit wraps around, as in NumPy.
  template <typename T>
  static CHAINRULE_INLINE Stored from(T x) {
    if constexpr (is_integer<Stored> && !is_integer<T> && sizeof(Stored) < 4) {
      return static_cast<Stored>(static_cast<std::int32_t>(x));
    } else if constexpr (is_unsigned_word<Stored> && !is_integer<T>) {
      return static_cast<Stored>(static_cast<std::int64_t>(x));
    } else {
      return static_cast<Stored>(x);
    }
  }
};
template <>
struct Storing<Boolean> {
  template <typename T>
  static CHAINRULE_INLINE Boolean from(T x) {
    return {static_cast<std::uint8_t>(x != 0)};
  }
};

}  // namespace

template <typename T, typename Stored>
void load_as(T* out, const void* x, std::int64_t n) {
  const auto* from = static_cast<const Stored*>(x);
  for (std::int64_t i = 0; i < n; ++i) out[i] = loaded<T>(from[i]);
}

template <typename T, typename Stored>
void store_as(void* out, const T* x, std::int64_t n) {
  auto* to = static_cast<Stored*>(out);
  for (std::int64_t i = 0; i < n; ++i) to[i] = Storing<Stored>::from(x[i]);
}

#define CHAINRULE_DTYPE(name, numpy_name, Stored)                                        \
  template void load_as<float, Stored>(float*, const void*, std::int64_t);               \
  template void load_as<double, Stored>(double*, const void*, std::int64_t);             \
  template void load_as<std::int64_t, Stored>(std::int64_t*, const void*, std::int64_t); \
  template void store_as<float, Stored>(void*, const float*, std::int64_t);              \
  template void store_as<double, Stored>(void*, const double*, std::int64_t);            \
  template void store_as<std::int64_t, Stored>(void*, const std::int64_t*, std::int64_t);
#include "kernels/dtypes.def"
#undef CHAINRULE_DTYPE

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
