// What the tasks of convolutions share: where the elements under a window lie.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "plan/plan.h"

namespace chainrule {

// A window over x (images, *lengths, groups * channels), in elements of it.
class WindowPlaces {
 public:
  explicit WindowPlaces(const Window& window);

  std::int64_t count() const { return count_; }  // places of all images
  // Distances from the first element of a place to all that a group takes, in the order of the
  // kernel, each tap's channels side by side.
  const std::vector<std::int64_t>& terms() const { return terms_; }

  // The first elements of places begin ... begin + count - 1.
  void offsets(std::int64_t begin, std::int64_t count, std::int64_t* to) const;

 private:
  struct Axis {
    std::int64_t places, step;
  };

  std::array<Axis, spatial_axes + 1> axes_;  // that of the images first
  std::vector<std::int64_t> terms_;
  std::int64_t count_ = 1;
};

}  // namespace chainrule
