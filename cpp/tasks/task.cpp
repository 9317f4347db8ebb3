#include "tasks/task.h"

#include <bit>

namespace chainrule {

void Task::split(std::int32_t requested, std::int64_t parts, double nanoseconds) {
  // Handing work over costs up to a microsecond.
  constexpr double worth_sharing = 4000;
  constexpr double enough = 64;
  const auto limit = static_cast<double>(std::clamp<std::int64_t>(parts, 1, most_chunks));
  // A power of two: of three equal chunks one thread of two would do two.
  const double wanted = std::clamp(nanoseconds / worth_sharing, 1.0, enough);
  const double chunks = requested > 0 ? requested : std::bit_ceil(static_cast<unsigned>(wanted));
  chunks_ = static_cast<std::int32_t>(std::clamp(chunks, 1.0, limit));
}

}  // namespace chainrule
