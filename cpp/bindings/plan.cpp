#include "bindings/plan.h"

#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <map>
#include <numeric>
#include <optional>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "bindings/fields.h"
#include "bindings/short_work.h"
#include "bindings/state_lock.h"
#include "bindings/without_gil.h"
#include "plan/names.h"
#include "plan/plan.h"
#include "plan/validator.h"
#include "runtime/executor.h"
#include "runtime/instruction_sets.h"
#include "tasks/multiplier.h"

namespace nb = nanobind;

namespace {

using chainrule::InputArray;
using chainrule::SpaceArray;
using chainrule::Where;
using chainrule::Work;

using OutputArray = nb::ndarray<nb::numpy, nb::c_contig, nb::device::cpu>;
using OrderArray =
    nb::ndarray<nb::numpy, const std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
using ScalarsArray =
    nb::ndarray<nb::numpy, const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
using TotalsArray =
    nb::ndarray<nb::numpy, const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

nb::object array_of(const std::vector<double>& values) {
  using Array = nb::ndarray<nb::numpy, const double, nb::ndim<1>>;
  return nb::cast(Array(values.data(), {values.size()}), nb::rv_policy::copy);
}

// The executor together with the arrays that it works on.
class BoundPlan {
 public:
  BoundPlan(SpaceArray arena, SpaceArray state, SpaceArray constants,
            const std::string& instruction_set, std::int64_t chunks)
      : arrays_{std::move(arena), std::move(state), std::move(constants)},
        executor_(memory(), sizes(), *chainrule::instruction_set(instruction_set).kernels, chunks) {
  }

  void input(std::int64_t number, nb::handle array) {
    InputArray rows;
    if (!nb::try_cast(array, rows)) {
      throw std::invalid_argument("input " + std::to_string(number) +
                                  " is not an array that this reads: a NumPy array of numbers in "
                                  "the machine's byte order");
    }
    chainrule::Input input;
    try {
      input = chainrule::input_of(rows);
    } catch (const std::invalid_argument& error) {
      throw std::invalid_argument("input " + std::to_string(number) + ": " + error.what());
    }
    executor_.bind_input(number, input);
    inputs_[number] = std::move(rows);
  }

  void labels(chainrule::Ref place, chainrule::DType dtype, std::int64_t count,
              std::uint64_t limit) {
    chainrule::validate_place("labels", place, dtype, count, sizes());
    labels_.push_back({memory().at(place), dtype, count, limit});
  }

  bool has_wrong_labels() const {
    return std::ranges::any_of(labels_, [](const Labels& labels) {
      bool is_wrong = false;
      chainrule::with_type(labels.dtype, [&]<typename T>(T*) {
        if constexpr (std::is_integral_v<T>) {
          const T* const values = reinterpret_cast<const T*>(labels.data);
          is_wrong = std::any_of(values, values + labels.count, [&](T value) {
            return std::cmp_less(value, 0) || std::cmp_greater_equal(value, labels.limit);
          });
        }
      });
      return is_wrong;
    });
  }

  void output(chainrule::Ref place, std::int64_t bytes) {
    chainrule::validate_place("an output", place, chainrule::DType::uint8, bytes, sizes());
    outputs_.push_back({memory().at(place), static_cast<std::size_t>(bytes)});
  }

  // Throws std::invalid_argument unless there is an array of the right size for each output.
  void check_outputs(std::span<OutputArray> arrays) const {
    if (arrays.size() != outputs_.size()) {
      throw std::invalid_argument("there are " + std::to_string(outputs_.size()) +
                                  " outputs, got " + std::to_string(arrays.size()) + " arrays");
    }
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      if (arrays[i].nbytes() != outputs_[i].size()) {
        throw std::invalid_argument("output " + std::to_string(i) + " has " +
                                    std::to_string(outputs_[i].size()) + " bytes, its array " +
                                    std::to_string(arrays[i].nbytes()));
      }
    }
  }

  void copy_outputs(std::span<OutputArray> arrays) const {
    for (std::size_t i = 0; i < arrays.size(); ++i) {
      std::ranges::copy(outputs_[i], static_cast<std::byte*>(arrays[i].data()));
    }
  }

  // The numbers 0, 1, ... of rows.
  std::span<const std::int64_t> rows_as_they_lie(std::size_t rows) {
    if (rows_.size() < rows) {
      rows_.resize(rows);
      std::iota(rows_.begin(), rows_.end(), 0);
    }
    return std::span(rows_).first(rows);
  }

  std::size_t rows_of_inputs() const { return inputs_.begin()->second.shape(0); }

  // The inputs hold no arrays any longer, and have no rows; unless another thread runs the plan.
  void release() noexcept {
    try {
      for (auto& [number, array] : inputs_) {
        if (!array.is_valid()) continue;
        chainrule::Input none = chainrule::input_of(array);
        none.rows = 0;
        executor_.bind_input(number, none);
        array = {};
      }
    } catch (const chainrule::PlanRunningError&) {
    }
  }

  chainrule::Executor& executor() { return executor_; }

 private:
  struct Labels {
    const std::byte* data;
    chainrule::DType dtype;
    std::int64_t count;
    std::uint64_t limit;
  };

  chainrule::Memory memory() const {
    chainrule::Memory memory = {};
    for (std::size_t i = 0; i < arrays_.size(); ++i) {
      memory.spaces[i] = reinterpret_cast<std::byte*>(arrays_[i].data());
      if (arrays_[i].size() != 0 &&
          reinterpret_cast<std::uintptr_t>(memory.spaces[i]) % chainrule::cache_line != 0) {
        throw std::invalid_argument("arena, state and constants must be aligned to " +
                                    std::to_string(chainrule::cache_line) + " bytes");
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

  std::array<SpaceArray, chainrule::space_count> arrays_;
  chainrule::Executor executor_;
  std::map<std::int64_t, InputArray> inputs_;
  std::vector<Labels> labels_;
  std::vector<std::span<const std::byte>> outputs_;
  std::vector<std::int64_t> rows_;
};

// Calls a function at the end of a block.
template <typename Function>
class Finally {
 public:
  explicit Finally(Function function) : function_(std::move(function)) {}
  ~Finally() { function_(); }
  Finally(const Finally&) = delete;
  Finally& operator=(const Finally&) = delete;

 private:
  Function function_;
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

// Without the GIL, but where the work is too short for that.
chainrule::RunResult run_request(BoundPlan& plan, chainrule::RunRequest& request,
                                 std::int64_t threads) {
  chainrule::check_threads(threads);
  request.threads = static_cast<std::int32_t>(threads);
  const double expected =
      plan.executor().least_seconds_a_step() * static_cast<double>(request.steps);
  const bool is_short = expected < chainrule::short_seconds;
  std::optional<chainrule::WithoutGil> released;
  if (!is_short) released.emplace();
  return plan.executor().run(request);
}

nb::tuple run(BoundPlan& plan, std::optional<OrderArray> order, std::int64_t first,
              std::int64_t steps, std::optional<ScalarsArray> scalars, double seconds,
              std::int64_t threads, std::optional<TotalsArray> totals,
              const chainrule::Hold* hold) {
  const chainrule::CallOfCore call;
  chainrule::RunRequest request;
  if (order) request.order = std::span(order->data(), order->size());
  if (scalars) request.scalars = std::span(scalars->data(), scalars->size());
  if (totals) request.totals = std::span(totals->data(), totals->size());
  request.first = first;
  request.steps = steps;
  request.seconds = seconds;
  if (hold != nullptr) request.ends = [hold] { return hold->is_waited_for(); };
  const chainrule::RunResult result = run_request(plan, request, threads);
  return nb::make_tuple(result.steps, array_of(result.totals), array_of(result.last),
                        status_name(result.status), result.label);
}

std::string step(BoundPlan& plan, std::int64_t threads) {
  if (plan.has_wrong_labels()) return "labels";
  chainrule::RunRequest request;
  request.steps = 1;
  return run_request(plan, request, threads).label;
}

std::string answer(BoundPlan& plan, const std::vector<nb::handle>& inputs,
                   std::vector<OutputArray> outputs, std::int64_t threads) {
  plan.check_outputs(outputs);
  const Finally release([&plan] { plan.release(); });
  std::int64_t number = 0;
  for (const nb::handle array : inputs) plan.input(number++, array);
  chainrule::RunRequest request;
  if (number != 0) request.order = plan.rows_as_they_lie(plan.rows_of_inputs());
  request.steps = 1;
  const std::string failed = run_request(plan, request, threads).label;
  plan.copy_outputs(outputs);
  return failed;
}

template <typename Type>
Work read_work(const std::string& label, nb::handle fields) {
  Work work = Type{};
  read(Where{nullptr, label.c_str()}, fields, std::get<Type>(work));
  return work;
}

Work read_work(const std::string& kind, const std::string& label, nb::handle fields) {
#define CHAINRULE_INSTRUCTION(Type, name) \
  if (kind == #name) return read_work<chainrule::Type>(label, fields);
#include "plan/instructions.def"
#undef CHAINRULE_INSTRUCTION
  throw std::invalid_argument(label + ": unknown instruction '" + kind + "'; known are " +
                              chainrule::listed(chainrule::instruction_names()));
}

chainrule::Instruction instruction(const std::string& kind, const std::string& label,
                                   const nb::kwargs& fields) {
  if (label.empty()) throw std::invalid_argument("an instruction needs a label");
  return {read_work(kind, label, fields), label};
}

void add(BoundPlan& plan, const std::string& kind, const std::string& label,
         const nb::kwargs& fields) {
  plan.executor().add(instruction(kind, label, fields));
}

chainrule::Ref place_of(const char* what, nb::handle ref) {
  chainrule::Ref place;
  read(Where{nullptr, what}, ref, place);
  return place;
}

void add_scalar(BoundPlan& plan, nb::handle ref) {
  plan.executor().add_scalar(place_of("a scalar", ref));
}

void add_total(BoundPlan& plan, nb::handle ref, const std::string& dtype, std::int64_t count,
               double weight, bool finite) {
  const chainrule::Ref place = place_of("a total", ref);
  plan.executor().add_total(place, chainrule::dtype_named(dtype), count, weight, finite);
}

void add_labels(BoundPlan& plan, nb::handle ref, const std::string& dtype, std::int64_t count,
                std::uint64_t limit) {
  plan.labels(place_of("labels", ref), chainrule::dtype_named(dtype), count, limit);
}

void add_output(BoundPlan& plan, nb::handle ref, std::int64_t bytes) {
  plan.output(place_of("an output", ref), bytes);
}

std::vector<std::string> instructions() {
  const auto names = chainrule::instruction_names();
  return {names.begin(), names.end()};
}

std::vector<std::string> row_kernels() {
  std::vector<std::string> names;
  for (int i = 0; i < chainrule::row_kind_count; ++i) {
    names.emplace_back(chainrule::name_of(static_cast<chainrule::RowKind>(i)));
  }
  return names;
}

std::vector<std::pair<std::string, int>> opcodes() {
  std::vector<std::pair<std::string, int>> names;
  for (int i = 0; i < chainrule::opcode_count; ++i) {
    const auto opcode = static_cast<chainrule::Opcode>(i);
    names.emplace_back(chainrule::name_of(opcode), chainrule::input_count(opcode));
  }
  return names;
}

bool needs_blas(const std::string& instruction_set) {
  const chainrule::KernelTable& kernels = *chainrule::instruction_set(instruction_set).kernels;
  const auto needs = [](const auto& of_type) {
    return of_type.gemm == nullptr || std::isfinite(of_type.largest_own_product);
  };
  return needs(kernels.float32) || needs(kernels.float64);
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

  module.def("instructions", &instructions, "What Plan.add knows.");
  nb::class_<chainrule::Instruction>(module, "Instruction", "What Plan.extend adds.");
  module.def("instruction", &instruction, "kind"_a, "label"_a, "fields"_a,
             "An instruction from what Plan.add takes, to be added to several plans.");
  module.def("row_kernels", &row_kernels, "The kernels of the instruction rows.");
  module.def("opcodes", &opcodes, "Elementwise operations: (name, number of inputs).");
  module.def("needs_blas", &needs_blas, "instruction_set"_a = "",
             "Whether there are products that BLAS computes faster than our own kernels, so that "
             "the library is worth loading; an empty instruction_set takes the best.");
  module.def(
      "set_blas",
      [](std::uint64_t sgemm, std::uint64_t dgemm) {
        chainrule::set_blas(static_cast<std::uintptr_t>(sgemm), static_cast<std::uintptr_t>(dgemm));
      },
      "sgemm"_a, "dgemm"_a,
      "Addresses of cblas_sgemm and cblas_dgemm with 32-bit sizes, 0 for none; the library must "
      "stay loaded and use one thread. Plans take what is set when an instruction is added.");

  nb::exception<chainrule::PlanRunningError>(module, "PlanRunningError", PyExc_RuntimeError);

  nb::class_<BoundPlan>(module, "Plan", "Instructions over three blocks of memory.")
      .def(nb::init<SpaceArray, SpaceArray, SpaceArray, const std::string&, std::int64_t>(),
           "arena"_a.noconvert(), "state"_a.noconvert(), "constants"_a.noconvert(),
           "instruction_set"_a = "", "chunks"_a = 0)
      .def("add", &add, "kind"_a, "label"_a, "fields"_a,
           "Adds an instruction: its kind, a label, and its fields by their names in plan.h.")
      .def(
          "extend",
          [](BoundPlan& plan, const chainrule::Instruction& instruction) {
            plan.executor().add(instruction);
          },
          "instruction"_a, "Adds an instruction that was made before.")
      .def("input", &BoundPlan::input, "number"_a, "array"_a,
           "Binds an array, rows first; it is kept alive, and read where it lies.")
      .def("scalar", &add_scalar, "ref"_a,
           "A float64 place that run() sets before each step, if it is given scalars.")
      .def("total", &add_total, "ref"_a, "dtype"_a, "count"_a, "weight"_a = 1.0, "finite"_a = false,
           "An output that run() sums over the steps, times the weight.")
      .def("run", &run, "order"_a.none(), "first"_a, "steps"_a, "scalars"_a.none(), "seconds"_a,
           "threads"_a, "totals"_a = nb::none(), "hold"_a = nb::none(),
           "Runs steps first ... first + steps - 1 of the order, at least one, until the seconds "
           "have passed or a thread waits for the hold. Returns (steps, totals, last, status, "
           "label).")
      .def("labels", &add_labels, "ref"_a, "dtype"_a, "count"_a, "limit"_a,
           "Labels that step() compares with 0 and the limit before it begins.")
      .def("step", &step, "threads"_a,
           "Runs one step of a plan without inputs and scalars. Returns the label of the "
           "instruction that failed, \"labels\" for wrong ones, or an empty string.")
      .def("output", &add_output, "ref"_a, "bytes"_a, "An output that answer() copies.")
      .def("answer", &answer, "inputs"_a, "outputs"_a, "threads"_a,
           "Runs one step on the first rows of the inputs and copies its outputs into arrays. "
           "Returns the label of the instruction that failed, or an empty string.")
      .def(
          "keep_rows", [](BoundPlan& plan) { plan.executor().keep_rows(); },
          "Lets every run from now on keep the rows of states that it overwrites.")
      .def(
          "undo_rows", [](BoundPlan& plan) { plan.executor().undo_rows(); },
          "Takes back what the last run has put into rows of states.")
      .def(
          "has_finite_rows", [](BoundPlan& plan) { return plan.executor().has_finite_rows(); },
          "Whether all that the last run has put into rows of states is finite.")
      .def(
          "profile", [](BoundPlan& plan, bool on) { plan.executor().profile(on); }, "on"_a,
          "Times each instruction from now on, or stops.")
      .def("times", &times, "(label, calls, seconds) of each instruction.")
      .def(
          "fused_chains", [](BoundPlan& plan) { return plan.executor().fused_chains(); },
          "How many chains of operations in programs are done by a kernel of their own.");
}
