// Sums and extremes over an axis.
#include "kernels/rounding.h"
#include "tasks/building.h"

namespace chainrule {
namespace {

template <typename T>
class ReduceTask final : public Task {
 public:
  ReduceTask(const Reduce& reduce, const Building& building)
      : reduce_(reduce),
        kernel_(kernels_of<T>(building.kernels).reduce[static_cast<std::size_t>(reduce.reduction)]),
        x_(building.memory.at<const T>(reduce.x)),
        out_(building.memory.at<T>(reduce.out)) {
    if (reduce.outer == 0 || reduce.inner == 0) return;
    const std::int64_t units = ceil_div(reduce.inner, unit);
    by_outer_ = reduce.outer >= units;
    split(building.chunks, by_outer_ ? reduce.outer : units,
          0.1 * number(reduce.outer) * number(reduce.length) * number(reduce.inner));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    if (reduce_.outer == 0 || reduce_.inner == 0) return true;
    Range outer = {0, reduce_.outer};
    Range inner = {0, reduce_.inner};
    if (by_outer_) {
      outer = share(chunk, reduce_.outer);
    } else {
      inner = share(chunk, reduce_.inner, unit);
    }
    kernel_({.out = out_ + outer.begin * reduce_.inner + inner.begin,
             .x = x_ + outer.begin * reduce_.length * reduce_.inner + inner.begin,
             .outer = outer.length(),
             .length = reduce_.length,
             .inner = inner.length(),
             .inner_total = reduce_.inner});
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line / static_cast<std::int64_t>(sizeof(T));

  Reduce reduce_;
  ReduceKernel<T> kernel_;
  const T* x_;
  T* out_;
  bool by_outer_ = true;
};

}  // namespace

std::unique_ptr<Task> make_task(const Reduce& reduce, const Building& building) {
  return make_task_of<ReduceTask>(reduce, building);
}

}  // namespace chainrule
