#include "tasks/task.h"

#include <algorithm>
#include <variant>

#include "tasks/matrix_product.h"
#include "tasks/tasks.h"

namespace chainrule {

void Task::split(std::int32_t requested, std::int64_t parts, double nanoseconds) {
  // Handing work over costs up to a microsecond.
  constexpr double worth_sharing = 4000;
  constexpr double enough = 64;
  const auto limit = static_cast<double>(std::clamp<std::int64_t>(parts, 1, max_chunks));
  const double chunks = requested > 0 ? requested : std::min(nanoseconds / worth_sharing, enough);
  chunks_ = static_cast<std::int32_t>(std::clamp(chunks, 1.0, limit));
}

std::unique_ptr<Task> make_task(const Instruction& instruction, const Memory& memory,
                                const KernelTable& kernels, const std::vector<Input>& inputs) {
  const std::string& label = instruction.label;
  const std::int32_t chunks = instruction.chunks;
  struct Maker {
    const std::string& label;
    std::int32_t chunks;
    const Memory& memory;
    const KernelTable& kernels;
    const std::vector<Input>& inputs;

    std::unique_ptr<Task> operator()(const Program& work) const {
      return make_program(work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const Gemm& work) const {
      return make_matrix_product(work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const Reduce& work) const {
      return make_reduce(work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const Rows& work) const {
      return make_rows(work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const Copy& work) const {
      return make_copy(work, chunks, memory);
    }
    std::unique_ptr<Task> operator()(const Fill& work) const {
      return make_fill(work, chunks, memory);
    }
    std::unique_ptr<Task> operator()(const Gather& work) const {
      return make_gather(work, chunks, memory);
    }
    std::unique_ptr<Task> operator()(const ScatterAdd& work) const {
      return make_scatter_add(work, chunks, memory);
    }
    std::unique_ptr<Task> operator()(const RandomUniform& work) const {
      return make_random_uniform(work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const GatherBatch& work) const {
      return make_gather_batch(work, chunks, memory, kernels, inputs);
    }
  };
  return std::visit(Maker{label, chunks, memory, kernels, inputs}, instruction.work);
}

}  // namespace chainrule
