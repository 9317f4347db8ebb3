// What row kernels are made of: sums and extremes of rows in registers.
#pragma once

#include "kernels/math/transcendental.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::row_parts {

struct Add {
  template <typename T>
  CHAINRULE_INLINE Vector<T> operator()(Vector<T> a, Vector<T> b) const {
    return a + b;
  }
};
// NaN in b is left out.
struct Greater {
  template <typename T>
  CHAINRULE_INLINE Vector<T> operator()(Vector<T> a, Vector<T> b) const {
    return greater(b, a);
  }
};
struct Maximum {
  template <typename T>
  CHAINRULE_INLINE Vector<T> operator()(Vector<T> a, Vector<T> b) const {
    return maximum(a, b);
  }
};

// The first `count` elements, then `filler`.
template <typename T>
CHAINRULE_INLINE Vector<T> load_filled(const T* x, std::int64_t count, T filler) {
  const auto loaded = Vector<T>::load_partial(x, count);
  return select(first_lanes(loaded, count), loaded, broadcast(filler));
}

// The largest element of a row of at least one vector, in every lane; Op combines.
template <typename Op, typename T>
CHAINRULE_INLINE Vector<T> largest_of(const T* x, std::int64_t columns) {
  using V = Vector<T>;
  constexpr int lanes = V::lanes;
  const Op op{};
  V a = broadcast(lowest<T>), b = a, c = a, d = a;
  std::int64_t i = 0;
  for (; i + 4 * lanes <= columns; i += 4 * lanes) {
    a = op(a, V::load(x + i));
    b = op(b, V::load(x + i + lanes));
    c = op(c, V::load(x + i + 2 * lanes));
    d = op(d, V::load(x + i + 3 * lanes));
  }
  for (; i + lanes <= columns; i += lanes) a = op(a, V::load(x + i));
  if (i < columns) b = op(b, load_filled(x + i, columns - i, lowest<T>));
  return across_lanes(op(op(a, b), op(c, d)), op);
}

// f(vector, its column, elements in it) over a row; `elements` is 0 for whole vectors.
template <typename T, typename F>
CHAINRULE_INLINE void over_row(const T* x, std::int64_t columns, F f) {
  using V = Vector<T>;
  std::int64_t i = 0;
  for (; i + V::lanes <= columns; i += V::lanes) f(V::load(x + i), i, 0);
  if (i < columns) f(load_filled(x + i, columns - i, lowest<T>), i, columns - i);
}
template <typename T>
CHAINRULE_INLINE void store_elements(Vector<T> v, T* to, std::int64_t elements) {
  if (elements) {
    v.store_partial(to, elements);
  } else {
    v.store(to);
  }
}

// The sum of e^(x - shift) over a row, in every lane; the terms go to `out` unless it is null.
template <typename T>
CHAINRULE_INLINE Vector<T> sum_of_exp(T* out, const T* x, std::int64_t columns, Vector<T> shift) {
  using V = Vector<T>;
  // Up to `block` vectors are added one by one, then as many of their sums: rounding errors stay
  // small.
  constexpr int block = 64;
  V total = broadcast(T(0)), part = total, sum = total;
  int count = 0;
  over_row(x, columns, [&](V v, std::int64_t i, std::int64_t elements) CHAINRULE_INLINE_LAMBDA {
    V e = exp(v - shift);
    if (out) store_elements(e, out + i, elements);
    if (elements) e = select_or_zero(first_lanes(e, elements), e);
    sum = sum + e;
    if (++count % block == 0) {
      part = part + sum;
      sum = broadcast(T(0));
      if (count == block * block) {
        total = total + part;
        part = broadcast(T(0));
        count = 0;
      }
    }
  });
  return across_lanes(total + part + sum, Add{});
}

// A row of at most `n` vectors, kept in registers. The last one has `last` elements; after them
// come numbers whose exp is 0 (or NaN, where no element is above -infinity).
template <typename T, int n>
struct ShortRow {
  using V = Vector<T>;
  V part[n];
  std::int64_t last;

  static CHAINRULE_INLINE ShortRow load(const T* x, std::int64_t columns) {
    ShortRow row;
    row.last = columns - (n - 1) * V::lanes;
    for (int i = 0; i < n - 1; ++i) row.part[i] = V::load(x + i * V::lanes);
    row.part[n - 1] = load_filled(x + (n - 1) * V::lanes, row.last, lowest<T>);
    return row;
  }
  CHAINRULE_INLINE void store(T* out) const {
    for (int i = 0; i < n - 1; ++i) part[i].store(out + i * V::lanes);
    part[n - 1].store_partial(out + (n - 1) * V::lanes, last);
  }
  template <typename F>
  CHAINRULE_INLINE ShortRow map(F f) const {
    ShortRow row;
    row.last = last;
    for (int i = 0; i < n; ++i) row.part[i] = f(part[i]);
    return row;
  }
  CHAINRULE_INLINE ShortRow exp_minus(V shift) const {
    return map([&](V v) CHAINRULE_INLINE_LAMBDA { return exp(v - shift); });
  }
  CHAINRULE_INLINE V largest() const {
    V all = part[0];
    for (int i = 1; i < n; ++i) all = Greater{}(all, part[i]);
    return across_lanes(all, Greater{});
  }
  CHAINRULE_INLINE V sum() const {
    V all = select_or_zero(first_lanes(part[n - 1], last), part[n - 1]);
    for (int i = 0; i < n - 1; ++i) all = all + part[i];
    return across_lanes(all, Add{});
  }
};

template <int n>
struct Vectors {};

// short_row(Vectors<n>) where rows of that many columns have n <= 4 vectors, else long_row().
template <typename T, typename Short, typename Long>
CHAINRULE_INLINE void by_length(std::int64_t columns, Short short_row, Long long_row) {
  switch ((columns + Vector<T>::lanes - 1) / Vector<T>::lanes) {
    case 1:
      return short_row(Vectors<1>{});
    case 2:
      return short_row(Vectors<2>{});
    case 3:
      return short_row(Vectors<3>{});
    case 4:
      return short_row(Vectors<4>{});
    default:
      return long_row();
  }
}

// Of each row the shift and the sum of e^(x - shift), then f of both and of the row's number,
// `lanes` rows at a time: the logarithm of one number takes as long as that of a vector of them.
// shift_of(largest element) keeps exp from overflowing.
template <typename T, typename Shift, typename F>
CHAINRULE_INLINE void over_sums(const T* x, std::int64_t rows, std::int64_t columns, Shift shift_of,
                                F f) {
  using V = Vector<T>;
  constexpr int lanes = V::lanes;
  for (std::int64_t first = 0; first < rows; first += lanes) {
    const std::int64_t count = rows - first < lanes ? rows - first : lanes;
    T shifts[lanes] = {}, sums[lanes] = {};
    for (std::int64_t r = 0; r < count; ++r) {
      const T* row = x + (first + r) * columns;
      const auto keep = [&](V shift, V sum) CHAINRULE_INLINE_LAMBDA {
        shifts[r] = one_lane(shift);
        sums[r] = one_lane(sum);
      };
      by_length<T>(
          columns,
          [&]<int n>(Vectors<n>) CHAINRULE_INLINE_LAMBDA {
            const auto z = ShortRow<T, n>::load(row, columns);
            const V shift = shift_of(z.largest());
            keep(shift, z.exp_minus(shift).sum());
          },
          [&]() CHAINRULE_INLINE_LAMBDA {
            const V shift = shift_of(largest_of<Greater>(row, columns));
            keep(shift, sum_of_exp<T>(nullptr, row, columns, shift));
          });
    }
    f(V::load(shifts), V::load(sums), first, count);
  }
}
template <typename T>
CHAINRULE_INLINE void store_rows(Vector<T> v, T* to, std::int64_t count) {
  store_elements(v, to, count < Vector<T>::lanes ? count : 0);
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::row_parts
