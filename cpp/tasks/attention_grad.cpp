// The gradient of attention: the threads share the heads.
#include "tasks/heads.h"

namespace chainrule {
namespace {

template <typename T>
class AttentionGradTask final : public Task {
 public:
  AttentionGradTask(const AttentionGrad& grad, const Building& building)
      : inputs_(grad.form, grad.operands, building.memory),
        kernel_(kernels_of<T>(building.kernels).attention_grad),
        g_(grad.g, grad.g_strides, building.memory),
        y_(grad.y, grad.y_strides, building.memory),
        dq_(grad.dq, grad.dq_strides, building.memory),
        dk_(grad.dk, grad.dk_strides, building.memory),
        dv_(grad.dv, grad.dv_strides, building.memory),
        lse_(building.memory.at<T>(grad.lse)) {
    const AttentionForm& form = inputs_.form;
    const auto workspace = kernels_of<T>(building.kernels).attention_grad_workspace;
    need_scratch(workspace(form.queries, form.width, form.value_width) *
                 static_cast<std::int64_t>(sizeof(T)));
    const std::int64_t heads = form.batch * form.heads;
    split(building.chunks, heads, number(heads) * inputs_.multiplications(5) / 40);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const AttentionForm& form = inputs_.form;
    const Range range = share(chunk, form.batch * form.heads);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t batch = i / form.heads, head = i % form.heads;
      AttentionRows<T> rows = inputs_.rows(batch, head);
      rows.lse = lse_ + i * form.queries;
      kernel_({.forward = rows,
               .g = g_.at(batch, head),
               .g_stride = g_.row_stride,
               .y = y_.at(batch, head),
               .y_stride = y_.row_stride,
               .dq = dq_.at(batch, head),
               .dq_stride = dq_.row_stride,
               .dk = dk_.at(batch, head),
               .dk_stride = dk_.row_stride,
               .dv = dv_.at(batch, head),
               .dv_stride = dv_.row_stride},
              reinterpret_cast<T*>(worker.scratch));
    }
    return true;
  }

 private:
  AttentionInputs<T> inputs_;
  void (*kernel_)(const AttentionGradRows<T>&, T*);
  HeadsAt<const T> g_, y_;
  HeadsAt<T> dq_, dk_, dv_;
  T* lse_;
};

}  // namespace

std::unique_ptr<Task> make_task(const AttentionGrad& grad, const Building& building) {
  return make_floating_task_of<AttentionGradTask>(grad, building);
}

}  // namespace chainrule
