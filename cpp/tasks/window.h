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
  // Distances from the first element of a place to each tap, in the order of the kernel; where the
  // taps of a line lie side by side, to each line.
  const std::vector<std::int64_t>& taps() const { return taps_; }
  std::int64_t depth() const { return depth_; }  // elements of a tap, side by side

  // The first elements of places begin ... begin + count - 1.
  void offsets(std::int64_t begin, std::int64_t count, std::int64_t* to) const;

 private:
  struct Axis {
    std::int64_t places, step;
  };

  std::array<Axis, spatial_axes + 1> axes_;  // that of the images first
  std::vector<std::int64_t> taps_;
  std::int64_t count_ = 1, depth_;
};

}  // namespace chainrule
