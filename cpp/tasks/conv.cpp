// Convolutions: products of the elements under a window and the weights.
#include <algorithm>

#include "tasks/building.h"
#include "tasks/window.h"

namespace chainrule {
namespace {

constexpr std::int64_t block_rows = 384;  // whose places are computed at once

template <typename T>
class ConvTask final : public Task {
 public:
  ConvTask(const Conv& conv, const Building& building)
      : places_(conv.window),
        groups_(conv.window.groups),
        channels_(conv.window.channels),
        filters_(conv.window.filters),
        kernel_(kernels_of<T>(building.kernels).window_product),
        channel_kernel_(kernels_of<T>(building.kernels).channel_product),
        x_(building.memory.at<const T>(conv.x)),
        w_(building.memory.at<const T>(conv.w)),
        y_(building.memory.at<T>(conv.y)) {
    if (kernel_ == nullptr) building.lacks("convolutions", conv.dtype);
    need_scratch(block_rows * static_cast<std::int64_t>(sizeof(std::int64_t)));
    if (filters_ == 0) return;
    count_ = places_.count();
    const double multiplications =
        number(count_) * number(terms()) * number(groups_) * number(filters_);
    split(building.chunks, (count_ + block_rows - 1) / block_rows, multiplications / 50);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    auto* const rows = reinterpret_cast<std::int64_t*>(worker.scratch);
    const Range range = share(chunk, count_, block_rows);
    for (std::int64_t begin = range.begin; begin < range.end; begin += block_rows) {
      const std::int64_t count = std::min(block_rows, range.end - begin);
      places_.offsets(begin, count, rows);
      compute(begin, count, rows);
    }
    return true;
  }

 private:
  // Of the sum that an output is.
  std::int64_t terms() const { return static_cast<std::int64_t>(places_.terms().size()); }

  void compute(std::int64_t begin, std::int64_t count, const std::int64_t* rows) const noexcept {
    const std::int64_t filters = groups_ * filters_;
    T* const y = y_ + begin * filters;
    const std::int64_t* const terms = places_.terms().data();
    if (channels_ == 1 && groups_ > 1) {
      // The groups side by side, filter after filter of theirs.
      for (std::int64_t f = 0; f < filters_; ++f) {
        channel_kernel_({y + f, filters, filters_, x_, rows, terms, this->terms(), w_ + f, filters_,
                         this->terms() * filters_, count, groups_, false});
      }
      return;
    }
    for (std::int64_t group = 0; group < groups_; ++group) {
      kernel_({y + group * filters_, filters, x_ + group * channels_, rows, terms, this->terms(),
               w_ + group * this->terms() * filters_, filters_, count, filters_, false});
    }
  }

  WindowPlaces places_;
  std::int64_t groups_, channels_, filters_;
  std::int64_t count_ = 0;  // of rows
  void (*kernel_)(const WindowProduct<T>&);
  void (*channel_kernel_)(const ChannelProduct<T>&);
  const T* x_;
  const T* w_;
  T* y_;
};

}  // namespace

std::unique_ptr<Task> make_task(const Conv& conv, const Building& building) {
  return make_floating_task_of<ConvTask>(conv, building);
}

}  // namespace chainrule
