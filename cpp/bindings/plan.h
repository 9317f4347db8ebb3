// chainrule._core.Plan and what belongs to it.
#pragma once

#include <nanobind/nanobind.h>

void bind_plan(nanobind::module_& module);
