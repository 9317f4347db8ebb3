// The checks of products with sparse rows.
#include <string>

#include "plan/validator.h"

namespace chainrule {
namespace {

// The operands of an instruction that writes `out` and reads a matrix besides.
template <typename Product>
void operands(const Validator& validator, const Product& given, const char* name, Ref matrix,
              std::int64_t size, const Extent& out) {
  const SparseRows& x = given.x;
  const std::int64_t count = product(x.rows, x.entries);
  validator.apart(out, validator.place("indices", x.indices, DType::int64, count));
  validator.apart(out, validator.place("values", x.values, given.dtype, count));
  validator.apart(out, validator.place(name, matrix, given.dtype, size));
}

template <typename Product>
void sizes(const Validator& validator, const Product& product) {
  validator.demand(is_floating(product.dtype), "sparse rows are float32 or float64, not " +
                                                   std::string(name_of(product.dtype)));
  validator.length("rows", product.x.rows);
  validator.length("entries", product.x.entries);
  validator.length("columns", product.x.columns);
  validator.length("outputs", product.outputs);
}

}  // namespace

std::vector<Extent> Validator::operator()(const SparseMatmul& matmul) const {
  sizes(*this, matmul);
  const std::int64_t weights = product(matmul.outputs, matmul.x.columns);
  const Extent out = place("out", matmul.out, matmul.dtype, product(matmul.x.rows, matmul.outputs));
  operands(*this, matmul, "weight", matmul.weight, weights, out);
  return {out};
}

std::vector<Extent> Validator::operator()(const SparseMatmulWeightGrad& grad) const {
  sizes(*this, grad);
  const Extent out = place("out", grad.out, grad.dtype, product(grad.outputs, grad.x.columns));
  operands(*this, grad, "g", grad.g, product(grad.x.rows, grad.outputs), out);
  return {out};
}

}  // namespace chainrule
