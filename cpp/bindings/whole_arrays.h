// chainrule._core.are_finite and copy.
#pragma once

#include <nanobind/nanobind.h>

void bind_whole_arrays(nanobind::module_& module);
