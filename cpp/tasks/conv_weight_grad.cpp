// The gradient of a convolution's weights: sums over all places of outer products. The images are
// cut into parts, each with sums of its own, so that threads can share the work.
#include <algorithm>

#include "kernels/rounding.h"
#include "tasks/building.h"
#include "tasks/window.h"
#include "tasks/winograd.h"

namespace chainrule {
namespace {

// Elements of a window, whose sums a thread takes at once.
constexpr std::int64_t tile_terms = 48;
// With this many parts each thread of a small machine has several: none need be cut any further.
constexpr std::int64_t enough_parts = 14;

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
        kernel_(kernels_of<T>(building.kernels).window_product),
        channel_kernel_(kernels_of<T>(building.kernels).channel_product),
        x_(building.memory.at<const T>(conv.x)),
        g_(building.memory.at<const T>(conv.g)),
        w_(building.memory.at<T>(conv.w)) {
    need_scratch(blocks_.scratch_bytes(sizeof(T)));
    if (groups_ == 0 || filters_ == 0 || terms() == 0) return;
    tiles_of_group_ = ceil_div(terms(), tile_terms);
    tiles_ = (is_by_channel() ? 1 : groups_) * tiles_of_group_;
    const double multiplications =
        number(blocks_.places()) * number(groups_) * number(terms()) * number(filters_);
    // Tiles of a part together bring what lies under the window once.
    if (parts_ >= enough_parts) tiles_together_ = tiles_;
    split(building.chunks, parts_ * tiles_ / tiles_together_, multiplications / 50);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Range range = share(chunk, parts_ * tiles_, tiles_together_);
    for (std::int64_t begin = range.begin; begin < range.end;) {
      const std::int64_t part = begin / tiles_;
      const std::int64_t end = std::min(range.end, (part + 1) * tiles_);
      add_up(part, begin - part * tiles_, end - part * tiles_, worker.scratch);
      begin = end;
    }
    return true;
  }

 private:
  std::int64_t terms() const { return blocks_.term_count(); }
  bool is_by_channel() const { return channels_ == 1 && groups_ > 1; }

  // Some tiles of the sums of a part of the images.
  void add_up(std::int64_t part, std::int64_t begin, std::int64_t end,
              std::byte* scratch) const noexcept {
    const std::int64_t first_image = images_ * part / parts_;
    const std::int64_t last_image = images_ * (part + 1) / parts_;
    T* const w = w_ + part * groups_ * terms() * filters_;
    const std::int64_t count = blocks_.count(first_image, last_image);
    if (count == 0) add_tiles(w, begin, end, {x_, nullptr}, g_, 0, false);
    for (std::int64_t number = 0; number < count; ++number) {
      const LineBlocks::Block block = blocks_.block(first_image, last_image, number);
      const auto under = blocks_.elements(block, x_, scratch);
      const T* const g = g_ + blocks_.first_place(block) * groups_ * filters_;
      add_tiles(w, begin, end, under, g, blocks_.places(block), number > 0);
    }
  }

  // Those of a group together.
  void add_tiles(T* w, std::int64_t begin, std::int64_t end, WindowBlocks::Elements<T> under,
                 const T* g, std::int64_t places, bool accumulate) const noexcept {
    while (begin < end) {
      const std::int64_t group = begin / tiles_of_group_;
      const std::int64_t first = group * tiles_of_group_;
      const std::int64_t next = std::min(end, first + tiles_of_group_);
      const std::int64_t term = (begin - first) * tile_terms;
      const std::int64_t count = std::min(terms(), (next - first) * tile_terms) - term;
      const std::int64_t* const rows = blocks_.terms().data() + term;
      begin = next;
      if (is_by_channel()) {
        for (std::int64_t f = 0; f < filters_; ++f) {
          channel_kernel_({.c = w + term * filters_ + f,
                           .c_row = filters_,
                           .c_channel = terms() * filters_,
                           .a = under.data,
                           .rows = rows,
                           .terms = under.offsets,
                           .term_count = places,
                           .b = g + f,
                           .b_term = groups_ * filters_,
                           .b_channel = filters_,
                           .m = count,
                           .n = groups_,
                           .accumulate = accumulate});
        }
      } else {
        kernel_({.c = w + (group * terms() + term) * filters_,
                 .ldc = filters_,
                 .a = under.data + group * channels_,
                 .rows = rows,
                 .terms = under.offsets,
                 .term_count = places,
                 .b = g + group * filters_,
                 .ldb = groups_ * filters_,
                 .m = count,
                 .n = filters_,
                 .accumulate = accumulate});
      }
    }
  }

  WindowBlocks blocks_;
  std::int64_t images_, parts_, groups_, channels_, filters_;
  std::int64_t tiles_of_group_ = 0, tiles_ = 0, tiles_together_ = 1;
  void (*kernel_)(const WindowProduct<T>&);
  void (*channel_kernel_)(const ChannelProduct<T>&);
  const T* x_;
  const T* g_;
  T* w_;
};

// By Winograd's transforms: products of the tiles of images and places, for each of their numbers.
template <typename T>
class WinogradWeightGradTask final : public Task {
 public:
  WinogradWeightGradTask(const ConvWeightGrad& conv, const Building& building)
      : blocks_(conv.window, conv.frame, kernels_of<T>(building.kernels)),
        images_(conv.window.images),
        parts_(conv.parts),
        channels_(conv.window.channels),
        filters_(conv.window.filters),
        kernel_(kernels_of<T>(building.kernels).window_product),
        x_(building.memory.at<const T>(conv.x)),
        g_(building.memory.at<const T>(conv.g)),
        w_(building.memory.at<T>(conv.w)) {
    need_scratch(blocks_.scratch_bytes());
    // Each share of a part reads all of its images: there are no more than threads may want.
    while (parts_ * shares_ < least_shares) shares_ *= 2;
    const double tiles = number(blocks_.all_tiles()) * blocks_.numbers;
    split(building.chunks, parts_ * shares_, tiles * number(channels_) * number(filters_) / 50);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Range range = share(chunk, parts_ * shares_);
    const auto tiles = blocks_.prepare(worker.scratch);
    for (std::int64_t begin = range.begin; begin < range.end;) {
      const std::int64_t part = begin / shares_;
      const std::int64_t first = part * shares_;
      const std::int64_t end = std::min(range.end, first + shares_);
      add_up(part, blocks_.numbers * (begin - first) / shares_,
             blocks_.numbers * (end - first) / shares_, tiles);
      begin = end;
    }
    return true;
  }

 private:
  // Some numbers of the sums of a part of the images.
  void add_up(std::int64_t part, std::int64_t begin, std::int64_t end,
              const typename WinogradBlocks<T>::Tiles& tiles) const noexcept {
    const std::int64_t first_image = images_ * part / parts_;
    const std::int64_t last_image = images_ * (part + 1) / parts_;
    const std::int64_t size = channels_ * filters_;
    T* const w = w_ + part * blocks_.numbers * size;
    const std::int64_t count = blocks_.count(first_image, last_image);
    if (count == 0) std::fill(w + begin * size, w + end * size, T(0));
    for (std::int64_t i = 0; i < count; ++i) {
      const auto block = blocks_.block(first_image, last_image, i);
      blocks_.read_image(block, x_, tiles);
      blocks_.read_places(block, g_, tiles);
      for (std::int64_t k = begin; k < end; ++k) {
        kernel_({.c = w + k * size,
                 .ldc = filters_,
                 .a = tiles.image + k * tiles.image_apart,
                 .rows = blocks_.channel_steps(),
                 .terms = blocks_.tile_steps(),
                 .term_count = blocks_.tiles(block),
                 .b = tiles.places + k * tiles.places_apart,
                 .ldb = filters_,
                 .m = channels_,
                 .n = filters_,
                 .accumulate = i > 0});
      }
    }
  }

  static constexpr std::int64_t least_shares = 8;

  WinogradBlocks<T> blocks_;
  std::int64_t images_, parts_, channels_, filters_;
  std::int64_t shares_ = 1;  // of the numbers of a part
  void (*kernel_)(const WindowProduct<T>&);
  const T* x_;
  const T* g_;
  T* w_;
};

}  // namespace

std::unique_ptr<Task> make_task(const ConvWeightGrad& conv, const Building& building) {
  if (conv.winograd) return make_floating_task_of<WinogradWeightGradTask>(conv, building);
  return make_floating_task_of<ConvWeightGradTask>(conv, building);
}

}  // namespace chainrule
