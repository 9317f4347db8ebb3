#include "plan/names.h"

#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>

namespace chainrule {
namespace {

using Names = std::span<const std::string_view>;

constexpr std::array<std::string_view, dtype_count> dtype_names = {
#define CHAINRULE_DTYPE(name, numpy_name, type) numpy_name,
#include "kernels/dtypes.def"
#undef CHAINRULE_DTYPE
};
using Boolean = std::uint8_t;
constexpr std::array<std::int64_t, dtype_count> itemsizes = {
#define CHAINRULE_DTYPE(name, numpy_name, type) sizeof(type),
#include "kernels/dtypes.def"
#undef CHAINRULE_DTYPE
};

constexpr std::array<std::string_view, opcode_count> opcode_names = {
#define CHAINRULE_OP(name, inputs, cost) #name,
#include "kernels/ops.def"
#undef CHAINRULE_OP
};
constexpr std::array<int, opcode_count> input_counts = {
#define CHAINRULE_OP(name, inputs, cost) inputs,
#include "kernels/ops.def"
#undef CHAINRULE_OP
};

constexpr std::array<std::string_view, row_kind_count> row_kind_names = {
#define CHAINRULE_ROW(name, types, inputs, out, second) #name,
#include "kernels/rows.def"
#undef CHAINRULE_ROW
};

constexpr std::string_view names_of_instructions[] = {
#define CHAINRULE_INSTRUCTION(Type, name) #name,
#include "plan/instructions.def"
#undef CHAINRULE_INSTRUCTION
};

constexpr std::array<std::string_view, reduce_count> reduce_names = {
#define CHAINRULE_REDUCTION(name) #name,
#include "kernels/reductions.def"
#undef CHAINRULE_REDUCTION
};
constexpr std::array<std::string_view, space_count> space_names = {"arena", "state", "constants"};
static_assert(space_names.back() == "constants");

template <typename Enum>
std::string_view name(Enum value, Names names) {
  return names[static_cast<std::size_t>(value)];
}

template <typename Enum>
void set(Enum& value, std::string_view name, Names names, std::string_view what) {
  const auto found = std::ranges::find(names, name);
  if (found == names.end()) {
    throw std::invalid_argument("unknown " + std::string(what) + " '" + std::string(name) +
                                "'; known are " + listed(names));
  }
  value = static_cast<Enum>(found - names.begin());
}

}  // namespace

std::string_view name_of(DType dtype) { return name(dtype, dtype_names); }
std::string_view name_of(Space space) { return name(space, space_names); }
std::string_view name_of(Opcode opcode) { return name(opcode, opcode_names); }
std::string_view name_of(ReduceKind kind) { return name(kind, reduce_names); }
std::string_view name_of(RowKind kind) { return name(kind, row_kind_names); }
Names instruction_names() { return names_of_instructions; }

std::string listed(Names names) {
  std::string text;
  for (const std::string_view name : names) text.append(text.empty() ? "" : ", ").append(name);
  return text;
}

void set_by_name(DType& dtype, std::string_view name) { set(dtype, name, dtype_names, "dtype"); }
void set_by_name(Space& space, std::string_view name) { set(space, name, space_names, "space"); }
void set_by_name(Opcode& opcode, std::string_view name) {
  set(opcode, name, opcode_names, "opcode");
}
void set_by_name(ReduceKind& kind, std::string_view name) {
  set(kind, name, reduce_names, "reduction");
}
void set_by_name(RowKind& kind, std::string_view name) {
  set(kind, name, row_kind_names, "row kernel");
}

std::int64_t itemsize(DType dtype) { return itemsizes[static_cast<std::size_t>(dtype)]; }
int input_count(Opcode opcode) { return input_counts[static_cast<std::size_t>(opcode)]; }

}  // namespace chainrule
