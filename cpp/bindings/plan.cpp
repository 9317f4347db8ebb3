#include "bindings/plan.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arguments.h"
#include "plan/plan.h"
#include "runtime/executor.h"
#include "runtime/instruction_sets.h"
#include "tasks/gemm_dispatch.h"

namespace nb = nanobind;

namespace {

using chainrule::checked_threads;
using chainrule::ConstantTuple;
using chainrule::DType;
using chainrule::EpilogueTuple;
using chainrule::InputArray;
using chainrule::LoadTuple;
using chainrule::OpTuple;
using chainrule::program_of;
using chainrule::ref_of;
using chainrule::RefTuple;
using chainrule::SpaceArray;
using chainrule::StoreTuple;
using chainrule::SumTuple;
using chainrule::Work;

using OrderArray =
    nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ScalarsArray =
    nb::ndarray<nb::numpy, const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using TotalsArray =
    nb::ndarray<nb::numpy, const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

nb::ndarray<nb::numpy, const double, nb::ndim<1>> array_of(const std::vector<double>& values) {
  return {values.data(), {values.size()}};
}

// The executor together with the arrays that it works on.
class BoundPlan {
 public:
  BoundPlan(SpaceArray arena, SpaceArray state, SpaceArray constants,
            const std::string& instruction_set)
      : arrays_{std::move(arena), std::move(state), std::move(constants)},
        executor_(memory(), sizes(), *chainrule::instruction_set(instruction_set).kernels) {}

  void add(std::string label, Work work, std::int64_t chunks) {
    if (chunks < 0 || chunks > chainrule::max_chunks) {
      throw std::invalid_argument(label + ": chunks must be 0 to " +
                                  std::to_string(chainrule::max_chunks) + ", got " +
                                  std::to_string(chunks));
    }
    executor_.add({std::move(work), std::move(label), static_cast<std::int32_t>(chunks)});
  }

  void input(std::int64_t number, nb::handle array) {
    InputArray rows;
    if (!nb::try_cast(array, rows)) {
      throw std::invalid_argument("input " + std::to_string(number) +
                                  " is not an array that this reads: a NumPy array of numbers in "
                                  "the machine's byte order");
    }
    try {
      executor_.bind_input(number, chainrule::input_of(rows));
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("input " + std::to_string(number) + ": " + error.what());
    }
    inputs_[number] = std::move(rows);
  }

  chainrule::Executor& executor() { return executor_; }

 private:
  chainrule::Memory memory() const {
    chainrule::Memory memory = {};
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      memory.spaces[i] = reinterpret_cast<std::byte*>(arrays_[i].data());
      if (arrays_[i].size() != 0 && reinterpret_cast<std::uintptr_t>(memory.spaces[i]) % 64 != 0) {
        throw std::invalid_argument("arena, state and constants must be aligned to 64 bytes");
      }
    }
    return memory;
  }
  chainrule::SpaceSizes sizes() const {
    chainrule::SpaceSizes sizes = {};
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      sizes.bytes[i] = static_cast<std::int64_t>(arrays_[i].size());
    }
    return sizes;
  }

  std::array<SpaceArray, 3> arrays_;
  chainrule::Executor executor_;
  std::map<std::int64_t, InputArray> inputs_;
};

const char* status_name(chainrule::Status status) {
  switch (status) {
    case chainrule::Status::non_finite:
      return "non-finite";
    case chainrule::Status::index_out_of_range:
      return "index out of range";
    case chainrule::Status::ok:
      break;
  }
  return "ok";
}

chainrule::RunResult run(BoundPlan& plan, std::optional<OrderArray> order, std::int64_t first,
                         std::int64_t steps, std::optional<ScalarsArray> scalars, double seconds,
                         std::int64_t threads, std::optional<TotalsArray> totals) {
  chainrule::RunRequest request;
  if (order) request.order = std::span(order->data(), order->size());
  if (scalars) request.scalars = std::span(scalars->data(), scalars->size());
  if (totals) request.totals = std::span(totals->data(), totals->size());
  request.first = first;
  request.steps = steps;
  request.seconds = seconds;
  request.threads = checked_threads(threads);
  nb::gil_scoped_release released;
  return plan.executor().run(request);
}

void add_program(BoundPlan& plan, std::string label, const std::string& dtype, std::int64_t rows,
                 std::int64_t columns, std::int64_t registers, const std::vector<LoadTuple>& loads,
                 const std::vector<ConstantTuple>& constants, const std::vector<OpTuple>& ops,
                 const std::vector<StoreTuple>& stores, std::int64_t chunks,
                 const std::vector<SumTuple>& sums) {
  plan.add(std::move(label),
           program_of(chainrule::dtype_named(dtype), rows, columns, registers, loads, constants,
                      ops, stores, sums),
           chunks);
}

void add_gemm(BoundPlan& plan, std::string label, const std::string& dtype, bool transpose_a,
              bool transpose_b, std::int64_t m, std::int64_t n, std::int64_t k, const RefTuple& a,
              std::int64_t lda, const RefTuple& b, std::int64_t ldb, const RefTuple& c,
              std::int64_t ldc, std::int64_t batch, std::int64_t stride_a, std::int64_t stride_b,
              std::int64_t stride_c, const std::optional<EpilogueTuple>& epilogue,
              std::int64_t chunks) {
  const DType type = chainrule::dtype_named(dtype);
  chainrule::Gemm gemm = {type,
                          transpose_a,
                          transpose_b,
                          m,
                          n,
                          k,
                          ref_of(a),
                          ref_of(b),
                          ref_of(c),
                          lda,
                          ldb,
                          ldc,
                          batch,
                          stride_a,
                          stride_b,
                          stride_c,
                          epilogue.has_value(),
                          {}};
  if (epilogue) {
    const auto& [registers, loads, constants, ops, stores] = *epilogue;
    gemm.epilogue = program_of(type, m, n, registers, loads, constants, ops, stores);
  }
  plan.add(std::move(label), std::move(gemm), chunks);
}

void add_reduce(BoundPlan& plan, std::string label, const std::string& kind,
                const std::string& dtype, std::int64_t outer, std::int64_t length,
                std::int64_t inner, const RefTuple& x, const RefTuple& out, std::int64_t chunks) {
  plan.add(std::move(label),
           chainrule::Reduce{chainrule::reduce_named(kind), chainrule::dtype_named(dtype), outer,
                             length, inner, ref_of(x), ref_of(out)},
           chunks);
}

void add_rows(BoundPlan& plan, std::string label, const std::string& kind, const std::string& dtype,
              std::int64_t rows, std::int64_t columns, const std::vector<RefTuple>& inputs,
              const RefTuple& out, std::int64_t chunks, const std::optional<RefTuple>& second) {
  chainrule::Rows work = {chainrule::row_kind_named(kind),
                          chainrule::dtype_named(dtype),
                          rows,
                          columns,
                          {},
                          ref_of(out),
                          {}};
  if (second) work.second = ref_of(*second);
  for (const RefTuple& input : inputs) work.inputs.push_back(ref_of(input));
  plan.add(std::move(label), std::move(work), chunks);
}

void add_copy(BoundPlan& plan, std::string label, std::int64_t itemsize,
              std::vector<std::int64_t> shape, const RefTuple& x,
              std::vector<std::int64_t> x_strides, const RefTuple& out,
              std::vector<std::int64_t> out_strides, std::int64_t chunks) {
  plan.add(std::move(label),
           chainrule::Copy{itemsize, std::move(shape), std::move(x_strides), std::move(out_strides),
                           ref_of(x), ref_of(out)},
           chunks);
}

void add_fill(BoundPlan& plan, std::string label, const std::string& dtype, std::int64_t count,
              double value, const RefTuple& out, std::int64_t chunks) {
  plan.add(std::move(label),
           chainrule::Fill{chainrule::dtype_named(dtype), count, value, ref_of(out)}, chunks);
}

void add_gather(BoundPlan& plan, std::string label, std::int64_t itemsize, std::int64_t outer,
                std::int64_t length, std::int64_t count, std::int64_t inner, const RefTuple& x,
                const RefTuple& indices, const RefTuple& out, std::int64_t chunks) {
  plan.add(std::move(label),
           chainrule::Gather{itemsize, outer, length, count, inner, ref_of(x), ref_of(indices),
                             ref_of(out)},
           chunks);
}

void add_scatter_add(BoundPlan& plan, std::string label, const std::string& dtype,
                     std::int64_t outer, std::int64_t length, std::int64_t count,
                     std::int64_t inner, const RefTuple& x, const RefTuple& indices,
                     const RefTuple& out, std::int64_t chunks) {
  plan.add(std::move(label),
           chainrule::ScatterAdd{chainrule::dtype_named(dtype), outer, length, count, inner,
                                 ref_of(x), ref_of(indices), ref_of(out)},
           chunks);
}

void add_random_uniform(BoundPlan& plan, std::string label, const std::string& dtype,
                        std::int64_t count, const RefTuple& state, const RefTuple& out,
                        std::int64_t chunks) {
  plan.add(
      std::move(label),
      chainrule::RandomUniform{chainrule::dtype_named(dtype), count, ref_of(state), ref_of(out)},
      chunks);
}

void add_gather_batch(BoundPlan& plan, std::string label, std::int64_t input,
                      const std::string& dtype, std::int64_t rows, std::int64_t columns,
                      const RefTuple& out, std::int64_t chunks) {
  plan.add(std::move(label),
           chainrule::GatherBatch{input, chainrule::dtype_named(dtype), rows, columns, ref_of(out)},
           chunks);
}

void add_total(BoundPlan& plan, std::int64_t space, std::int64_t offset, const std::string& dtype,
               std::int64_t count, double weight, bool finite) {
  plan.executor().add_total(ref_of({space, offset}), chainrule::dtype_named(dtype), count, weight,
                            finite);
}

std::vector<std::pair<std::string, int>> opcodes() {
  std::vector<std::pair<std::string, int>> names;
  for (const auto& [name, inputs] : chainrule::opcode_names()) names.emplace_back(name, inputs);
  return names;
}

std::vector<std::tuple<std::string, std::int64_t, double>> times(BoundPlan& plan) {
  std::vector<std::tuple<std::string, std::int64_t, double>> times;
  for (const auto& [label, calls, seconds] : plan.executor().times()) {
    times.emplace_back(label, calls, seconds);
  }
  return times;
}

}  // namespace

void bind_plan(nb::module_& module) {
  using namespace nb::literals;

  module.def("opcodes", &opcodes, "Elementwise operations: (name, number of inputs).");
  module.def(
      "set_blas",
      [](std::uint64_t sgemm, std::uint64_t dgemm) {
        chainrule::set_blas(static_cast<std::uintptr_t>(sgemm), static_cast<std::uintptr_t>(dgemm));
      },
      "sgemm"_a, "dgemm"_a,
      "Addresses of cblas_sgemm and cblas_dgemm with 32-bit sizes, 0 for none; the library must "
      "stay loaded and use one thread. Plans take what is set when an instruction is added.");

  nb::exception<chainrule::PlanRunningError>(module, "PlanRunningError", PyExc_RuntimeError);

  nb::class_<chainrule::RunResult>(module, "RunResult", "What a run did.")
      .def_ro("done", &chainrule::RunResult::done, "Steps that ran to their end.")
      .def_prop_ro(
          "totals", [](const chainrule::RunResult& self) { return array_of(self.totals); },
          nb::rv_policy::copy,
          "The totals given, and weighted sums over those steps, float64, total after total.")
      .def_prop_ro(
          "last", [](const chainrule::RunResult& self) { return array_of(self.last); },
          nb::rv_policy::copy, "The values after the last of those steps, without weights.")
      .def_prop_ro(
          "status", [](const chainrule::RunResult& self) { return status_name(self.status); },
          "'ok', 'non-finite' or 'index out of range'.")
      .def_ro("label", &chainrule::RunResult::label,
              "The instruction that failed, or wrote what is not finite; else empty.");

  nb::class_<BoundPlan>(module, "Plan", "Instructions over three blocks of memory.")
      .def(nb::init<SpaceArray, SpaceArray, SpaceArray, const std::string&>(),
           "arena"_a.noconvert(), "state"_a.noconvert(), "constants"_a.noconvert(),
           "instruction_set"_a = "")
      .def("program", &add_program, "label"_a, "dtype"_a, "rows"_a, "columns"_a, "registers"_a,
           "loads"_a, "constants"_a, "ops"_a, "stores"_a, "chunks"_a = 0,
           "sums"_a = std::vector<SumTuple>())
      .def("gemm", &add_gemm, "label"_a, "dtype"_a, "transpose_a"_a, "transpose_b"_a, "m"_a, "n"_a,
           "k"_a, "a"_a, "lda"_a, "b"_a, "ldb"_a, "c"_a, "ldc"_a, "batch"_a = 1, "stride_a"_a = 0,
           "stride_b"_a = 0, "stride_c"_a = 0, "epilogue"_a = nb::none(), "chunks"_a = 0)
      .def("reduce", &add_reduce, "label"_a, "kind"_a, "dtype"_a, "outer"_a, "length"_a, "inner"_a,
           "x"_a, "out"_a, "chunks"_a = 0)
      .def("rows", &add_rows, "label"_a, "kind"_a, "dtype"_a, "rows"_a, "columns"_a, "inputs"_a,
           "out"_a, "chunks"_a = 0, "second"_a = nb::none())
      .def("copy", &add_copy, "label"_a, "itemsize"_a, "shape"_a, "x"_a, "x_strides"_a, "out"_a,
           "out_strides"_a, "chunks"_a = 0)
      .def("fill", &add_fill, "label"_a, "dtype"_a, "count"_a, "value"_a, "out"_a, "chunks"_a = 0)
      .def("gather", &add_gather, "label"_a, "itemsize"_a, "outer"_a, "length"_a, "count"_a,
           "inner"_a, "x"_a, "indices"_a, "out"_a, "chunks"_a = 0)
      .def("scatter_add", &add_scatter_add, "label"_a, "dtype"_a, "outer"_a, "length"_a, "count"_a,
           "inner"_a, "x"_a, "indices"_a, "out"_a, "chunks"_a = 0)
      .def("random_uniform", &add_random_uniform, "label"_a, "dtype"_a, "count"_a, "state"_a,
           "out"_a, "chunks"_a = 0)
      .def("gather_batch", &add_gather_batch, "label"_a, "input"_a, "dtype"_a, "rows"_a,
           "columns"_a, "out"_a, "chunks"_a = 0)
      .def("input", &BoundPlan::input, "number"_a, "array"_a,
           "Binds an array, rows first; it is kept alive, and read where it lies.")
      .def(
          "scalar",
          [](BoundPlan& plan, std::int64_t space, std::int64_t offset) {
            plan.executor().add_scalar(ref_of({space, offset}));
          },
          "space"_a, "offset"_a, "A float64 place that run() sets before each step.")
      .def("total", &add_total, "space"_a, "offset"_a, "dtype"_a, "count"_a, "weight"_a = 1.0,
           "finite"_a = false, "An output that run() sums over the steps, times the weight.")
      .def("run", &run, "order"_a.none(), "first"_a, "steps"_a, "scalars"_a.none(), "seconds"_a,
           "threads"_a, "totals"_a = nb::none(),
           "Runs steps first ... first + steps - 1 of the order, at least one, until the seconds "
           "have passed.")
      .def(
          "profile", [](BoundPlan& plan, bool on) { plan.executor().profile(on); }, "on"_a,
          "Times each instruction from now on, or stops.")
      .def("times", &times, "(label, calls, seconds) of each instruction.")
      .def(
          "chains", [](BoundPlan& plan) { return plan.executor().chains(); },
          "How many chains of operations in programs are done by a kernel of their own.");
}
