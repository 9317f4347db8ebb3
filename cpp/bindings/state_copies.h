// chainrule._core.StateCopies.
#pragma once

#include <nanobind/nanobind.h>

void bind_state_copies(nanobind::module_& module);
