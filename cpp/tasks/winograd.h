// What the tasks of Winograd's convolution share: which tiles are computed at once.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/conv/tiles.h"
#include "kernels/kernels.h"
#include "plan/plan.h"
#include "tasks/line_blocks.h"

namespace chainrule {

// The tiles of 4 x 4 places of a window of 3 x 3, in blocks of lines of tiles.
template <typename T>
class WinogradBlocks : public LineBlocks {
 public:
  // The numbers that a tile of one channel becomes, as does its product with a filter.
  static constexpr std::int64_t numbers = winograd::tile_numbers;

  WinogradBlocks(const Window& window, const Frame& frame, const Kernels<T>& kernels);

  std::int64_t tiles(const Block& block) const { return units(block); }
  std::int64_t all_tiles() const { return units(images_); }
  std::int64_t first_place(const Block& block) const {
    return (block.image * places_[0] + side * block.line) * places_[1];
  }
  std::int64_t places(const Block& block) const;

  // A block's tiles of the image and of the places, and how far from number to number.
  struct Tiles {
    T* image;
    T* places;
    T* zeros;  // a line
    std::int64_t image_apart, places_apart;
  };
  std::int64_t scratch_bytes() const;
  // The tiles in the scratch, with nothing but the zeros written.
  Tiles prepare(std::byte* scratch) const;

  void read_image(const Block& block, const T* x, const Tiles& tiles) const;
  void read_places(const Block& block, const T* g, const Tiles& tiles) const;
  void write_places(const Block& block, const Tiles& tiles, T* y) const;

  // C (m x n) = products of tiles, see WindowProduct; element i of a row of A lies at steps[i].
  const std::int64_t* tile_steps() const { return tile_steps_.data(); }
  const std::int64_t* channel_steps() const { return channel_steps_.data(); }

 private:
  static constexpr std::int64_t side = winograd::tile_places;  // of a tile

  template <typename Element>
  void over_places(const Block& block, const Tiles& tiles, Element* places, Element* outside,
                   void (*kernel)(const WinogradLine<T>&, Element* const*)) const;
  std::int64_t apart(std::int64_t channels) const;
  std::int64_t zeros() const;

  const Kernels<T>& kernels_;
  std::int64_t images_, channels_, filters_;
  std::array<std::int64_t, 2> lengths_, before_, places_;  // of x, of x in the window, of y
  std::vector<std::int64_t> tile_steps_, channel_steps_;
};

}  // namespace chainrule
