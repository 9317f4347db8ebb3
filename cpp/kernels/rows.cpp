#include "kernels/rows.h"

#include <type_traits>

#include "kernels/row_norms.h"
#include "kernels/row_parts.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using namespace row_parts;

template <typename U, typename T>
CHAINRULE_INLINE const U* input(const RowCall<T>& call, int number) {
  return static_cast<const U*>(call.inputs[number]);
}
template <typename U, typename T>
CHAINRULE_INLINE U* result(const RowCall<T>& call) {
  return static_cast<U*>(call.out);
}

CHAINRULE_INLINE bool out_of_range(std::int64_t label, std::int64_t columns) {
  return static_cast<std::uint64_t>(label) >= static_cast<std::uint64_t>(columns);
}

// The sums of each row from the column `first` on, `step` by `step`: of floats in double, of
// integers modulo 2^64.
template <typename T>
bool running_sums(T* out, const T* x, std::int64_t rows, std::int64_t columns, std::int64_t first,
                  std::int64_t step) {
  using Sum = std::conditional_t<is_integer<T>, std::uint64_t, double>;
  for (std::int64_t r = 0; r < rows; ++r, x += columns, out += columns) {
    Sum sum = 0;
    for (std::int64_t c = 0, i = first; c < columns; ++c, i += step) {
      sum += static_cast<Sum>(x[i]);
      out[i] = static_cast<T>(sum);
    }
  }
  return true;
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

// Of a softmax: what is subtracted from x, and the sum of the terms e^(x - shift).
template <typename T>
struct ShiftAndSum {
  Vector<T> shift, sum;
};

// Softmax with cross-entropy of a row of any length; writes (p - y) * g to `grad` if that is asked
// for.
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
bool softmax(const RowCall<T>& call) {
  const T* x = input<T>(call, 0);
  T* out = result<T>(call);
  const std::int64_t rows = call.rows, columns = call.columns;
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
  return true;
}

template <typename T>
bool log_softmax(const RowCall<T>& call) {
  const T* x = input<T>(call, 0);
  T* out = result<T>(call);
  const std::int64_t rows = call.rows, columns = call.columns;
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
  return true;
}

template <typename T>
bool logsumexp(const RowCall<T>& call) {
  T* const out = result<T>(call);
  using V = Vector<T>;
  const V infinity = broadcast(highest<T>);
  const auto finite_or_zero = [&](V v) CHAINRULE_INLINE_LAMBDA {
    return select_or_zero(abs(v) < infinity, v);
  };
  over_sums(input<T>(call, 0), call.rows, call.columns, finite_or_zero,
            [&](V shift, V sum, std::int64_t first, std::int64_t count)
                CHAINRULE_INLINE_LAMBDA { store_rows(log(sum) + shift, out + first, count); });
  return true;
}

template <typename T>
bool softmax_cross_entropy(const RowCall<T>& call) {
  return cross_entropy<T, true, false>(result<T>(call), nullptr, nullptr, input<T>(call, 0),
                                       input<std::int64_t>(call, 1), call.rows, call.columns);
}

template <typename T>
bool softmax_cross_entropy_grad(const RowCall<T>& call) {
  return cross_entropy<T, false, true>(nullptr, result<T>(call), input<T>(call, 0),
                                       input<T>(call, 1), input<std::int64_t>(call, 2), call.rows,
                                       call.columns);
}

template <typename T>
bool softmax_cross_entropy_and_grad(const RowCall<T>& call) {
  return cross_entropy<T, true, true>(result<T>(call), static_cast<T*>(call.second),
                                      input<T>(call, 0), input<T>(call, 1),
                                      input<std::int64_t>(call, 2), call.rows, call.columns);
}

template <typename T>
bool argmax(const RowCall<T>& call) {
  const T* x = input<T>(call, 0);
  std::int64_t* const out = result<std::int64_t>(call);
  const std::int64_t rows = call.rows, columns = call.columns;
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
  return true;
}

template <typename T>
bool cumsum(const RowCall<T>& call) {
  return running_sums(result<T>(call), input<T>(call, 0), call.rows, call.columns, 0, 1);
}

template <typename T>
bool reverse_cumsum(const RowCall<T>& call) {
  return running_sums(result<T>(call), input<T>(call, 0), call.rows, call.columns, call.columns - 1,
                      -1);
}

template <typename T>
bool first_equal(const RowCall<T>& call) {
  const T* x = input<T>(call, 0);
  const T* const extreme = input<T>(call, 1);
  T* out = result<T>(call);
  const std::int64_t rows = call.rows, columns = call.columns;
  using V = Vector<T>;
  if (columns == 0) return true;
  for (std::int64_t r = 0; r < rows; ++r, x += columns, out += columns) {
    const V wanted = broadcast(extreme[r]);
    const std::int64_t found = first_match(
        x, columns, [&](V v) CHAINRULE_INLINE_LAMBDA { return (v == wanted) | (v != v); });
    fill_zero(out, columns);
    out[found < 0 ? 0 : found] = 1;
  }
  return true;
}

template <typename T>
bool one_hot(const RowCall<T>& call) {
  const std::int64_t* const labels = input<std::int64_t>(call, 0);
  T* const out = result<T>(call);
  const std::int64_t rows = call.rows, columns = call.columns;
  fill_zero(out, rows * columns);
  for (std::int64_t r = 0; r < rows; ++r) {
    if (out_of_range(labels[r], columns)) return false;
    out[r * columns + labels[r]] = 1;
  }
  return true;
}

template <typename T>
bool layer_norm(const RowCall<T>& call) {
  return row_norms::normalise<true>(call);
}

template <typename T>
bool layer_norm_grad(const RowCall<T>& call) {
  return row_norms::normalise_grad<true>(call);
}

template <typename T>
bool rms_norm(const RowCall<T>& call) {
  return row_norms::normalise<false>(call);
}

template <typename T>
bool rms_norm_grad(const RowCall<T>& call) {
  return row_norms::normalise_grad<false>(call);
}

#define CHAINRULE_INTEGERS_floating(name)
#define CHAINRULE_INTEGERS_computed(name) template bool name(const RowCall<std::int64_t>&);
#define CHAINRULE_ROW(name, types, inputs, out, second) \
  template bool name(const RowCall<float>&);            \
  template bool name(const RowCall<double>&);           \
  CHAINRULE_INTEGERS_##types(name)
#include "kernels/rows.def"
#undef CHAINRULE_ROW

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
