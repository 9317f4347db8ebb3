// Windows that move over the spatial axes of an array: fields of convolutions and poolings.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace chainrule {

// One over fewer spatial axes has axes of length 1.
inline constexpr std::size_t spatial_axes = 3;

// How often a window lies over an axis; 0 where it is longer.
inline std::int64_t places_along(std::int64_t length, std::int64_t kernel, std::int64_t stride,
                                 std::int64_t dilation) {
  const std::int64_t free = length - dilation * (kernel - 1) - 1;
  return free < 0 ? 0 : free / stride + 1;
}

// How a kernel goes over x, of shape (images, *lengths, groups * channels): place p of its
// `places` lies over the elements stride * p + dilation * tap. Each of the lists has a number for
// each spatial axis.
struct Window {
  std::int64_t images, groups;
  std::int64_t channels, filters;  // of a group
  std::vector<std::int64_t> lengths, kernel, stride, dilation;

  std::int64_t places(std::size_t axis) const {
    return places_along(lengths[axis], kernel[axis], stride[axis], dilation[axis]);
  }

  void fields(auto&& field) {
    field("images", images);
    field("groups", groups);
    field("channels", channels);
    field("filters", filters);
    field("lengths", lengths);
    field("kernel", kernel);
    field("stride", stride);
    field("dilation", dilation);
  }
};

// Where x, of shape (images, *lengths, channels), lies in the lengths of a window: element p of an
// axis at before + step * p. What would lie outside is left out; where nothing lies there is 0.
// Or where the places of a window lie in y, of shape (images, *lengths, groups * filters): number p
// at before + step * p.
struct Frame {
  std::vector<std::int64_t> lengths, before, step;

  void fields(auto&& field) {
    field("lengths", lengths);
    field("before", before);
    field("step", step);
  }
};

// How a window goes over x, of shape (outer, *lengths, inner): each of outer and inner for itself.
// Place p of an axis lies over the elements stride * p + dilation * tap - before, of which those
// outside of x do not count; `after` is how far the last place may reach over the end.
struct PoolWindow {
  std::int64_t outer, inner;
  std::vector<std::int64_t> lengths, kernel, stride, dilation, before, after;

  std::int64_t places(std::size_t axis) const {
    return places_along(before[axis] + lengths[axis] + after[axis], kernel[axis], stride[axis],
                        dilation[axis]);
  }

  void fields(auto&& field) {
    field("outer", outer);
    field("inner", inner);
    field("lengths", lengths);
    field("kernel", kernel);
    field("stride", stride);
    field("dilation", dilation);
    field("before", before);
    field("after", after);
  }
};

// The taps of a window are numbered in row-major order, by numbers that float32 holds.
inline constexpr std::int64_t most_taps = std::int64_t{1} << 24;

}  // namespace chainrule
