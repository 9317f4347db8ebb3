// Attention: the threads share the heads, and blocks of queries of each.
#include <algorithm>

#include "kernels/rounding.h"
#include "tasks/heads.h"

namespace chainrule {
namespace {

constexpr std::int64_t block_queries = 64;  // that the kernel takes at once

template <typename T>
class AttentionTask final : public Task {
 public:
  AttentionTask(const Attention& attention, const Building& building)
      : inputs_(attention.form, attention.operands, building.memory),
        kernel_(kernels_of<T>(building.kernels).attention),
        out_(building.memory.at<T>(attention.out)),
        lse_(attention.lse ? building.memory.at<T>(*attention.lse) : nullptr) {
    const AttentionForm& form = inputs_.form;
    const auto workspace = kernels_of<T>(building.kernels).attention_workspace;
    need_scratch(workspace(form.width, form.value_width) * static_cast<std::int64_t>(sizeof(T)));
    blocks_ = ceil_div(form.queries, block_queries);
    const double heads = number(form.batch) * number(form.heads);
    split(building.chunks, form.batch * form.heads * blocks_,
          heads * inputs_.multiplications(2) / 40);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const AttentionForm& form = inputs_.form;
    const std::int64_t place = form.heads * form.value_width;  // elements of a row of all heads
    const Range range = share(chunk, form.batch * form.heads * blocks_);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t first = i % blocks_ * block_queries;
      const std::int64_t number = i / blocks_;  // of the head, in all of the batch
      const std::int64_t batch = number / form.heads, head = number % form.heads;
      AttentionRows<T> rows = inputs_.rows(batch, head);
      rows.out = out_ + batch * form.queries * place + head * form.value_width;
      rows.out_stride = place;
      if (lse_ != nullptr) rows.lse = lse_ + number * form.queries;
      kernel_(rows, first, std::min(block_queries, form.queries - first),
              reinterpret_cast<T*>(worker.scratch));
    }
    return true;
  }

 private:
  AttentionInputs<T> inputs_;
  void (*kernel_)(const AttentionRows<T>&, std::int64_t, std::int64_t, T*);
  T* out_;
  T* lse_;
  std::int64_t blocks_ = 0;
};

}  // namespace

std::unique_ptr<Task> make_task(const Attention& attention, const Building& building) {
  return make_floating_task_of<AttentionTask>(attention, building);
}

}  // namespace chainrule
