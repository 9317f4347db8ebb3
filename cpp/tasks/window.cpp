#include "tasks/window.h"

#include <algorithm>

#include "kernels/kinds.h"
#include "kernels/rounding.h"

namespace chainrule {
namespace {

// How many places are computed at once: their results stay in L1.
std::int64_t places_of_blocks(const Window& window) {
  constexpr std::int64_t least = 192, most = 400, elements = 2400;
  const std::int64_t filters = std::max<std::int64_t>(window.groups * window.filters, 1);
  return std::clamp(elements / filters, least, most);
}

// Steps from element to element of images of these lengths, that between images first.
std::array<std::int64_t, spatial_axes + 1> steps_of(const std::vector<std::int64_t>& lengths,
                                                    std::int64_t channels) {
  std::array<std::int64_t, spatial_axes + 1> steps;
  std::int64_t step = channels;
  for (std::size_t axis = spatial_axes; axis-- > 0;) {
    steps[axis + 1] = step;
    step *= lengths[axis];
  }
  steps[0] = step;
  return steps;
}

bool has_border_or_gaps(const Window& window, const Frame& frame) {
  for (std::size_t axis = 0; axis < spatial_axes; ++axis) {
    if (frame.lengths[axis] != window.lengths[axis] || frame.before[axis] != 0 ||
        (frame.step[axis] != 1 && frame.lengths[axis] > 1)) {
      return true;
    }
  }
  return false;
}

// Of elements; else the last axis.
std::size_t first_axis_of_several(const Window& window, const Frame& frame) {
  const auto is_single = [&](std::size_t axis) {
    return window.lengths[axis] == 1 && frame.lengths[axis] == 1 && frame.before[axis] == 0;
  };
  std::size_t axis = 0;
  while (axis + 1 < spatial_axes && is_single(axis)) ++axis;
  return axis;
}

std::int64_t places_behind(const Window& window, std::size_t axis) {
  std::int64_t places = 1;
  while (++axis < spatial_axes) places *= window.places(axis);
  return places;
}

}  // namespace

WindowBlocks::WindowBlocks(const Window& window, const Frame& frame)
    : WindowBlocks(window, frame, first_axis_of_several(window, frame)) {}

WindowBlocks::WindowBlocks(const Window& window, const Frame& frame, std::size_t axis)
    : LineBlocks(window.places(axis), places_behind(window, axis), places_of_blocks(window)),
      window_(window),
      frame_(frame),
      is_framed_(has_border_or_gaps(window, frame)),
      axis_(axis),
      steps_(steps_of(window.lengths, window.groups * window.channels)),
      x_steps_(steps_of(frame.lengths, window.groups * window.channels)) {
  std::array<std::int64_t, spatial_axes> apart;
  for (std::size_t i = 0; i < spatial_axes; ++i) apart[i] = window.stride[i] * steps_[i + 1];
  const std::int64_t copied = lines_under(lines_at_once_) * steps_[axis_ + 1];
  offsets_ = offsets_of_places(apart, is_framed_ ? copied : steps_[0]);

  for (std::int64_t i = 0; i < window.kernel[0]; ++i) {
    for (std::int64_t j = 0; j < window.kernel[1]; ++j) {
      for (std::int64_t k = 0; k < window.kernel[2]; ++k) {
        const std::int64_t tap = i * window.dilation[0] * steps_[1] +
                                 j * window.dilation[1] * steps_[2] +
                                 k * window.dilation[2] * steps_[3];
        for (std::int64_t c = 0; c < window.channels; ++c) terms_.push_back(tap + c);
      }
    }
  }
}

std::vector<std::int64_t> WindowBlocks::offsets_of_places(
    const std::array<std::int64_t, spatial_axes>& apart, std::int64_t image_apart) const {
  std::vector<std::int64_t> offsets;
  const auto multiply = [&](std::int64_t count, std::int64_t step) {
    std::vector<std::int64_t> more;
    for (const std::int64_t offset : offsets) {
      for (std::int64_t i = 0; i < count; ++i) more.push_back(offset + i * step);
    }
    offsets = std::move(more);
  };
  offsets = {0};
  multiply(std::min(images_at_once_, window_.images), image_apart);
  multiply(lines_at_once_, apart[axis_]);
  for (std::size_t axis = axis_ + 1; axis < spatial_axes; ++axis) {
    multiply(window_.places(axis), apart[axis]);
  }
  return offsets;
}

// How many lines of an image lie under some lines of places.
std::int64_t WindowBlocks::lines_under(std::int64_t lines) const {
  return (lines - 1) * window_.stride[axis_] +
         window_.dilation[axis_] * (window_.kernel[axis_] - 1) + 1;
}

std::int64_t WindowBlocks::scratch_bytes(std::int64_t itemsize) const {
  if (!is_framed_) return 0;
  return images_at_once_ * lines_under(lines_at_once_) * steps_[axis_ + 1] * itemsize;
}

template <typename T>
WindowBlocks::Elements<T> WindowBlocks::elements(const Block& block, const T* x,
                                                 std::byte* scratch) const {
  const std::int64_t line_step = steps_[axis_ + 1];
  const std::int64_t first = block.line * window_.stride[axis_];
  if (!is_framed_) return {x + block.image * steps_[0] + first * line_step, offsets_.data()};
  const std::int64_t lines = lines_under(block.lines);
  const std::int64_t size = lines * line_step;
  T* const copy = reinterpret_cast<T*>(scratch);
  for (std::int64_t i = 0; i < block.images; ++i) {
    copy_lines(axis_, first, first + lines, x + (block.image + i) * x_steps_[0], copy + i * size);
  }
  return {copy, offsets_.data()};
}

// The elements at positions `begin` ... `end` - 1 along an axis of the window's lengths, and at all
// of the axes behind it, with zeros between and around them.
template <typename T>
void WindowBlocks::copy_lines(std::size_t axis, std::int64_t begin, std::int64_t end, const T* x,
                              T* to) const {
  const std::int64_t step = steps_[axis + 1], x_step = x_steps_[axis + 1];
  const std::int64_t before = frame_.before[axis], apart = frame_.step[axis];
  const std::int64_t first = begin > before ? ceil_div(begin - before, apart) : 0;
  const std::int64_t above = end - before;
  const std::int64_t last = above <= 0 ? 0 : ceil_div(above, apart);  // the one behind it
  const std::int64_t count = std::min(frame_.lengths[axis], last) - first;
  T* const behind = to + (end - begin) * step;
  if (count > 0) {
    x += first * x_step;
    T* next = to + (before + first * apart - begin) * step;
    if (axis + 1 == spatial_axes && apart == 1) {
      std::fill(to, next, T(0));
      std::copy_n(x, count * step, next);
      to = next + count * step;
    } else {
      for (std::int64_t i = 0; i < count; ++i, x += x_step, next += apart * step) {
        std::fill(to, next, T(0));
        if (axis + 1 == spatial_axes) {
          std::copy_n(x, step, next);
        } else {
          copy_lines(axis + 1, 0, window_.lengths[axis + 1], x, next);
        }
        to = next + step;
      }
    }
  }
  std::fill(to, behind, T(0));
}

template WindowBlocks::Elements<float> WindowBlocks::elements(const Block&, const float*,
                                                              std::byte*) const;
template WindowBlocks::Elements<double> WindowBlocks::elements(const Block&, const double*,
                                                               std::byte*) const;

Places::Places(const WindowBlocks& blocks, const Window& window,
               const std::optional<Frame>& frame) {
  const std::size_t axis_of_lines = blocks.axis_of_lines();
  std::array<std::int64_t, spatial_axes> apart;
  std::int64_t step = window.groups * window.filters;
  for (std::size_t axis = spatial_axes; axis-- > 0;) {
    apart[axis] = frame ? frame->step[axis] * step : step;
    if (frame) first_ += frame->before[axis] * step;
    step *= frame ? frame->lengths[axis] : window.places(axis);
  }
  image_apart_ = step;
  line_apart_ = apart[axis_of_lines];
  if (frame) offsets_ = blocks.offsets_of_places(apart, image_apart_);
}

}  // namespace chainrule
