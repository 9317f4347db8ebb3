// The checks of products with rows of tables.
#include <string>

#include "plan/validator.h"

namespace chainrule {
namespace {

void floats(const Validator& validator, DType dtype) {
  validator.demand(is_floating(dtype), "rows of tables are multiplied in float32 or float64, not " +
                                           std::string(name_of(dtype)));
}

// Rows of a table, `count` of them, which an instruction reads that writes `out`.
void rows(const Validator& validator, const TableRows& rows, DType dtype, std::int64_t count,
          std::int64_t width, const Extent& out) {
  validator.length("length", rows.length);
  validator.demand(rows.indices || rows.length == count, "without indices a table has " +
                                                             std::to_string(count) + " rows, got " +
                                                             std::to_string(rows.length));
  validator.apart(out, validator.place("table", rows.table, dtype, product(rows.length, width)));
  if (rows.indices) {
    validator.apart(out, validator.place("indices", *rows.indices, DType::int64, count));
  }
}

template <typename Products>
void sizes(const Validator& validator, const Products& products) {
  floats(validator, products.dtype);
  validator.length("groups", products.groups);
  validator.length("m", products.m);
  validator.length("n", products.n);
  validator.length("width", products.width);
}

}  // namespace

std::vector<Extent> Validator::operator()(const RowProducts& products) const {
  const auto& [dtype, parts, groups, m, n, width, a, b, result] = products;
  sizes(*this, products);
  demand(
      parts >= 1 && parts <= most_chunks,
      "parts must be from 1 to " + std::to_string(most_chunks) + ", got " + std::to_string(parts));
  const Extent out = place("out", result, dtype, product(product(parts, groups), m, n));
  rows(*this, a, dtype, product(groups, m), width, out);
  rows(*this, b, dtype, product(groups, n), width, out);
  return {out};
}

std::vector<Extent> Validator::operator()(const WeightedRows& sums) const {
  sizes(*this, sums);
  const Extent out = place("out", sums.out, sums.dtype, product(sums.groups, sums.m, sums.width));
  apart(out, place("weights", sums.weights, sums.dtype, product(sums.groups, sums.m, sums.n)));
  rows(*this, sums.b, sums.dtype, product(sums.groups, sums.n), sums.width, out);
  return {out};
}

std::vector<Extent> Validator::operator()(const SubtractRows& update) const {
  floats(*this, update.dtype);
  const Extent out = updated_rows(update);
  apart(out, place("factor", update.factor, update.dtype, 1));
  return {out};
}

}  // namespace chainrule
