// Finds the chains of kernels/chains.h in a program.
//
// A chain matches operations `first` ... `first + length - 1` where the opcodes are its own, each
// operand comes from the same place as in the chain (an earlier operation of the chain, or
// outside), and nothing but its results is needed after it:
//
//   multiply_add 5 = 3 * 1 + 2      chain "momentum":  result 0 = input 0 * input 1 + input 2
//   multiply     6 = 4 * 5                             result 1 = input 3 * result 0
//   subtract     7 = 0 - 6                             result 2 = input 4 - result 1
#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "tasks/program/program.h"

namespace chainrule {
namespace {

// Where the operands of a program's operations come from.
class Origins {
 public:
  explicit Origins(const Program& program) : program_(program), uses_(program.ops.size()) {
    std::vector<std::optional<std::size_t>> writer(max_registers);
    for (std::size_t i = 0; i < program.ops.size(); ++i) {
      const MicroOp& op = program.ops[i];
      const Operands& operands = op.inputs;
      origins_.push_back({});
      for (int k = 0; k < inputs(i); ++k) {
        origins_[i][static_cast<std::size_t>(k)] = writer[operands[k]];
        if (const auto origin = writer[operands[k]]) uses_[*origin].push_back(i);
      }
      writer[op.out] = i;
    }
    for (const Store& store : program.stores) note_end(writer[store.reg]);
    for (const ColumnSum& sum : program.sums) note_end(writer[sum.reg]);
  }

  int inputs(std::size_t op) const { return program_.ops[op].inputs.count; }
  // The operation that computes an operand; none for what is loaded or constant.
  std::optional<std::size_t> of(std::size_t op, int operand) const {
    return origins_[op][static_cast<std::size_t>(operand)];
  }
  // Whether anything after operation `last` needs the result of `op`.
  bool is_needed_after(std::size_t op, std::size_t last) const {
    return std::ranges::any_of(uses_[op], [last](std::size_t user) { return user > last; });
  }

 private:
  void note_end(std::optional<std::size_t> origin) {
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
    const Operands& operands = op.inputs;
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
                 !load.random;
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
    const bool is_needed = origins.is_needed_after(first + i, first + length - 1);
    if (is_needed != chain.is_result(static_cast<int>(i))) return std::nullopt;
  }
  return found;
}

}  // namespace

// Replaces each chain of the program by one operation with a kernel of its own.
template <typename T>
void ElementwiseProgram<T>::fuse(const Program& program, const Kernels<T>& kernels) {
  const Origins origins(program);
  std::vector<Operation> fused;
  for (std::size_t first = 0; first < operations_.size();) {
    std::optional<Match> found;
    std::size_t number = 0;
    for (; number < chain_count; ++number) {
      if (kernels.chains[number] == nullptr) continue;
      found = match(chains[number], program, origins, first);
      if (found) break;
    }
    if (!found) {
      fused.push_back(operations_[first++]);
      continue;
    }
    const Chain& chain = chains[number];
    PreparedChain prepared = {};
    prepared.kernel = kernels.chains[number];
    prepared.scalars = chain.scalars;
    for (; prepared.input_count < chain.inputs; ++prepared.input_count) {
      const auto input = static_cast<std::size_t>(prepared.input_count);
      const Operation& reader = operations_[first + found->op[input]];
      const Slot operands[] = {reader.a, reader.b, reader.c};
      prepared.inputs[input] = operands[found->operand[input]];
    }
    for (int i = 0; i < chain.length; ++i, ++first) {
      if (chain.is_result(i)) prepared.results[prepared.result_count++] = operations_[first].out;
    }
    Operation stand_in = {};
    stand_in.out = static_cast<Slot>(chains_.size());
    fused.push_back(stand_in);
    chains_.push_back(prepared);
  }
  operations_ = std::move(fused);
}

// Whether the program is one chain whose operands, but for single numbers, are memory.
template <typename T>
bool ElementwiseProgram<T>::needs_no_blocks() const {
  if (operations_.size() != 1 || chains_.size() != 1 || rows_ != 1 || has_sums()) return false;
  const PreparedChain& chain = chains_.front();
  const auto is_memory = [&](Slot slot) {
    return slot >= register_slots_ &&
           loads_[static_cast<std::size_t>(slot - register_slots_)].in_place;
  };
  for (int i = 0; i < chain.input_count; ++i) {
    const bool is_scalar = chain.scalars >> i & 1;
    if (!is_scalar && !is_memory(chain.inputs[i])) return false;
  }
  const auto needs_no_block = [](const PreparedLoad& load) {
    return load.in_place || load.kind == Kind::scalar;
  };
  return std::ranges::all_of(loads_, needs_no_block) &&
         std::ranges::all_of(stores_, &PreparedStore::written_in_place);
}

template void ElementwiseProgram<float>::fuse(const Program&, const Kernels<float>&);
template void ElementwiseProgram<double>::fuse(const Program&, const Kernels<double>&);
template void ElementwiseProgram<std::int64_t>::fuse(const Program&, const Kernels<std::int64_t>&);
template bool ElementwiseProgram<float>::needs_no_blocks() const;
template bool ElementwiseProgram<double>::needs_no_blocks() const;
template bool ElementwiseProgram<std::int64_t>::needs_no_blocks() const;

}  // namespace chainrule
