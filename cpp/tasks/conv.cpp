// Convolutions: products of the elements under a window and the weights, tile by tile, each tile
// with its part of the epilogue.
#include <algorithm>
#include <optional>

#include "tasks/building.h"
#include "tasks/program/program.h"
#include "tasks/window.h"

namespace chainrule {
namespace {

template <typename T>
class ConvTask final : public Task {
 public:
  ConvTask(const Conv& conv, const Building& building)
      : blocks_(conv.window, conv.frame),
        images_(conv.window.images),
        groups_(conv.window.groups),
        channels_(conv.window.channels),
        filters_(conv.window.filters),
        kernel_(kernels_of<T>(building.kernels).window_product),
        channel_kernel_(kernels_of<T>(building.kernels).channel_product),
        x_(building.memory.at<const T>(conv.x)),
        w_(building.memory.at<const T>(conv.w)),
        y_(building.memory.at<T>(conv.y)) {
    if (kernel_ == nullptr) building.lacks("convolutions", conv.dtype);
    std::int64_t scratch = blocks_.scratch_bytes(sizeof(T));
    if (conv.epilogue) {
      epilogue_.emplace(*conv.epilogue, building, false);
      scratch = std::max(scratch, epilogue_->scratch_bytes());
    }
    need_scratch(scratch);
    if (filters_ == 0) return;
    count_ = blocks_.count(0, images_);
    const double multiplications = number(blocks_.places()) * number(blocks_.term_count()) *
                                   number(groups_) * number(filters_);
    double nanoseconds = multiplications / 50;
    if (epilogue_) nanoseconds += epilogue_->nanoseconds();
    split(building.chunks, count_, nanoseconds);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const std::int64_t filters = groups_ * filters_;
    const Range range = share(chunk, count_);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const WindowBlocks::Block block = blocks_.block(0, images_, i);
      const std::int64_t first = blocks_.first_place(block);
      const std::int64_t count = blocks_.places(block);
      compute(y_ + first * filters, count, blocks_.elements(block, x_, worker.scratch));
      if (epilogue_) epilogue_->run({first, first + count, 0, filters}, worker.scratch);
    }
    return true;
  }

 private:
  void compute(T* y, std::int64_t count, WindowBlocks::Elements<T> under) const noexcept {
    const std::int64_t filters = groups_ * filters_;
    const std::int64_t* const terms = blocks_.terms().data();
    const std::int64_t term_count = blocks_.term_count();
    if (channels_ == 1 && groups_ > 1) {
      // All groups at once, one filter of each after the other.
      for (std::int64_t f = 0; f < filters_; ++f) {
        channel_kernel_({y + f, filters, filters_, under.data, under.offsets, terms, term_count,
                         w_ + f, filters_, term_count * filters_, count, groups_, false});
      }
      return;
    }
    for (std::int64_t group = 0; group < groups_; ++group) {
      kernel_({y + group * filters_, filters, under.data + group * channels_, under.offsets, terms,
               term_count, w_ + group * term_count * filters_, filters_, count, filters_, false});
    }
  }

  WindowBlocks blocks_;
  std::int64_t images_, groups_, channels_, filters_;
  std::int64_t count_ = 0;  // of blocks
  void (*kernel_)(const WindowProduct<T>&);
  void (*channel_kernel_)(const ChannelProduct<T>&);
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
