// Products with rows of tables, which are read where they lie.
#include "kernels/declared.h"
#include "kernels/row_parts.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using row_parts::Add;
using std::int64_t;

template <typename T>
CHAINRULE_INLINE const T* row(const TableRowsOf<T>& rows, int64_t i, int64_t width) {
  return rows.table + (rows.numbers == nullptr ? i : rows.numbers[i]) * width;
}

// --- Products of rows ---

// The products of `count_a` rows of a with `count_b` rows of b, those from i and from j on, in the
// columns first ... end - 1.
template <int count_a, int count_b, typename T>
CHAINRULE_INLINE void products_of(const TableRowsOf<T>& a, int64_t i, const TableRowsOf<T>& b,
                                  int64_t j, int64_t width, T* out, int64_t stride, int64_t first,
                                  int64_t end) {
  using V = Vector<T>;
  const T* a_rows[count_a];
  const T* b_rows[count_b];
  for (int r = 0; r < count_a; ++r) a_rows[r] = row(a, i + r, width);
  for (int s = 0; s < count_b; ++s) b_rows[s] = row(b, j + s, width);
  V sums[count_a][count_b];
  for (int r = 0; r < count_a; ++r) {
    for (int s = 0; s < count_b; ++s) sums[r][s] = broadcast(T(0));
  }
  const auto add = [&](auto load) CHAINRULE_INLINE_LAMBDA {
    V b_parts[count_b];
    for (int s = 0; s < count_b; ++s) b_parts[s] = load(b_rows[s]);
    for (int r = 0; r < count_a; ++r) {
      const V a_part = load(a_rows[r]);
      for (int s = 0; s < count_b; ++s) sums[r][s] = multiply_add(a_part, b_parts[s], sums[r][s]);
    }
  };
  int64_t d = first;
  for (; d + V::lanes <= end; d += V::lanes) {
    add([&](const T* x) CHAINRULE_INLINE_LAMBDA { return V::load(x + d); });
  }
  if (d < end) {
    add([&](const T* x) CHAINRULE_INLINE_LAMBDA { return V::load_partial(x + d, end - d); });
  }
  for (int r = 0; r < count_a; ++r) {
    for (int s = 0; s < count_b; ++s) {
      out[r * stride + s] = one_lane(across_lanes(sums[r][s], Add{}));
    }
  }
}

template <int count_a, typename T>
CHAINRULE_INLINE void products_with_all(const TableRowsOf<T>& a, int64_t i, const TableRowsOf<T>& b,
                                        int64_t j, int64_t n, int64_t width, T* out, int64_t first,
                                        int64_t end) {
  int64_t s = 0;
  for (; s + 3 <= n; s += 3) products_of<count_a, 3>(a, i, b, j + s, width, out + s, n, first, end);
  for (; s < n; ++s) products_of<count_a, 1>(a, i, b, j + s, width, out + s, n, first, end);
}

// --- Sums of rows ---

// Columns of `count_sums` sums, as many as fill `vectors` vectors, of which the last has `left`
// elements.
template <int count_sums, int vectors, bool partial, typename T>
CHAINRULE_INLINE void sums_of(const WeightsOf<T>& w, const T* weights, const TableRowsOf<T>& b,
                              int64_t j, int64_t width, int64_t column, T* out, int64_t left) {
  using V = Vector<T>;
  V sums[count_sums][vectors];
  for (int r = 0; r < count_sums; ++r) {
    for (int v = 0; v < vectors; ++v) sums[r][v] = broadcast(T(0));
  }
  for (int64_t s = 0; s < w.n; ++s) {
    const T* const from = row(b, j + s, width) + column;
    V factors[count_sums];
    for (int r = 0; r < count_sums; ++r) {
      factors[r] = broadcast(weights[r * w.from_sum + s * w.from_row]);
    }
    for (int v = 0; v < vectors; ++v) {
      const V part = partial ? V::load_partial(from, left) : V::load(from + v * V::lanes);
      for (int r = 0; r < count_sums; ++r) {
        sums[r][v] = multiply_add(factors[r], part, sums[r][v]);
      }
    }
  }
  for (int r = 0; r < count_sums; ++r) {
    T* const to = out + r * width + column;
    for (int v = 0; v < vectors; ++v) {
      if constexpr (partial) {
        sums[r][v].store_partial(to, left);
      } else {
        sums[r][v].store(to + v * V::lanes);
      }
    }
  }
}

template <int count_sums, typename T>
CHAINRULE_INLINE void sums_of_columns(const WeightsOf<T>& w, const T* weights,
                                      const TableRowsOf<T>& b, int64_t j, int64_t width, T* out,
                                      int64_t first, int64_t columns) {
  constexpr int64_t lanes = Vector<T>::lanes;
  constexpr int many = 6, few = 3;  // vectors
  const int64_t end = first + columns;
  int64_t c = first;
  for (; c + many * lanes <= end; c += many * lanes) {
    sums_of<count_sums, many, false>(w, weights, b, j, width, c, out, lanes);
  }
  for (; c + few * lanes <= end; c += few * lanes) {
    sums_of<count_sums, few, false>(w, weights, b, j, width, c, out, lanes);
  }
  for (; c + lanes <= end; c += lanes) {
    sums_of<count_sums, 1, false>(w, weights, b, j, width, c, out, lanes);
  }
  if (c < end) sums_of<count_sums, 1, true>(w, weights, b, j, width, c, out, end - c);
}

}  // namespace

template <typename T>
void row_products(const TableRowsOf<T>& a, const TableRowsOf<T>& b, int64_t width, T* out,
                  int64_t groups, int64_t m, int64_t n, int64_t first, int64_t columns) {
  const int64_t end = first + columns;
  for (int64_t group = 0; group < groups; ++group) {
    const int64_t i = group * m, j = group * n;
    T* const products = out + group * m * n;
    int64_t r = 0;
    for (; r + 2 <= m; r += 2) {
      products_with_all<2>(a, i + r, b, j, n, width, products + r * n, first, end);
    }
    if (r < m) products_with_all<1>(a, i + r, b, j, n, width, products + r * n, first, end);
  }
}

template <typename T>
void weighted_rows(const WeightsOf<T>& w, const TableRowsOf<T>& b, int64_t width, T* out,
                   int64_t first, int64_t columns) {
  for (int64_t group = 0; group < w.groups; ++group) {
    const T* const weights = w.weights + group * w.m * w.n;
    T* const sums = out + group * w.m * width;
    int64_t r = 0;
    for (; r + 2 <= w.m; r += 2) {
      sums_of_columns<2>(w, weights + r * w.from_sum, b, group * w.n, width, sums + r * width,
                         first, columns);
    }
    if (r < w.m) {
      sums_of_columns<1>(w, weights + r * w.from_sum, b, group * w.n, width, sums + r * width,
                         first, columns);
    }
  }
}

template <typename T>
void subtract_rows(T* x, const int64_t* numbers, const T* values, T factor, int64_t count,
                   int64_t width, int64_t first, int64_t columns) {
  using V = Vector<T>;
  const V f = broadcast(factor);
  for (int64_t i = 0; i < count; ++i) {
    T* const to = x + numbers[i] * width + first;
    const T* const from = values + i * width + first;
    int64_t c = 0;
    for (; c + V::lanes <= columns; c += V::lanes) {
      negative_multiply_add(f, V::load(from + c), V::load(to + c)).store(to + c);
    }
    if (c < columns) {
      const int64_t left = columns - c;
      negative_multiply_add(f, V::load_partial(from + c, left), V::load_partial(to + c, left))
          .store_partial(to + c, left);
    }
  }
}

#define CHAINRULE_INSTANCES(T)                                                                   \
  template void row_products(const TableRowsOf<T>&, const TableRowsOf<T>&, int64_t, T*, int64_t, \
                             int64_t, int64_t, int64_t, int64_t);                                \
  template void weighted_rows(const WeightsOf<T>&, const TableRowsOf<T>&, int64_t, T*, int64_t,  \
                              int64_t);                                                          \
  template void subtract_rows(T*, const int64_t*, const T*, T, int64_t, int64_t, int64_t, int64_t);
CHAINRULE_INSTANCES(float)
CHAINRULE_INSTANCES(double)
#undef CHAINRULE_INSTANCES

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
