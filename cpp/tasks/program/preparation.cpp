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
#include <stdexcept>
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

// Fills an ElementwiseProgram in from a program, function after function.
template <typename T>
class ElementwiseProgram<T>::Preparation {
 public:
  Preparation(ElementwiseProgram& made, const Program& program, const Building& building)
      : made_(made),
        program_(program),
        building_(building),
        kernels_(kernels_of<T>(building.kernels)),
        register_slots_(std::max<std::int64_t>(program.registers, 1)),
        overwritten_(max_registers, false),
        slot_of_(max_registers, 0),
        load_of_(max_registers),
        writer_(max_registers),
        last_read_(program.loads.size()),
        is_stored_(program.loads.size(), false),
        target_(program.ops.size()) {
    for (const MicroOp& op : program.ops) overwritten_[op.out] = true;
  }

  void prepare() {
    constants();
    loads();
    lifetimes();
    stores();
    operations();
    made_.fuse(program_, kernels_);
    made_.is_one_chain_ = made_.needs_no_blocks();
  }

 private:
  // Registers that an operation overwrites must be loaded into a block of their own: what was
  // loaded once is needed again in the next block, and what is used in place must not be changed.
  Slot new_register_slot(Register reg) {
    return static_cast<Slot>(overwritten_[reg] ? register_slots_++ : reg);
  }

  void constants() {
    for (const Constant& constant : program_.constants) {
      const Slot slot = new_register_slot(constant.reg);
      made_.constants_.push_back({static_cast<T>(constant.value), slot});
      slot_of_[constant.reg] = slot;
    }
  }

  void loads() {
    for (const Load& load : program_.loads) {
      load_of_[load.reg] = made_.loads_.size();
      made_.loads_.push_back(prepared(load));
    }
    made_.register_slots_ = register_slots_;
    for (std::size_t i = 0; i < made_.loads_.size(); ++i) {
      PreparedLoad& load = made_.loads_[i];
      if (load.kind == Kind::matrix || load.kind == Kind::random) {
        made_.rows_follow_ &= load.row_stride == made_.columns_;
      }
      load.slot = static_cast<Slot>(register_slots_ + static_cast<std::int64_t>(i));
      slot_of_[program_.loads[i].reg] = load.slot;
    }
  }

  PreparedLoad prepared(const Load& load) {
    PreparedLoad prepared = {};
    prepared.data = building_.memory.at(load.ref);
    prepared.itemsize = itemsize(load.dtype);
    prepared.row_stride = made_.rows_ > 1 ? load.row_stride : 0;
    const bool has_columns = made_.columns_ > 1 && load.column_stride == 1;
    if (prepared.row_stride == 0) {
      prepared.kind = has_columns ? Kind::row : Kind::scalar;
    } else {
      prepared.kind = has_columns ? Kind::matrix : Kind::per_row;
    }
    if (load.random) {
      prepared.kind = Kind::random;
      if (!has_columns) prepared.row_stride = std::max<std::int64_t>(prepared.row_stride, 1);
      made_.nanoseconds_ += 0.3;
    } else if (load.dtype != dtype_of<T>) {
      prepared.convert = kernels_.load[static_cast<std::size_t>(load.dtype)];
    }
    prepared.in_place = load.dtype == dtype_of<T> && has_columns && !load.random;
    prepared.register_slot = new_register_slot(load.reg);
    return prepared;
  }

  // Which operation gives a register the value that is stored, and until when a load is read.
  void lifetimes() {
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      const MicroOp& op = program_.ops[i];
      for (int k = 0; k < op.inputs.count; ++k) {
        if (const auto load = load_of_[op.inputs[k]]) last_read_[*load] = i;
      }
      writer_[op.out] = i;
      load_of_[op.out].reset();
    }
    for (const Store& store : program_.stores) {
      if (const auto load = load_of_[store.reg]) is_stored_[*load] = true;
    }
    for (const ColumnSum& sum : program_.sums) {
      if (const auto load = load_of_[sum.reg]) is_stored_[*load] = true;
    }
  }

  void stores() {
    for (std::size_t i = 0; i < program_.stores.size(); ++i) {
      const Store& store = program_.stores[i];
      PreparedStore prepared = {};
      prepared.data = building_.memory.at(store.ref);
      prepared.itemsize = itemsize(store.dtype);
      prepared.row_stride = made_.rows_ > 1 ? store.row_stride : 0;
      made_.rows_follow_ &= store.row_stride == made_.columns_;
      prepared.register_slot = store.reg;
      if (store.dtype != dtype_of<T>) {
        prepared.convert = kernels_.store[static_cast<std::size_t>(store.dtype)];
      }
      const auto op = writer_[store.reg];
      prepared.written_in_place = prepared.convert == nullptr && op && !target_[*op];
      protect_loads(store, op, prepared);
      if (prepared.written_in_place) target_[*op] = i;
      made_.stores_.push_back(prepared);
    }
  }

  // Of a store of what operation `op` computes: writing while the old elements are still to be read
  // would change what is read.
  void protect_loads(const Store& store, std::optional<std::size_t> op, PreparedStore& prepared) {
    for (std::size_t k = 0; k < made_.loads_.size(); ++k) {
      if (overlap(program_, program_.loads[k], store) == Overlap::none) continue;
      if (is_stored_[k]) made_.loads_[k].in_place = false;
      if (made_.loads_[k].in_place && op && last_read_[k] && *last_read_[k] > *op) {
        prepared.written_in_place = false;
      }
    }
  }

  void operations() {
    for (std::size_t i = 0; i < program_.ops.size(); ++i) {
      const MicroOp& op = program_.ops[i];
      Operation prepared = {};
      prepared.kernel = kernels_.ops[static_cast<std::size_t>(op.opcode)];
      if (prepared.kernel == nullptr) {
        throw std::invalid_argument(building_.label + ": no kernel for " +
                                    std::string(name_of(op.opcode)) + " in programs of " +
                                    std::string(name_of(dtype_of<T>)));
      }
      prepared.a = slot_of_[op.inputs[0]];
      prepared.b = op.inputs.count > 1 ? slot_of_[op.inputs[1]] : prepared.a;
      prepared.c = op.inputs.count > 2 ? slot_of_[op.inputs[2]] : prepared.a;
      prepared.out = target_[i] ? store_slot(*target_[i]) : op.out;
      slot_of_[op.out] = prepared.out;
      made_.operations_.push_back(prepared);
      made_.nanoseconds_ += costs[static_cast<std::size_t>(op.opcode)];
    }
    for (std::size_t i = 0; i < made_.stores_.size(); ++i) {
      made_.stores_[i].source = slot_of_[program_.stores[i].reg];
    }
    for (const ColumnSum& sum : program_.sums) {
      made_.sums_.push_back({building_.memory.at<T>(sum.ref), slot_of_[sum.reg]});
    }
  }

  Slot store_slot(std::size_t i) const {
    return static_cast<Slot>(register_slots_ + static_cast<std::int64_t>(made_.loads_.size() + i));
  }

  ElementwiseProgram& made_;
  const Program& program_;
  const Building& building_;
  const Kernels<T>& kernels_;
  std::int64_t register_slots_;
  // By register: whether an operation writes it; where its value is now; which load that comes
  // from; which operation has written it.
  std::vector<bool> overwritten_;
  std::vector<Slot> slot_of_;
  std::vector<std::optional<std::size_t>> load_of_, writer_;
  // By load: the last operation that reads it; whether it is stored or summed as it is.
  std::vector<std::optional<std::size_t>> last_read_;
  std::vector<bool> is_stored_;
  std::vector<std::optional<std::size_t>> target_;  // by operation: the store it writes to
};

template <typename T>
ElementwiseProgram<T>::ElementwiseProgram(const Program& original, const Building& building,
                                          bool merge_axes)
    : fill_(kernels_of<T>(building.kernels).fill),
      add_(kernels_of<T>(building.kernels).ops[static_cast<std::size_t>(Opcode::add)]),
      sum_(kernels_of<T>(building.kernels).reduce[static_cast<std::size_t>(ReduceKind::sum)]),
      random_uniform_(kernels_of<T>(building.kernels).random_uniform) {
  Program program = original;
  if (merge_axes && program.sums.empty()) merge(program);
  rows_ = program.rows;
  columns_ = program.columns;
  rows_of_a_sum_ = program.sum_rows == 0 ? rows_ : program.sum_rows;
  Preparation(*this, program, building).prepare();
  nanoseconds_ += 0.05 * static_cast<double>(loads_.size() + stores_.size() + sums_.size());
  nanoseconds_ *= static_cast<double>(rows_) * static_cast<double>(columns_) * sizeof(T) / 4;
  choose_sizes();
}

// Of a block, and of the parts of the scratch.
template <typename T>
void ElementwiseProgram<T>::choose_sizes() {
  block_ = usual_block;
  constexpr std::int64_t part_of_l2 = 256 * 1024;
  constexpr auto item = static_cast<std::int64_t>(sizeof(T));
  while (block_ > 128 && register_slots_ * block_ * item > part_of_l2) block_ /= 2;
  register_stride_ = block_ + cache_line / item;
  register_bytes_ = register_slots_ * register_stride_ * item;
  const std::size_t slots =
      static_cast<std::size_t>(register_slots_) + loads_.size() + stores_.size();
  table_bytes_ = round_up(static_cast<std::int64_t>(slots * sizeof(T*)), cache_line);
  if (!has_sums()) return;
  for (std::int64_t blocks = ceil_div(rows_of_a_sum_, rows_added); blocks > 0; blocks /= 2) {
    ++sum_levels_;
  }
  sum_bytes_ =
      static_cast<std::int64_t>(sums_.size()) * (sum_levels_ + 1) * register_stride_ * item;
}

template ElementwiseProgram<float>::ElementwiseProgram(const Program&, const Building&, bool);
template ElementwiseProgram<double>::ElementwiseProgram(const Program&, const Building&, bool);
template ElementwiseProgram<std::int64_t>::ElementwiseProgram(const Program&, const Building&,
                                                              bool);

}  // namespace chainrule
