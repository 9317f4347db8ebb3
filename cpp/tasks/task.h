// A task: an instruction of a plan made ready to run, with its places in memory as pointers.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "kernels/kernels.h"
#include "plan/plan.h"

namespace chainrule {

// Where the spaces lie. They outlive all tasks.
struct Memory {
  std::array<std::byte*, 3> spaces;

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

// Of the thread that runs a chunk.
struct Worker {
  std::byte* scratch;         // scratch_bytes() of the task, aligned to 64
  const std::int64_t* order;  // the input rows of this step's batch
};

class Task {
 public:
  virtual ~Task() = default;
  // One of `chunks()` parts. False if an index lies out of range.
  virtual bool run(std::int32_t chunk, const Worker& worker) const noexcept = 0;

  std::int32_t chunks() const { return chunks_; }
  // How many chains of operations (opcodes.h) it does by a kernel of their own.
  virtual std::int64_t chains() const { return 0; }
  std::int64_t scratch_bytes() const { return scratch_bytes_; }

 protected:
  // Chooses how many of `parts` make sense. The choice must not depend on anything but the
  // instruction: with the split the last bits of results may change.
  void split(std::int32_t requested, std::int64_t parts, double nanoseconds);
  void need_scratch(std::int64_t bytes) { scratch_bytes_ = bytes; }

  // Chunk's share of 0 ... count - 1, in units of `unit`.
  struct Range {
    std::int64_t begin, end;
    std::int64_t length() const { return end - begin; }
  };
  Range share(std::int32_t chunk, std::int64_t count, std::int64_t unit = 1) const {
    if (chunks_ == 1) return {0, count};
    const std::int64_t units = (count + unit - 1) / unit;
    return {std::min(count, units * chunk / chunks_ * unit),
            std::min(count, units * (chunk + 1) / chunks_ * unit)};
  }

 private:
  std::int32_t chunks_ = 1;
  std::int64_t scratch_bytes_ = 0;
};

// Ready to run: a validated instruction. Throws std::invalid_argument where a kernel is missing.
std::unique_ptr<Task> make_task(const Instruction& instruction, const Memory& memory,
                                const KernelTable& kernels, const std::vector<Input>& inputs);

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

// `function` called with a null pointer to the type that a dtype's elements have in memory. NumPy's
// truth values are bytes.
template <typename Function>
auto with_type(DType dtype, Function function) {
  switch (dtype) {
    case DType::float32:
      return function(static_cast<float*>(nullptr));
    case DType::float64:
      return function(static_cast<double*>(nullptr));
    case DType::int64:
      return function(static_cast<std::int64_t*>(nullptr));
    case DType::uint64:
      return function(static_cast<std::uint64_t*>(nullptr));
    case DType::int32:
      return function(static_cast<std::int32_t*>(nullptr));
    case DType::uint32:
      return function(static_cast<std::uint32_t*>(nullptr));
    case DType::int16:
      return function(static_cast<std::int16_t*>(nullptr));
    case DType::uint16:
      return function(static_cast<std::uint16_t*>(nullptr));
    case DType::int8:
      return function(static_cast<std::int8_t*>(nullptr));
    case DType::uint8:
    case DType::boolean:
      break;
  }
  return function(static_cast<std::uint8_t*>(nullptr));
}

}  // namespace chainrule
