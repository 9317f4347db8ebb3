// Images in blocks, line by line.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/rounding.h"

namespace chainrule {

// Some lines of an image, or all lines of several images. Lines are of units: places or tiles.
class LineBlocks {
 public:
  // Each image has `lines` lines of `line_units` units; a block has about `wanted` units.
  LineBlocks(std::int64_t lines, std::int64_t line_units, std::int64_t wanted)
      : lines_(lines),
        line_units_(line_units),
        lines_at_once_(std::clamp<std::int64_t>(wanted / std::max<std::int64_t>(line_units, 1), 1,
                                                std::max<std::int64_t>(lines, 1))),
        images_at_once_(
            std::max<std::int64_t>(wanted / std::max<std::int64_t>(lines * line_units, 1), 1)) {}

  struct Block {
    std::int64_t image, images, line, lines;
  };
  // Of the images `begin` ... `end` - 1.
  std::int64_t count(std::int64_t begin, std::int64_t end) const {
    if (line_units_ == 0) return 0;
    return ceil_div(end - begin, images_at_once_) * blocks_of_images();
  }
  Block block(std::int64_t begin, std::int64_t end, std::int64_t number) const {
    const std::int64_t of_image = blocks_of_images();
    const std::int64_t image = begin + number / of_image * images_at_once_;
    const std::int64_t line = number % of_image * lines_at_once_;
    return {image, std::min(images_at_once_, end - image), line,
            std::min(lines_at_once_, lines_ - line)};
  }
  // How many blocks, one after another, are whole images.
  std::int64_t blocks_of_images() const { return ceil_div(lines_, lines_at_once_); }

 protected:
  std::int64_t units(const Block& block) const { return block.images * block.lines * line_units_; }
  std::int64_t units(std::int64_t images) const { return images * lines_ * line_units_; }

  std::int64_t lines_, line_units_;  // of an image, of a line
  std::int64_t lines_at_once_, images_at_once_;
};

}  // namespace chainrule
