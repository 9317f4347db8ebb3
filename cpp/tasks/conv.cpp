// Convolutions: products of the elements under a window and the weights, tile by tile, each tile
// with its part of the epilogue.
#include <algorithm>
#include <optional>

#include "tasks/building.h"
#include "tasks/program/program.h"
#include "tasks/window.h"

namespace chainrule {
namespace {

constexpr std::int64_t block_rows = 96;  // whose places are computed at once

template <typename T>
class ConvTask final : public Task {
 public:
  ConvTask(const Conv& conv, const Building& building)
      : places_(conv.window),
        groups_(conv.window.groups),
        channels_(conv.window.channels),
        filters_(conv.window.filters),
        kernel_(kernels_of<T>(building.kernels).window_product),
        x_(building.memory.at<const T>(conv.x)),
        w_(building.memory.at<const T>(conv.w)),
        y_(building.memory.at<T>(conv.y)) {
    if (kernel_ == nullptr) building.lacks("convolutions", conv.dtype);
    std::int64_t scratch = block_rows * static_cast<std::int64_t>(sizeof(std::int64_t));
    if (conv.epilogue) {
      epilogue_.emplace(*conv.epilogue, building, false);
      scratch = std::max(scratch, epilogue_->scratch_bytes());
    }
    need_scratch(scratch);
    if (filters_ == 0) return;
    count_ = places_.count();
    const double multiplications =
        number(count_) * number(terms()) * number(groups_) * number(filters_);
    double nanoseconds = multiplications / 50;
    if (epilogue_) nanoseconds += epilogue_->nanoseconds();
    split(building.chunks, (count_ + block_rows - 1) / block_rows, nanoseconds);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    auto* const rows = reinterpret_cast<std::int64_t*>(worker.scratch);
    const std::int64_t filters = groups_ * filters_;
    const Range range = share(chunk, count_, block_rows);
    for (std::int64_t begin = range.begin; begin < range.end; begin += block_rows) {
      const std::int64_t count = std::min(block_rows, range.end - begin);
      places_.offsets(begin, count, rows);
      for (std::int64_t group = 0; group < groups_; ++group) {
        kernel_({y_ + begin * filters + group * filters_, filters, x_ + group * channels_, rows,
                 places_.taps().data(), static_cast<std::int64_t>(places_.taps().size()),
                 places_.depth(), w_ + group * terms() * filters_, filters_, count, filters_});
      }
      if (epilogue_) epilogue_->run({begin, begin + count, 0, filters}, worker.scratch);
    }
    return true;
  }

 private:
  // Of the sum that an output is.
  std::int64_t terms() const {
    return static_cast<std::int64_t>(places_.taps().size()) * places_.depth();
  }

  WindowPlaces places_;
  std::int64_t groups_, channels_, filters_;
  std::int64_t count_ = 0;  // of rows
  void (*kernel_)(const WindowProduct<T>&);
  const T* x_;
  const T* w_;
  T* y_;
  std::optional<ElementwiseProgram<T>> epilogue_;
};

}  // namespace

std::unique_ptr<Task> make_task(const Conv& conv, const Building& building) {
  return make_floating_task_of<ConvTask>(conv, building);
}

}  // namespace chainrule
