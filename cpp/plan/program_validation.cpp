// The validator's checks of elementwise programs, and of matrix products with their epilogues.
#include <algorithm>
#include <array>
#include <limits>

#include "plan/validator.h"

namespace chainrule {

// Every register that is read has been written before.
void Validator::registers(const Program& program) const {
  if (program.registers < 0 || program.registers > max_registers) {
    refuse("registers must be 0 to " + std::to_string(max_registers) + ", got " +
           std::to_string(program.registers));
  }
  std::array<bool, max_registers> written = {};
  const auto inside = [&](Register reg) {
    if (reg >= program.registers) {
      refuse("register " + std::to_string(reg) + " of " + std::to_string(program.registers));
    }
  };
  const auto fill = [&](Register reg) {
    inside(reg);
    if (written[reg]) refuse("register " + std::to_string(reg) + " is loaded twice");
    written[reg] = true;
  };
  const auto read = [&](Register reg) {
    inside(reg);
    if (!written[reg]) refuse("register " + std::to_string(reg) + " is read before it is written");
  };
  for (const Load& load : program.loads) fill(load.reg);
  for (const Constant& constant : program.constants) fill(constant.reg);
  for (const MicroOp& op : program.ops) {
    const int inputs = input_count(op.opcode);
    if (op.inputs.count != inputs) {
      refuse(std::string(name_of(op.opcode)) + " takes " + std::to_string(inputs) +
             " inputs, got " + std::to_string(op.inputs.count));
    }
    for (int i = 0; i < inputs; ++i) read(op.inputs[i]);
    inside(op.out);
    written[op.out] = true;
  }
  for (const Store& store : program.stores) read(store.reg);
  for (const ColumnSum& column_sum : program.sums) read(column_sum.reg);
}

std::vector<Extent> Validator::operator()(const Program& program) const {
  demand(is_computed_in(program.dtype), "programs compute in float32, float64 or int64, not " +
                                            std::string(name_of(program.dtype)));
  length("rows", program.rows);
  length("columns", program.columns);
  length("rows x columns", product(program.rows, program.columns));
  registers(program);
  not_negative("chain", program.chain);
  if (program.chain != 0 && !program.sums.empty()) refuse("a program in a chain takes no sums");
  for (const Constant& constant : program.constants) {
    representable(constant.value, program.dtype);
  }
  if (program.stores.empty() && program.sums.empty()) {
    refuse("a program without stores and sums does nothing");
  }
  if (program.stores.size() > max_registers)
    refuse("a program has at most " + std::to_string(max_registers) + " stores");
  const auto place_all = [&](std::string_view what, const auto& operand) {
    const Extent needed = extent(program, operand);
    const std::int64_t item = itemsize(operand.dtype);
    const std::int64_t end = needed.end == huge ? huge : (needed.end - needed.begin) / item;
    return place(what, operand.ref, item, 0, end);
  };
  for (const Load& load : program.loads) {
    not_negative("row_stride", load.row_stride);
    if (load.column_stride != 0 && load.column_stride != 1) {
      refuse("column_stride must be 0 or 1, got " + std::to_string(load.column_stride));
    }
    if (load.random) {
      demand(is_floating(program.dtype), "random numbers are float32 or float64");
      place("a random state", load.ref, DType::uint64, 2);
      length("random elements", sum(product(program.rows, load.row_stride), program.columns));
      continue;
    }
    place_all("a load", load);
  }
  std::int64_t sums_of_column = 0;
  if (!program.sums.empty()) {
    demand(program.rows > 0, "column sums of no rows");
    const std::int64_t sum_rows = program.sum_rows == 0 ? program.rows : program.sum_rows;
    demand(sum_rows > 0 && program.rows % sum_rows == 0, "sum_rows must divide the rows, got " +
                                                             std::to_string(sum_rows) + " of " +
                                                             std::to_string(program.rows));
    sums_of_column = program.rows / sum_rows;
  }
  std::vector<Extent> written;
  for (const Store& store : program.stores) {
    if (program.rows > 1 && store.row_stride < program.columns) {
      refuse("rows of a store overlap: row_stride " + std::to_string(store.row_stride) + ", " +
             std::to_string(program.columns) + " columns");
    }
    written.push_back(place_all("a store", store));
    for (const Load& load : program.loads) {
      if (overlap(program, load, store) == Overlap::mixed) {
        refuse("a store overlaps a load of another layout");
      }
    }
    for (const Store& other : program.stores) {
      if (&other == &store) break;
      if (overlap(program, other, store) != Overlap::none) {
        refuse("two stores overlap");
      }
    }
  }
  for (const ColumnSum& column_sum : program.sums) {
    demand(is_floating(program.dtype), "column sums are float32 or float64");
    const Extent out =
        place("a sum", column_sum.ref, program.dtype, product(sums_of_column, program.columns));
    for (const Load& load : program.loads) apart(out, extent(program, load));
    for (const Extent& other : written) apart(out, other);
    written.push_back(out);
  }
  return written;
}

Extent Validator::matrix(std::string_view what, Ref ref, DType dtype, std::int64_t rows,
                         std::int64_t columns, std::int64_t row_stride, std::int64_t batch,
                         std::int64_t batch_stride) const {
  if (row_stride < std::max<std::int64_t>(columns, 1)) {
    refuse("the row stride of " + std::string(what) + " is " + std::to_string(row_stride) +
           ", below its " + std::to_string(columns) + " columns");
  }
  not_negative("a batch stride", batch_stride);
  const bool empty = rows == 0 || columns == 0 || batch == 0;
  const std::int64_t end =
      empty ? 0
            : sum(sum(product(batch - 1, batch_stride), product(rows - 1, row_stride)), columns);
  return place(what, ref, dtype, end);
}

std::vector<Extent> Validator::operator()(const Gemm& gemm) const {
  if (!is_floating(gemm.dtype)) {
    refuse("matrix products are float32 or float64, not " + std::string(name_of(gemm.dtype)));
  }
  length("m", gemm.m);
  length("n", gemm.n);
  length("k", gemm.k);
  length("batch", gemm.batch);
  // The sizes that BLAS takes.
  constexpr std::int64_t largest = std::numeric_limits<std::int32_t>::max();
  for (const std::int64_t size : {gemm.m, gemm.n, gemm.k, gemm.lda, gemm.ldb, gemm.ldc}) {
    if (size > largest) refuse("a matrix product of sizes above 2^31 - 1: " + std::to_string(size));
  }
  const Extent a = matrix("a", gemm.a, gemm.dtype, gemm.transpose_a ? gemm.k : gemm.m,
                          gemm.transpose_a ? gemm.m : gemm.k, gemm.lda, gemm.batch, gemm.stride_a);
  const Extent b = matrix("b", gemm.b, gemm.dtype, gemm.transpose_b ? gemm.n : gemm.k,
                          gemm.transpose_b ? gemm.k : gemm.n, gemm.ldb, gemm.batch, gemm.stride_b);
  const Extent c =
      matrix("c", gemm.c, gemm.dtype, gemm.m, gemm.n, gemm.ldc, gemm.batch, gemm.stride_c);
  apart(c, a);
  apart(c, b);
  const bool empty = gemm.m == 0 || gemm.n == 0;
  const std::int64_t one = empty ? 0 : sum(product(gemm.m - 1, gemm.ldc), gemm.n);
  not_negative("chain", gemm.chain);
  if (gemm.chain != 0 && gemm.batch != 1) refuse("a batch of products can't be in a chain");
  if (gemm.batch > 1 && gemm.stride_c < one) refuse("the products of a batch overlap");
  std::vector<Extent> written = {c};
  if (!gemm.epilogue) return written;
  if (gemm.batch != 1) refuse("only a single product has an epilogue, not a batch");
  const Store product_of_tile = {gemm.c, gemm.dtype, gemm.ldc, 0};
  epilogue(*gemm.epilogue, product_of_tile, gemm.m, gemm.n, 0, {a, b}, written);
  return written;
}

void Validator::epilogue(const Program& program, const Store& out, std::int64_t rows,
                         std::int64_t columns, std::int64_t sum_rows,
                         const std::vector<Extent>& inputs, std::vector<Extent>& written) const {
  if (program.dtype != out.dtype) refuse("the epilogue computes in another dtype");
  if (program.rows != rows || program.columns != columns) {
    refuse("the epilogue must have the rows and columns of the product");
  }
  if (!program.sums.empty() && (sum_rows == 0 || program.sum_rows != sum_rows)) {
    refuse("the epilogue of a convolution has sums over its images, and no other has sums");
  }
  const std::vector<Extent> stores = (*this)(program);
  for (const Extent& store : stores) {
    for (const Extent& input : inputs) apart(store, input);
  }
  // A tile sees the product only where it has been computed: in its own elements.
  for (const Load& load : program.loads) {
    if (overlap(program, load, out) == Overlap::mixed) {
      refuse("the epilogue reads the product in another layout");
    }
  }
  for (const Store& store : program.stores) {
    const Load same_place = {store.ref, store.dtype, store.row_stride, 1, 0};
    if (overlap(program, same_place, out) == Overlap::mixed) {
      refuse("the epilogue overwrites the product in another layout");
    }
  }
  written.insert(written.end(), stores.begin(), stores.end());
}

}  // namespace chainrule
