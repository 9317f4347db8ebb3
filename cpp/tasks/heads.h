// What the tasks of attention and of its gradient share: where one head lies.
#pragma once

#include "tasks/building.h"

namespace chainrule {

// An array of heads, by pointer.
template <typename T>
struct HeadsAt {
  T* data = nullptr;
  std::int64_t batch_stride = 0, row_stride = 0, head_stride = 0;

  HeadsAt() = default;
  HeadsAt(Ref ref, const HeadStrides& strides, const Memory& memory)
      : data(memory.at<T>(ref)),
        batch_stride(strides[0]),
        row_stride(strides[1]),
        head_stride(strides[2]) {}

  T* at(std::int64_t batch, std::int64_t head) const {
    return data + batch * batch_stride + head * head_stride;
  }
};

// What the forward pass reads, and the backward pass as well.
template <typename T>
struct AttentionInputs {
  AttentionForm form;
  HeadsAt<const T> q, k, v, bias;

  AttentionInputs(const AttentionForm& of, const AttentionOperands& x, const Memory& memory)
      : form(of),
        q(x.q, x.q_strides, memory),
        k(x.k, x.k_strides, memory),
        v(x.v, x.v_strides, memory) {
    if (x.bias) bias = HeadsAt<const T>(*x.bias, x.bias_strides, memory);
  }

  // One head, without results.
  AttentionRows<T> rows(std::int64_t batch, std::int64_t head) const {
    return {.q = q.at(batch, head),
            .q_stride = q.row_stride,
            .k = k.at(batch, head),
            .k_stride = k.row_stride,
            .v = v.at(batch, head),
            .v_stride = v.row_stride,
            .bias = bias.data == nullptr ? nullptr : bias.at(batch, head),
            .bias_stride = bias.row_stride,
            .out = nullptr,
            .out_stride = 0,
            .lse = nullptr,
            .queries = form.queries,
            .keys = form.keys,
            .width = form.width,
            .value_width = form.value_width,
            .scale = static_cast<T>(form.scale),
            .causal = form.causal};
  }
  // Multiplications of one head and of `products` products.
  double multiplications(double products) const {
    const double scores = number(form.queries) * number(form.keys) * (form.causal ? 0.5 : 1.0);
    return scores * (number(form.width + form.value_width) / 2 * products + 20);
  }
};

}  // namespace chainrule
