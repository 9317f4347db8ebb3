// Work that is too short to hand Python's lock (the GIL) to another thread for it.
#pragma once

#include <cstdint>

namespace chainrule {

// To hand the lock on wakes a thread, and to take it back another. Where a second CPU is idle this
// takes 30 to 50 us, in which no thread runs Python.
inline constexpr double short_seconds = 50e-6;
// One pass over as much memory takes about as long.
inline constexpr std::int64_t short_bytes = 256 * 1024;

}  // namespace chainrule
