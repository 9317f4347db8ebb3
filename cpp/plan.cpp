#include "plan.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <stdexcept>

#include "kernels/kernels.h"

namespace chainrule {
namespace {

constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

// Of numbers that are not negative; what does not fit is `huge`, which no space holds.
std::int64_t product(std::int64_t a, std::int64_t b) {
  if (a == 0 || b == 0) return 0;
  return a > huge / b ? huge : a * b;
}
template <typename... Rest>
std::int64_t product(std::int64_t a, std::int64_t b, Rest... rest) {
  return product(product(a, b), rest...);
}
std::int64_t sum(std::int64_t a, std::int64_t b) { return a > huge - b ? huge : a + b; }

constexpr std::array<OpcodeName, opcode_count> opcode_table = {{
#define CHAINRULE_OP(name, inputs) {#name, inputs},
#include "ops.def"
#undef CHAINRULE_OP
}};

constexpr std::array<std::string_view, dtype_count> dtype_names = {
    "float32", "float64", "int64", "uint64", "uint8", "bool",
    "int32",   "int8",    "int16", "uint16", "uint32"};
constexpr std::array<std::int64_t, dtype_count> itemsizes = {4, 8, 8, 8, 1, 1, 4, 1, 2, 2, 4};

constexpr std::array<std::string_view, reduce_count> reduce_names = {"sum", "max", "min"};
constexpr std::array<std::string_view, 9> row_kind_names = {"softmax",
                                                            "log_softmax",
                                                            "logsumexp",
                                                            "argmax",
                                                            "first_equal",
                                                            "softmax_cross_entropy",
                                                            "softmax_cross_entropy_grad",
                                                            "softmax_cross_entropy_and_grad",
                                                            "one_hot"};
constexpr std::array<std::string_view, 3> space_names = {"arena", "state", "constants"};

template <typename Names>
std::size_t position(const Names& names, std::string_view name, std::string_view what) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) {
    std::string known;
    for (const std::string_view one : names) known.append(known.empty() ? "" : ", ").append(one);
    throw std::invalid_argument("unknown " + std::string(what) + " '" + std::string(name) +
                                "'; known are " + known);
  }
  return static_cast<std::size_t>(found - names.begin());
}

bool is_computed_in(DType dtype) {
  return dtype == DType::float32 || dtype == DType::float64 || dtype == DType::int64;
}
bool is_floating(DType dtype) { return dtype == DType::float32 || dtype == DType::float64; }

bool overlap(const Extent& a, const Extent& b) {
  return a.space == b.space && a.begin < b.end && b.begin < a.end;
}

// Steps between rows and columns with those that are never taken as 0, so that they compare.
struct Steps {
  std::int64_t row, column;
};
Steps steps(const Program& program, std::int64_t row_stride, std::int64_t column_stride) {
  return {program.rows > 1 ? row_stride : 0, program.columns > 1 ? column_stride : 0};
}

Extent extent(const Program& program, Ref ref, DType dtype, Steps step) {
  if (program.rows == 0 || program.columns == 0) return {ref.space, ref.offset, ref.offset};
  const std::int64_t last =
      sum(product(program.rows - 1, step.row), product(program.columns - 1, step.column));
  return {ref.space, ref.offset, sum(ref.offset, product(sum(last, 1), itemsize(dtype)))};
}

Extent extent(const Program& program, const Load& load) {
  if (load.drawn) return {load.ref.space, load.ref.offset, load.ref.offset + 16};
  return extent(program, load.ref, load.dtype, steps(program, load.row_stride, load.column_stride));
}
Extent extent(const Program& program, const Store& store) {
  return extent(program, store.ref, store.dtype, steps(program, store.row_stride, 1));
}

// Two column ranges of one matrix lie between each other's rows without touching.
bool interleaved(std::int64_t columns, Steps a, Steps b, std::int64_t bytes_apart,
                 std::int64_t itemsize) {
  if (a.row != b.row || a.row == 0 || a.column != b.column || bytes_apart % itemsize != 0) {
    return false;
  }
  const std::int64_t phase = ((bytes_apart / itemsize) % a.row + a.row) % a.row;
  return phase >= columns && phase <= a.row - columns;
}

Meeting meet(const Program& program, const Extent& a, Steps a_steps, std::int64_t a_size,
             const Extent& b, Steps b_steps, std::int64_t b_size) {
  if (!overlap(a, b)) return Meeting::apart;
  if (a_size == b_size) {
    if (interleaved(program.columns, a_steps, b_steps, b.begin - a.begin, a_size)) {
      return Meeting::apart;
    }
    if (a.begin == b.begin && a_steps.row == b_steps.row && a_steps.column == b_steps.column) {
      return Meeting::same_elements;
    }
  }
  return Meeting::mixed;
}

class Validator {
 public:
  Validator(std::string_view label, const SpaceSizes& sizes) : label_(label), sizes_(sizes) {}

  [[noreturn]] void refuse(const std::string& reason) const {
    throw std::invalid_argument(label_ + ": " + reason);
  }
  void demand(bool condition, const std::string& reason) const {
    if (!condition) refuse(reason);
  }
  void length(std::string_view what, std::int64_t value) const {
    if (value < 0)
      refuse(std::string(what) + " must not be negative, got " + std::to_string(value));
  }

  // [lowest, behind) in elements, seen from ref.
  Extent place(std::string_view what, Ref ref, std::int64_t itemsize, std::int64_t lowest,
               std::int64_t behind) const {
    const std::int64_t size = sizes_.bytes[static_cast<std::size_t>(ref.space)];
    const std::string where = std::string(what) + " (" +
                              std::string(space_names[static_cast<std::size_t>(ref.space)]) +
                              " + " + std::to_string(ref.offset) + ")";
    if (ref.offset < 0 || ref.offset > size) refuse(where + " lies outside of its space");
    if (ref.offset % itemsize != 0) {
      refuse(where + " is not aligned to its elements of " + std::to_string(itemsize) + " bytes");
    }
    if (behind <= lowest) return {ref.space, ref.offset, ref.offset};
    const std::int64_t before = product(-lowest, itemsize);
    const std::int64_t after = product(behind, itemsize);
    if (before > ref.offset || after > size - ref.offset) {
      refuse(where + " needs bytes " + (before > ref.offset ? "before" : "behind") +
             " its space, which has " + std::to_string(size));
    }
    return {ref.space, ref.offset - before, ref.offset + after};
  }
  Extent place(std::string_view what, Ref ref, DType dtype, std::int64_t count) const {
    return place(what, ref, itemsize(dtype), 0, count);
  }
  void apart(const Extent& out, const Extent& in) const {
    if (overlap(out, in)) refuse("its output overlaps an input");
  }

  std::vector<Extent> operator()(const Program& program) const;
  std::vector<Extent> operator()(const Gemm& gemm) const;
  std::vector<Extent> operator()(const Reduce& reduce) const;
  std::vector<Extent> operator()(const Rows& rows) const;
  std::vector<Extent> operator()(const Copy& copy) const;
  std::vector<Extent> operator()(const Fill& fill) const;
  std::vector<Extent> operator()(const Gather& gather) const;
  std::vector<Extent> operator()(const ScatterAdd& scatter) const;
  std::vector<Extent> operator()(const RandomUniform& random) const;
  std::vector<Extent> operator()(const GatherBatch& gather) const;

 private:
  void registers(const Program& program) const;
  Extent matrix(std::string_view what, Ref ref, DType dtype, std::int64_t rows,
                std::int64_t columns, std::int64_t row_stride, std::int64_t batch,
                std::int64_t batch_stride) const;

  std::string label_;
  const SpaceSizes& sizes_;
};

// Every register that is read has been written before.
void Validator::registers(const Program& program) const {
  if (program.registers < 0 || program.registers > max_registers) {
    refuse("registers must be 0 to " + std::to_string(max_registers) + ", got " +
           std::to_string(program.registers));
  }
  std::array<bool, max_registers> written = {};
  const auto inside = [&](std::uint8_t reg) {
    if (reg >= program.registers) {
      refuse("register " + std::to_string(reg) + " of " + std::to_string(program.registers));
    }
  };
  const auto fill = [&](std::uint8_t reg) {
    inside(reg);
    if (written[reg]) refuse("register " + std::to_string(reg) + " is loaded twice");
    written[reg] = true;
  };
  const auto read = [&](std::uint8_t reg) {
    inside(reg);
    if (!written[reg]) refuse("register " + std::to_string(reg) + " is read before it is written");
  };
  for (const Load& load : program.loads) fill(load.reg);
  for (const Constant& constant : program.constants) fill(constant.reg);
  for (const MicroOp& op : program.ops) {
    const int inputs = opcode_table[static_cast<std::size_t>(op.opcode)].inputs;
    const std::uint8_t operands[] = {op.a, op.b, op.c};
    for (int i = 0; i < inputs; ++i) read(operands[i]);
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
  registers(program);
  if (program.stores.empty() && program.sums.empty()) {
    refuse("a program without stores and sums does nothing");
  }
  if (program.stores.size() > max_registers) refuse("a program has at most 256 stores");
  for (const Load& load : program.loads) {
    length("row_stride", load.row_stride);
    if (load.column_stride != 0 && load.column_stride != 1) {
      refuse("column_stride must be 0 or 1, got " + std::to_string(load.column_stride));
    }
    if (load.drawn) {
      demand(is_floating(program.dtype), "random numbers are float32 or float64");
      place("a random state", load.ref, DType::uint64, 2);
      continue;
    }
    const Extent needed = extent(program, load);
    place("a load", load.ref, itemsize(load.dtype), 0,
          needed.end == huge ? huge : (needed.end - needed.begin) / itemsize(load.dtype));
  }
  std::vector<Extent> written;
  for (const Store& store : program.stores) {
    if (program.rows > 1 && store.row_stride < program.columns) {
      refuse("rows of a store overlap: row_stride " + std::to_string(store.row_stride) + ", " +
             std::to_string(program.columns) + " columns");
    }
    const Extent needed = extent(program, store);
    written.push_back(
        place("a store", store.ref, itemsize(store.dtype), 0,
              needed.end == huge ? huge : (needed.end - needed.begin) / itemsize(store.dtype)));
    for (const Load& load : program.loads) {
      if (meeting(program, load, store) == Meeting::mixed) {
        refuse("a store overlaps a load of another layout");
      }
    }
    for (const Store& other : program.stores) {
      if (&other == &store) break;
      if (meet(program, extent(program, other), steps(program, other.row_stride, 1),
               itemsize(other.dtype), needed, steps(program, store.row_stride, 1),
               itemsize(store.dtype)) != Meeting::apart) {
        refuse("two stores overlap");
      }
    }
  }
  for (const ColumnSum& column_sum : program.sums) {
    demand(is_floating(program.dtype), "column sums are float32 or float64");
    demand(program.rows > 0, "column sums of no rows");
    const Extent out = place("a sum", column_sum.ref, program.dtype, program.columns);
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
  length("a batch stride", batch_stride);
  const bool empty = rows == 0 || columns == 0 || batch == 0;
  const std::int64_t behind =
      empty ? 0
            : sum(sum(product(batch - 1, batch_stride), product(rows - 1, row_stride)), columns);
  return place(what, ref, dtype, behind);
}

std::vector<Extent> Validator::operator()(const Gemm& gemm) const {
  if (!is_floating(gemm.dtype)) {
    refuse("matrix products are float32 or float64, not " + std::string(name_of(gemm.dtype)));
  }
  length("m", gemm.m);
  length("n", gemm.n);
  length("k", gemm.k);
  length("batch", gemm.batch);
  // What the interface of BLAS can say.
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
  const std::int64_t one = gemm.m == 0 ? 0 : sum(product(gemm.m - 1, gemm.ldc), gemm.n);
  if (gemm.batch > 1 && gemm.stride_c < one) refuse("the products of a batch overlap");
  std::vector<Extent> written = {c};
  if (!gemm.has_epilogue) return written;
  if (gemm.batch != 1) refuse("only a single product has an epilogue, not a batch");
  const Program& epilogue = gemm.epilogue;
  if (epilogue.rows != gemm.m || epilogue.columns != gemm.n) {
    refuse("the epilogue must have the rows and columns of the product");
  }
  if (!epilogue.sums.empty()) refuse("an epilogue has no sums");
  const std::vector<Extent> stores = (*this)(epilogue);
  for (const Extent& store : stores) {
    // Other tiles still read them.
    apart(store, a);
    apart(store, b);
  }
  // A tile sees the product only where it has been computed: in its own elements.
  const Store product_of_tile = {gemm.c, gemm.dtype, gemm.ldc, 0};
  for (const Load& load : epilogue.loads) {
    if (meeting(epilogue, load, product_of_tile) == Meeting::mixed) {
      refuse("the epilogue reads the product in another layout");
    }
  }
  for (const Store& store : epilogue.stores) {
    const Load same_place = {store.ref, store.dtype, store.row_stride, 1, 0};
    if (meeting(epilogue, same_place, product_of_tile) == Meeting::mixed) {
      refuse("the epilogue overwrites the product in another layout");
    }
  }
  written.insert(written.end(), stores.begin(), stores.end());
  return written;
}

std::vector<Extent> Validator::operator()(const Reduce& reduce) const {
  demand(is_computed_in(reduce.dtype), "reductions compute in float32, float64 or int64, not " +
                                           std::string(name_of(reduce.dtype)));
  length("outer", reduce.outer);
  length("length", reduce.length);
  length("inner", reduce.inner);
  const std::int64_t results = product(reduce.outer, reduce.inner);
  if (reduce.kind != ReduceKind::sum && reduce.length == 0 && results != 0) {
    refuse("the max or min of nothing");
  }
  const Extent out = place("out", reduce.out, reduce.dtype, results);
  apart(out, place("x", reduce.x, reduce.dtype, product(results, reduce.length)));
  return {out};
}

std::vector<Extent> Validator::operator()(const Rows& rows) const {
  const bool whole = rows.dtype == DType::int64 && rows.kind == RowKind::argmax;
  if (!is_floating(rows.dtype) && !whole) {
    refuse(std::string(name_of(rows.kind)) + " of " + std::string(name_of(rows.dtype)));
  }
  length("rows", rows.rows);
  length("columns", rows.columns);
  const std::int64_t elements = product(rows.rows, rows.columns);
  struct Argument {
    DType dtype;
    std::int64_t count;
  };
  const Argument matrix = {rows.dtype, elements};
  const Argument column = {rows.dtype, rows.rows};
  const Argument labels = {DType::int64, rows.rows};
  std::vector<Argument> inputs;
  Argument result = matrix;
  std::optional<Argument> second;
  switch (rows.kind) {
    case RowKind::softmax:
    case RowKind::log_softmax:
      inputs = {matrix};
      break;
    case RowKind::logsumexp:
      inputs = {matrix};
      result = column;
      break;
    case RowKind::argmax:
      inputs = {matrix};
      result = labels;
      break;
    case RowKind::first_equal:
      inputs = {matrix, column};
      break;
    case RowKind::softmax_cross_entropy:
      inputs = {matrix, labels};
      result = column;
      break;
    case RowKind::softmax_cross_entropy_grad:
      inputs = {column, matrix, labels};
      break;
    case RowKind::softmax_cross_entropy_and_grad:
      inputs = {column, matrix, labels};
      result = column;
      second = matrix;
      break;
    case RowKind::one_hot:
      inputs = {labels};
      break;
  }
  if (rows.inputs.size() != inputs.size()) {
    refuse(std::string(name_of(rows.kind)) + " takes " + std::to_string(inputs.size()) +
           " inputs, got " + std::to_string(rows.inputs.size()));
  }
  if (rows.columns == 0 && rows.rows != 0 &&
      (rows.kind == RowKind::argmax || rows.kind == RowKind::logsumexp)) {
    refuse(std::string(name_of(rows.kind)) + " of empty rows");
  }
  if (rows.second.has_value() != second.has_value()) {
    refuse(std::string(name_of(rows.kind)) +
           (second ? " has two results, got a place for one" : " has one result, got two places"));
  }
  std::vector<Extent> results = {place("out", rows.out, result.dtype, result.count)};
  if (second) {
    results.push_back(place("second", *rows.second, second->dtype, second->count));
    apart(results[0], results[1]);
  }
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const Extent input =
        place("input " + std::to_string(i), rows.inputs[i], inputs[i].dtype, inputs[i].count);
    for (const Extent& written : results) apart(written, input);
  }
  return results;
}

std::vector<Extent> Validator::operator()(const Copy& copy) const {
  if (copy.itemsize != 1 && copy.itemsize != 2 && copy.itemsize != 4 && copy.itemsize != 8) {
    refuse("itemsize must be 1, 2, 4 or 8, got " + std::to_string(copy.itemsize));
  }
  const std::size_t axes = copy.shape.size();
  if (axes > 6) refuse("a copy has at most 6 axes, got " + std::to_string(axes));
  if (copy.x_strides.size() != axes || copy.out_strides.size() != axes) {
    refuse("shape and strides differ in length");
  }
  bool empty = false;
  std::int64_t count = 1;
  for (const std::int64_t size : copy.shape) {
    length("an axis", size);
    empty = empty || size == 0;
    count = product(count, size);
  }
  const auto reach = [&](std::string_view what, Ref ref, const std::vector<std::int64_t>& strides) {
    std::int64_t lowest = 0;
    std::int64_t highest = 0;
    for (std::size_t i = 0; i < axes && !empty; ++i) {
      if (strides[i] < -huge) refuse("a stride out of range");
      const std::int64_t far = product(copy.shape[i] - 1, std::abs(strides[i]));
      if (strides[i] < 0) {
        lowest = sum(lowest, far);
      } else {
        highest = sum(highest, far);
      }
    }
    return place(what, ref, copy.itemsize, -lowest, empty ? -lowest : sum(highest, 1));
  };
  const Extent out = reach("out", copy.out, copy.out_strides);
  // Necessary, not sufficient, for elements that do not share a place.
  if (!empty && (out.end - out.begin) / copy.itemsize < count) refuse("elements of out overlap");
  apart(out, reach("x", copy.x, copy.x_strides));
  return {out};
}

std::vector<Extent> Validator::operator()(const Fill& fill) const {
  length("count", fill.count);
  const Extent out = place("out", fill.out, fill.dtype, fill.count);
  if (!is_floating(fill.dtype)) {
    const bool is_unsigned = fill.dtype == DType::uint64 || fill.dtype == DType::uint32 ||
                             fill.dtype == DType::uint16 || fill.dtype == DType::uint8;
    const double bits = static_cast<double>(8 * itemsize(fill.dtype));
    const bool boolean = fill.dtype == DType::boolean;
    const double lowest = is_unsigned || boolean ? 0 : -std::exp2(bits - 1);
    const double behind = boolean ? 2 : std::exp2(is_unsigned ? bits : bits - 1);
    if (!(fill.value >= lowest && fill.value < behind) || fill.value != std::trunc(fill.value)) {
      refuse(std::to_string(fill.value) + " is no " + std::string(name_of(fill.dtype)));
    }
  }
  return {out};
}

std::vector<Extent> Validator::operator()(const Gather& gather) const {
  const std::int64_t item = gather.itemsize;
  if (item != 1 && item != 2 && item != 4 && item != 8) {
    refuse("itemsize must be 1, 2, 4 or 8, got " + std::to_string(item));
  }
  length("outer", gather.outer);
  length("length", gather.length);
  length("count", gather.count);
  length("inner", gather.inner);
  const Extent out =
      place("out", gather.out, item, 0, product(gather.outer, gather.count, gather.inner));
  apart(out, place("x", gather.x, item, 0, product(gather.outer, gather.length, gather.inner)));
  apart(out, place("indices", gather.indices, DType::int64, gather.count));
  return {out};
}

std::vector<Extent> Validator::operator()(const ScatterAdd& scatter) const {
  demand(is_computed_in(scatter.dtype), "scatter_add computes in float32, float64 or int64, not " +
                                            std::string(name_of(scatter.dtype)));
  length("outer", scatter.outer);
  length("length", scatter.length);
  length("count", scatter.count);
  length("inner", scatter.inner);
  const Extent out = place("out", scatter.out, scatter.dtype,
                           product(scatter.outer, scatter.length, scatter.inner));
  apart(out,
        place("x", scatter.x, scatter.dtype, product(scatter.outer, scatter.count, scatter.inner)));
  apart(out, place("indices", scatter.indices, DType::int64, scatter.count));
  return {out};
}

std::vector<Extent> Validator::operator()(const RandomUniform& random) const {
  if (!is_floating(random.dtype)) {
    refuse("random numbers are float32 or float64, not " + std::string(name_of(random.dtype)));
  }
  length("count", random.count);
  const Extent out = place("out", random.out, random.dtype, random.count);
  apart(out, place("state", random.state, DType::uint64, 2));
  return {out};
}

std::vector<Extent> Validator::operator()(const GatherBatch& gather) const {
  if (gather.input < 0 || gather.input > 255) {
    refuse("inputs are numbered 0 to 255, got " + std::to_string(gather.input));
  }
  if (gather.rows < 1) refuse("a batch has at least one row, got " + std::to_string(gather.rows));
  length("columns", gather.columns);
  return {place("out", gather.out, gather.dtype, product(gather.rows, gather.columns))};
}

}  // namespace

std::vector<Extent> validate(const Instruction& instruction, const SpaceSizes& sizes) {
  if (instruction.label.empty()) throw std::invalid_argument("an instruction needs a label");
  const Validator validator(instruction.label, sizes);
  if (instruction.chunks < 0 || instruction.chunks > max_chunks) {
    validator.refuse("chunks must be 0 to " + std::to_string(max_chunks) + ", got " +
                     std::to_string(instruction.chunks));
  }
  return std::visit(validator, instruction.work);
}

void validate_place(std::string_view label, Ref ref, DType dtype, std::int64_t count,
                    const SpaceSizes& sizes) {
  const Validator validator(label, sizes);
  validator.length("count", count);
  validator.place("it", ref, dtype, count);
}

Meeting meeting(const Program& program, const Load& load, const Store& store) {
  if (load.drawn) {
    return overlap(extent(program, load), extent(program, store)) ? Meeting::mixed : Meeting::apart;
  }
  return meet(program, extent(program, load), steps(program, load.row_stride, load.column_stride),
              itemsize(load.dtype), extent(program, store), steps(program, store.row_stride, 1),
              itemsize(store.dtype));
}

std::span<const OpcodeName> opcode_names() { return opcode_table; }

std::string_view name_of(DType dtype) { return dtype_names[static_cast<std::size_t>(dtype)]; }
std::string_view name_of(RowKind kind) { return row_kind_names[static_cast<std::size_t>(kind)]; }
std::int64_t itemsize(DType dtype) { return itemsizes[static_cast<std::size_t>(dtype)]; }

DType dtype_named(std::string_view name) {
  return static_cast<DType>(position(dtype_names, name, "dtype"));
}
Opcode opcode_named(std::string_view name) {
  std::array<std::string_view, opcode_count> names;
  std::ranges::transform(opcode_table, names.begin(), &OpcodeName::name);
  return static_cast<Opcode>(position(names, name, "opcode"));
}
ReduceKind reduce_named(std::string_view name) {
  return static_cast<ReduceKind>(position(reduce_names, name, "reduction"));
}
RowKind row_kind_named(std::string_view name) {
  return static_cast<RowKind>(position(row_kind_names, name, "row kernel"));
}
Space space_numbered(std::int64_t number) {
  if (number < 0 || number > 2) {
    throw std::invalid_argument("spaces are 0 (arena), 1 (state) and 2 (constants), got " +
                                std::to_string(number));
  }
  return static_cast<Space>(number);
}

}  // namespace chainrule
