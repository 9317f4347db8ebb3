// What the tasks of convolutions share: which places are computed at once, and where the elements
// under the window lie.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "plan/plan.h"
#include "tasks/line_blocks.h"

namespace chainrule {

// A window over images (*lengths, groups * channels), which x fills as its frame says.
//
// Places are computed line by line: a line has all places of the axes behind the first axis of more
// than one element. Where x has no border and no gaps, the window goes over it where it lies. Else
// the lines under a block of places are copied into the scratch, with their border.
class WindowBlocks : public LineBlocks {
 public:
  WindowBlocks(const Window& window, const Frame& frame);

  std::int64_t places() const { return units(window_.images); }
  std::int64_t places(const Block& block) const { return units(block); }
  std::int64_t first_place(const Block& block) const {
    return (block.image * lines_ + block.line) * line_units_;
  }

  // Where all places of a block lie whose next one along an axis is `apart` further, and those of
  // the next image `image_apart`.
  std::vector<std::int64_t> offsets_of_places(const std::array<std::int64_t, spatial_axes>& apart,
                                              std::int64_t image_apart) const;
  std::size_t axis_of_lines() const { return axis_; }

  // Distances from the first element of a place to all that a group takes, in the order of the
  // kernel, each tap's channels side by side.
  const std::vector<std::int64_t>& terms() const { return terms_; }
  std::int64_t term_count() const { return static_cast<std::int64_t>(terms_.size()); }

  // Where the elements under a block lie: `offsets` has the first one of each place. They are the
  // same for all blocks, the last ones of which have fewer places.
  template <typename T>
  struct Elements {
    const T* data;
    const std::int64_t* offsets;
  };
  std::int64_t scratch_bytes(std::int64_t itemsize) const;
  template <typename T>
  Elements<T> elements(const Block& block, const T* x, std::byte* scratch) const;

 private:
  WindowBlocks(const Window& window, const Frame& frame, std::size_t axis);

  std::int64_t lines_under(std::int64_t lines) const;
  template <typename T>
  void copy_lines(std::size_t axis, std::int64_t begin, std::int64_t end, const T* x, T* to) const;

  Window window_;
  Frame frame_;
  bool is_framed_;                                              // whether x is copied
  std::size_t axis_;                                            // of the lines
  std::array<std::int64_t, spatial_axes + 1> steps_, x_steps_;  // to the next element; images first
  std::vector<std::int64_t> offsets_;                           // of the places of a block
  std::vector<std::int64_t> terms_;
};

// Where the places of blocks lie in y.
class Places {
 public:
  // Without a frame they follow each other.
  Places(const WindowBlocks& blocks, const Window& window, const std::optional<Frame>& frame);

  std::int64_t first(const LineBlocks::Block& block) const {
    return first_ + block.image * image_apart_ + block.line * line_apart_;
  }
  // From that on those of all places of a block, or null where they follow each other.
  const std::int64_t* offsets() const { return offsets_.empty() ? nullptr : offsets_.data(); }

 private:
  std::int64_t first_ = 0, image_apart_, line_apart_;
  std::vector<std::int64_t> offsets_;
};

}  // namespace chainrule
