#include "plan/plan.h"

#include <algorithm>
#include <stdexcept>

#include "kernels/kernels.h"

namespace chainrule {
namespace {

constexpr std::array<OpcodeName, opcode_count> opcode_table = {{
#define CHAINRULE_OP(name, inputs) {#name, inputs},
#include "kernels/ops.def"
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

}  // namespace

std::span<const OpcodeName> opcode_names() { return opcode_table; }

std::string_view name_of(DType dtype) { return dtype_names[static_cast<std::size_t>(dtype)]; }
std::string_view name_of(RowKind kind) { return row_kind_names[static_cast<std::size_t>(kind)]; }
std::string_view name_of(Space space) { return space_names[static_cast<std::size_t>(space)]; }
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
