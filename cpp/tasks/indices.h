// Indices into an axis.
#pragma once

#include <cstdint>
#include <optional>

namespace chainrule {

// The position that an index means, which may count from the end; nothing if it is out of range.
inline std::optional<std::int64_t> position(std::int64_t index, std::int64_t length) {
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  return index;
}

// The same for an index that counts from the beginning alone.
inline std::optional<std::int64_t> place(std::int64_t index, std::int64_t length) {
  if (index < 0 || index >= length) return std::nullopt;
  return index;
}

// Whether all of `count` indices count from the beginning of an axis to its end; without a branch
// for each.
inline bool are_places(const std::int64_t* indices, std::int64_t count, std::int64_t length) {
  bool fits = true;
  for (std::int64_t i = 0; i < count; ++i) {
    fits &= static_cast<std::uint64_t>(indices[i]) < static_cast<std::uint64_t>(length);
  }
  return fits;
}

}  // namespace chainrule
