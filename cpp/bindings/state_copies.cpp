#include "bindings/state_copies.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/without_gil.h"
#include "plan/names.h"
#include "runtime/state_copies.h"

namespace nb = nanobind;

namespace {

using chainrule::SpaceArray;

// Together with the state that is copied.
class BoundCopies {
 public:
  BoundCopies(SpaceArray state,
              const std::vector<std::tuple<std::int64_t, std::int64_t, std::string>>& spans)
      : state_(std::move(state)),
        copies_(reinterpret_cast<std::byte*>(state_.data()),
                static_cast<std::int64_t>(state_.size()), spans_of(spans)) {}

  bool keep(std::int64_t threads, bool always) {
    chainrule::check_threads(threads);
    chainrule::WithoutGil released;
    return copies_.keep(static_cast<std::int32_t>(threads), always);
  }
  bool is_finite(std::int64_t threads) {
    chainrule::check_threads(threads);
    chainrule::WithoutGil released;
    return copies_.is_finite(static_cast<std::int32_t>(threads));
  }
  void refresh(std::int64_t offset, std::int64_t bytes) { copies_.refresh(offset, bytes); }
  void restore(std::int64_t threads) {
    chainrule::check_threads(threads);
    chainrule::WithoutGil released;
    copies_.restore(static_cast<std::int32_t>(threads));
  }

 private:
  static std::vector<chainrule::StateCopies::Span> spans_of(
      const std::vector<std::tuple<std::int64_t, std::int64_t, std::string>>& given) {
    std::vector<chainrule::StateCopies::Span> spans;
    for (const auto& [offset, bytes, dtype] : given) {
      spans.push_back({offset, bytes, chainrule::dtype_named(dtype)});
    }
    return spans;
  }

  SpaceArray state_;
  chainrule::StateCopies copies_;
};

}  // namespace

void bind_state_copies(nb::module_& module) {
  using namespace nb::literals;

  nb::class_<BoundCopies>(module, "StateCopies", "Copies of parts of the state, to go back to.")
      .def(nb::init<SpaceArray,
                    const std::vector<std::tuple<std::int64_t, std::int64_t, std::string>>&>(),
           "state"_a.noconvert(), "spans"_a)
      .def("keep", &BoundCopies::keep, "threads"_a, "always"_a,
           "Keeps a copy of the state if it is finite, or always; whether it is.")
      .def("is_finite", &BoundCopies::is_finite, "threads"_a,
           "Whether the state is finite, without a copy.")
      .def("refresh", &BoundCopies::refresh, "offset"_a, "bytes"_a,
           "Takes some bytes of the state over into the copy kept last.")
      .def("restore", &BoundCopies::restore, "threads"_a,
           "Brings the state back to the copy kept last.");
}
