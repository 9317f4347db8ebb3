#include "tasks/task.h"

namespace chainrule {

void Task::split(std::int32_t requested, std::int64_t parts, double nanoseconds) {
  // Handing work over costs up to a microsecond.
  constexpr double worth_sharing = 4000;
  constexpr double enough = 64;
  const auto limit = static_cast<double>(std::clamp<std::int64_t>(parts, 1, most_chunks));
  const double chunks = requested > 0 ? requested : std::min(nanoseconds / worth_sharing, enough);
  chunks_ = static_cast<std::int32_t>(std::clamp(chunks, 1.0, limit));
}

}  // namespace chainrule
