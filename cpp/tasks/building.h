// What tasks are built from: an instruction, and the record that goes with it. Each instruction of
// plan/instructions.def has its `make_task` in the file of this folder that bears its name.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "plan/names.h"
#include "tasks/task.h"

namespace chainrule {

// The addresses of the spaces. They outlive all tasks.
struct Memory {
  std::array<std::byte*, space_count> spaces;

  std::byte* at(Ref ref) const { return spaces[static_cast<std::size_t>(ref.space)] + ref.offset; }
  template <typename T>
  T* at(Ref ref) const {
    return reinterpret_cast<T*>(at(ref));
  }
};

// The user's array: rows of contiguous elements.
struct Input {
  const std::byte* data = nullptr;
  std::int64_t rows = 0, columns = 0;
  std::int64_t row_bytes = 0;  // from row to row
  DType dtype = DType::float32;
  bool is_bound = false;
};

// The same for all instructions of a plan but the label. Memory, kernels and inputs outlive the
// tasks.
struct Building {
  const std::string& label;
  std::int32_t chunks;  // into how many parts to split; 0 leaves it to the task, by shapes alone
  const Memory& memory;
  const KernelTable& kernels;
  const std::vector<Input>& inputs;
};

// Ready to run: a validated instruction. Throws std::invalid_argument where a kernel is missing.
#define CHAINRULE_INSTRUCTION(Type, name) \
  std::unique_ptr<Task> make_task(const Type& instruction, const Building& building);
#include "plan/instructions.def"
#undef CHAINRULE_INSTRUCTION

// --- What tasks share ---

inline double number(std::int64_t count) { return static_cast<double>(count); }

// Into how many parts columns of this many units are split. A part of few units is no less work, as
// each part goes over all rows.
inline std::int64_t column_parts(std::int64_t units) {
  return std::max(std::min<std::int64_t>(units, 2), units / 3);
}

template <typename T>
const Kernels<T>& kernels_of(const KernelTable& table);
template <>
inline const Kernels<float>& kernels_of(const KernelTable& table) {
  return table.float32;
}
template <>
inline const Kernels<double>& kernels_of(const KernelTable& table) {
  return table.float64;
}
template <>
inline const Kernels<std::int64_t>& kernels_of(const KernelTable& table) {
  return table.int64;
}

template <typename T>
inline constexpr DType dtype_of = DType::float32;
template <>
inline constexpr DType dtype_of<double> = DType::float64;
template <>
inline constexpr DType dtype_of<std::int64_t> = DType::int64;

// TaskOf<T> of an instruction, for the type T of its dtype; validation has left only these.
template <template <typename> typename TaskOf, typename Instruction>
std::unique_ptr<Task> make_task_of(const Instruction& instruction, const Building& building) {
  switch (instruction.dtype) {
    case DType::float32:
      return std::make_unique<TaskOf<float>>(instruction, building);
    case DType::float64:
      return std::make_unique<TaskOf<double>>(instruction, building);
    default:
      return std::make_unique<TaskOf<std::int64_t>>(instruction, building);
  }
}

// The same for an instruction whose dtype validation has left floating.
template <template <typename> typename TaskOf, typename Instruction>
std::unique_ptr<Task> make_floating_task_of(const Instruction& instruction,
                                            const Building& building) {
  if (instruction.dtype == DType::float32) {
    return std::make_unique<TaskOf<float>>(instruction, building);
  }
  return std::make_unique<TaskOf<double>>(instruction, building);
}

// `function` called with a null pointer to the type that a dtype's elements have in memory.
template <typename Function>
auto with_type(DType dtype, Function function) {
  using Boolean = std::uint8_t;  // as NumPy stores it
  switch (dtype) {
#define CHAINRULE_DTYPE(name, numpy_name, type) \
  case DType::name:                             \
    return function(static_cast<type*>(nullptr));
#include "kernels/dtypes.def"
#undef CHAINRULE_DTYPE
  }
  return function(static_cast<Boolean*>(nullptr));
}

}  // namespace chainrule
