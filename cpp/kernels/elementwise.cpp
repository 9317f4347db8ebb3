#include "kernels/elementwise.h"

#include "kernels/declared.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

// out[i] = f(a[i], b[i], c[i]); arrays that f does not take are not read. The last elements go
// through the same code, so that no element's bits depend on where it lies.
template <int inputs, typename T, typename F>
CHAINRULE_INLINE void each(T* out, const T* a, const T* b, const T* c, std::int64_t n, F f) {
  using V = Vector<T>;
  std::int64_t i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    const V x = V::load(a + i);
    const V y = inputs > 1 ? V::load(b + i) : x;
    const V z = inputs > 2 ? V::load(c + i) : x;
    f(x, y, z).store(out + i);
  }
  if (const std::int64_t rest = n - i; rest > 0) {
    const V x = V::load_partial(a + i, rest);
    const V y = inputs > 1 ? V::load_partial(b + i, rest) : x;
    const V z = inputs > 2 ? V::load_partial(c + i, rest) : x;
    f(x, y, z).store_partial(out + i, rest);
  }
}

}  // namespace

#define CHAINRULE_OP(name, inputs, cost)                                                         \
  template <typename T>                                                                          \
  void Elementwise<T>::run_##name([[maybe_unused]] T* out, [[maybe_unused]] const T* a,          \
                                  [[maybe_unused]] const T* b, [[maybe_unused]] const T* c,      \
                                  [[maybe_unused]] std::int64_t n) {                             \
    if constexpr (has_##name) {                                                                  \
      using V = Vector<T>;                                                                       \
      each<inputs>(out, a, b, c, n,                                                              \
                   [](V x, [[maybe_unused]] V y, [[maybe_unused]] V z) CHAINRULE_INLINE_LAMBDA { \
                     return CHAINRULE_FORMULA(name, inputs, x, y, z);                            \
                   });                                                                           \
    }                                                                                            \
  }
#include "kernels/ops.def"
#undef CHAINRULE_OP

template <typename T>
void fill(T* out, T value, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = value;
}

template struct Elementwise<float>;
template struct Elementwise<double>;
template struct Elementwise<std::int64_t>;
template void fill(float*, float, std::int64_t);
template void fill(double*, double, std::int64_t);
template void fill(std::int64_t*, std::int64_t, std::int64_t);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
