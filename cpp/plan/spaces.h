// The memory of a plan: its spaces, and places in them.
#pragma once

#include <array>
#include <cstdint>

namespace chainrule {

enum class Space : std::uint8_t { arena, state, constants };
inline constexpr int space_count = static_cast<int>(Space::constants) + 1;

// A place in one of the spaces.
struct Ref {
  Space space;
  std::int64_t offset;  // in bytes
};

// Bytes of each space.
struct SpaceSizes {
  std::array<std::int64_t, space_count> bytes;
};

}  // namespace chainrule
