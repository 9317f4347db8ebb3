#include "bindings/arguments.h"

#include <cstddef>
#include <stdexcept>

namespace nb = nanobind;

namespace chainrule {
namespace {

std::uint8_t register_numbered(std::int64_t number) {
  if (number < 0 || number >= max_registers) {
    throw std::invalid_argument("registers are numbered 0 to 255, got " + std::to_string(number));
  }
  return static_cast<std::uint8_t>(number);
}

DType dtype_of_array(const InputArray& array) {
  const nb::dlpack::dtype dtype = array.dtype();
  const auto code = static_cast<nb::dlpack::dtype_code>(dtype.code);
  if (dtype.lanes == 1) {
    using nb::dlpack::dtype_code;
    switch (code) {
      case dtype_code::Float:
        if (dtype.bits == 32) return DType::float32;
        if (dtype.bits == 64) return DType::float64;
        break;
      case dtype_code::Int:
        if (dtype.bits == 8) return DType::int8;
        if (dtype.bits == 16) return DType::int16;
        if (dtype.bits == 32) return DType::int32;
        if (dtype.bits == 64) return DType::int64;
        break;
      case dtype_code::UInt:
        if (dtype.bits == 8) return DType::uint8;
        if (dtype.bits == 16) return DType::uint16;
        if (dtype.bits == 32) return DType::uint32;
        if (dtype.bits == 64) return DType::uint64;
        break;
      case dtype_code::Bool:
        if (dtype.bits == 8) return DType::boolean;
        break;
      default:
        break;
    }
  }
  throw std::invalid_argument(
      "an input must be an array of float32, float64, bool, or whole numbers of 8 to 64 bits in "
      "the machine's byte order; convert it with astype");
}

}  // namespace

Ref ref_of(const RefTuple& ref) { return {space_numbered(ref.first), ref.second}; }

Program program_of(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t registers,
                   const std::vector<LoadTuple>& loads, const std::vector<ConstantTuple>& constants,
                   const std::vector<OpTuple>& ops, const std::vector<StoreTuple>& stores,
                   const std::vector<SumTuple>& sums) {
  Program program = {dtype, rows, columns, registers, {}, {}, {}, {}, {}};
  for (const auto& [space, offset, type, row_stride, column_stride, reg] : loads) {
    const bool drawn = type == "uniform";
    program.loads.push_back({ref_of({space, offset}), drawn ? DType::uint64 : dtype_named(type),
                             row_stride, column_stride, register_numbered(reg), drawn});
  }
  for (const auto& [space, offset, reg] : sums) {
    program.sums.push_back({ref_of({space, offset}), register_numbered(reg)});
  }
  for (const auto& [value, reg] : constants) {
    program.constants.push_back({value, register_numbered(reg)});
  }
  for (const auto& [name, out, a, b, c] : ops) {
    program.ops.push_back({opcode_named(name), register_numbered(out), register_numbered(a),
                           register_numbered(b), register_numbered(c)});
  }
  for (const auto& [space, offset, type, row_stride, reg] : stores) {
    program.stores.push_back(
        {ref_of({space, offset}), dtype_named(type), row_stride, register_numbered(reg)});
  }
  return program;
}

Input input_of(const InputArray& array) {
  Input input;
  input.dtype = dtype_of_array(array);
  if (array.ndim() == 0) throw std::invalid_argument("an input has rows: its array is 0-d");
  const std::int64_t itemsize = chainrule::itemsize(input.dtype);
  input.data = static_cast<const std::byte*>(array.data());
  input.rows = static_cast<std::int64_t>(array.shape(0));
  input.columns = 1;
  for (std::size_t axis = array.ndim() - 1; axis > 0; --axis) {
    const auto size = static_cast<std::int64_t>(array.shape(axis));
    if (size > 1 && array.stride(axis) != input.columns) {
      throw std::invalid_argument(
          "each row of an input must be contiguous; make it so with numpy.ascontiguousarray");
    }
    input.columns *= size;
  }
  input.row_bytes = array.stride(0) * itemsize;
  if (input.rows * input.columns == 0) input.row_bytes = 0;
  if (reinterpret_cast<std::uintptr_t>(input.data) % static_cast<std::uintptr_t>(itemsize) != 0) {
    throw std::invalid_argument("an input must be aligned to its elements; copy the array");
  }
  return input;
}

std::int32_t checked_threads(std::int64_t threads) {
  if (threads < 1 || threads > 4096) {
    throw std::invalid_argument("threads must be from 1 to 4096, got " + std::to_string(threads));
  }
  return static_cast<std::int32_t>(threads);
}

}  // namespace chainrule
