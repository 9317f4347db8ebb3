// Rows that are normalised, and the gradient of that; see rows.def.
//
// With m the mean of a row (0 for rms_norm), r = 1 / sqrt(mean of (x - m)^2 + eps) and
// y = (x - m) r, the gradient is r (g - mean(g) - y mean(g y)), without mean(g) for rms_norm.
// A row is read several times while it is in L1.
#pragma once

#include "kernels/kernels.h"
#include "kernels/row_parts.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::row_norms {

using namespace row_parts;
using std::int64_t;

inline constexpr int64_t block = 64;  // vectors that are added one by one, before their sum is

// The sum of f(column, whether all lanes count, those that do) over a row's vectors, in every lane.
// What f gives in lanes that do not count must be 0.
template <typename T, typename F>
CHAINRULE_INLINE Vector<T> sum_over(int64_t columns, F f) {
  constexpr int64_t lanes = Vector<T>::lanes;
  auto total = broadcast(T(0));
  int64_t i = 0;
  while (i + lanes <= columns) {
    auto even = broadcast(T(0)), odd = even;
    for (int64_t n = 0; n < block && i + lanes <= columns; n += 2) {
      even = even + f(i, lanes);
      i += lanes;
      if (i + lanes <= columns) {
        odd = odd + f(i, lanes);
        i += lanes;
      }
    }
    total = total + (even + odd);
  }
  if (i < columns) total = total + f(i, columns - i);
  return across_lanes(total, Add{});
}

template <typename T>
CHAINRULE_INLINE Vector<T> load_lanes(const T* x, int64_t count) {
  return count == Vector<T>::lanes ? Vector<T>::load(x) : Vector<T>::load_partial(x, count);
}

// f(column, lanes that count) for a row's vectors.
template <typename T, typename F>
CHAINRULE_INLINE void over_columns(int64_t columns, F f) {
  constexpr int64_t lanes = Vector<T>::lanes;
  int64_t i = 0;
  for (; i + lanes <= columns; i += lanes) f(i, lanes);
  if (i < columns) f(i, columns - i);
}

template <typename T>
struct MeanAndScale {
  Vector<T> mean, scale;
};

template <bool centred, typename T>
CHAINRULE_INLINE MeanAndScale<T> mean_and_scale(const T* x, int64_t columns, T eps) {
  using V = Vector<T>;
  const auto share = broadcast(T(1) / static_cast<T>(columns));
  auto mean = broadcast(T(0));
  if constexpr (centred) {  // of a row of one number it is that number, without a rounding
    const auto first = broadcast(columns > 0 ? x[0] : T(0));
    const auto rest = sum_over<T>(columns, [&](int64_t i, int64_t count) CHAINRULE_INLINE_LAMBDA {
      const auto d = load_lanes(x + i, count) - first;
      return count < V::lanes ? select_or_zero(first_lanes(d, count), d) : d;
    });
    mean = multiply_add(rest, share, first);
  }
  const auto squares = sum_over<T>(columns, [&](int64_t i, int64_t count) CHAINRULE_INLINE_LAMBDA {
    auto d = load_lanes(x + i, count);
    if constexpr (centred) d = d - mean;
    if (centred && count < V::lanes) d = select_or_zero(first_lanes(d, count), d);
    return d * d;
  });
  return {mean, broadcast(T(1)) / sqrt(multiply_add(squares, share, broadcast(eps)))};
}

template <typename T>
CHAINRULE_INLINE void store_lanes(Vector<T> x, T* to, int64_t count) {
  store_elements(x, to, count < Vector<T>::lanes ? count : 0);
}

template <bool centred, typename T>
bool normalise(const RowCall<T>& call) {
  const T* x = static_cast<const T*>(call.inputs[0]);
  T* out = static_cast<T*>(call.out);
  const int64_t columns = call.columns;
  for (int64_t r = 0; r < call.rows; ++r, x += columns, out += columns) {
    const MeanAndScale<T> found = mean_and_scale<centred>(x, columns, static_cast<T>(call.number));
    const auto mean = found.mean, scale = found.scale;
    over_columns<T>(columns, [&](int64_t i, int64_t count) CHAINRULE_INLINE_LAMBDA {
      store_lanes((load_lanes(x + i, count) - mean) * scale, out + i, count);
    });
  }
  return true;
}

template <bool centred, typename T>
bool normalise_grad(const RowCall<T>& call) {
  const T* g = static_cast<const T*>(call.inputs[0]);
  const T* x = static_cast<const T*>(call.inputs[1]);
  T* out = static_cast<T*>(call.out);
  const int64_t columns = call.columns;
  for (int64_t r = 0; r < call.rows; ++r, g += columns, x += columns, out += columns) {
    const MeanAndScale<T> found = mean_and_scale<centred>(x, columns, static_cast<T>(call.number));
    const auto mean = found.mean, scale = found.scale;
    const auto share = broadcast(T(1) / static_cast<T>(columns));
    auto g_mean = broadcast(T(0));
    if constexpr (centred) {
      g_mean = share * sum_over<T>(columns, [&](int64_t i, int64_t count) CHAINRULE_INLINE_LAMBDA {
                 return load_lanes(g + i, count);
               });
    }
    // Where lanes do not count, g is 0.
    const auto products =
        sum_over<T>(columns, [&](int64_t i, int64_t count) CHAINRULE_INLINE_LAMBDA {
          return load_lanes(g + i, count) * (load_lanes(x + i, count) - mean);
        });
    const auto slope = products * share * scale * scale;  // mean(g y) r
    over_columns<T>(columns, [&](int64_t i, int64_t count) CHAINRULE_INLINE_LAMBDA {
      const auto d = load_lanes(g + i, count) - g_mean;
      const auto y = load_lanes(x + i, count) - mean;
      store_lanes(negative_multiply_add(y, slope, d) * scale, out + i, count);
    });
  }
  return true;
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::row_norms
