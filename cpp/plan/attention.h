// Attention and its gradient, as instructions of a plan; see plan.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "kernels/kinds.h"
#include "plan/spaces.h"

namespace chainrule {

// The shapes of an attention: q (batch, queries, heads, width), k (batch, keys, heads, width) and
// v (batch, keys, heads, value_width); and how the scores are made. With `causal`, query i sees the
// keys 0 ... i.
struct AttentionForm {
  std::int64_t batch, heads, queries, keys, width, value_width;
  double scale;
  bool causal;

  void fields(auto&& field) {
    field("batch", batch);
    field("heads", heads);
    field("queries", queries);
    field("keys", keys);
    field("width", width);
    field("value_width", value_width);
    field("scale", scale);
    field("causal", causal);
  }
};

// The strides, in elements, from batch to batch, from place to place and from head to head of an
// array (batch, place, head, width); the elements of the last axis lie side by side.
using HeadStrides = std::vector<std::int64_t>;
inline constexpr std::size_t head_axes = 3;

// What an attention and its gradient read. The scores are scale q k^T + bias; the bias is (batch,
// queries, heads, keys), and missing where nothing is added.
struct AttentionOperands {
  Ref q, k, v;
  std::optional<Ref> bias;
  HeadStrides q_strides, k_strides, v_strides, bias_strides;

  void fields(auto&& field) {
    field("q", q);
    field("k", k);
    field("v", v);
    field.optional("bias", bias);
    field("q_strides", q_strides);
    field("k_strides", k_strides);
    field("v_strides", v_strides);
    field.optional("bias_strides", bias_strides);
  }
};

// out (batch, queries, heads, value_width), contiguous, = softmax(scores) v of each head; and lse
// (batch, heads, queries), the logarithms of the sums of exp(scores).
struct Attention {
  DType dtype;
  AttentionForm form;
  AttentionOperands operands;
  Ref out;
  std::optional<Ref> lse;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("form", form);
    operands.fields(field);
    field("out", out);
    field.optional("lse", lse);
  }
};

// The gradients by q, k and v, given g, that by the result y.
struct AttentionGrad {
  DType dtype;
  AttentionForm form;
  AttentionOperands operands;
  Ref g, y, lse, dq, dk, dv;
  HeadStrides g_strides, y_strides, dq_strides, dk_strides, dv_strides;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("form", form);
    operands.fields(field);
    field("g", g);
    field("y", y);
    field("lse", lse);
    field("dq", dq);
    field("dk", dk);
    field("dv", dv);
    field("g_strides", g_strides);
    field("y_strides", y_strides);
    field("dq_strides", dq_strides);
    field("dk_strides", dk_strides);
    field("dv_strides", dv_strides);
  }
};

}  // namespace chainrule
