#include "bindings/state_lock.h"

#include <nanobind/stl/shared_ptr.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstddef>
#include <stdexcept>
#include <utility>

#include "bindings/without_gil.h"

namespace nb = nanobind;

namespace chainrule {

Hold::Hold(std::vector<std::shared_ptr<StateLock>> locks, bool alone)
    : locks_(std::move(locks)), alone_(alone) {
  if (std::ranges::any_of(locks_, [](const auto& lock) { return !lock; })) {
    throw std::invalid_argument("Hold takes a list of StateLocks, not None");
  }
}

void Hold::enter() {
  for (std::size_t i = 0; i < locks_.size(); ++i) {
    if (locks_[i]->try_acquire(alone_)) continue;
    StateLock::Place place(*locks_[i], alone_);
    for (;;) {
      bool is_mine = false;
      {
        WithoutGil released;
        is_mine = place.wait();
      }
      if (is_mine) break;
      if (PyErr_CheckSignals() != 0) {
        while (i > 0) locks_[--i]->release();
        throw nb::python_error();
      }
    }
  }
}

void Hold::exit() {
  for (std::size_t i = locks_.size(); i > 0; --i) locks_[i - 1]->release();
}

bool Hold::is_waited_for() const {
  return std::ranges::any_of(locks_, [](const auto& lock) { return lock->is_waited_for(); });
}

}  // namespace chainrule

void bind_state_lock(nb::module_& module) {
  using namespace nb::literals;

  nb::class_<chainrule::StateLock>(module, "StateLock",
                                   "A lock of states: many threads read, or one changes them.")
      .def(nb::init<>());
  nb::class_<chainrule::Hold>(module, "Hold", "Holds locks inside a block.")
      .def(nb::init<std::vector<std::shared_ptr<chainrule::StateLock>>, bool>(), "locks"_a,
           "alone"_a)
      .def("__enter__", &chainrule::Hold::enter, "Waits for the locks, one after another.")
      .def(
          "__exit__", [](chainrule::Hold& hold, const nb::args&) { hold.exit(); },
          "Releases them.");
}
