#include "bindings/whole_arrays.h"

#include <nanobind/ndarray.h>

#include <cstring>
#include <optional>
#include <stdexcept>

#include "bindings/arrays.h"
#include "bindings/short_work.h"
#include "bindings/without_gil.h"
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

}  // namespace

void bind_whole_arrays(nb::module_& module) {
  using namespace nb::literals;

  module.def("are_finite", &are_finite, "array"_a.noconvert(),
             "Whether all numbers of a C-contiguous array are finite.");
  module.def("copy", &copy, "to"_a.noconvert(), "from_array"_a.noconvert(),
             "Copies a C-contiguous array into another of the same dtype and size.");
}
