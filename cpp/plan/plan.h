// The plan as data: what the compiler (src/chainrule/compiler) hands to the executor.
//
// All memory belongs to NumPy arrays that the plan keeps alive: the arena (everything computed in a
// step), the state (parameters, moments, counters; shared by all plans of a model) and the
// constants. Every reference is checked against the size of its space when an instruction is added,
// so running a plan needs no checks of bounds, but for indices that are data.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "kernels/opcodes.h"

namespace chainrule {

enum class DType : std::uint8_t {
  float32,
  float64,
  int64,
  uint64,
  uint8,
  boolean,
  int32,
  int8,
  int16,
  uint16,
  uint32
};

enum class Space : std::uint8_t { arena, state, constants };

// A place in one of the spaces.
struct Ref {
  Space space;
  std::int64_t offset;  // in bytes
};

// One operation of an elementwise program, on registers: blocks of a few hundred elements.
struct MicroOp {
  Opcode opcode;
  std::uint8_t out, a, b, c;  // registers; those an operation does not take are 0
};

// What a program loads into register `reg` before its operations: element (row, column) lies at
// row * row_stride + column * column_stride elements behind `ref`. A stride of 0 repeats. The
// column stride is 0 or 1. The dtype is converted to the program's.
//
// Where `drawn`, `ref` is the state (seed, position) of a RandomUniform of the program's dtype, and
// the strides say which of its elements belongs where.
struct Load {
  Ref ref;
  DType dtype;
  std::int64_t row_stride, column_stride;
  std::uint8_t reg;
  bool drawn = false;
};

// What a program stores from register `reg` after its operations; columns are contiguous.
struct Store {
  Ref ref;
  DType dtype;
  std::int64_t row_stride;
  std::uint8_t reg;
};

// The sum over all rows of register `reg`, column by column; of the program's dtype.
struct ColumnSum {
  Ref ref;
  std::uint8_t reg;
};

struct Constant {
  double value;
  std::uint8_t reg;
};

inline constexpr std::int64_t max_registers = 256;

// An elementwise program over rows x columns. A register is loaded at most once, but operations may
// overwrite it. A store may lie where a load of the same strides lies.
struct Program {
  DType dtype;  // float32, float64 or int64: what it computes in
  std::int64_t rows, columns;
  std::int64_t registers;  // how many it uses, at most max_registers
  std::vector<Load> loads;
  std::vector<Constant> constants;
  std::vector<MicroOp> ops;
  std::vector<Store> stores;
  std::vector<ColumnSum> sums;  // not in an epilogue
};

// C = op(A) op(B), row-major, for each of `batch` matrices; then the epilogue, a program over C
// (rows m, columns n), on each tile while it is still in cache.
struct Gemm {
  DType dtype;
  bool transpose_a, transpose_b;
  std::int64_t m, n, k;
  Ref a, b, c;
  std::int64_t lda, ldb, ldc;
  std::int64_t batch, stride_a, stride_b, stride_c;  // strides in elements
  bool has_epilogue;
  Program epilogue;  // only with batch 1
};

enum class ReduceKind : std::uint8_t { sum, max, min };

// x of shape (outer, length, inner), contiguous, to (outer, inner).
struct Reduce {
  ReduceKind kind;
  DType dtype;  // float32, float64, int64
  std::int64_t outer, length, inner;
  Ref x, out;
};

enum class RowKind : std::uint8_t {
  softmax,                         // x (rows, columns) -> (rows, columns)
  log_softmax,                     // x -> (rows, columns)
  logsumexp,                       // x -> (rows)
  argmax,                          // x -> int64 (rows); the first largest
  first_equal,                     // x, extreme (rows) -> 1 at the first equal element, else 0
  softmax_cross_entropy,           // logits, int64 labels (rows) -> (rows)
  softmax_cross_entropy_grad,      // g (rows), logits, labels -> (rows, columns)
  softmax_cross_entropy_and_grad,  // g, logits, labels -> (rows), and the gradient as above
  one_hot,                         // int64 labels (rows) -> (rows, columns)
};

// A kernel on each contiguous row. Inputs in the order of the comment above.
struct Rows {
  RowKind kind;
  DType dtype;  // float32 or float64; argmax also int64
  std::int64_t rows, columns;
  std::vector<Ref> inputs;
  Ref out;
  std::optional<Ref> second;  // the other result, of kinds that have two
};

// Element by element from one strided array of up to 6 axes to another; strides in elements.
struct Copy {
  std::int64_t itemsize;
  std::vector<std::int64_t> shape, x_strides, out_strides;
  Ref x, out;
};

struct Fill {
  DType dtype;
  std::int64_t count;
  double value;
  Ref out;
};

// out (outer, count, inner) = x (outer, length, inner) at int64 indices (count). Negative indices
// count from the end; others out of range end the run with an error.
struct Gather {
  std::int64_t itemsize, outer, length, count, inner;
  Ref x, indices, out;
};

// out (outer, length, inner) = zeros with x (outer, count, inner) added at indices, in their order.
struct ScatterAdd {
  DType dtype;
  std::int64_t outer, length, count, inner;
  Ref x, indices, out;
};

// Philox4x32-10 as chainrule.ops.random defines it; `state` holds uint64 (seed, position).
struct RandomUniform {
  DType dtype;
  std::int64_t count;
  Ref state, out;
};

// Rows of the user's array number `input`, chosen by the order of the run, converted to `dtype`.
struct GatherBatch {
  std::int64_t input;
  DType dtype;
  std::int64_t rows, columns;  // columns: elements of a row
  Ref out;
};

using Work = std::variant<Program, Gemm, Reduce, Rows, Copy, Fill, Gather, ScatterAdd,
                          RandomUniform, GatherBatch>;

// Into how many parts, which threads may take, an instruction can be split at most.
inline constexpr std::int32_t max_chunks = 4095;

struct Instruction {
  Work work;
  std::string label;    // what describe() and profiles call it
  std::int32_t chunks;  // at most so many parts; 0 leaves it to the executor, by shapes alone
};

// Bytes of space.
struct Extent {
  Space space;
  std::int64_t begin, end;
};

struct SpaceSizes {
  std::array<std::int64_t, 3> bytes;
};

// Throws std::invalid_argument, with the label and what is wrong, for an instruction that is not
// safe to run. Returns what it writes.
std::vector<Extent> validate(const Instruction& instruction, const SpaceSizes& sizes);

// Throws std::invalid_argument unless `count` elements lie behind `ref`, aligned.
void validate_place(std::string_view label, Ref ref, DType dtype, std::int64_t count,
                    const SpaceSizes& sizes);

// Where a load and a store of a program meet: whether they share bytes at all, and if so, whether
// each element meets itself only.
enum class Meeting : std::uint8_t { apart, same_elements, mixed };
Meeting meeting(const Program& program, const Load& load, const Store& store);

// --- Names, as NumPy and chainrule.ops have them ---

struct OpcodeName {
  std::string_view name;
  int inputs;
};
std::span<const OpcodeName> opcode_names();

std::string_view name_of(DType dtype);
std::string_view name_of(RowKind kind);
std::string_view name_of(Space space);
std::int64_t itemsize(DType dtype);

// These throw std::invalid_argument for an unknown name.
DType dtype_named(std::string_view name);
Opcode opcode_named(std::string_view name);
ReduceKind reduce_named(std::string_view name);
RowKind row_kind_named(std::string_view name);
Space space_numbered(std::int64_t number);

}  // namespace chainrule
