// Where chains of operations stand in a program.
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

template void ElementwiseProgram<float>::fuse(const Program&, const Kernels<float>&);
template void ElementwiseProgram<double>::fuse(const Program&, const Kernels<double>&);
template void ElementwiseProgram<std::int64_t>::fuse(const Program&, const Kernels<std::int64_t>&);

}  // namespace chainrule
