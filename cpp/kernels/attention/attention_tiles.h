// What the forward and the backward pass of attention share: tiles of the matrix of scores.
//
//                      keys
//             +------+------+------+
//     queries | tile |      |      |   of at most 64 queries and 64 keys. Of a causal attention the
//             +------+------+------+   tiles above the diagonal are left out, and of those on it
//             |      | tile |      |   what no product needs.
//             +------+------+------+
#pragma once

#include "kernels/gemm/gemm_blocks.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/gemm_transpose.h"
#include "kernels/kernels.h"
#include "kernels/math/transcendental.h"
#include "kernels/rounding.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::attention_tiles {

using gemm_blocks::copy_padded;
using gemm_blocks::smaller;
using gemm_transpose::transpose_padded;
using std::int64_t;

inline constexpr int64_t tile = 64;  // queries and keys

// A number of elements that whole vectors hold.
template <typename T>
CHAINRULE_INLINE int64_t padded(int64_t count) {
  constexpr int64_t lanes = Vector<T>::lanes;
  return round_up(count, lanes);
}

// Takes arrays from a workspace, each beginning with a cache line.
template <typename T>
class Workspace {
 public:
  explicit Workspace(T* start) : next_(start) {}

  T* take(int64_t count) {
    T* const taken = next_;
    next_ += rounded(count);
    return taken;
  }
  static int64_t rounded(int64_t count) {
    constexpr int64_t line = cache_line / static_cast<int64_t>(sizeof(T));
    return round_up(count, line);
  }

 private:
  T* next_;
};

// Which keys the queries of a tile see, both counted from the tile's first.
struct Seen {
  int64_t queries, keys;
  bool causal;
  int64_t ahead;  // the number of the first query less that of the first key

  // Query number `query` sees the first ones.
  CHAINRULE_INLINE int64_t keys_of(int64_t query) const {
    if (!causal) return keys;
    const int64_t count = query + ahead + 1;
    return count < 0 ? 0 : smaller(count, keys);
  }
  // Key number `key` is seen from this query on.
  CHAINRULE_INLINE int64_t first_query_of(int64_t key) const {
    if (!causal || key <= ahead) return 0;
    return smaller(key - ahead, queries);
  }
};

template <typename T>
struct Factor {
  const T* data;
  int64_t stride;
};

// C (m x n) = op(A) B, or added to C. The rows of B are whole vectors. For a tile of C with the
// rows first ... last the sums run over the terms from begin(first) to end(last), and only the
// columns before columns(last) are computed.
template <bool a_transposed, typename T, typename Begin, typename End, typename Columns>
CHAINRULE_INLINE void multiply(T* c, int64_t ldc, Factor<T> a, Factor<T> b, int64_t m, int64_t n,
                               bool accumulate, Begin begin, End end, Columns columns_of) {
  using namespace gemm_tile;
  constexpr int64_t width = tile_columns<T>;
  if (m == 0) return;
  const int64_t tiles = ceil_div(m, tile_rows);
  const int64_t height = m / tiles;
  const int64_t taller = m - height * tiles;
  for (int64_t j = 0; j < n; j += width) {
    const auto columns = static_cast<int>(smaller(width, n - j));
    const int vectors = columns > Vector<T>::lanes ? 2 : 1;
    for (int64_t i = 0, number = 0; i < m; ++number) {
      const int64_t rows = number < taller ? height + 1 : height;
      const int64_t last = i + rows - 1;
      if (j < columns_of(last)) {
        const int64_t first_term = begin(i);
        const int64_t terms = end(last) - first_term;
        const Tile<T> part = {
            a.data + (a_transposed ? first_term * a.stride + i : i * a.stride + first_term),
            a.stride,
            b.data + first_term * b.stride + j,
            b.stride,
            c + i * ldc + j,
            ldc,
            terms > 0 ? terms : 0,
            columns,
            accumulate};
        choose<T>(a_transposed, vectors, static_cast<int>(rows))(part);
      }
      i += rows;
    }
  }
}

// S = A B for queries in rows and keys in columns; what no query sees is left out.
template <typename T>
void multiply_scores(T* s, Factor<T> a, Factor<T> b, int64_t terms, const Seen& seen) {
  multiply<false>(
      s, tile, a, b, seen.queries, seen.keys, false, [](int64_t) { return int64_t{0}; },
      [&](int64_t) { return terms; }, [&](int64_t query) { return seen.keys_of(query); });
}
// C (queries x n) = S B.
template <typename T>
void multiply_rows_of(T* c, int64_t ldc, const T* s, Factor<T> b, int64_t n, bool accumulate,
                      const Seen& seen) {
  multiply<false>(
      c, ldc, Factor<T>{s, tile}, b, seen.queries, n, accumulate,
      [](int64_t) { return int64_t{0}; }, [&](int64_t query) { return seen.keys_of(query); },
      [&](int64_t) { return n; });
}
// C (keys x n) = S^T B.
template <typename T>
void multiply_columns_of(T* c, int64_t ldc, const T* s, Factor<T> b, int64_t n, bool accumulate,
                         const Seen& seen) {
  multiply<true>(
      c, ldc, Factor<T>{s, tile}, b, seen.keys, n, accumulate,
      [&](int64_t key) { return seen.first_query_of(key); }, [&](int64_t) { return seen.queries; },
      [&](int64_t) { return n; });
}

// x (rows x columns) as rows of whole vectors.
template <typename T>
Factor<T> copied(const T* x, int64_t stride, int64_t rows, int64_t columns, T* to) {
  const int64_t to_stride = padded<T>(columns);
  copy_padded(x, stride, rows, static_cast<int>(columns), to, to_stride);
  return {to, to_stride};
}
// x (keys x columns) transposed.
template <typename T>
Factor<T> transposed(const T* x, int64_t stride, int64_t keys, int64_t columns, T* to) {
  transpose_padded(x, stride, static_cast<int>(keys), columns, to, tile);
  return {to, tile};
}

// f(column, mask of those seen) for the vectors of a row of which `count` keys are seen.
template <typename T, typename F>
CHAINRULE_INLINE void over_seen(int64_t count, F f) {
  constexpr int64_t lanes = Vector<T>::lanes;
  const auto zero = broadcast(T(0));
  int64_t j = 0;
  for (; j + lanes <= count; j += lanes) f(j, zero == zero);
  if (j < count) f(j, first_lanes(zero, count - j));
}

// Zeros after the keys that a query sees, up to the end of the tile.
template <typename T>
CHAINRULE_INLINE void clear_unseen(T* row, int64_t seen, int64_t keys) {
  for (int64_t j = padded<T>(seen); j < keys; j += Vector<T>::lanes) broadcast(T(0)).store(row + j);
}

// scale * s + bias of a vector of scores; the bias of a row may be missing.
template <typename T>
CHAINRULE_INLINE Vector<T> scaled(const T* row, const T* bias, int64_t j, int64_t count,
                                  Vector<T> scale) {
  const auto s = Vector<T>::load(row + j) * scale;
  if (bias == nullptr) return s;
  const int64_t left = count - j;
  return s + (left < Vector<T>::lanes ? Vector<T>::load_partial(bias + j, left)
                                      : Vector<T>::load(bias + j));
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::attention_tiles
