// Makes an elementwise program ready to run.
#include <algorithm>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include "tasks/program/program.h"

namespace chainrule {
namespace {

constexpr std::int64_t usual_block = 512;
constexpr std::int64_t cache_line = 64;

std::int64_t round_up(std::int64_t value, std::int64_t unit) {
  return (value + unit - 1) / unit * unit;
}

// Nanoseconds for an element of a program, roughly: to choose how to split it.
double cost(Opcode opcode) {
  switch (opcode) {
    case Opcode::power:
    case Opcode::exp:
    case Opcode::log:
    case Opcode::log1p:
    case Opcode::expm1:
    case Opcode::sin:
    case Opcode::cos:
    case Opcode::tanh:
    case Opcode::sigmoid:
    case Opcode::softplus:
    case Opcode::erf:
      return 0.5;
    default:
      return 0.05;
  }
}

}  // namespace

// Fewer axes, and strides of axes without steps as 0.
template <typename T>
void ElementwiseProgram<T>::merge(Program& program) const {
  const bool is_column =
      program.columns == 1 && program.rows > 1 &&
      std::ranges::all_of(program.loads, [](const Load& load) { return load.row_stride <= 1; }) &&
      std::ranges::all_of(program.stores, [](const Store& store) { return store.row_stride == 1; });
  if (is_column) {
    std::swap(program.rows, program.columns);
    for (Load& load : program.loads) load.column_stride = load.row_stride;
    return;
  }
  const bool is_contiguous =
      program.rows > 1 && program.columns > 1 &&
      std::ranges::all_of(program.loads,
                          [&](const Load& load) {
                            return load.column_stride == 1 ? load.row_stride == program.columns
                                                           : load.row_stride == 0;
                          }) &&
      std::ranges::all_of(program.stores,
                          [&](const Store& store) { return store.row_stride == program.columns; });
  if (is_contiguous) {
    program.columns *= program.rows;
    program.rows = 1;
  }
}

template <typename T>
ElementwiseProgram<T>::ElementwiseProgram(const Program& original, std::string_view label,
                                          const Memory& memory, const Kernels<T>& kernels,
                                          bool merge_axes)
    : fill_(kernels.fill),
      add_(kernels.ops[static_cast<std::size_t>(Opcode::add)]),
      random_uniform_(kernels.random_uniform) {
  const auto lacks = [&](std::string_view what) {
    throw std::invalid_argument(std::string(label) + ": no kernel for " + std::string(what) +
                                " in programs of " + std::string(name_of(dtype_of<T>)));
  };
  if (fill_ == nullptr) lacks("fill");
  Program program = original;
  if (merge_axes && program.sums.empty()) merge(program);
  rows_ = program.rows;
  columns_ = program.columns;

  // Registers that an operation overwrites must be loaded into a block of their own: what was
  // loaded once is needed again in the next block, and what is used in place is not ours to change.
  std::vector<bool> overwritten(max_registers, false);
  for (const MicroOp& op : program.ops) overwritten[op.out] = true;
  std::int64_t own_places = std::max<std::int64_t>(program.registers, 1);
  const auto own_place = [&](std::uint8_t reg) {
    return static_cast<PlaceNumber>(overwritten[reg] ? own_places++ : reg);
  };
  std::vector<PlaceNumber> place_of(max_registers, 0);  // where a register's value is now
  std::vector<std::optional<std::size_t>> load_of(max_registers);  // which load it comes from
  for (const Constant& constant : program.constants) {
    constants_.push_back({static_cast<T>(constant.value), own_place(constant.reg)});
    place_of[constant.reg] = constants_.back().own;
  }
  for (const Load& load : program.loads) {
    LoadStep step = {};
    step.data = memory.at(load.ref);
    step.itemsize = itemsize(load.dtype);
    step.row_stride = rows_ > 1 ? load.row_stride : 0;
    const bool has_columns = columns_ > 1 && load.column_stride == 1;
    if (step.row_stride == 0) {
      step.kind = has_columns ? Kind::row : Kind::scalar;
    } else {
      step.kind = has_columns ? Kind::matrix : Kind::per_row;
    }
    if (load.drawn) {
      if (random_uniform_ == nullptr) lacks("random numbers");
      step.kind = Kind::drawn;
      if (!has_columns) step.row_stride = std::max<std::int64_t>(step.row_stride, 1);
      nanoseconds_ += 0.3;
    } else if (load.dtype != dtype_of<T>) {
      step.convert = kernels.load[static_cast<std::size_t>(load.dtype)];
      if (step.convert == nullptr) lacks("loads of " + std::string(name_of(load.dtype)));
    }
    step.in_place = load.dtype == dtype_of<T> && has_columns && !load.drawn;
    step.own = own_place(load.reg);
    load_of[load.reg] = loads_.size();
    loads_.push_back(step);
  }
  own_places_ = own_places;
  for (std::size_t i = 0; i < loads_.size(); ++i) {
    loads_[i].place = static_cast<PlaceNumber>(own_places + static_cast<std::int64_t>(i));
    place_of[program.loads[i].reg] = loads_[i].place;
  }
  const auto store_place = [&](std::size_t i) {
    return static_cast<PlaceNumber>(own_places + static_cast<std::int64_t>(loads_.size() + i));
  };

  // Which operation gives a register the value that is stored, and until when a load is read.
  std::vector<std::optional<std::size_t>> writer(max_registers);
  std::vector<std::optional<std::size_t>> last_read(loads_.size());
  std::vector<bool> is_stored(loads_.size(), false);
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const MicroOp& op = program.ops[i];
    const int inputs = opcode_names()[static_cast<std::size_t>(op.opcode)].inputs;
    const std::uint8_t operands[] = {op.a, op.b, op.c};
    for (int k = 0; k < inputs; ++k) {
      if (const auto load = load_of[operands[k]]) last_read[*load] = i;
    }
    writer[op.out] = i;
    load_of[op.out].reset();
  }
  for (const Store& store : program.stores) {
    if (const auto load = load_of[store.reg]) is_stored[*load] = true;
  }
  for (const ColumnSum& sum : program.sums) {
    if (const auto load = load_of[sum.reg]) is_stored[*load] = true;
  }
  std::vector<std::optional<std::size_t>> target(program.ops.size());  // the store it writes to
  for (std::size_t i = 0; i < program.stores.size(); ++i) {
    const Store& store = program.stores[i];
    StoreStep step = {};
    step.data = memory.at(store.ref);
    step.itemsize = itemsize(store.dtype);
    step.row_stride = rows_ > 1 ? store.row_stride : 0;
    step.own = store.reg;
    if (store.dtype != dtype_of<T>) {
      step.convert = kernels.store[static_cast<std::size_t>(store.dtype)];
      if (step.convert == nullptr) lacks("stores of " + std::string(name_of(store.dtype)));
    }
    const auto op = writer[store.reg];
    step.written_in_place = step.convert == nullptr && op && !target[*op];
    for (std::size_t k = 0; k < loads_.size(); ++k) {
      if (meeting(program, program.loads[k], store) == Meeting::apart) continue;
      // Writing while the old elements are still to be read would change what is read.
      if (is_stored[k]) loads_[k].in_place = false;
      if (loads_[k].in_place && op && last_read[k] && *last_read[k] > *op) {
        step.written_in_place = false;
      }
    }
    if (step.written_in_place) target[*op] = i;
    stores_.push_back(step);
  }

  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const MicroOp& op = program.ops[i];
    const OpcodeName& opcode = opcode_names()[static_cast<std::size_t>(op.opcode)];
    Step step = {};
    step.kernel = kernels.ops[static_cast<std::size_t>(op.opcode)];
    if (step.kernel == nullptr) lacks(opcode.name);
    step.a = place_of[op.a];
    step.b = opcode.inputs > 1 ? place_of[op.b] : step.a;
    step.c = opcode.inputs > 2 ? place_of[op.c] : step.a;
    step.out = target[i] ? store_place(*target[i]) : op.out;
    place_of[op.out] = step.out;
    steps_.push_back(step);
    nanoseconds_ += cost(op.opcode);
  }
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    stores_[i].source = place_of[program.stores[i].reg];
  }
  for (const ColumnSum& sum : program.sums) {
    sums_.push_back({memory.at<T>(sum.ref), place_of[sum.reg]});
  }
  fuse(program, kernels);
  nanoseconds_ += 0.05 * static_cast<double>(loads_.size() + stores_.size() + sums_.size());
  nanoseconds_ *= static_cast<double>(rows_) * static_cast<double>(columns_) * sizeof(T) / 4;

  block_ = usual_block;
  constexpr std::int64_t part_of_l2 = 256 * 1024;
  const auto item = static_cast<std::int64_t>(sizeof(T));
  while (block_ > 128 && own_places * block_ * item > part_of_l2) block_ /= 2;
  register_stride_ = block_ + cache_line / item;
  register_bytes_ = own_places * register_stride_ * item;
  const std::size_t places = static_cast<std::size_t>(own_places) + loads_.size() + stores_.size();
  table_bytes_ = round_up(static_cast<std::int64_t>(places * sizeof(T*)), cache_line);
  if (!sums_.empty()) {
    for (std::int64_t blocks = (rows_ + sum_rows - 1) / sum_rows; blocks > 0; blocks /= 2) {
      ++sum_levels_;
    }
    sum_bytes_ =
        static_cast<std::int64_t>(sums_.size()) * (sum_levels_ + 1) * register_stride_ * item;
  }
}

template ElementwiseProgram<float>::ElementwiseProgram(const Program&, std::string_view,
                                                       const Memory&, const Kernels<float>&, bool);
template ElementwiseProgram<double>::ElementwiseProgram(const Program&, std::string_view,
                                                        const Memory&, const Kernels<double>&,
                                                        bool);
template ElementwiseProgram<std::int64_t>::ElementwiseProgram(const Program&, std::string_view,
                                                              const Memory&,
                                                              const Kernels<std::int64_t>&, bool);

}  // namespace chainrule
