// Elementwise programs, as instructions of a plan and epilogues of others; see plan.h.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kinds.h"
#include "plan/spaces.h"

namespace chainrule {

inline constexpr std::int64_t max_registers = 256;
using Register = std::uint8_t;  // its number

// The registers that an operation reads.
struct Operands {
  static constexpr int most = 3;
  std::array<Register, most> registers;
  std::uint8_t count;

  Register operator[](int i) const { return registers[static_cast<std::size_t>(i)]; }
};

// One operation of an elementwise program, on registers: blocks of a few hundred elements.
struct MicroOp {
  Opcode opcode;
  Register out;
  Operands inputs;

  void fields(auto&& field) {
    field("opcode", opcode);
    field("out", out);
    field("inputs", inputs);
  }
};

// Loaded into a register before the operations: element (row, column) lies at row * row_stride +
// column * column_stride elements after `ref`. A stride of 0 repeats. The column stride is 0 or 1.
// The dtype is converted to the program's.
//
// With `random`, `ref` is the state (seed, position) of a RandomUniform of the program's dtype, and
// the strides say which of its elements belongs where.
struct Load {
  Ref ref;
  DType dtype;
  std::int64_t row_stride, column_stride;
  Register reg;
  bool random = false;

  void fields(auto&& field) {
    field("ref", ref);
    field("dtype", dtype);
    field("row_stride", row_stride);
    field("column_stride", column_stride);
    field("register", reg);
    field.optional("random", random);
  }
};

// Stored from a register after the operations; columns are contiguous.
struct Store {
  Ref ref;
  DType dtype;
  std::int64_t row_stride;
  Register reg;

  void fields(auto&& field) {
    field("ref", ref);
    field("dtype", dtype);
    field("row_stride", row_stride);
    field("register", reg);
  }
};

// The sums of a register over each `sum_rows` rows of the program, column by column; of the
// program's dtype.
struct ColumnSum {
  Ref ref;
  Register reg;

  void fields(auto&& field) {
    field("ref", ref);
    field("register", reg);
  }
};

struct Constant {
  double value;
  Register reg;

  void fields(auto&& field) {
    field("value", value);
    field("register", reg);
  }
};

// An elementwise program over rows x columns. A register is loaded at most once, but operations may
// overwrite it. A store may lie where a load of the same strides lies.
struct Program {
  DType dtype;  // of its registers: float32, float64 or int64
  std::int64_t rows, columns;
  std::int64_t registers;  // how many it uses, at most max_registers
  std::vector<Load> loads;
  std::vector<Constant> constants;
  std::vector<MicroOp> ops;
  std::vector<Store> stores;
  std::vector<ColumnSum> sums;  // in an epilogue only over the images of a convolution
  std::int64_t sum_rows = 0;    // a divisor of `rows`; 0: all of them
  std::int64_t chain = 0;       // see plan/row_chains.h

  void fields(auto&& field) {
    field("dtype", dtype);
    field("rows", rows);
    field("columns", columns);
    field("registers", registers);
    field("loads", loads);
    field.optional("constants", constants);
    field.optional("ops", ops);
    field.optional("stores", stores);
    field.optional("sums", sums);
    field.optional("sum_rows", sum_rows);
    field.optional("chain", chain);
  }
};

}  // namespace chainrule
