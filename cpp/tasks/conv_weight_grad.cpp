// The gradient of a convolution's weights: sums over all places of outer products. The images are
// cut into parts, each with sums of its own, so that threads can share the work.
#include <algorithm>

#include "tasks/building.h"
#include "tasks/window.h"

namespace chainrule {
namespace {

constexpr std::int64_t tile_rows = 48;  // of a tap's elements, that are added up at once

template <typename T>
class ConvWeightGradTask final : public Task {
 public:
  ConvWeightGradTask(const ConvWeightGrad& conv, const Building& building)
      : blocks_(conv.window, conv.frame),
        images_(conv.window.images),
        parts_(conv.parts),
        groups_(conv.window.groups),
        channels_(conv.window.channels),
        filters_(conv.window.filters),
        kernel_(kernels_of<T>(building.kernels).window_sum),
        x_(building.memory.at<const T>(conv.x)),
        g_(building.memory.at<const T>(conv.g)),
        w_(building.memory.at<T>(conv.w)) {
    if (kernel_ == nullptr) building.lacks("convolutions", conv.dtype);
    need_scratch(blocks_.scratch_bytes(sizeof(T)));
    if (filters_ == 0 || blocks_.depth() == 0) return;
    tiles_of_tap_ = (blocks_.depth() + tile_rows - 1) / tile_rows;
    tiles_ = groups_ * taps() * tiles_of_tap_;
    const double multiplications = number(blocks_.places()) * number(groups_ * taps()) *
                                   number(blocks_.depth()) * number(filters_);
    split(building.chunks, parts_ * tiles_, multiplications / 50);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Range range = share(chunk, parts_ * tiles_);
    for (std::int64_t begin = range.begin; begin < range.end;) {
      const std::int64_t part = begin / tiles_;
      const std::int64_t end = std::min(range.end, (part + 1) * tiles_);
      add_up(part, begin - part * tiles_, end - part * tiles_, worker.scratch);
      begin = end;
    }
    return true;
  }

 private:
  std::int64_t taps() const { return static_cast<std::int64_t>(blocks_.taps().size()); }

  // Some tiles of the sums of a part of the images.
  void add_up(std::int64_t part, std::int64_t begin, std::int64_t end,
              std::byte* scratch) const noexcept {
    const std::int64_t first_image = images_ * part / parts_;
    const std::int64_t last_image = images_ * (part + 1) / parts_;
    T* const w = w_ + part * groups_ * taps() * blocks_.depth() * filters_;
    const std::int64_t count = blocks_.count(first_image, last_image);
    if (count == 0) {
      for (std::int64_t i = begin; i < end; ++i) add_tile(w, i, {x_, nullptr}, g_, 0, false);
    }
    for (std::int64_t number = 0; number < count; ++number) {
      const WindowBlocks::Block block = blocks_.block(first_image, last_image, number);
      const auto under = blocks_.elements(block, x_, scratch);
      const T* const g = g_ + blocks_.first_place(block) * groups_ * filters_;
      for (std::int64_t i = begin; i < end; ++i) {
        add_tile(w, i, under, g, blocks_.places(block), number > 0);
      }
    }
  }

  void add_tile(T* w, std::int64_t tile, WindowBlocks::Elements<T> under, const T* g,
                std::int64_t places, bool accumulate) const noexcept {
    const std::int64_t row = tile % tiles_of_tap_ * tile_rows;
    const std::int64_t tap = tile / tiles_of_tap_;  // those of a group after those of another
    const std::int64_t group = tap / taps();
    const std::int64_t offset = blocks_.taps()[static_cast<std::size_t>(tap % taps())];
    kernel_({w + (tap * blocks_.depth() + row) * filters_, filters_,
             under.data + group * channels_ + offset + row, under.offsets, places,
             g + group * filters_, groups_ * filters_, std::min(tile_rows, blocks_.depth() - row),
             filters_, accumulate});
  }

  WindowBlocks blocks_;
  std::int64_t images_, parts_, groups_, channels_, filters_;
  std::int64_t tiles_of_tap_ = 0, tiles_ = 0;
  void (*kernel_)(const WindowSum<T>&);
  const T* x_;
  const T* g_;
  T* w_;
};

}  // namespace

std::unique_ptr<Task> make_task(const ConvWeightGrad& conv, const Building& building) {
  return make_floating_task_of<ConvWeightGradTask>(conv, building);
}

}  // namespace chainrule
