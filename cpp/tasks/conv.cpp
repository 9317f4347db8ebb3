// Convolutions: products of the elements under a window and the weights, tile by tile, each tile
// with its part of the epilogue.
#include <algorithm>
#include <optional>

#include "tasks/building.h"
#include "tasks/program/program.h"
#include "tasks/window.h"
#include "tasks/winograd.h"

namespace chainrule {
namespace {

// What both ways have in common: block by block, each followed by its part of the epilogue. Where
// that has sums, which are over images, it follows the last block of some images.
template <typename T, typename Blocks>
class BlockedConvTask : public Task {
 protected:
  BlockedConvTask(const Conv& conv, const Building& building, const Blocks& blocks)
      : blocks_(blocks),
        images_(conv.window.images),
        groups_(conv.window.groups),
        channels_(conv.window.channels),
        filters_(conv.window.filters),
        x_(building.memory.at<const T>(conv.x)),
        w_(building.memory.at<const T>(conv.w)),
        y_(building.memory.at<T>(conv.y)) {
    if (kernels_of<T>(building.kernels).window_product == nullptr) {
      building.lacks("convolutions", conv.dtype);
    }
    if (conv.epilogue) epilogue_.emplace(*conv.epilogue, building, false);
  }

  void split_blocks(const Building& building, double multiplications) {
    if (filters_ == 0) return;
    if (epilogue_ && epilogue_->has_sums())
      together_ = std::max<std::int64_t>(blocks_.blocks_of_images(), 1);
    count_ = blocks_.count(0, images_) / together_;
    double nanoseconds = multiplications / 50;
    if (epilogue_) nanoseconds += epilogue_->nanoseconds();
    split(building.chunks, count_, nanoseconds);
  }

  std::int64_t epilogue_bytes() const { return epilogue_ ? epilogue_->scratch_bytes() : 0; }

  // Calls compute(block) for the blocks of a chunk, and runs the epilogue.
  template <typename Compute>
  void for_each_block(std::int32_t chunk, std::byte* scratch, Compute compute) const {
    const Range range = share(chunk, count_);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      std::int64_t begin = 0, end = 0;  // places
      for (std::int64_t k = 0; k < together_; ++k) {
        const auto block = blocks_.block(0, images_, i * together_ + k);
        compute(block);
        const std::int64_t first = blocks_.first_place(block);
        if (k == 0) begin = first;
        end = first + blocks_.places(block);
      }
      if (epilogue_) epilogue_->run({begin, end, 0, groups_ * filters_}, scratch);
    }
  }

  Blocks blocks_;
  std::int64_t images_, groups_, channels_, filters_;
  const T* x_;
  const T* w_;
  T* y_;

 private:
  std::int64_t count_ = 0;     // of what follows
  std::int64_t together_ = 1;  // blocks before a part of the epilogue
  std::optional<ElementwiseProgram<T>> epilogue_;
};

template <typename T>
class ConvTask final : public BlockedConvTask<T, WindowBlocks> {
  using Base = BlockedConvTask<T, WindowBlocks>;
  using Base::blocks_, Base::groups_, Base::channels_, Base::filters_, Base::w_;

 public:
  ConvTask(const Conv& conv, const Building& building)
      : Base(conv, building, WindowBlocks(conv.window, conv.frame)),
        kernel_(kernels_of<T>(building.kernels).window_product),
        channel_kernel_(kernels_of<T>(building.kernels).channel_product) {
    this->need_scratch(std::max(blocks_.scratch_bytes(sizeof(T)), this->epilogue_bytes()));
    this->split_blocks(building, number(blocks_.places()) * number(blocks_.term_count()) *
                                     number(groups_) * number(filters_));
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    this->for_each_block(chunk, worker.scratch, [&](const WindowBlocks::Block& block) {
      compute(this->y_ + blocks_.first_place(block) * groups_ * filters_, blocks_.places(block),
              blocks_.elements(block, this->x_, worker.scratch));
    });
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

  void (*kernel_)(const WindowProduct<T>&);
  void (*channel_kernel_)(const ChannelProduct<T>&);
};

// By Winograd's transforms.
template <typename T>
class WinogradConvTask final : public BlockedConvTask<T, WinogradBlocks<T>> {
  using Base = BlockedConvTask<T, WinogradBlocks<T>>;
  using Base::blocks_, Base::channels_, Base::filters_;

 public:
  WinogradConvTask(const Conv& conv, const Building& building)
      : Base(conv, building,
             WinogradBlocks<T>(conv.window, conv.frame, kernels_of<T>(building.kernels))),
        kernel_(kernels_of<T>(building.kernels).window_product) {
    this->need_scratch(tiles_at() + blocks_.scratch_bytes());
    this->split_blocks(building, number(blocks_.all_tiles()) * blocks_.numbers * number(channels_) *
                                     number(filters_));
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const auto tiles = blocks_.prepare(worker.scratch + tiles_at());
    const auto compute = [&](const typename WinogradBlocks<T>::Block& block) {
      blocks_.read_image(block, this->x_, tiles);
      for (std::int64_t k = 0; k < blocks_.numbers; ++k) {
        kernel_({tiles.places + k * tiles.places_apart, filters_,
                 tiles.image + k * tiles.image_apart, blocks_.tile_steps(), blocks_.channel_steps(),
                 channels_, this->w_ + k * channels_ * filters_, filters_, blocks_.tiles(block),
                 filters_, false});
      }
      blocks_.write_places(block, tiles, this->y_);
    };
    this->for_each_block(chunk, worker.scratch, compute);
    return true;
  }

 private:
  // Behind the epilogue's part of the scratch.
  std::int64_t tiles_at() const {
    return (this->epilogue_bytes() + cache_line - 1) / cache_line * cache_line;
  }

  void (*kernel_)(const WindowProduct<T>&);
};

}  // namespace

std::unique_ptr<Task> make_task(const Conv& conv, const Building& building) {
  if (conv.winograd) return make_floating_task_of<WinogradConvTask>(conv, building);
  return make_floating_task_of<ConvTask>(conv, building);
}

}  // namespace chainrule
