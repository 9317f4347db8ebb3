// NumPy arrays as the core takes them.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>

#include "tasks/building.h"

namespace chainrule {

using SpaceArray = nanobind::ndarray<nanobind::numpy, std::uint8_t, nanobind::ndim<1>,
                                     nanobind::c_contig, nanobind::device::cpu>;
using InputArray = nanobind::ndarray<nanobind::numpy, nanobind::ro, nanobind::device::cpu>;

// Throws std::invalid_argument for one that the core does not know.
DType known_dtype(nanobind::dlpack::dtype dtype);

Input input_of(const InputArray& array);

}  // namespace chainrule
