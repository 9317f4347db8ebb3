// chainrule._core.StateLock and Hold.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <vector>

#include "runtime/state_lock.h"

namespace chainrule {

// Several locks together, as a context manager. A Python function's `with` can't be interrupted
// between its entry and its body, because all of it is in the core.
class Hold {
 public:
  Hold(std::vector<std::shared_ptr<StateLock>> locks, bool alone);
  void enter();
  void exit();
  bool is_waited_for() const;

 private:
  std::vector<std::shared_ptr<StateLock>> locks_;
  bool alone_;
};

}  // namespace chainrule

void bind_state_lock(nanobind::module_& module);
