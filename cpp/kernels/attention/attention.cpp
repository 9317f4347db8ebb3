// Attention: softmax(scale Q K^T + B) V of one head, for one block of queries.
//
// Tile by tile of keys, each row keeps the largest score so far and the sum of exp(score -
// largest). Where a new tile has a larger score, what was summed up before is scaled down; at the
// end the sums of the values are divided by the sum of the weights.
#include "kernels/attention/attention_tiles.h"
#include "kernels/declared.h"
#include "kernels/row_parts.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using namespace attention_tiles;
using row_parts::Add;
using row_parts::Greater;

// Of the rows of a block of queries.
template <typename T>
struct RowSums {
  alignas(cache_line) T largest[tile];  // score so far
  alignas(cache_line) T shift[tile];    // the same, or 0 where it is -infinity
  alignas(cache_line) T rescale[tile];  // of what was summed up before this tile
  alignas(cache_line) T sum[tile];      // of the weights
};

template <typename T>
void clear(RowSums<T>& rows) {
  for (int64_t i = 0; i < tile; ++i) {
    rows.largest[i] = lowest<T>;
    rows.shift[i] = rows.sum[i] = 0;
    rows.rescale[i] = 1;
  }
}

// Scores in place of the products, and the largest of each row.
template <typename T>
void scale_scores(T* s, const AttentionRows<T>& call, int64_t query, int64_t key, const Seen& seen,
                  RowSums<T>& rows) {
  const auto scale = broadcast(call.scale);
  for (int64_t i = 0; i < seen.queries; ++i) {
    const int64_t count = seen.keys_of(i);
    const T* const bias =
        call.bias == nullptr ? nullptr : call.bias + (query + i) * call.bias_stride + key;
    T* const row = s + i * tile;
    auto largest = broadcast(rows.largest[i]);
    over_seen<T>(count, [&](int64_t j, auto mask) CHAINRULE_INLINE_LAMBDA {
      const auto score = select(mask, scaled(row, bias, j, count, scale), broadcast(lowest<T>));
      score.store(row + j);
      largest = Greater{}(largest, score);
    });
    rows.rescale[i] = rows.largest[i];
    rows.largest[i] = one_lane(across_lanes(largest, Greater{}));
  }
  constexpr int64_t lanes = Vector<T>::lanes;
  for (int64_t i = 0; i < seen.queries; i += lanes) {
    const auto largest_now = Vector<T>::load(rows.largest + i);
    const auto none = largest_now == broadcast(lowest<T>);
    const auto shift = select(none, broadcast(T(0)), largest_now);
    // By the largest until now, -inf where nothing was seen: the factor is at most 1.
    exp(Vector<T>::load(rows.rescale + i) - shift).store(rows.rescale + i);
    shift.store(rows.shift + i);
  }
}

// exp(score - shift) in place of the scores, and their sums.
template <typename T>
void exp_of_scores(T* s, const Seen& seen, RowSums<T>& rows) {
  for (int64_t i = 0; i < seen.queries; ++i) {
    const int64_t count = seen.keys_of(i);
    const auto shift = broadcast(rows.shift[i]);
    T* const row = s + i * tile;
    auto sum = broadcast(T(0));
    over_seen<T>(count, [&](int64_t j, auto) CHAINRULE_INLINE_LAMBDA {
      const auto weight = exp(Vector<T>::load(row + j) - shift);  // 0 beyond those seen
      weight.store(row + j);
      sum = sum + weight;
    });
    clear_unseen(row, count, seen.keys);
    rows.sum[i] = rows.sum[i] * rows.rescale[i] + one_lane(across_lanes(sum, Add{}));
  }
}

// Row i of x times factors[i].
template <typename T>
void scale_rows(T* x, int64_t stride, int64_t rows, int64_t columns, const T* factors) {
  constexpr int64_t lanes = Vector<T>::lanes;
  for (int64_t i = 0; i < rows; ++i) {
    const auto factor = broadcast(factors[i]);
    T* const row = x + i * stride;
    int64_t j = 0;
    for (; j + lanes <= columns; j += lanes) (Vector<T>::load(row + j) * factor).store(row + j);
    if (j < columns) {
      (Vector<T>::load_partial(row + j, columns - j) * factor).store_partial(row + j, columns - j);
    }
  }
}

// The logarithms of the sums, and 1 / sum in their place; 0 for both where a row sees nothing.
template <typename T>
void finish(RowSums<T>& rows, int64_t count, T* lse) {
  constexpr int64_t lanes = Vector<T>::lanes;
  const auto zero = broadcast(T(0)), one = broadcast(T(1));
  for (int64_t i = 0; i < count; i += lanes) {
    const auto sum = Vector<T>::load(rows.sum + i);
    const auto empty = sum == zero;
    const auto safe = select(empty, one, sum);
    select(empty, zero, one / safe).store(rows.sum + i);
    if (lse != nullptr) {
      const auto found = select(empty, zero, log(safe) + Vector<T>::load(rows.shift + i));
      if (count - i < lanes) {
        found.store_partial(lse + i, count - i);
      } else {
        found.store(lse + i);
      }
    }
  }
}

}  // namespace

template <typename T>
int64_t attention_workspace(int64_t width, int64_t value_width) {
  using W = Workspace<T>;
  return W::rounded(tile * tile) + W::rounded(tile * width) +
         W::rounded(tile * padded<T>(value_width));
}

template <typename T>
void attention(const AttentionRows<T>& call, int64_t first, int64_t queries, T* workspace) {
  Workspace<T> work(workspace);
  T* const s = work.take(tile * tile);
  T* const keys = work.take(tile * call.width);
  T* const values = work.take(tile * padded<T>(call.value_width));
  RowSums<T> rows;
  clear(rows);
  T* const out = call.out + first * call.out_stride;
  const Factor<T> q = {call.q + first * call.q_stride, call.q_stride};
  const int64_t end = call.causal ? smaller(call.keys, first + queries) : call.keys;
  // At least one tile, which writes the zeros of no keys.
  for (int64_t key = 0; key == 0 || key < end; key += tile) {
    const Seen seen = {queries, smaller(tile, call.keys - key), call.causal, first - key};
    const Factor<T> k =
        transposed(call.k + key * call.k_stride, call.k_stride, seen.keys, call.width, keys);
    multiply_scores(s, q, k, call.width, seen);
    scale_scores(s, call, first, key, seen, rows);
    exp_of_scores(s, seen, rows);
    if (key > 0) scale_rows(out, call.out_stride, queries, call.value_width, rows.rescale);
    const Factor<T> v =
        copied(call.v + key * call.v_stride, call.v_stride, seen.keys, call.value_width, values);
    multiply_rows_of(out, call.out_stride, s, v, call.value_width, key > 0, seen);
  }
  finish(rows, queries, call.lse == nullptr ? nullptr : call.lse + first);
  scale_rows(out, call.out_stride, queries, call.value_width, rows.sum);
}

template int64_t attention_workspace<float>(int64_t, int64_t);
template int64_t attention_workspace<double>(int64_t, int64_t);
template void attention(const AttentionRows<float>&, int64_t, int64_t, float*);
template void attention(const AttentionRows<double>&, int64_t, int64_t, double*);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
