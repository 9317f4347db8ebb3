#include "tasks/winograd.h"

#include <algorithm>

#include "kernels/rounding.h"
#include "tasks/building.h"

namespace chainrule {
namespace {

// Of a block's tiles. Twice as much as stays in L2 beside the weights: all of these are read for
// each block, and half the blocks read them half as often.
constexpr std::int64_t block_bytes = 768 * 1024;
constexpr std::int64_t least_tiles = 24, most_tiles = 96;

std::int64_t tiles_of_blocks(const Window& window, std::int64_t itemsize) {
  const std::int64_t channels = std::max<std::int64_t>(window.channels + window.filters, 1);
  const std::int64_t tile_bytes = winograd::tile_numbers * channels * itemsize;
  return std::clamp(block_bytes / tile_bytes, least_tiles, most_tiles);
}

// Without images y says nothing about how large they may be.
std::int64_t places_along(const Window& window, std::size_t axis) {
  return window.images > 0 ? window.places(axis) : 0;
}
std::int64_t tiles_along(const Window& window, std::size_t axis) {
  return ceil_div(places_along(window, axis), winograd::tile_places);
}

}  // namespace

template <typename T>
WinogradBlocks<T>::WinogradBlocks(const Window& window, const Frame& frame,
                                  const Kernels<T>& kernels)
    : LineBlocks(tiles_along(window, 1), tiles_along(window, 2),
                 tiles_of_blocks(window, sizeof(T))),
      kernels_(kernels),
      images_(window.images),
      channels_(window.channels),
      filters_(window.filters),
      lengths_{frame.lengths[1], frame.lengths[2]},
      before_{frame.before[1], frame.before[2]},
      places_{places_along(window, 1), places_along(window, 2)} {
  const std::int64_t most = images_at_once_ * lines_at_once_ * line_units_;
  for (std::int64_t t = 0; t < most; ++t) tile_steps_.push_back(t * channels_);
  for (std::int64_t c = 0; c < channels_; ++c) channel_steps_.push_back(c);
}

template <typename T>
std::int64_t WinogradBlocks<T>::places(const Block& block) const {
  const std::int64_t first = side * block.line;
  const std::int64_t lines = std::min(first + side * block.lines, places_[0]) - first;
  return block.images * lines * places_[1];
}

// Numbers a multiple of 4096 bytes apart would push each other out of L1.
template <typename T>
std::int64_t WinogradBlocks<T>::apart(std::int64_t channels) const {
  constexpr std::int64_t unit = cache_line / static_cast<std::int64_t>(sizeof(T));
  const std::int64_t size = static_cast<std::int64_t>(tile_steps_.size()) * channels;
  return (ceil_div(size, unit) | 1) * unit;
}

template <typename T>
std::int64_t WinogradBlocks<T>::zeros() const {
  return std::max(lengths_[1] * channels_, places_[1] * filters_);
}

template <typename T>
std::int64_t WinogradBlocks<T>::scratch_bytes() const {
  return (numbers * (apart(channels_) + apart(filters_)) + zeros()) *
         static_cast<std::int64_t>(sizeof(T));
}

template <typename T>
typename WinogradBlocks<T>::Tiles WinogradBlocks<T>::prepare(std::byte* scratch) const {
  T* const image = reinterpret_cast<T*>(scratch);
  T* const places = image + numbers * apart(channels_);
  T* const zero_line = places + numbers * apart(filters_);
  std::fill_n(zero_line, zeros(), T(0));
  return {image, places, zero_line, apart(channels_), apart(filters_)};
}

template <typename T>
void WinogradBlocks<T>::read_image(const Block& block, const T* x, const Tiles& tiles) const {
  WinogradLine<T> line = {.columns = lengths_[1],
                          .channels = channels_,
                          .first = -before_[1],
                          .count = line_units_,
                          .tiles = tiles.image,
                          .apart = tiles.image_apart};
  for (std::int64_t i = block.image; i < block.image + block.images; ++i) {
    for (std::int64_t l = block.line; l < block.line + block.lines; ++l) {
      const T* lines[winograd::tile_side];
      for (std::int64_t k = 0; k < winograd::tile_side; ++k) {
        const std::int64_t row = side * l + k - before_[0];
        const bool is_inside = row >= 0 && row < lengths_[0];
        lines[k] = is_inside ? x + (i * lengths_[0] + row) * lengths_[1] * channels_ : tiles.zeros;
      }
      kernels_.winograd_image(line, lines);
      line.tiles += line_units_ * channels_;
    }
  }
}

// The kernel on each line of a block's tiles, with its lines of places; those outside are
// `outside`.
template <typename T>
template <typename Element>
void WinogradBlocks<T>::over_places(const Block& block, const Tiles& tiles, Element* places,
                                    Element* outside,
                                    void (*kernel)(const WinogradLine<T>&, Element* const*)) const {
  WinogradLine<T> line = {.columns = places_[1],
                          .channels = filters_,
                          .first = 0,
                          .count = line_units_,
                          .tiles = tiles.places,
                          .apart = tiles.places_apart};
  for (std::int64_t i = block.image; i < block.image + block.images; ++i) {
    for (std::int64_t l = block.line; l < block.line + block.lines; ++l) {
      Element* lines[side];
      for (std::int64_t k = 0; k < side; ++k) {
        const std::int64_t row = side * l + k;
        const bool is_inside = row < places_[0];
        lines[k] = is_inside ? places + (i * places_[0] + row) * places_[1] * filters_ : outside;
      }
      kernel(line, lines);
      line.tiles += line_units_ * filters_;
    }
  }
}

template <typename T>
void WinogradBlocks<T>::read_places(const Block& block, const T* g, const Tiles& tiles) const {
  over_places<const T>(block, tiles, g, tiles.zeros, kernels_.winograd_places);
}

template <typename T>
void WinogradBlocks<T>::write_places(const Block& block, const Tiles& tiles, T* y) const {
  over_places<T>(block, tiles, y, nullptr, kernels_.winograd_results);
}

template class WinogradBlocks<float>;
template class WinogradBlocks<double>;

}  // namespace chainrule
