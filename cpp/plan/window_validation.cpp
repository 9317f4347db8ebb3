// The checks of convolutions.
#include "plan/validator.h"

namespace chainrule {
namespace {

// Elements of the operands of a convolution.
struct Sizes {
  std::int64_t x, w, y, places, image;
};

Sizes sizes_of(const Validator& validator, DType dtype, const Window& window, const Frame& frame) {
  validator.demand(is_floating(dtype), "convolutions compute in float32 or float64, not " +
                                           std::string(name_of(dtype)));
  validator.length("images", window.images);
  validator.length("groups", window.groups);
  validator.length("channels", window.channels);
  validator.length("filters", window.filters);
  for (const auto* list : {&window.lengths, &window.kernel, &window.stride, &window.dilation,
                           &frame.lengths, &frame.before, &frame.step}) {
    if (list->size() != spatial_axes) {
      validator.refuse("a window has " + std::to_string(spatial_axes) + " spatial axes, got " +
                       std::to_string(list->size()));
    }
  }
  Sizes sizes = {product(window.images, window.groups, window.channels),
                 product(window.groups, window.channels, window.filters),
                 product(window.images, window.groups, window.filters), window.images,
                 product(window.groups, window.channels)};
  for (std::size_t axis = 0; axis < spatial_axes; ++axis) {
    const std::int64_t kernel = window.kernel[axis];
    validator.length("an axis", window.lengths[axis]);
    validator.length("the kernel", kernel);
    validator.length("the stride", window.stride[axis]);
    validator.length("the dilation", window.dilation[axis]);
    validator.demand(kernel > 0 && window.stride[axis] > 0 && window.dilation[axis] > 0,
                     "kernel, stride and dilation must be positive");
    const std::int64_t reach = sum(product(window.dilation[axis], kernel - 1), 1);
    if (reach > window.lengths[axis]) {
      validator.refuse("the kernel reaches over " + std::to_string(reach) + ", x over " +
                       std::to_string(window.lengths[axis]));
    }
    validator.length("an axis of x", frame.lengths[axis]);
    validator.length("the step", frame.step[axis]);
    validator.demand(frame.step[axis] > 0, "the step must be positive");
    validator.length("what lies before x", std::abs(frame.before[axis]));
    sizes.x = product(sizes.x, frame.lengths[axis]);
    sizes.image = product(sizes.image, window.lengths[axis]);
    sizes.w = product(sizes.w, kernel);
    sizes.y = product(sizes.y, window.places(axis));
    sizes.places = product(sizes.places, window.places(axis));
  }
  validator.length("x", sizes.x);
  validator.length("an image", sizes.image);
  validator.length("w", sizes.w);
  validator.length("y", sizes.y);
  return sizes;
}

}  // namespace

std::vector<Extent> Validator::operator()(const Conv& conv) const {
  const Sizes sizes = sizes_of(*this, conv.dtype, conv.window, conv.frame);
  const Extent y = place("y", conv.y, conv.dtype, sizes.y);
  const Extent x = place("x", conv.x, conv.dtype, sizes.x);
  const Extent w = place("w", conv.w, conv.dtype, sizes.w);
  apart(y, x);
  apart(y, w);
  std::vector<Extent> written = {y};
  if (conv.epilogue) {
    const std::int64_t channels = product(conv.window.groups, conv.window.filters);
    epilogue(*conv.epilogue, {conv.y, conv.dtype, channels, 0}, sizes.places, channels, {x, w},
             written);
  }
  return written;
}

std::vector<Extent> Validator::operator()(const ConvWeightGrad& conv) const {
  const Sizes sizes = sizes_of(*this, conv.dtype, conv.window, conv.frame);
  length("parts", conv.parts);
  demand(conv.parts > 0, "there must be a part of the images");
  const std::int64_t sums = product(conv.parts, sizes.w);
  length("w", sums);
  const Extent w = place("w", conv.w, conv.dtype, sums);
  apart(w, place("x", conv.x, conv.dtype, sizes.x));
  apart(w, place("g", conv.g, conv.dtype, sizes.y));
  return {w};
}

}  // namespace chainrule
