// The plan as data: what the compiler (src/chainrule/compiler) hands to the executor.
//
// All memory belongs to NumPy arrays that the plan keeps alive: the arena (everything computed in a
// step), the state (parameters, moments, counters; shared by all plans of a model) and the
// constants. Every reference is checked against the size of its space when an instruction is added,
// so running a plan needs no checks of bounds, except for indices that are data.
//
// Each record tells its fields to a visitor, with the names that Python uses: field(name, member)
// for what must be given, field.optional(name, member) for what has a default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "kernels/kinds.h"
#include "plan/attention.h"
#include "plan/moving_windows.h"
#include "plan/program.h"
#include "plan/spaces.h"
#include "plan/sparse_products.h"
#include "plan/table_products.h"

namespace chainrule {

// --- Products ---

// C = op(A) op(B), row-major, for each of `batch` matrices; then the epilogue, a program over C
// (rows m, columns n) of the same dtype, on each tile while it is still in cache.
struct Gemm {
  DType dtype;
  bool transpose_a = false, transpose_b = false;
  std::int64_t m, n, k;
  Ref a, b, c;
  std::int64_t lda, ldb, ldc;  // from row to row, in elements
  std::int64_t batch = 1;
  std::int64_t stride_a = 0, stride_b = 0, stride_c = 0;  // from matrix to matrix, in elements
  std::optional<Program> epilogue;                        // only with batch 1
  std::int64_t chain = 0;  // see plan/row_chains.h; only with batch 1

  void fields(auto&& field) {
    field("dtype", dtype);
    field.optional("transpose_a", transpose_a);
    field.optional("transpose_b", transpose_b);
    field("m", m);
    field("n", n);
    field("k", k);
    field("a", a);
    field("b", b);
    field("c", c);
    field("lda", lda);
    field("ldb", ldb);
    field("ldc", ldc);
    field.optional("batch", batch);
    field.optional("stride_a", stride_a);
    field.optional("stride_b", stride_b);
    field.optional("stride_c", stride_c);
    field.optional("epilogue", epilogue);
    field.optional("chain", chain);
  }
};

// --- Convolutions ---

// y (images, *places, groups * filters) = the sums of x under the window, each element times
// w (groups, *kernel, channels, filters); then the epilogue, a program over y (a row for each
// place) of the same dtype, on each tile while it is still in cache. Without one, the places may
// lie in a larger y as `y_frame` says, the rest of which is left as it is; with `accumulate` they
// are added to what it holds.
// With `winograd`, for one group and a kernel of (1, 3, 3) that moves by single elements, without
// gaps in x: w is (6, 6, channels, filters), G w G' of each 3 x 3 (see kernels/conv/winograd.cpp).
struct Conv {
  DType dtype;
  Window window;
  Frame frame;
  std::optional<Frame> y_frame;
  bool accumulate = false;
  bool winograd = false;
  Ref x, w, y;
  std::optional<Program> epilogue;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("window", window);
    field("frame", frame);
    field.optional("y_frame", y_frame);
    field.optional("accumulate", accumulate);
    field.optional("winograd", winograd);
    field("x", x);
    field("w", w);
    field("y", y);
    field.optional("epilogue", epilogue);
  }
};

// w (parts, groups, *kernel, channels, filters) = for each part of the images the sum over its
// images and places of what lies under the window times g (images, *places, groups * filters).
//
// With `winograd`, as for Conv, w is (parts, 6, 6, channels, filters): G' w G is the gradient.
struct ConvWeightGrad {
  DType dtype;
  Window window;
  Frame frame;
  bool winograd = false;
  std::int64_t parts = 1;  // part i begins with image images * i / parts
  Ref x, g, w;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("window", window);
    field("frame", frame);
    field.optional("winograd", winograd);
    field.optional("parts", parts);
    field("x", x);
    field("g", g);
    field("w", w);
  }
};

// --- Pooling ---

// y (outer, *places, inner) = the largest element of each window; taps, int32 of the same shape =
// which one of its elements that is.
struct MaxPool {
  DType dtype;
  PoolWindow window;
  Ref x, y;
  std::optional<Ref> taps;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("window", window);
    field("x", x);
    field("y", y);
    field.optional("taps", taps);
  }
};

// y (outer, *places, inner) = the sum of each window; where taps, int32 of the same shape, are
// given, the one element that they name.
struct SumPool {
  DType dtype;
  PoolWindow window;
  Ref x;
  std::optional<Ref> taps;
  Ref y;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("window", window);
    field("x", x);
    field.optional("taps", taps);
    field("y", y);
  }
};

// x (outer, *lengths, inner) = zeros, with g (outer, *places, inner) added to all elements of its
// window; where taps are given, to the one that they name.
struct SumPoolInputGrad {
  DType dtype;
  PoolWindow window;
  Ref g;
  std::optional<Ref> taps;
  Ref x;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("window", window);
    field("g", g);
    field.optional("taps", taps);
    field("x", x);
  }
};

// --- Reductions, rows ---

// x of shape (outer, length, inner), contiguous, to (outer, inner).
struct Reduce {
  ReduceKind reduction;
  DType dtype;  // float32, float64, int64
  std::int64_t outer, length, inner;
  Ref x, out;

  void fields(auto&& field) {
    field("reduction", reduction);
    field("dtype", dtype);
    field("outer", outer);
    field("length", length);
    field("inner", inner);
    field("x", x);
    field("out", out);
  }
};

// A kernel of rows.def on each contiguous row; the inputs in the order given there.
struct Rows {
  RowKind kernel;
  DType dtype;
  std::int64_t rows, columns;
  std::vector<Ref> inputs;
  Ref out;
  std::optional<Ref> second;  // the other result, of kernels that have two
  double number = 0;          // what a kernel takes besides

  void fields(auto&& field) {
    field("kernel", kernel);
    field("dtype", dtype);
    field("rows", rows);
    field("columns", columns);
    field("inputs", inputs);
    field("out", out);
    field.optional("second", second);
    field.optional("number", number);
  }
};

// --- Elements that are moved ---

// As many as an array of NumPy has.
inline constexpr std::size_t max_copy_axes = 64;

// Element by element from one strided array of up to max_copy_axes to another; strides in elements.
struct Copy {
  std::int64_t itemsize;
  std::vector<std::int64_t> shape;
  Ref x;
  std::vector<std::int64_t> x_strides;
  Ref out;
  std::vector<std::int64_t> out_strides;
  std::int64_t chain = 0;  // see plan/row_chains.h; the rows are the first axis

  void fields(auto&& field) {
    field("itemsize", itemsize);
    field("shape", shape);
    field("x", x);
    field("x_strides", x_strides);
    field("out", out);
    field("out_strides", out_strides);
    field.optional("chain", chain);
  }
};

// One value everywhere.
struct Fill {
  DType dtype;
  std::int64_t count;
  double number;
  Ref out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("count", count);
    field("number", number);
    field("out", out);
  }
};

// out (outer, count, inner) = x (outer, length, inner) at int64 indices (count). Negative indices
// count from the end, if it `wraps`; others out of range end the run with an error.
struct Gather {
  std::int64_t itemsize, outer, length, count, inner;
  Ref x, indices, out;
  bool wraps = true;

  void fields(auto&& field) {
    field("itemsize", itemsize);
    field("outer", outer);
    field("length", length);
    field("count", count);
    field("inner", inner);
    field("x", x);
    field("indices", indices);
    field("out", out);
    field.optional("wraps", wraps);
  }
};

// out (outer, length, inner) = zeros with x (outer, count, inner) added at indices, in their order.
struct ScatterAdd {
  DType dtype;
  std::int64_t outer, length, count, inner;
  Ref x, indices, out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("outer", outer);
    field("length", length);
    field("count", count);
    field("inner", inner);
    field("x", x);
    field("indices", indices);
    field("out", out);
  }
};

// out[i] = the place of the first of the int64 indices (count) that means the same of `length` rows
// as indices[i]. Negative indices count from the end.
struct FirstUses {
  std::int64_t length, count;
  Ref indices, out;

  void fields(auto&& field) {
    field("length", length);
    field("count", count);
    field("indices", indices);
    field("out", out);
  }
};

// out (length, inner) = x with the rows at int64 indices (count) replaced by values (count, inner);
// of equal indices the first wins. Out may be x: then the other rows are not touched.
struct PutRows {
  DType dtype;
  std::int64_t length, count, inner;
  Ref x, indices, values, out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("length", length);
    field("count", count);
    field("inner", inner);
    field("x", x);
    field("indices", indices);
    field("values", values);
    field("out", out);
  }
};

// Philox4x32-10 as chainrule.ops.random defines it; `state` holds uint64 (seed, position).
struct RandomUniform {
  DType dtype;
  std::int64_t count;
  Ref state, out;

  void fields(auto&& field) {
    field("dtype", dtype);
    field("count", count);
    field("state", state);
    field("out", out);
  }
};

// The user's arrays are numbered 0 ... most_inputs - 1.
inline constexpr std::int64_t most_inputs = 256;

// Rows of the user's array number `input`, chosen by the order of the run, converted to `dtype`.
struct GatherBatch {
  std::int64_t input;
  DType dtype;
  std::int64_t rows, columns;  // columns: elements of a row
  Ref out;

  void fields(auto&& field) {
    field("input", input);
    field("dtype", dtype);
    field("rows", rows);
    field("columns", columns);
    field("out", out);
  }
};

// --- Instructions ---

template <typename, typename... Types>
using VariantOf = std::variant<Types...>;  // of all but the first, which the list below needs

using Work = VariantOf<void
#define CHAINRULE_INSTRUCTION(Type, name) , Type
#include "plan/instructions.def"
#undef CHAINRULE_INSTRUCTION
                       >;

struct Instruction {
  Work work;
  std::string label;  // what describe() and profiles call it
};

// Parts into which an instruction can be split at most; threads share the parts.
inline constexpr std::int32_t most_chunks = 4095;

}  // namespace chainrule
