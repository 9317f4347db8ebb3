// How an elementwise program is made ready to run. Each operand gets a slot (see program.h), and
// the copies are left out that nothing needs:
//
//   memory --load--> block --ops--> block --store--> memory
//   memory ----------------ops--------------------> memory     in place
//
// A load is in place where the dtype is the program's and the columns are contiguous. A store is
// in place where, besides, no later operation reads a load that overlaps it.
#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <utility>

#include "kernels/rounding.h"
#include "plan/extents.h"
#include "tasks/program/program.h"

namespace chainrule {
namespace {

constexpr std::int64_t usual_block = 512;

// Nanoseconds for an element of a program, roughly: they decide how it is split.
constexpr std::array<double, opcode_count> costs = {
#define CHAINRULE_OP(name, inputs, cost) cost,
#include "kernels/ops.def"
#undef CHAINRULE_OP
};

}  // namespace

// Makes one row of a column, or of rows that follow each other without a gap.
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
ElementwiseProgram<T>::ElementwiseProgram(const Program& original, const Building& building,
                                          bool merge_axes)
    : fill_(kernels_of<T>(building.kernels).fill),
      add_(kernels_of<T>(building.kernels).ops[static_cast<std::size_t>(Opcode::add)]),
      sum_(kernels_of<T>(building.kernels).reduce[static_cast<std::size_t>(ReduceKind::sum)]),
      random_uniform_(kernels_of<T>(building.kernels).random_uniform) {
  const Kernels<T>& kernels = kernels_of<T>(building.kernels);
  const Memory& memory = building.memory;
  const auto lacks = [&](std::string_view what) {
    building.lacks(std::string(what) + " in programs", dtype_of<T>);
  };
  if (fill_ == nullptr) lacks("fill");
  Program program = original;
  if (merge_axes && program.sums.empty()) merge(program);
  rows_ = program.rows;
  columns_ = program.columns;
  rows_of_a_sum_ = program.sum_rows == 0 ? rows_ : program.sum_rows;

  // Registers that an operation overwrites must be loaded into a block of their own: what was
  // loaded once is needed again in the next block, and what is used in place must not be changed.
  std::vector<bool> overwritten(max_registers, false);
  for (const MicroOp& op : program.ops) overwritten[op.out] = true;
  std::int64_t register_slots = std::max<std::int64_t>(program.registers, 1);
  const auto new_register_slot = [&](std::uint8_t reg) {
    return static_cast<Slot>(overwritten[reg] ? register_slots++ : reg);
  };
  std::vector<Slot> slot_of(max_registers, 0);  // where a register's value is now
  std::vector<std::optional<std::size_t>> load_of(max_registers);  // which load it comes from
  for (const Constant& constant : program.constants) {
    constants_.push_back({static_cast<T>(constant.value), new_register_slot(constant.reg)});
    slot_of[constant.reg] = constants_.back().register_slot;
  }
  for (const Load& load : program.loads) {
    PreparedLoad prepared = {};
    prepared.data = memory.at(load.ref);
    prepared.itemsize = itemsize(load.dtype);
    prepared.row_stride = rows_ > 1 ? load.row_stride : 0;
    const bool has_columns = columns_ > 1 && load.column_stride == 1;
    if (prepared.row_stride == 0) {
      prepared.kind = has_columns ? Kind::row : Kind::scalar;
    } else {
      prepared.kind = has_columns ? Kind::matrix : Kind::per_row;
    }
    if (load.random) {
      if (random_uniform_ == nullptr) lacks("random numbers");
      prepared.kind = Kind::random;
      if (!has_columns) prepared.row_stride = std::max<std::int64_t>(prepared.row_stride, 1);
      nanoseconds_ += 0.3;
    } else if (load.dtype != dtype_of<T>) {
      prepared.convert = kernels.load[static_cast<std::size_t>(load.dtype)];
      if (prepared.convert == nullptr) lacks("loads of " + std::string(name_of(load.dtype)));
    }
    prepared.in_place = load.dtype == dtype_of<T> && has_columns && !load.random;
    prepared.register_slot = new_register_slot(load.reg);
    load_of[load.reg] = loads_.size();
    loads_.push_back(prepared);
  }
  register_slots_ = register_slots;
  for (std::size_t i = 0; i < loads_.size(); ++i) {
    if (loads_[i].kind == Kind::matrix || loads_[i].kind == Kind::random) {
      rows_follow_ &= loads_[i].row_stride == columns_;
    }
    loads_[i].slot = static_cast<Slot>(register_slots + static_cast<std::int64_t>(i));
    slot_of[program.loads[i].reg] = loads_[i].slot;
  }
  const auto store_slot = [&](std::size_t i) {
    return static_cast<Slot>(register_slots + static_cast<std::int64_t>(loads_.size() + i));
  };

  // Which operation gives a register the value that is stored, and until when a load is read.
  std::vector<std::optional<std::size_t>> writer(max_registers);
  std::vector<std::optional<std::size_t>> last_read(loads_.size());
  std::vector<bool> is_stored(loads_.size(), false);
  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const MicroOp& op = program.ops[i];
    for (int k = 0; k < op.inputs.count; ++k) {
      if (const auto load = load_of[op.inputs[k]]) last_read[*load] = i;
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
    PreparedStore prepared = {};
    prepared.data = memory.at(store.ref);
    prepared.itemsize = itemsize(store.dtype);
    prepared.row_stride = rows_ > 1 ? store.row_stride : 0;
    rows_follow_ &= store.row_stride == columns_;
    prepared.register_slot = store.reg;
    if (store.dtype != dtype_of<T>) {
      prepared.convert = kernels.store[static_cast<std::size_t>(store.dtype)];
      if (prepared.convert == nullptr) lacks("stores of " + std::string(name_of(store.dtype)));
    }
    const auto op = writer[store.reg];
    prepared.written_in_place = prepared.convert == nullptr && op && !target[*op];
    for (std::size_t k = 0; k < loads_.size(); ++k) {
      if (overlap(program, program.loads[k], store) == Overlap::none) continue;
      // Writing while the old elements are still to be read would change what is read.
      if (is_stored[k]) loads_[k].in_place = false;
      if (loads_[k].in_place && op && last_read[k] && *last_read[k] > *op) {
        prepared.written_in_place = false;
      }
    }
    if (prepared.written_in_place) target[*op] = i;
    stores_.push_back(prepared);
  }

  for (std::size_t i = 0; i < program.ops.size(); ++i) {
    const MicroOp& op = program.ops[i];
    Operation prepared = {};
    prepared.kernel = kernels.ops[static_cast<std::size_t>(op.opcode)];
    if (prepared.kernel == nullptr) lacks(name_of(op.opcode));
    prepared.a = slot_of[op.inputs[0]];
    prepared.b = op.inputs.count > 1 ? slot_of[op.inputs[1]] : prepared.a;
    prepared.c = op.inputs.count > 2 ? slot_of[op.inputs[2]] : prepared.a;
    prepared.out = target[i] ? store_slot(*target[i]) : op.out;
    slot_of[op.out] = prepared.out;
    operations_.push_back(prepared);
    nanoseconds_ += costs[static_cast<std::size_t>(op.opcode)];
  }
  for (std::size_t i = 0; i < stores_.size(); ++i) {
    stores_[i].source = slot_of[program.stores[i].reg];
  }
  for (const ColumnSum& sum : program.sums) {
    sums_.push_back({memory.at<T>(sum.ref), slot_of[sum.reg]});
  }
  fuse(program, kernels);
  is_one_chain_ = needs_no_blocks();
  nanoseconds_ += 0.05 * static_cast<double>(loads_.size() + stores_.size() + sums_.size());
  nanoseconds_ *= static_cast<double>(rows_) * static_cast<double>(columns_) * sizeof(T) / 4;

  block_ = usual_block;
  constexpr std::int64_t part_of_l2 = 256 * 1024;
  const auto item = static_cast<std::int64_t>(sizeof(T));
  while (block_ > 128 && register_slots * block_ * item > part_of_l2) block_ /= 2;
  register_stride_ = block_ + cache_line / item;
  register_bytes_ = register_slots * register_stride_ * item;
  const std::size_t slots =
      static_cast<std::size_t>(register_slots) + loads_.size() + stores_.size();
  table_bytes_ = round_up(static_cast<std::int64_t>(slots * sizeof(T*)), cache_line);
  if (!sums_.empty()) {
    for (std::int64_t blocks = ceil_div(rows_of_a_sum_, rows_added); blocks > 0; blocks /= 2) {
      ++sum_levels_;
    }
    sum_bytes_ =
        static_cast<std::int64_t>(sums_.size()) * (sum_levels_ + 1) * register_stride_ * item;
  }
}

template ElementwiseProgram<float>::ElementwiseProgram(const Program&, const Building&, bool);
template ElementwiseProgram<double>::ElementwiseProgram(const Program&, const Building&, bool);
template ElementwiseProgram<std::int64_t>::ElementwiseProgram(const Program&, const Building&,
                                                              bool);

}  // namespace chainrule
