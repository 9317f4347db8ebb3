#include "program.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace chainrule {
namespace {

constexpr std::int64_t usual_block = 512;
constexpr std::int64_t cache_line = 64;
// Rows shorter than this share a block.
constexpr std::int64_t short_row = 256;
// Rows that are summed one by one; such sums are added in pairs, pairs of pairs and so on.
constexpr std::int64_t sum_rows = 32;
// A loop of few elements is faster than a call.
constexpr std::int64_t few = 32;

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

// Where the operands of a program's operations come from.
class Origins {
 public:
  explicit Origins(const Program& program) : program_(program), uses_(program.ops.size()) {
    std::vector<std::optional<std::size_t>> writer(max_registers);
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const MicroOp& op = program.ops[i];
      const std::uint8_t operands[] = {op.a, op.b, op.c};
      origins_.push_back({});
      for (int k = 0; k < inputs(i); ++k) {
        origins_[i][static_cast<std::size_t>(k)] = writer[operands[k]];
        if (const auto origin = writer[operands[k]]) uses_[*origin].push_back(i);
      }
      writer[op.out] = i;
    }
    for (const Store& store : program.stores) note_behind(writer[store.reg]);
    for (const ColumnSum& sum : program.sums) note_behind(writer[sum.reg]);
  }

  int inputs(std::size_t op) const {
    return opcode_names()[static_cast<std::size_t>(program_.ops[op].opcode)].inputs;
  }
  // The operation that computes an operand; none for what is loaded or constant.
  std::optional<std::size_t> of(std::size_t op, int operand) const {
    return origins_[op][static_cast<std::size_t>(operand)];
  }
  // Whether anything behind operation `last` needs the result of `op`.
  bool is_needed_behind(std::size_t op, std::size_t last) const {
    return std::ranges::any_of(uses_[op], [last](std::size_t user) { return user > last; });
  }

 private:
  void note_behind(std::optional<std::size_t> origin) {
    if (origin) uses_[*origin].push_back(program_.ops.size());
  }

  const Program& program_;
  std::vector<std::array<std::optional<std::size_t>, 3>> origins_;
  std::vector<std::vector<std::size_t>> uses_;
};

// The registers of a chain's inputs where it fits the operations from `first` on.
struct Match {
  std::array<std::uint8_t, most_chain_inputs> registers = {};
  std::array<std::uint8_t, most_chain_inputs> operand = {};  // of which operation, and which one
  std::array<std::size_t, most_chain_inputs> op = {};
};

std::optional<Match> match(const Chain& chain, const Program& program, const Origins& origins,
                           std::size_t first) {
  const auto length = static_cast<std::size_t>(chain.length);
  if (first + length > program.ops.size()) return std::nullopt;
  Match found;
  std::vector<bool> is_known(most_chain_inputs, false);
  std::vector<std::optional<std::size_t>> origin(most_chain_inputs);
  for (std::size_t i = 0; i < length; ++i) {
    const MicroOp& op = program.ops[first + i];
    if (op.opcode != chain.ops[i].opcode) return std::nullopt;
    const std::uint8_t operands[] = {op.a, op.b, op.c};
    for (int k = 0; k < origins.inputs(first + i); ++k) {
      const int wanted = chain.ops[i].operands[k];
      const auto from = origins.of(first + i, k);
      if (wanted < 0) {
        if (from != first + static_cast<std::size_t>(~wanted)) return std::nullopt;
        continue;
      }
      if (from && *from >= first) return std::nullopt;
      const auto input = static_cast<std::size_t>(wanted);
      if (is_known[input] && (found.registers[input] != operands[k] || origin[input] != from)) {
        return std::nullopt;
      }
      is_known[input] = true;
      origin[input] = from;
      found.registers[input] = operands[k];
      found.op[input] = i;
      found.operand[input] = static_cast<std::uint8_t>(k);
      if (chain.is_scalar(wanted)) {
        const auto is_one = [&](const Load& load) {
          return load.reg == operands[k] && load.row_stride == 0 && load.column_stride == 0 &&
                 !load.drawn;
        };
        const auto is_same = [&](const Constant& constant) { return constant.reg == operands[k]; };
        if (from || (std::ranges::none_of(program.loads, is_one) &&
                     std::ranges::none_of(program.constants, is_same))) {
          return std::nullopt;
        }
      }
    }
  }
  for (std::size_t i = 0; i < length; ++i) {
    const bool is_needed = origins.is_needed_behind(first + i, first + length - 1);
    if (is_needed != chain.is_result(static_cast<int>(i))) return std::nullopt;
  }
  return found;
}

}  // namespace

// Lets one kernel do the operations of a chain, wherever one stands in the program.
template <typename T>
void ElementwiseProgram<T>::fuse(const Program& program, const Kernels<T>& kernels) {
  const Origins origins(program);
  std::vector<Step> fused;
  for (std::size_t first = 0; first < steps_.size();) {
    std::optional<Match> found;
    std::size_t number = 0;
    for (; number < chain_count; ++number) {
      if (kernels.chains[number] == nullptr) continue;
      found = match(chains[number], program, origins, first);
      if (found) break;
    }
    if (!found) {
      fused.push_back(steps_[first++]);
      continue;
    }
    const Chain& chain = chains[number];
    ChainStep step = {};
    step.kernel = kernels.chains[number];
    for (; step.input_count < chain.inputs; ++step.input_count) {
      const auto input = static_cast<std::size_t>(step.input_count);
      const Step& reader = steps_[first + found->op[input]];
      const PlaceNumber operands[] = {reader.a, reader.b, reader.c};
      step.inputs[input] = operands[found->operand[input]];
    }
    for (int i = 0; i < chain.length; ++i, ++first) {
      if (chain.is_result(i)) step.results[step.result_count++] = steps_[first].out;
    }
    Step stand_in = {};
    stand_in.out = static_cast<PlaceNumber>(chains_.size());
    fused.push_back(stand_in);
    chains_.push_back(step);
  }
  steps_ = std::move(fused);
}

template <typename T>
void ElementwiseProgram<T>::run_chain(const ChainStep& chain, T* const* places,
                                      std::int64_t count) {
  T* results[most_chain_results];
  const T* inputs[most_chain_inputs];
  for (int i = 0; i < chain.result_count; ++i) results[i] = places[chain.results[i]];
  for (int i = 0; i < chain.input_count; ++i) inputs[i] = places[chain.inputs[i]];
  chain.kernel(results, inputs, count);
}

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

template <typename T>
void ElementwiseProgram<T>::fill(T* out, T value, std::int64_t count) const {
  if (count < few) {
    for (std::int64_t i = 0; i < count; ++i) out[i] = value;
  } else {
    fill_(out, value, count);
  }
}

template <typename T>
void ElementwiseProgram<T>::read(const LoadStep& load, T* out, const std::byte* from,
                                 std::int64_t count) {
  if (load.convert != nullptr) {
    load.convert(out, from, count);
  } else {
    std::memcpy(out, from, static_cast<std::size_t>(count) * sizeof(T));
  }
}

template <typename T>
T ElementwiseProgram<T>::element(const LoadStep& load, const std::byte* from) const {
  T value;
  read(load, &value, from, 1);
  return value;
}

// What is the same in every block of a region.
template <typename T>
void ElementwiseProgram<T>::load_once(const LoadStep& load, const Region& region,
                                      const Block& largest, T** places) const {
  T* const own = places[load.own];
  places[load.place] = own;
  if (load.kind == Kind::scalar) {
    fill(own, element(load, load.data), largest.count());
  } else if (load.kind == Kind::row && largest.rows > 1) {
    read(load, own, load.data + region.column_begin * load.itemsize, largest.columns);
    for (std::int64_t done = largest.columns; done < largest.count();) {
      const std::int64_t more = std::min(done, largest.count() - done);
      std::memcpy(own + done, own, static_cast<std::size_t>(more) * sizeof(T));
      done += more;
    }
  }
}

template <typename T>
void ElementwiseProgram<T>::load(const LoadStep& load, const Block& block, bool new_row,
                                 T** places) const {
  T* const own = places[load.own];
  if (load.kind == Kind::drawn) {
    draw(load, block, own);
    places[load.place] = own;
    return;
  }
  const std::byte* const from =
      load.data + (block.row * load.row_stride + (load.kind == Kind::per_row ? 0 : block.column)) *
                      load.itemsize;
  const std::int64_t row_bytes = load.row_stride * load.itemsize;
  switch (load.kind) {
    case Kind::scalar:
    case Kind::drawn:
      return;
    case Kind::per_row:
      if (!new_row) return;
      for (std::int64_t row = 0; row < block.rows; ++row) {
        fill(own + row * block.columns, element(load, from + row * row_bytes), block.columns);
      }
      return;
    case Kind::row:
      if (block.rows > 1) return;
      break;
    case Kind::matrix:
      if (block.rows > 1 && load.row_stride != block.columns) {
        for (std::int64_t row = 0; row < block.rows; ++row) {
          read(load, own + row * block.columns, from + row * row_bytes, block.columns);
        }
        places[load.place] = own;
        return;
      }
      break;
  }
  if (load.in_place) {
    // The kernels only read through it.
    places[load.place] = const_cast<T*>(reinterpret_cast<const T*>(from));
  } else {
    read(load, own, from, block.count());
  }
}

template <typename T>
void ElementwiseProgram<T>::point(const StoreStep& store, const Block& block, T** places) const {
  if (!store.written_in_place) return;
  const bool is_contiguous = block.rows == 1 || store.row_stride == block.columns;
  places[store.source] =
      is_contiguous ? reinterpret_cast<T*>(store.data) + block.row * store.row_stride + block.column
                    : places[store.own];
}

template <typename T>
void ElementwiseProgram<T>::store(const StoreStep& store, const Block& block,
                                  T* const* places) const {
  const T* from = places[store.source];
  std::byte* to = store.data + (block.row * store.row_stride + block.column) * store.itemsize;
  const bool is_contiguous = block.rows == 1 || store.row_stride == block.columns;
  const std::int64_t pieces = is_contiguous ? 1 : block.rows;
  const std::int64_t piece = is_contiguous ? block.count() : block.columns;
  for (std::int64_t i = 0; i < pieces; ++i) {
    if (store.convert != nullptr) {
      store.convert(to, from, piece);
    } else if (static_cast<const void*>(to) != static_cast<const void*>(from)) {
      std::memcpy(to, from, static_cast<std::size_t>(piece) * sizeof(T));
    }
    from += piece;
    to += store.row_stride * store.itemsize;
  }
}

template <typename T>
void ElementwiseProgram<T>::run(const Region& region, std::byte* scratch) const noexcept {
  const std::int64_t rows = region.row_end - region.row_begin;
  const std::int64_t columns = region.column_end - region.column_begin;
  if (rows <= 0 || columns <= 0) return;
  Block largest = {region.row_begin, 1, region.column_begin, std::min(columns, block_)};
  if (columns < short_row && columns <= block_) {
    largest.rows = std::min(rows, block_ / columns);
    largest.columns = columns;
  }

  T** const places = reinterpret_cast<T**>(scratch);
  T* const registers = reinterpret_cast<T*>(scratch + table_bytes_);
  for (std::int64_t i = 0; i < own_places_; ++i) places[i] = registers + i * register_stride_;
  for (const ConstantStep& constant : constants_) {
    fill(places[constant.own], constant.value, largest.count());
  }
  for (const LoadStep& load : loads_) load_once(load, region, largest, places);

  if (has_sums()) {
    T* const sums = reinterpret_cast<T*>(scratch + table_bytes_ + register_bytes_);
    run_with_sums(region, largest, places, sums);
    return;
  }
  for (std::int64_t row = region.row_begin; row < region.row_end; row += largest.rows) {
    for (std::int64_t column = region.column_begin; column < region.column_end;
         column += largest.columns) {
      const Block block = {row, std::min(largest.rows, region.row_end - row), column,
                           std::min(largest.columns, region.column_end - column)};
      run_block(block, column == region.column_begin, places);
    }
  }
}

template <typename T>
void ElementwiseProgram<T>::run_block(const Block& block, bool new_row, T** places) const {
  for (const LoadStep& one : loads_) load(one, block, new_row, places);
  for (const StoreStep& one : stores_) point(one, block, places);
  const std::int64_t count = block.count();
  for (const Step& step : steps_) {
    if (step.kernel == nullptr) {
      run_chain(chains_[step.out], places, count);
    } else {
      step.kernel(places[step.out], places[step.a], places[step.b], places[step.c], count);
    }
  }
  for (const StoreStep& one : stores_) store(one, block, places);
}

// Column by column, each from the first row to the last: how the columns are shared out does not
// matter. `sums` has a row for the sum that grows, then one for each level of pairs, of each sum.
template <typename T>
void ElementwiseProgram<T>::run_with_sums(const Region& region, const Block& largest, T** places,
                                          T* sums) const {
  const std::int64_t each = (sum_levels_ + 1) * register_stride_;
  for (std::int64_t column = region.column_begin; column < region.column_end;
       column += largest.columns) {
    const std::int64_t columns = std::min(largest.columns, region.column_end - column);
    std::int64_t finished = 0;  // blocks of sum_rows rows: bit l says that level l is in use
    for (std::int64_t first = 0; first < rows_; first += sum_rows) {
      const std::int64_t end = std::min(first + sum_rows, rows_);
      for (std::int64_t row = first; row < end; row += largest.rows) {
        const Block block = {row, std::min(largest.rows, end - row), column, columns};
        run_block(block, true, places);
        for (std::size_t i = 0; i < sums_.size(); ++i) {
          T* const sum = sums + static_cast<std::int64_t>(i) * each;
          if (row == first) fill(sum, T(0), columns);
          add_rows(sum, places[sums_[i].source], block.rows, columns);
        }
      }
      for (std::size_t i = 0; i < sums_.size(); ++i) {
        T* const sum = sums + static_cast<std::int64_t>(i) * each;
        T* level = sum + register_stride_;
        for (std::int64_t l = finished; l & 1; l >>= 1, level += register_stride_) {
          add_(sum, level, sum, sum, columns);
        }
        T* const to = end == rows_ ? sums_[i].out + column : level;
        if (end == rows_) {  // what is left on higher levels
          std::int64_t l = finished;
          T* rest = sum + register_stride_;
          for (; l & 1; l >>= 1) rest += register_stride_;
          for (; l != 0; l >>= 1, rest += register_stride_) {
            if (l & 1) add_(sum, rest, sum, sum, columns);
          }
        }
        std::memcpy(to, sum, static_cast<std::size_t>(columns) * sizeof(T));
      }
      ++finished;
    }
  }
}

template <typename T>
void ElementwiseProgram<T>::add_rows(T* to, const T* from, std::int64_t rows,
                                     std::int64_t columns) const {
  for (std::int64_t row = 0; row < rows; ++row, from += columns) {
    add_(to, to, from, from, columns);
  }
}

template <typename T>
void ElementwiseProgram<T>::draw(const LoadStep& load, const Block& block, T* out) const {
  const auto* const state = reinterpret_cast<const std::uint64_t*>(load.data);
  const std::int64_t first = block.row * load.row_stride + block.column;
  if (block.rows == 1 || load.row_stride == block.columns) {
    random_uniform_(out, state[0], state[1], first, block.count());
    return;
  }
  for (std::int64_t row = 0; row < block.rows; ++row) {
    random_uniform_(out + row * block.columns, state[0], state[1], first + row * load.row_stride,
                    block.columns);
  }
}

template class ElementwiseProgram<float>;
template class ElementwiseProgram<double>;
template class ElementwiseProgram<std::int64_t>;

}  // namespace chainrule
