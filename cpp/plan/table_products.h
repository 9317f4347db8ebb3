// Products with rows of tables, which stay where they lie, as instructions of a plan; see plan.h.
//
// The rows come in `groups`; those of one group are multiplied by each other. A group's rows are
// named by int64 indices, which count from the beginning; where there are no indices, the table's
// rows are taken in their order.
#pragma once

#include <cstdint>
#include <optional>

#include "kernels/kinds.h"
#include "plan/spaces.h"

namespace chainrule {

struct TableRows {
  std::int64_t length;  // rows of the table
  Ref table;
  std::optional<Ref> indices;
};

// The products of each of the m rows of a with each of the n rows of b in a group; rows have
// `width` elements. out (parts, groups, m, n): their sums over one part of the columns after the
// other.
struct RowProducts {
  DType dtype;
  std::int64_t parts, groups, m, n, width;
  TableRows a, b;
  Ref out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("parts", parts);
    field("groups", groups);
    field("m", m);
    field("n", n);
    field("width", width);
    field("a_length", a.length);
    field("a", a.table);
    field.optional("a_indices", a.indices);
    field("b_length", b.length);
    field("b", b.table);
    field.optional("b_indices", b.indices);
    field("out", out);
  }
};

// out (groups, m, width): m sums of the group's n rows, each times its weight. The weights are
// (groups, m, n), or (groups, n, m) if they are transposed.
struct WeightedRows {
  DType dtype;
  std::int64_t groups, m, n, width;
  Ref weights;
  bool transposed;
  TableRows b;
  Ref out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("groups", groups);
    field("m", m);
    field("n", n);
    field("width", width);
    field("weights", weights);
    field("transposed", transposed);
    field("b_length", b.length);
    field("b", b.table);
    field.optional("b_indices", b.indices);
    field("out", out);
  }
};

// out (length, inner) = x, where from the rows at int64 indices (count) factor * values (count,
// inner) is taken, one after another. Out may be x: then the other rows are not touched.
struct SubtractRows {
  DType dtype;
  std::int64_t length, count, inner;
  Ref x, indices, values, factor, out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("length", length);
    field("count", count);
    field("inner", inner);
    field("x", x);
    field("indices", indices);
    field("values", values);
    field("factor", factor);
    field("out", out);
  }
};

}  // namespace chainrule
