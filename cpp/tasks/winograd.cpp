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

}  // namespace

template <typename T>
WinogradBlocks<T>::WinogradBlocks(const Window& window, const Frame& frame,
                                  const Kernels<T>& kernels)
    : kernels_(kernels),
      images_(window.images),
      channels_(window.channels),
      filters_(window.filters),
      lengths_{frame.lengths[1], frame.lengths[2]},
      before_{frame.before[1], frame.before[2]},
      // Without images y says nothing about how large they may be.
      places_{images_ > 0 ? window.places(1) : 0, images_ > 0 ? window.places(2) : 0},
      lines_(ceil_div(places_[0], side)),
      line_tiles_(ceil_div(places_[1], side)) {
  const std::int64_t tile_bytes = numbers * std::max<std::int64_t>(channels_ + filters_, 1) *
                                  static_cast<std::int64_t>(sizeof(T));
  const std::int64_t wanted = std::clamp(block_bytes / tile_bytes, least_tiles, most_tiles);
  const std::int64_t image_tiles = std::max<std::int64_t>(lines_ * line_tiles_, 1);
  images_at_once_ = std::max<std::int64_t>(wanted / image_tiles, 1);
  lines_at_once_ = std::clamp<std::int64_t>(wanted / std::max<std::int64_t>(line_tiles_, 1), 1,
                                            std::max<std::int64_t>(lines_, 1));
  const std::int64_t most = images_at_once_ * lines_at_once_ * line_tiles_;
  for (std::int64_t t = 0; t < most; ++t) tile_steps_.push_back(t * channels_);
  for (std::int64_t c = 0; c < channels_; ++c) channel_steps_.push_back(c);
}

template <typename T>
std::int64_t WinogradBlocks<T>::count(std::int64_t begin, std::int64_t end) const {
  if (line_tiles_ == 0) return 0;
  return ceil_div(end - begin, images_at_once_) * blocks_of_images();
}

template <typename T>
typename WinogradBlocks<T>::Block WinogradBlocks<T>::block(std::int64_t begin, std::int64_t end,
                                                           std::int64_t number) const {
  const std::int64_t of_image = blocks_of_images();
  const std::int64_t image = begin + number / of_image * images_at_once_;
  const std::int64_t line = number % of_image * lines_at_once_;
  return {image, std::min(images_at_once_, end - image), line,
          std::min(lines_at_once_, lines_ - line)};
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
  WinogradLine<T> line = {lengths_[1], channels_,   -before_[1],
                          line_tiles_, tiles.image, tiles.image_apart};
  for (std::int64_t i = block.image; i < block.image + block.images; ++i) {
    for (std::int64_t l = block.line; l < block.line + block.lines; ++l) {
      const T* lines[winograd::tile_side];
      for (std::int64_t k = 0; k < winograd::tile_side; ++k) {
        const std::int64_t row = side * l + k - before_[0];
        const bool is_inside = row >= 0 && row < lengths_[0];
        lines[k] = is_inside ? x + (i * lengths_[0] + row) * lengths_[1] * channels_ : tiles.zeros;
      }
      kernels_.winograd_image(line, lines);
      line.tiles += line_tiles_ * channels_;
    }
  }
}

template <typename T>
void WinogradBlocks<T>::read_places(const Block& block, const T* g, const Tiles& tiles) const {
  WinogradLine<T> line = {places_[1], filters_, 0, line_tiles_, tiles.places, tiles.places_apart};
  for (std::int64_t i = block.image; i < block.image + block.images; ++i) {
    for (std::int64_t l = block.line; l < block.line + block.lines; ++l) {
      const T* lines[side];
      for (std::int64_t k = 0; k < side; ++k) {
        const std::int64_t row = side * l + k;
        const bool is_inside = row < places_[0];
        lines[k] = is_inside ? g + (i * places_[0] + row) * places_[1] * filters_ : tiles.zeros;
      }
      kernels_.winograd_places(line, lines);
      line.tiles += line_tiles_ * filters_;
    }
  }
}

template <typename T>
void WinogradBlocks<T>::write_places(const Block& block, const Tiles& tiles, T* y) const {
  WinogradLine<T> line = {places_[1], filters_, 0, line_tiles_, tiles.places, tiles.places_apart};
  for (std::int64_t i = block.image; i < block.image + block.images; ++i) {
    for (std::int64_t l = block.line; l < block.line + block.lines; ++l) {
      T* lines[side];
      for (std::int64_t k = 0; k < side; ++k) {
        const std::int64_t row = side * l + k;
        const bool is_inside = row < places_[0];
        lines[k] = is_inside ? y + (i * places_[0] + row) * places_[1] * filters_ : nullptr;
      }
      kernels_.winograd_results(line, lines);
      line.tiles += line_tiles_ * filters_;
    }
  }
}

template class WinogradBlocks<float>;
template class WinogradBlocks<double>;

}  // namespace chainrule
