#include "tasks/window.h"

namespace chainrule {

WindowPlaces::WindowPlaces(const Window& window) {
  std::array<std::int64_t, spatial_axes> steps;  // to the next element along an axis
  std::int64_t step = window.groups * window.channels;
  for (std::size_t axis = spatial_axes; axis-- > 0;) {
    steps[axis] = step;
    axes_[axis + 1] = {window.places(axis), step * window.stride[axis]};
    step *= window.lengths[axis];
  }
  axes_[0] = {window.images, step};
  for (const Axis& axis : axes_) count_ *= axis.places;

  for (std::int64_t i = 0; i < window.kernel[0]; ++i) {
    for (std::int64_t j = 0; j < window.kernel[1]; ++j) {
      for (std::int64_t k = 0; k < window.kernel[2]; ++k) {
        const std::int64_t tap = i * window.dilation[0] * steps[0] +
                                 j * window.dilation[1] * steps[1] +
                                 k * window.dilation[2] * steps[2];
        for (std::int64_t c = 0; c < window.channels; ++c) terms_.push_back(tap + c);
      }
    }
  }
}

void WindowPlaces::offsets(std::int64_t begin, std::int64_t count, std::int64_t* to) const {
  if (count == 0) return;  // there may be no place at all
  std::array<std::int64_t, spatial_axes + 1> place;
  std::int64_t number = begin;
  std::int64_t offset = 0;
  for (std::size_t axis = axes_.size(); axis-- > 0;) {
    place[axis] = number % axes_[axis].places;
    number /= axes_[axis].places;
    offset += place[axis] * axes_[axis].step;
  }
  for (std::int64_t i = 0; i < count; ++i) {
    to[i] = offset;
    for (std::size_t axis = axes_.size(); axis-- > 0;) {
      offset += axes_[axis].step;
      if (++place[axis] < axes_[axis].places || axis == 0) break;
      offset -= axes_[axis].places * axes_[axis].step;
      place[axis] = 0;
    }
  }
}

}  // namespace chainrule
