// chainrule._core: the native core as Python sees it. src/chainrule/_core.pyi holds the types.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "bindings/plan.h"
#include "bindings/state_copies.h"
#include "bindings/state_lock.h"
#include "bindings/whole_arrays.h"
#include "bindings/without_gil.h"
#include "runtime/fma_peak.h"
#include "runtime/instruction_sets.h"
#include "runtime/shuffle.h"
#include "runtime/thread_choice.h"
#include "runtime/threads.h"

namespace nb = nanobind;

namespace {

std::vector<std::string> instruction_set_names() {
  std::vector<std::string> names;
  for (const auto& set : chainrule::instruction_sets()) names.emplace_back(set.name);
  return names;
}

double fma_peak(const std::string& dtype, std::int64_t threads, double seconds,
                const std::string& instruction_set) {
  chainrule::check_threads(threads);
  if (!(seconds > 0 && seconds <= 60)) {
    throw std::invalid_argument("seconds must be above 0 and at most 60, got " +
                                std::to_string(seconds));
  }
  const chainrule::KernelTable& kernels = *chainrule::instruction_set(instruction_set).kernels;
  const auto count = static_cast<int>(threads);
  chainrule::WithoutGil released;
  if (dtype == "float32") return chainrule::fma_peak(kernels.fma_chains_float32, count, seconds);
  if (dtype == "float64") return chainrule::fma_peak(kernels.fma_chains_float64, count, seconds);
  throw std::invalid_argument("dtype must be 'float32' or 'float64', got '" + dtype + "'");
}

using OrderArray = nb::ndarray<nb::numpy, std::int64_t, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

void shuffle(OrderArray order, std::uint64_t seed, std::uint64_t epoch) {
  if (order.size() >= 0xFFFFFFFFu) throw std::invalid_argument("at most 2^32 - 2 rows");
  chainrule::shuffle({order.data(), order.size()}, seed, epoch);
}

// For tests: how many threads take the next steps, after steps that took so many seconds.
void bind_thread_choice(nb::module_& module) {
  using chainrule::ThreadChoice;
  nb::class_<ThreadChoice>(module, "ThreadChoice", "By how many threads steps are shared.")
      .def(nb::init<>())
      .def(
          "next",
          [](ThreadChoice& choice, std::int32_t most) {
            const ThreadChoice::Turn turn = choice.next(most);
            return std::pair(turn.threads, turn.most_steps);
          },
          nb::arg("most"), "(threads, steps) of the next turn.")
      .def(
          "note",
          [](ThreadChoice& choice, std::int32_t threads, std::int64_t steps, double seconds) {
            choice.note({threads, steps}, steps, seconds);
          },
          nb::arg("threads"), nb::arg("steps"), nb::arg("seconds"), "What a turn has taken.");
}

}  // namespace

NB_MODULE(_core, module) {
  module.doc() = "chainrule's native core.";
  chainrule::register_end_of_python();
  // A plan that a thread or a traceback still holds when Python ends is no mistake of its user.
  nb::set_leak_warnings(false);
  module.def("instruction_sets", &instruction_set_names,
             "Instruction sets that this machine can run, the best one last.");
  module.def("fma_peak", &fma_peak, nb::arg("dtype"), nb::arg("threads"), nb::arg("seconds"),
             nb::arg("instruction_set") = "",
             "Measured floating-point peak in GFLOP/s; an empty instruction_set takes the best.");
  module.def("shuffle", &shuffle, nb::arg("order").noconvert(), nb::arg("seed"), nb::arg("epoch"),
             "Fills an int64 array with 0 ... n - 1 in the order of the epoch.");
  module.def(
      "set_longest_wait_at_end", &chainrule::set_longest_wait_at_end, nb::arg("seconds"),
      "How long Python's end waits for threads that are at work in the core; 10 by default.");
  module.attr("MOST_THREADS") = chainrule::most_threads;
  module.attr("CACHE_LINE") = chainrule::cache_line;
  bind_thread_choice(module);
  bind_state_lock(module);
  bind_plan(module);
  bind_state_copies(module);
  bind_whole_arrays(module);
}
