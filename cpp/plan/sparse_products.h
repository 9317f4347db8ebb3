// Products with sparse rows, as instructions of a plan; see plan.h.
//
// A sparse row holds `entries` values and the columns where they stand, as int64 indices, which
// count from the beginning; all other columns hold 0. Of equal indices the values add up.
#pragma once

#include <cstdint>

#include "kernels/kinds.h"
#include "plan/spaces.h"

namespace chainrule {

struct SparseRows {
  std::int64_t rows, entries, columns;
  Ref indices, values;  // (rows, entries)

  void fields(auto&& field) {
    field("rows", rows);
    field("entries", entries);
    field("columns", columns);
    field("indices", indices);
    field("values", values);
  }
};

// out (rows, outputs) = x weight^T, of sparse rows x and weight (outputs, columns).
struct SparseMatmul {
  DType dtype;
  std::int64_t outputs;
  SparseRows x;
  Ref weight, out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("outputs", outputs);
    x.fields(field);
    field("weight", weight);
    field("out", out);
  }
};

// out (outputs, columns) = g^T x, of g (rows, outputs) and sparse rows x.
struct SparseMatmulWeightGrad {
  DType dtype;
  std::int64_t outputs;
  SparseRows x;
  Ref g, out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("outputs", outputs);
    x.fields(field);
    field("g", g);
    field("out", out);
  }
};

}  // namespace chainrule
