// The checks of attention.
#include "plan/validator.h"

namespace chainrule {
namespace {

void check(const Validator& validator, DType dtype, const AttentionForm& form) {
  validator.demand(is_floating(dtype),
                   "attention computes in float32 or float64, not " + std::string(name_of(dtype)));
  validator.length("batch", form.batch);
  validator.length("heads", form.heads);
  validator.length("queries", form.queries);
  validator.length("keys", form.keys);
  validator.length("width", form.width);
  validator.length("value_width", form.value_width);
}

// The bytes from the first to the last element of (batch, places, heads, width).
Extent heads(const Validator& validator, std::string_view what, Ref ref, const HeadStrides& strides,
             DType dtype, const AttentionForm& form, std::int64_t places, std::int64_t width) {
  if (strides.size() != head_axes) {
    validator.refuse(std::string(what) + " has " + std::to_string(head_axes) + " strides, got " +
                     std::to_string(strides.size()));
  }
  for (const std::int64_t stride : strides) validator.length("a stride", stride);
  const bool empty = form.batch == 0 || form.heads == 0 || places == 0 || width == 0;
  const std::int64_t end =
      empty ? 0
            : sum(sum(product(form.batch - 1, strides[0]), product(places - 1, strides[1])),
                  sum(product(form.heads - 1, strides[2]), width));
  return validator.place(what, ref, itemsize(dtype), 0, end);
}

// What the forward pass reads, and the backward pass as well.
std::vector<Extent> inputs(const Validator& validator, DType dtype, const AttentionForm& form,
                           const AttentionOperands& x) {
  std::vector<Extent> found = {
      heads(validator, "q", x.q, x.q_strides, dtype, form, form.queries, form.width),
      heads(validator, "k", x.k, x.k_strides, dtype, form, form.keys, form.width),
      heads(validator, "v", x.v, x.v_strides, dtype, form, form.keys, form.value_width),
  };
  if (x.bias) {
    found.push_back(
        heads(validator, "bias", *x.bias, x.bias_strides, dtype, form, form.queries, form.keys));
  }
  return found;
}

}  // namespace

std::vector<Extent> Validator::operator()(const Attention& attention) const {
  const AttentionForm& form = attention.form;
  check(*this, attention.dtype, form);
  const std::int64_t rows = product(form.batch, form.queries, form.heads);
  std::vector<Extent> results = {
      place("out", attention.out, attention.dtype, product(rows, form.value_width))};
  if (attention.lse) {
    results.push_back(place("lse", *attention.lse, attention.dtype, rows));
    apart(results[0], results[1]);
  }
  for (const Extent& read : inputs(*this, attention.dtype, form, attention.operands)) {
    for (const Extent& written : results) apart(written, read);
  }
  return results;
}

std::vector<Extent> Validator::operator()(const AttentionGrad& grad) const {
  const AttentionForm& form = grad.form;
  check(*this, grad.dtype, form);
  std::vector<Extent> read = inputs(*this, grad.dtype, form, grad.operands);
  read.push_back(
      heads(*this, "g", grad.g, grad.g_strides, grad.dtype, form, form.queries, form.value_width));
  read.push_back(
      heads(*this, "y", grad.y, grad.y_strides, grad.dtype, form, form.queries, form.value_width));
  read.push_back(place("lse", grad.lse, grad.dtype, product(form.batch, form.queries, form.heads)));
  // Results may lie between one another, as those of one projection do.
  const std::vector<Extent> results = {
      heads(*this, "dq", grad.dq, grad.dq_strides, grad.dtype, form, form.queries, form.width),
      heads(*this, "dk", grad.dk, grad.dk_strides, grad.dtype, form, form.keys, form.width),
      heads(*this, "dv", grad.dv, grad.dv_strides, grad.dtype, form, form.keys, form.value_width),
  };
  for (const Extent& written : results) {
    for (const Extent& x : read) apart(written, x);
  }
  return results;
}

}  // namespace chainrule
