// Convolutions: products of the elements under a window and the weights, tile by tile, each tile
// with its part of the epilogue.
#include <algorithm>
#include <optional>
#include <vector>

#include "kernels/rounding.h"
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
    if (conv.epilogue) epilogue_.emplace(*conv.epilogue, building, false);
  }

  void split_blocks(const Building& building, double multiplications) {
    if (filters_ == 0) return;
    if (epilogue_ && epilogue_->has_sums())
      blocks_of_a_part_ = std::max<std::int64_t>(blocks_.blocks_of_images(), 1);
    parts_ = blocks_.count(0, images_) / blocks_of_a_part_;
    double nanoseconds = multiplications / 50;
    if (epilogue_) nanoseconds += epilogue_->nanoseconds();
    split(building.chunks, parts_, nanoseconds);
  }

  std::int64_t epilogue_bytes() const { return epilogue_ ? epilogue_->scratch_bytes() : 0; }

  // Calls compute(block) for the blocks of a chunk, and runs the epilogue.
  template <typename Compute>
  void for_each_block(std::int32_t chunk, std::byte* scratch, Compute compute) const {
    const Range range = share(chunk, parts_);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      std::int64_t begin = 0, end = 0;  // places
      for (std::int64_t k = 0; k < blocks_of_a_part_; ++k) {
        const auto block = blocks_.block(0, images_, i * blocks_of_a_part_ + k);
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
  // Blocks whose places the epilogue goes over at once are a part.
  std::int64_t parts_ = 0, blocks_of_a_part_ = 1;
  std::optional<ElementwiseProgram<T>> epilogue_;
};

template <typename T>
class ConvTask final : public BlockedConvTask<T, WindowBlocks> {
  using Base = BlockedConvTask<T, WindowBlocks>;
  using Base::blocks_, Base::groups_, Base::channels_, Base::filters_, Base::w_;

 public:
  ConvTask(const Conv& conv, const Building& building)
      : Base(conv, building, WindowBlocks(conv.window, conv.frame)),
        places_(blocks_, conv.window, conv.y_frame),
        accumulate_(conv.accumulate),
        kernel_(kernels_of<T>(building.kernels).window_product),
        channel_kernel_(kernels_of<T>(building.kernels).channel_product) {
    this->need_scratch(std::max(blocks_.scratch_bytes(sizeof(T)), this->epilogue_bytes()));
    this->split_blocks(building, number(blocks_.places()) * number(blocks_.term_count()) *
                                     number(groups_) * number(filters_));
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    this->for_each_block(chunk, worker.scratch, [&](const LineBlocks::Block& block) {
      compute(this->y_ + places_.first(block), blocks_.places(block),
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
        channel_kernel_({.c = y + f,
                         .c_row = filters,
                         .c_channel = filters_,
                         .a = under.data,
                         .rows = under.offsets,
                         .terms = terms,
                         .term_count = term_count,
                         .b = w_ + f,
                         .b_term = filters_,
                         .b_channel = term_count * filters_,
                         .m = count,
                         .n = groups_,
                         .accumulate = accumulate_,
                         .c_rows = places_.offsets()});
      }
      return;
    }
    for (std::int64_t group = 0; group < groups_; ++group) {
      kernel_({.c = y + group * filters_,
               .ldc = filters,
               .a = under.data + group * channels_,
               .rows = under.offsets,
               .terms = terms,
               .term_count = term_count,
               .b = w_ + group * term_count * filters_,
               .ldb = filters_,
               .m = count,
               .n = filters_,
               .accumulate = accumulate_,
               .c_rows = places_.offsets()});
    }
  }

  Places places_;
  bool accumulate_;
  void (*kernel_)(const WindowProduct<T>&);
  void (*channel_kernel_)(const ChannelProduct<T>&);
};

// Some images at once, whole.
class ImageBlocks {
 public:
  static constexpr std::int64_t at_once = 16;

  struct Block {
    std::int64_t image, images;
  };

  explicit ImageBlocks(const Window& window) : places_(window.places(1) * window.places(2)) {}

  std::int64_t count(std::int64_t begin, std::int64_t end) const {
    return ceil_div(end - begin, at_once);
  }
  Block block(std::int64_t begin, std::int64_t end, std::int64_t number) const {
    const std::int64_t image = begin + number * at_once;
    return {image, std::min(at_once, end - image)};
  }
  std::int64_t blocks_of_images() const { return 1; }
  std::int64_t first_place(const Block& block) const { return block.image * places_; }
  std::int64_t places(const Block& block) const { return block.images * places_; }

 private:
  std::int64_t places_;  // of an image
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
    const auto compute = [&](const LineBlocks::Block& block) {
      blocks_.read_image(block, this->x_, tiles);
      for (std::int64_t k = 0; k < blocks_.numbers; ++k) {
        kernel_({.c = tiles.places + k * tiles.places_apart,
                 .ldc = filters_,
                 .a = tiles.image + k * tiles.image_apart,
                 .rows = blocks_.tile_steps(),
                 .terms = blocks_.channel_steps(),
                 .term_count = channels_,
                 .b = this->w_ + k * channels_ * filters_,
                 .ldb = filters_,
                 .m = blocks_.tiles(block),
                 .n = filters_,
                 .accumulate = false});
      }
      blocks_.write_places(block, tiles, this->y_);
    };
    this->for_each_block(chunk, worker.scratch, compute);
    return true;
  }

 private:
  // Behind the epilogue's part of the scratch.
  std::int64_t tiles_at() const { return round_up(this->epilogue_bytes(), cache_line); }

  void (*kernel_)(const WindowProduct<T>&);
};

// Of few filters over a wide border, as in the gradient of an image: each element of x by the
// filters at all places that take it, which are added to what the places have. So nothing is
// multiplied by the border, and vectors hold the filters of a whole line of the kernel:
//
//   y (p, q - j) += sum over i, k of x (p + i, q, k) w (i, j, k)       all j at once
//
// The rows of a product are images: what it adds to lies apart.
template <typename T>
class ScatteredConvTask final : public BlockedConvTask<T, ImageBlocks> {
  using Base = BlockedConvTask<T, ImageBlocks>;
  using Base::channels_, Base::filters_;

 public:
  ScatteredConvTask(const Conv& conv, const Building& building)
      : Base(conv, building, ImageBlocks(conv.window)),
        kernel_(kernels_of<T>(building.kernels).window_product),
        lines_(conv.frame.lengths[1]),
        columns_(conv.frame.lengths[2]),
        kernel_lines_(conv.window.kernel[1]),
        kernel_columns_(conv.window.kernel[2]),
        dilation_(conv.window.dilation[1]),
        before_line_(conv.frame.before[1]),
        before_column_(conv.frame.before[2]),
        place_lines_(conv.window.places(1)),
        place_columns_(conv.window.places(2)) {
    for (std::int64_t i = 0; i < ImageBlocks::at_once; ++i) {
      images_at_.push_back(i * lines_ * columns_ * channels_);
    }
    for (std::int64_t i = 0; i < kernel_lines_; ++i) {
      for (std::int64_t k = 0; k < channels_; ++k) {
        terms_.push_back(i * dilation_ * columns_ * channels_ + k);
      }
    }
    this->need_scratch(weights_at() + (row_of_weights() * number_of_terms() + most_lanes) *
                                          static_cast<std::int64_t>(sizeof(T)));
    this->split_blocks(building, multiplications(conv));
  }

  // Whether this way is the faster one.
  static bool is_for(const Conv& conv) {
    const Window& window = conv.window;
    const std::vector<std::int64_t> ones(spatial_axes, 1);
    if (conv.y_frame || window.images < ImageBlocks::at_once || window.groups != 1 ||
        window.stride != ones || conv.frame.step != ones || window.dilation[2] != 1 ||
        window.lengths[0] != 1 || conv.frame.lengths[0] != 1 || conv.frame.before[0] != 0) {
      return false;
    }
    const double place_multiplications =
        number(window.places(1) * window.places(2)) * number(window.kernel[2]) *
        number(window.kernel[1] * window.channels) * number(whole_vectors(window.filters));
    return window.kernel[1] * window.channels >= 32 &&
           multiplications(conv) / number(window.images) * 1.5 < place_multiplications;
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    T* const w = reinterpret_cast<T*>(worker.scratch + weights_at());
    pack(w);
    this->for_each_block(chunk, worker.scratch, [&](const ImageBlocks::Block& block) {
      const std::int64_t image = place_lines_ * place_columns_ * filters_;
      T* const y = this->y_ + block.image * image;
      std::fill_n(y, block.images * image, T(0));
      const T* const x = this->x_ + block.image * lines_ * columns_ * channels_;
      for (std::int64_t line = 0; line < place_lines_; ++line) {
        add_to_line(line, x, y + line * place_columns_ * filters_, block.images, w);
      }
    });
    return true;
  }

 private:
  // Counts as if vectors had eight elements.
  static std::int64_t whole_vectors(std::int64_t count) { return round_up(count, 8); }
  static double multiplications(const Conv& conv) {
    const Window& window = conv.window;
    return number(window.images) * number(conv.frame.lengths[1] * conv.frame.lengths[2]) *
           number(window.kernel[1] * window.channels) *
           number(whole_vectors(window.kernel[2] * window.filters));
  }

  static constexpr std::int64_t most_lanes = cache_line / static_cast<std::int64_t>(sizeof(T));

  // From a row of packed weights to the next: whole vectors, which begin where cache lines do.
  std::int64_t row_of_weights() const { return round_up(kernel_columns_ * filters_, most_lanes); }
  std::int64_t number_of_terms() const { return kernel_lines_ * channels_; }
  // Behind the epilogue's part of the scratch.
  std::int64_t weights_at() const { return round_up(this->epilogue_bytes(), cache_line); }

  // w (lines, columns, channels, filters) as (lines, channels, columns turned round, filters).
  void pack(T* to) const {
    for (std::int64_t i = 0; i < kernel_lines_; ++i) {
      for (std::int64_t k = 0; k < channels_; ++k, to += row_of_weights()) {
        T* row = to;
        for (std::int64_t j = kernel_columns_; j-- > 0; row += filters_) {
          const T* const from = this->w_ + ((i * kernel_columns_ + j) * channels_ + k) * filters_;
          std::copy_n(from, filters_, row);
        }
        // Read with the last vectors, and not used.
        std::fill(row, to + row_of_weights(), T(0));
      }
    }
  }

  // Adds what all elements of x give to a line of places.
  void add_to_line(std::int64_t line, const T* x, T* y, std::int64_t images, const T* w) const {
    // Of the kernel, those that lie over a line of x.
    const std::int64_t first = std::max<std::int64_t>(ceil_div(before_line_ - line, dilation_), 0);
    const std::int64_t above = lines_ - 1 + before_line_ - line;
    const std::int64_t end = above < 0 ? 0 : std::min(kernel_lines_, above / dilation_ + 1);
    if (first >= end) return;
    const T* const under = x + (line - before_line_ + first * dilation_) * columns_ * channels_;
    const std::int64_t image = place_lines_ * place_columns_ * filters_;
    for (std::int64_t column = 0; column < columns_; ++column) {
      const std::int64_t place = column + before_column_ - (kernel_columns_ - 1);
      const std::int64_t skipped = std::max<std::int64_t>(-place, 0);
      const std::int64_t taken = std::min(kernel_columns_, place_columns_ - place) - skipped;
      if (taken <= 0) continue;
      kernel_({.c = y + (place + skipped) * filters_,
               .ldc = image,
               .a = under + column * channels_,
               .rows = images_at_.data(),
               .terms = terms_.data(),
               .term_count = (end - first) * channels_,
               .b = w + first * channels_ * row_of_weights() + skipped * filters_,
               .ldb = row_of_weights(),
               .m = images,
               .n = taken * filters_,
               .accumulate = true,
               .whole_rows = true});
    }
  }

  void (*kernel_)(const WindowProduct<T>&);
  std::int64_t lines_, columns_, kernel_lines_, kernel_columns_, dilation_;
  std::int64_t before_line_, before_column_, place_lines_, place_columns_;
  std::vector<std::int64_t> images_at_, terms_;
};

}  // namespace

std::unique_ptr<Task> make_task(const Conv& conv, const Building& building) {
  if (conv.winograd) return make_floating_task_of<WinogradConvTask>(conv, building);
  if (ScatteredConvTask<float>::is_for(conv)) {
    return make_floating_task_of<ScatteredConvTask>(conv, building);
  }
  return make_floating_task_of<ConvTask>(conv, building);
}

}  // namespace chainrule
