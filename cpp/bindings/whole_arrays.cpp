#include "bindings/whole_arrays.h"

#include <nanobind/ndarray.h>

#include <cstring>
#include <optional>
#include <stdexcept>

#include "bindings/arrays.h"
#include "bindings/short_work.h"
#include "bindings/without_gil.h"
#include "runtime/instruction_sets.h"
#include "tasks/finite.h"

namespace nb = nanobind;

namespace {

using ReadArray = nb::ndarray<nb::numpy, nb::ro, nb::c_contig, nb::device::cpu>;
using WrittenArray = nb::ndarray<nb::numpy, nb::c_contig, nb::device::cpu>;

// NumPy hands on the GIL for any array of more than 500 elements.
void unless_short(std::optional<chainrule::WithoutGil>& released, std::size_t bytes) {
  if (bytes > static_cast<std::size_t>(chainrule::short_bytes)) released.emplace();
}

bool are_finite(const ReadArray& array) {
  const chainrule::DType dtype = chainrule::known_dtype(array.dtype());
  std::optional<chainrule::WithoutGil> released;
  unless_short(released, array.nbytes());
  return chainrule::is_finite(static_cast<const std::byte*>(array.data()),
                              static_cast<std::int64_t>(array.nbytes()), dtype);
}

void copy(const WrittenArray& to, const ReadArray& from) {
  if (to.nbytes() != from.nbytes() || to.dtype() != from.dtype()) {
    throw std::invalid_argument("a copy has the dtype and the size of its original");
  }
  std::optional<chainrule::WithoutGil> released;
  unless_short(released, from.nbytes());
  if (from.nbytes() != 0) std::memmove(to.data(), from.data(), from.nbytes());
}

void fill_uniform(const WrittenArray& out, std::uint64_t seed, std::uint64_t position) {
  const chainrule::KernelTable& kernels = *chainrule::instruction_set("").kernels;
  const auto fill = [&]<typename T>(const chainrule::Kernels<T>& of_type) {
    std::optional<chainrule::WithoutGil> released;
    unless_short(released, out.nbytes());
    of_type.random_uniform(static_cast<T*>(out.data()), seed, position, 0,
                           static_cast<std::int64_t>(out.size()));
  };
  switch (chainrule::known_dtype(out.dtype())) {
    case chainrule::DType::float32:
      return fill(kernels.float32);
    case chainrule::DType::float64:
      return fill(kernels.float64);
    default:
      throw std::invalid_argument("random numbers are float32 or float64");
  }
}

}  // namespace

void bind_whole_arrays(nb::module_& module) {
  using namespace nb::literals;

  module.def("are_finite", &are_finite, "array"_a.noconvert(),
             "Whether all numbers of a C-contiguous array are finite.");
  module.def("copy", &copy, "to"_a.noconvert(), "from_array"_a.noconvert(),
             "Copies a C-contiguous array into another of the same dtype and size.");
  module.def("fill_uniform", &fill_uniform, "out"_a.noconvert(), "seed"_a, "position"_a,
             "Fills a C-contiguous array with the uniform numbers of a generator's state.");
}
