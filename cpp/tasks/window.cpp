#include "tasks/window.h"

#include <algorithm>
#include <cstring>

#include "kernels/kinds.h"

namespace chainrule {
namespace {

constexpr std::int64_t block_places = 192;

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

}  // namespace

WindowBlocks::WindowBlocks(const Window& window, const Frame& frame)
    : window_(window),
      frame_(frame),
      is_framed_(has_border_or_gaps(window, frame)),
      steps_(steps_of(window.lengths, window.groups * window.channels)),
      x_steps_(steps_of(frame.lengths, window.groups * window.channels)) {
  const auto is_single = [&](std::size_t axis) {
    return window.lengths[axis] == 1 && frame.lengths[axis] == 1 && frame.before[axis] == 0;
  };
  axis_ = 0;
  while (axis_ + 1 < spatial_axes && is_single(axis_)) ++axis_;
  lines_ = window.places(axis_);

  in_line_ = {0};
  for (std::size_t axis = axis_ + 1; axis < spatial_axes; ++axis) {
    std::vector<std::int64_t> longer;
    for (const std::int64_t offset : in_line_) {
      for (std::int64_t place = 0; place < window.places(axis); ++place) {
        longer.push_back(offset + place * window.stride[axis] * steps_[axis + 1]);
      }
    }
    in_line_ = std::move(longer);
  }
  const std::int64_t image_places = std::max<std::int64_t>(lines_ * line_places(), 1);
  images_at_once_ = std::max<std::int64_t>(block_places / image_places, 1);
  lines_at_once_ = std::clamp<std::int64_t>(block_places / std::max<std::int64_t>(line_places(), 1),
                                            1, std::max<std::int64_t>(lines_, 1));

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

std::int64_t WindowBlocks::count(std::int64_t begin, std::int64_t end) const {
  if (lines_ == 0 || line_places() == 0) return 0;
  const std::int64_t groups = (end - begin + images_at_once_ - 1) / images_at_once_;
  return groups * blocks_of_images();
}

WindowBlocks::Block WindowBlocks::block(std::int64_t begin, std::int64_t end,
                                        std::int64_t number) const {
  const std::int64_t of_image = blocks_of_images();
  const std::int64_t image = begin + number / of_image * images_at_once_;
  const std::int64_t line = number % of_image * lines_at_once_;
  return {image, std::min(images_at_once_, end - image), line,
          std::min(lines_at_once_, lines_ - line)};
}

// How many lines of an image lie under some lines of places.
std::int64_t WindowBlocks::lines_under(std::int64_t lines) const {
  return (lines - 1) * window_.stride[axis_] +
         window_.dilation[axis_] * (window_.kernel[axis_] - 1) + 1;
}

std::int64_t WindowBlocks::most_offsets() const {
  const std::int64_t offsets = images_at_once_ * lines_at_once_ * line_places();
  constexpr std::int64_t unit = cache_line / static_cast<std::int64_t>(sizeof(std::int64_t));
  return (offsets + unit - 1) / unit * unit;
}

std::int64_t WindowBlocks::scratch_bytes(std::int64_t itemsize) const {
  const std::int64_t offsets = most_offsets() * static_cast<std::int64_t>(sizeof(std::int64_t));
  if (!is_framed_) return offsets;
  return offsets + images_at_once_ * lines_under(lines_at_once_) * steps_[axis_ + 1] * itemsize;
}

template <typename T>
WindowBlocks::Elements<T> WindowBlocks::elements(const Block& block, const T* x,
                                                 std::byte* scratch) const {
  auto* const offsets = reinterpret_cast<std::int64_t*>(scratch);
  T* const copy = reinterpret_cast<T*>(offsets + most_offsets());
  T* end = copy;
  std::int64_t* next = offsets;
  const std::int64_t line_step = steps_[axis_ + 1];
  const std::int64_t first = block.line * window_.stride[axis_];
  for (std::int64_t i = 0; i < block.images; ++i) {
    std::int64_t offset;
    if (is_framed_) {
      offset = end - copy;
      end = copy_lines(axis_, first, first + lines_under(block.lines),
                       x + (block.image + i) * x_steps_[0], end);
    } else {
      offset = (block.image + i) * steps_[0] + first * line_step;
    }
    for (std::int64_t line = 0; line < block.lines; ++line) {
      for (const std::int64_t place : in_line_) *next++ = offset + place;
      offset += window_.stride[axis_] * line_step;
    }
  }
  return {is_framed_ ? copy : x, offsets};
}

// Positions `begin` ... `end` - 1 along an axis of the window's lengths, and all of the axes behind
// it; returns where the copy ends.
template <typename T>
T* WindowBlocks::copy_lines(std::size_t axis, std::int64_t begin, std::int64_t end, const T* x,
                            T* to) const {
  const std::int64_t step = steps_[axis + 1], x_step = x_steps_[axis + 1];
  const std::int64_t before = frame_.before[axis], apart = frame_.step[axis];
  const bool is_last = axis + 1 == spatial_axes;
  const auto bytes = [](std::int64_t count) { return static_cast<std::size_t>(count) * sizeof(T); };
  for (std::int64_t at = begin; at < end;) {
    const std::int64_t distance = at - before;
    const std::int64_t element = distance / apart;
    if (distance < 0 || element >= frame_.lengths[axis]) {  // up to the next element, or the end
      const std::int64_t zeros = (distance < 0 ? std::min(before, end) : end) - at;
      std::memset(to, 0, bytes(zeros * step));
      to += zeros * step;
      at += zeros;
    } else if (distance % apart != 0) {
      const std::int64_t zeros = std::min(apart - distance % apart, end - at);
      std::memset(to, 0, bytes(zeros * step));
      to += zeros * step;
      at += zeros;
    } else if (is_last) {
      const std::int64_t elements =
          apart == 1 ? std::min(end - at, frame_.lengths[axis] - element) : 1;
      std::memcpy(to, x + element * x_step, bytes(elements * step));
      to += elements * step;
      at += elements;
    } else {
      to = copy_lines(axis + 1, 0, window_.lengths[axis + 1], x + element * x_step, to);
      ++at;
    }
  }
  return to;
}

template WindowBlocks::Elements<float> WindowBlocks::elements(const Block&, const float*,
                                                              std::byte*) const;
template WindowBlocks::Elements<double> WindowBlocks::elements(const Block&, const double*,
                                                               std::byte*) const;

}  // namespace chainrule
