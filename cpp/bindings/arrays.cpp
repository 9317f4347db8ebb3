#include "bindings/arrays.h"

#include <cstddef>
#include <stdexcept>

namespace nb = nanobind;

namespace chainrule {

DType known_dtype(nb::dlpack::dtype dtype) {
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

Input input_of(const InputArray& array) {
  Input input;
  input.dtype = known_dtype(array.dtype());
  if (array.ndim() == 0) throw std::invalid_argument("an input has rows: its array is 0-d");
  const std::int64_t itemsize = chainrule::itemsize(input.dtype);
  input.data = static_cast<const std::byte*>(array.data());
  input.rows = static_cast<std::int64_t>(array.shape(0));
  input.columns = 1;
  for (std::size_t axis = array.ndim() - 1; axis > 0; --axis) {
    const auto size = static_cast<std::int64_t>(array.shape(axis));
    // NumPy gives arrays without elements any strides.
    if (size > 1 && array.size() > 0 && array.stride(axis) != input.columns) {
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

}  // namespace chainrule
