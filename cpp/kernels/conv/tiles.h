// The tiles of Winograd's convolution F(4 x 4, 3 x 3); see winograd.cpp.
#pragma once

#include <cstdint>

namespace chainrule::winograd {

inline constexpr std::int64_t tile_places = 4;  // of a tile, along an axis
inline constexpr std::int64_t tile_side = 6;    // elements of the image under them
inline constexpr std::int64_t tile_numbers = tile_side * tile_side;

}  // namespace chainrule::winograd
