// What Python hands to a plan, read: tuples, arrays, numbers.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "plan/plan.h"
#include "tasks/task.h"

namespace chainrule {

// As Python writes them; src/chainrule/_core.pyi names the members.
using RefTuple = std::pair<std::int64_t, std::int64_t>;
using LoadTuple =
    std::tuple<std::int64_t, std::int64_t, std::string, std::int64_t, std::int64_t, std::int64_t>;
using StoreTuple = std::tuple<std::int64_t, std::int64_t, std::string, std::int64_t, std::int64_t>;
using SumTuple = std::tuple<std::int64_t, std::int64_t, std::int64_t>;
using ConstantTuple = std::pair<double, std::int64_t>;
using OpTuple = std::tuple<std::string, std::int64_t, std::int64_t, std::int64_t, std::int64_t>;
using EpilogueTuple = std::tuple<std::int64_t, std::vector<LoadTuple>, std::vector<ConstantTuple>,
                                 std::vector<OpTuple>, std::vector<StoreTuple>>;

Ref ref_of(const RefTuple& ref);
Program program_of(DType dtype, std::int64_t rows, std::int64_t columns, std::int64_t registers,
                   const std::vector<LoadTuple>& loads, const std::vector<ConstantTuple>& constants,
                   const std::vector<OpTuple>& ops, const std::vector<StoreTuple>& stores,
                   const std::vector<SumTuple>& sums = {});

using SpaceArray = nanobind::ndarray<nanobind::numpy, std::uint8_t, nanobind::ndim<1>,
                                     nanobind::c_contig, nanobind::device::cpu>;
using InputArray = nanobind::ndarray<nanobind::numpy, nanobind::ro, nanobind::device::cpu>;

Input input_of(const InputArray& array);

std::int32_t checked_threads(std::int64_t threads);

}  // namespace chainrule
