// The gradient of attention for one head: dQ, dK and dV.
//
// Tile by tile of keys, and for each the tiles of queries that see it: the weights are computed
// anew from the logarithms of their sums, and what a tile adds to the three gradients is added in
// this order.
#include "kernels/attention/attention_tiles.h"
#include "kernels/declared.h"
#include "kernels/row_parts.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using namespace attention_tiles;
using row_parts::Add;

// deltas[i] = the sum of g * y over a row: what softmax takes off each score's gradient.
template <typename T>
void row_products(const AttentionGradRows<T>& call, T* deltas) {
  constexpr int64_t lanes = Vector<T>::lanes;
  for (int64_t i = 0; i < call.forward.queries; ++i) {
    const T* const g = call.g + i * call.g_stride;
    const T* const y = call.y + i * call.y_stride;
    const int64_t columns = call.forward.value_width;
    auto sum = broadcast(T(0));
    int64_t j = 0;
    for (; j + lanes <= columns; j += lanes) {
      sum = multiply_add(Vector<T>::load(g + j), Vector<T>::load(y + j), sum);
    }
    if (j < columns) {
      sum = multiply_add(Vector<T>::load_partial(g + j, columns - j),
                         Vector<T>::load_partial(y + j, columns - j), sum);
    }
    deltas[i] = one_lane(across_lanes(sum, Add{}));
  }
}

// p: the products of queries and keys become weights; dp: the gradients of the weights become those
// of the scores, times the scale.
template <typename T>
void weights_and_deltas(T* p, T* dp, const AttentionRows<T>& call, int64_t query, int64_t key,
                        const Seen& seen, const T* deltas) {
  const auto scale = broadcast(call.scale);
  const auto zero = broadcast(T(0));
  for (int64_t i = 0; i < seen.queries; ++i) {
    const int64_t count = seen.keys_of(i);
    const T* const bias =
        call.bias == nullptr ? nullptr : call.bias + (query + i) * call.bias_stride + key;
    const auto lse = broadcast(call.lse[query + i]), delta = broadcast(deltas[query + i]);
    T* const p_row = p + i * tile;
    T* const dp_row = dp + i * tile;
    over_seen<T>(count, [&](int64_t j, auto mask) CHAINRULE_INLINE_LAMBDA {
      const auto weight = select(mask, exp(scaled(p_row, bias, j, count, scale) - lse), zero);
      weight.store(p_row + j);
      select(mask, weight * (Vector<T>::load(dp_row + j) - delta) * scale, zero).store(dp_row + j);
    });
    clear_unseen(p_row, count, seen.keys);
    clear_unseen(dp_row, count, seen.keys);
  }
}

template <typename T>
void clear_rows(T* x, int64_t stride, int64_t rows, int64_t columns) {
  for (int64_t i = 0; i < rows; ++i) {
    for (int64_t j = 0; j < columns; ++j) x[i * stride + j] = 0;
  }
}

}  // namespace

template <typename T>
int64_t attention_grad_workspace(int64_t queries, int64_t width, int64_t value_width) {
  using W = Workspace<T>;
  return W::rounded(queries) + 2 * W::rounded(tile * tile) + W::rounded(tile * width) +
         W::rounded(tile * value_width) + 2 * W::rounded(tile * padded<T>(width)) +
         W::rounded(tile * padded<T>(value_width));
}

template <typename T>
void attention_grad(const AttentionGradRows<T>& call, T* workspace) {
  const AttentionRows<T>& forward = call.forward;
  const int64_t width = forward.width, value_width = forward.value_width;
  Workspace<T> work(workspace);
  T* const deltas = work.take(forward.queries);
  T* const p = work.take(tile * tile);
  T* const dp = work.take(tile * tile);
  T* const k_columns = work.take(tile * width);
  T* const v_columns = work.take(tile * value_width);
  T* const k_rows = work.take(tile * padded<T>(width));
  T* const q_rows = work.take(tile * padded<T>(width));
  T* const g_rows = work.take(tile * padded<T>(value_width));
  row_products(call, deltas);
  if (forward.keys == 0) clear_rows(call.dq, call.dq_stride, forward.queries, width);
  for (int64_t key = 0; key < forward.keys; key += tile) {
    const int64_t keys = smaller(tile, forward.keys - key);
    const T* const k_tile = forward.k + key * forward.k_stride;
    const T* const v_tile = forward.v + key * forward.v_stride;
    T* const dk = call.dk + key * call.dk_stride;
    T* const dv = call.dv + key * call.dv_stride;
    const int64_t first = forward.causal ? key : 0;  // the tile of queries that see these keys
    if (first >= forward.queries) {
      clear_rows(dk, call.dk_stride, keys, width);
      clear_rows(dv, call.dv_stride, keys, value_width);
      continue;
    }
    const Factor<T> k_transposed = transposed(k_tile, forward.k_stride, keys, width, k_columns);
    const Factor<T> v_transposed =
        transposed(v_tile, forward.v_stride, keys, value_width, v_columns);
    const Factor<T> k = copied(k_tile, forward.k_stride, keys, width, k_rows);
    for (int64_t query = first; query < forward.queries; query += tile) {
      const Seen seen = {smaller(tile, forward.queries - query), keys, forward.causal, query - key};
      const Factor<T> q = copied(forward.q + query * forward.q_stride, forward.q_stride,
                                 seen.queries, width, q_rows);
      const Factor<T> g =
          copied(call.g + query * call.g_stride, call.g_stride, seen.queries, value_width, g_rows);
      multiply_scores(p, q, k_transposed, width, seen);
      multiply_scores(dp, g, v_transposed, value_width, seen);
      weights_and_deltas(p, dp, forward, query, key, seen, deltas);
      const bool adds = query > first;
      multiply_columns_of(dv, call.dv_stride, p, g, value_width, adds, seen);
      multiply_columns_of(dk, call.dk_stride, dp, q, width, adds, seen);
      multiply_rows_of(call.dq + query * call.dq_stride, call.dq_stride, dp, k, width, key > 0,
                       seen);
    }
  }
}

template int64_t attention_grad_workspace<float>(int64_t, int64_t, int64_t);
template int64_t attention_grad_workspace<double>(int64_t, int64_t, int64_t);
template void attention_grad(const AttentionGradRows<float>&, float*);
template void attention_grad(const AttentionGradRows<double>&, double*);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
