// Names, as NumPy and chainrule.ops have them.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "kernels/kinds.h"
#include "plan/plan.h"

namespace chainrule {

std::string_view name_of(DType dtype);
std::string_view name_of(Space space);
std::string_view name_of(Opcode opcode);
std::string_view name_of(ReduceKind kind);
std::string_view name_of(RowKind kind);
std::span<const std::string_view> instruction_names();

// Names for an error, with commas between them.
std::string listed(std::span<const std::string_view> names);

// These throw std::invalid_argument for an unknown name.
void set_by_name(DType& dtype, std::string_view name);
void set_by_name(Space& space, std::string_view name);
void set_by_name(Opcode& opcode, std::string_view name);
void set_by_name(ReduceKind& kind, std::string_view name);
void set_by_name(RowKind& kind, std::string_view name);

inline DType dtype_named(std::string_view name) {
  DType dtype;
  set_by_name(dtype, name);
  return dtype;
}

std::int64_t itemsize(DType dtype);
// How many inputs an elementwise operation has.
int input_count(Opcode opcode);

}  // namespace chainrule
