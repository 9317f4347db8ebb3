#include "kernels/rows.h"

#include "kernels/math/transcendental.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

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
  constexpr int block = 64;  // vectors that are added one by one, before their sum is
  V total = broadcast(T(0)), sum = total;
  int count = 0;
  over_row(x, columns, [&](V v, std::int64_t i, std::int64_t elements) CHAINRULE_INLINE_LAMBDA {
    V e = exp(v - shift);
    if (out) store_elements(e, out + i, elements);
    if (elements) e = select_or_zero(first_lanes(e, elements), e);
    sum = sum + e;
    if (++count == block) {
      total = total + sum;
      sum = broadcast(T(0));
      count = 0;
    }
  });
  return across_lanes(total + sum, Add{});
}

// A row of at most `n` vectors, kept in registers. The last one has `last` elements; behind them
// lie numbers whose exp is 0 (or NaN, where no element is above -infinity).
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

// short_row(Vectors<n>) where rows of so many columns have n <= 4 vectors, else long_row().
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
// `lanes` rows at a time: the logarithm is as dear for one number as for a vector of them.
// shift_of(largest element) is what keeps exp from overflowing.
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

CHAINRULE_INLINE bool out_of_range(std::int64_t label, std::int64_t columns) {
  return static_cast<std::uint64_t>(label) >= static_cast<std::uint64_t>(columns);
}

// Rows of few columns, as many at once as a vector has lanes: lane r holds row r, so that no step
// combines lanes. `part` lies column by column.
template <typename T>
struct RowGroup {
  using V = Vector<T>;
  static constexpr int lanes = V::lanes;
  static constexpr std::int64_t most_columns = 16;
  T part[most_columns][lanes];

  CHAINRULE_INLINE void load(const T* x, std::int64_t rows, std::int64_t columns) {
    for (std::int64_t r = 0; r < rows; ++r, x += columns) {
      for (std::int64_t c = 0; c < columns; ++c) part[c][r] = x[c];
    }
    for (std::int64_t r = rows; r < lanes; ++r) {
      for (std::int64_t c = 0; c < columns; ++c) part[c][r] = 0;
    }
  }
  CHAINRULE_INLINE void store(T* out, std::int64_t rows, std::int64_t columns) const {
    for (std::int64_t r = 0; r < rows; ++r, out += columns) {
      for (std::int64_t c = 0; c < columns; ++c) out[c] = part[c][r];
    }
  }
  CHAINRULE_INLINE V largest(std::int64_t columns) const {
    V all = V::load(part[0]);
    for (std::int64_t c = 1; c < columns; ++c) all = Greater{}(all, V::load(part[c]));
    return all;
  }
  // Puts e^(x - shift) in the place of x; the sum of the terms.
  CHAINRULE_INLINE V exp_minus(V shift, std::int64_t columns) {
    V sum = broadcast(T(0));
    for (std::int64_t c = 0; c < columns; ++c) {
      const V e = exp(V::load(part[c]) - shift);
      e.store(part[c]);
      sum = sum + e;
    }
    return sum;
  }
};

// What softmax with cross-entropy gives for a row of any length: the shift and the sum of the terms
// e^(x - shift); where `grad` is not null, (p - y) * g goes there.
template <typename T>
struct ShiftAndSum {
  Vector<T> shift, sum;
};
template <typename T, bool with_grad>
CHAINRULE_INLINE ShiftAndSum<T> cross_entropy_row(T* grad, T g, const T* logits, std::int64_t label,
                                                  std::int64_t columns) {
  using V = Vector<T>;
  ShiftAndSum<T> found = {};
  const V one = broadcast(T(1)), factor = broadcast(g);
  by_length<T>(
      columns,
      [&]<int n>(Vectors<n>) CHAINRULE_INLINE_LAMBDA {
        const auto z = ShortRow<T, n>::load(logits, columns);
        found.shift = z.largest();
        const auto e = z.exp_minus(found.shift);
        const V sum = found.sum = e.sum();
        if constexpr (with_grad) {
          T numbers[V::lanes];
          for (int i = 0; i < V::lanes; ++i) numbers[i] = static_cast<T>(i);
          const V wanted = broadcast(static_cast<T>(label));
          V column = V::load(numbers);
          e.map([&](V v) CHAINRULE_INLINE_LAMBDA {
             const V y = select_or_zero(column == wanted, one);
             column = column + broadcast(static_cast<T>(V::lanes));
             return (v / sum - y) * factor;
           }).store(grad);
        }
      },
      [&]() CHAINRULE_INLINE_LAMBDA {
        found.shift = largest_of<Greater>(logits, columns);
        found.sum = sum_of_exp<T>(with_grad ? grad : nullptr, logits, columns, found.shift);
        if constexpr (with_grad) {
          const V scale = one / found.sum;
          const T of_label = (grad[label] * one_lane(scale) - 1) * g;
          over_row(grad, columns,
                   [&](V e, std::int64_t i, std::int64_t elements) CHAINRULE_INLINE_LAMBDA {
                     store_elements(e * scale * factor, grad + i, elements);
                   });
          grad[label] = of_label;
        }
      });
  return found;
}

// The losses of rows, their gradients by the logits times g of the row, or both: the same bits
// either way. The logarithm is taken of `lanes` sums at once.
template <typename T, bool with_losses, bool with_grad>
CHAINRULE_INLINE bool cross_entropy(T* losses, T* grad, const T* g, const T* logits,
                                    const std::int64_t* labels, std::int64_t rows,
                                    std::int64_t columns) {
  using V = Vector<T>;
  constexpr int lanes = V::lanes;
  if (columns < 1) return rows == 0;  // no label can be in range
  for (std::int64_t r = 0; r < rows; ++r) {
    if (out_of_range(labels[r], columns)) return false;
  }
  for (std::int64_t first = 0; first < rows; first += lanes) {
    const std::int64_t count = rows - first < lanes ? rows - first : lanes;
    const T* const x = logits + first * columns;
    V shift, sum;
    if (columns <= RowGroup<T>::most_columns) {
      RowGroup<T> group;
      group.load(x, count, columns);
      shift = group.largest(columns);
      sum = group.exp_minus(shift, columns);
      if constexpr (with_grad) {
        T factors[lanes] = {}, wanted[lanes] = {};
        for (std::int64_t r = 0; r < count; ++r) {
          wanted[r] = static_cast<T>(labels[first + r]);
          factors[r] = g[first + r];
        }
        const V factor = V::load(factors), label = V::load(wanted), one = broadcast(T(1));
        for (std::int64_t c = 0; c < columns; ++c) {
          const V y = select_or_zero(broadcast(static_cast<T>(c)) == label, one);
          ((V::load(group.part[c]) / sum - y) * factor).store(group.part[c]);
        }
        group.store(grad + first * columns, count, columns);
      }
    } else {
      T shifts[lanes] = {}, sums[lanes] = {};
      for (std::int64_t r = 0; r < count; ++r) {
        const std::int64_t row = first + r;
        const ShiftAndSum<T> found = cross_entropy_row<T, with_grad>(
            with_grad ? grad + row * columns : nullptr, with_grad ? g[row] : T(0), x + r * columns,
            labels[row], columns);
        shifts[r] = one_lane(found.shift);
        sums[r] = one_lane(found.sum);
      }
      shift = V::load(shifts);
      sum = V::load(sums);
    }
    if constexpr (with_losses) {
      T chosen[lanes] = {};
      for (std::int64_t r = 0; r < count; ++r) chosen[r] = x[r * columns + labels[first + r]];
      store_rows(log(sum) - (V::load(chosen) - shift), losses + first, count);
    }
  }
  return true;
}

// The number of the first element that matches; -1 if none does.
template <typename T, typename Match>
CHAINRULE_INLINE std::int64_t first_match(const T* x, std::int64_t columns, Match match) {
  using V = Vector<T>;
  std::int64_t i = 0;
  for (; i + V::lanes <= columns; i += V::lanes) {
    if (const unsigned found = lane_bits(match(V::load(x + i)))) return i + lowest_bit(found);
  }
  if (i < columns) {
    const V tail = V::load_partial(x + i, columns - i);
    const unsigned found = lane_bits(match(tail) & first_lanes(tail, columns - i));
    if (found) return i + lowest_bit(found);
  }
  return -1;
}

template <typename T>
CHAINRULE_INLINE void fill_zero(T* out, std::int64_t n) {
  if (n > 0) ::memset(out, 0, static_cast<std::size_t>(n) * sizeof(T));
}

}  // namespace

template <typename T>
void softmax(T* out, const T* x, std::int64_t rows, std::int64_t columns) {
  using V = Vector<T>;
  for (std::int64_t r = 0; r < rows; ++r, x += columns, out += columns) {
    by_length<T>(
        columns,
        [&]<int n>(Vectors<n>) CHAINRULE_INLINE_LAMBDA {
          const auto z = ShortRow<T, n>::load(x, columns);
          const auto e = z.exp_minus(z.largest());
          const V sum = e.sum();
          e.map([&](V v) CHAINRULE_INLINE_LAMBDA { return v / sum; }).store(out);
        },
        [&]() CHAINRULE_INLINE_LAMBDA {
          const V sum = sum_of_exp(out, x, columns, largest_of<Greater>(x, columns));
          const V scale = broadcast(T(1)) / sum;
          over_row(out, columns,
                   [&](V e, std::int64_t i, std::int64_t elements)
                       CHAINRULE_INLINE_LAMBDA { store_elements(e * scale, out + i, elements); });
        });
  }
}

template <typename T>
void log_softmax(T* out, const T* x, std::int64_t rows, std::int64_t columns) {
  using V = Vector<T>;
  for (std::int64_t r = 0; r < rows; ++r, x += columns, out += columns) {
    by_length<T>(
        columns,
        [&]<int n>(Vectors<n>) CHAINRULE_INLINE_LAMBDA {
          const auto z = ShortRow<T, n>::load(x, columns);
          const V shift = z.largest();
          const V logarithm = log(z.exp_minus(shift).sum());
          z.map([&](V v) CHAINRULE_INLINE_LAMBDA { return (v - shift) - logarithm; }).store(out);
        },
        [&]() CHAINRULE_INLINE_LAMBDA {
          const V shift = largest_of<Greater>(x, columns);
          const V logarithm = log(sum_of_exp<T>(nullptr, x, columns, shift));
          over_row(x, columns,
                   [&](V v, std::int64_t i, std::int64_t elements) CHAINRULE_INLINE_LAMBDA {
                     store_elements((v - shift) - logarithm, out + i, elements);
                   });
        });
  }
}

template <typename T>
void logsumexp(T* out, const T* x, std::int64_t rows, std::int64_t columns) {
  using V = Vector<T>;
  const V infinity = broadcast(highest<T>);
  const auto finite_or_zero = [&](V v) CHAINRULE_INLINE_LAMBDA {
    return select_or_zero(abs(v) < infinity, v);
  };
  over_sums(x, rows, columns, finite_or_zero,
            [&](V shift, V sum, std::int64_t first, std::int64_t count)
                CHAINRULE_INLINE_LAMBDA { store_rows(log(sum) + shift, out + first, count); });
}

template <typename T>
bool softmax_cross_entropy(T* out, const T* logits, const std::int64_t* labels, std::int64_t rows,
                           std::int64_t columns) {
  return cross_entropy<T, true, false>(out, nullptr, nullptr, logits, labels, rows, columns);
}

template <typename T>
bool softmax_cross_entropy_grad(T* out, const T* g, const T* logits, const std::int64_t* labels,
                                std::int64_t rows, std::int64_t columns) {
  return cross_entropy<T, false, true>(nullptr, out, g, logits, labels, rows, columns);
}

template <typename T>
bool softmax_cross_entropy_and_grad(T* losses, T* grad, const T* g, const T* logits,
                                    const std::int64_t* labels, std::int64_t rows,
                                    std::int64_t columns) {
  return cross_entropy<T, true, true>(losses, grad, g, logits, labels, rows, columns);
}

template <typename T>
void argmax(std::int64_t* out, const T* x, std::int64_t rows, std::int64_t columns) {
  using V = Vector<T>;
  for (std::int64_t r = 0; r < rows; ++r, x += columns) {
    // Where there is a NaN it is the largest, and equals nothing.
    if (columns < V::lanes) {
      const V v = load_filled(x, columns, lowest<T>);
      const V largest = across_lanes(v, Maximum{});
      out[r] = lowest_bit(lane_bits((v == largest) | (v != v)));
      continue;
    }
    const V largest = largest_of<Maximum>(x, columns);
    out[r] = first_match(x, columns,
                         [&](V v) CHAINRULE_INLINE_LAMBDA { return (v == largest) | (v != v); });
  }
}

template <typename T>
void first_equal(T* out, const T* x, const T* extreme, std::int64_t rows, std::int64_t columns) {
  using V = Vector<T>;
  if (columns == 0) return;
  for (std::int64_t r = 0; r < rows; ++r, x += columns, out += columns) {
    const V wanted = broadcast(extreme[r]);
    const std::int64_t found =
        first_match(x, columns, [&](V v) CHAINRULE_INLINE_LAMBDA { return v == wanted; });
    fill_zero(out, columns);
    out[found < 0 ? 0 : found] = 1;  // a NaN equals nothing; the reference marks the first then
  }
}

template <typename T>
bool one_hot(T* out, const std::int64_t* labels, std::int64_t rows, std::int64_t columns) {
  fill_zero(out, rows * columns);
  for (std::int64_t r = 0; r < rows; ++r) {
    if (out_of_range(labels[r], columns)) return false;
    out[r * columns + labels[r]] = 1;
  }
  return true;
}

#define CHAINRULE_INSTANTIATE(T)                                                                \
  template void softmax(T*, const T*, std::int64_t, std::int64_t);                              \
  template void log_softmax(T*, const T*, std::int64_t, std::int64_t);                          \
  template void logsumexp(T*, const T*, std::int64_t, std::int64_t);                            \
  template void argmax(std::int64_t*, const T*, std::int64_t, std::int64_t);                    \
  template void first_equal(T*, const T*, const T*, std::int64_t, std::int64_t);                \
  template bool softmax_cross_entropy(T*, const T*, const std::int64_t*, std::int64_t,          \
                                      std::int64_t);                                            \
  template bool softmax_cross_entropy_grad(T*, const T*, const T*, const std::int64_t*,         \
                                           std::int64_t, std::int64_t);                         \
  template bool softmax_cross_entropy_and_grad(T*, T*, const T*, const T*, const std::int64_t*, \
                                               std::int64_t, std::int64_t);                     \
  template bool one_hot(T*, const std::int64_t*, std::int64_t, std::int64_t);
CHAINRULE_INSTANTIATE(float)
CHAINRULE_INSTANTIATE(double)
template void argmax(std::int64_t*, const std::int64_t*, std::int64_t, std::int64_t);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
