// The checks of convolutions and poolings.
#include <algorithm>

#include "kernels/conv/tiles.h"
#include "plan/validator.h"

namespace chainrule {
namespace {

void spatial(const Validator& validator, const std::vector<std::int64_t>& list) {
  if (list.size() != spatial_axes) {
    validator.refuse("a window has " + std::to_string(spatial_axes) + " spatial axes, got " +
                     std::to_string(list.size()));
  }
}

// Refuses a window that does not fit on an axis.
void along(const Validator& validator, std::int64_t length, std::int64_t kernel,
           std::int64_t stride, std::int64_t dilation) {
  validator.length("an axis", length);
  validator.length("the kernel", kernel);
  validator.length("the stride", stride);
  validator.length("the dilation", dilation);
  validator.demand(kernel > 0 && stride > 0 && dilation > 0,
                   "kernel, stride and dilation must be positive");
  const std::int64_t reach = sum(product(dilation, kernel - 1), 1);
  if (reach > length) {
    validator.refuse("the kernel reaches over " + std::to_string(reach) + ", x over " +
                     std::to_string(length));
  }
}

// Elements of the operands of a convolution.
struct Sizes {
  std::int64_t x, w, y, places, image;
};

Sizes sizes_of(const Validator& validator, DType dtype, const Window& window, const Frame& frame,
               bool winograd) {
  validator.demand(is_floating(dtype), "convolutions compute in float32 or float64, not " +
                                           std::string(name_of(dtype)));
  validator.length("images", window.images);
  validator.length("groups", window.groups);
  validator.length("channels", window.channels);
  validator.length("filters", window.filters);
  for (const auto* list : {&window.lengths, &window.kernel, &window.stride, &window.dilation,
                           &frame.lengths, &frame.before, &frame.step}) {
    spatial(validator, *list);
  }
  Sizes sizes = {product(window.images, window.groups, window.channels),
                 product(window.groups, window.channels, window.filters),
                 product(window.images, window.groups, window.filters), window.images,
                 product(window.groups, window.channels)};
  for (std::size_t axis = 0; axis < spatial_axes; ++axis) {
    along(validator, window.lengths[axis], window.kernel[axis], window.stride[axis],
          window.dilation[axis]);
    validator.length("an axis of x", frame.lengths[axis]);
    validator.length("the step", frame.step[axis]);
    validator.demand(frame.step[axis] > 0, "the step must be positive");
    const std::int64_t before = frame.before[axis];
    validator.demand(before >= -most_elements && before <= most_elements,
                     "what lies before x is too large: " + std::to_string(before));
    sizes.x = product(sizes.x, frame.lengths[axis]);
    sizes.image = product(sizes.image, window.lengths[axis]);
    sizes.w = product(sizes.w, window.kernel[axis]);
    sizes.y = product(sizes.y, window.places(axis));
    sizes.places = product(sizes.places, window.places(axis));
  }
  if (winograd) {
    const std::vector<std::int64_t> ones(spatial_axes, 1);
    validator.demand(window.groups == 1 && window.kernel == std::vector<std::int64_t>{1, 3, 3} &&
                         window.lengths[0] == 1 && frame.lengths[0] == 1 && frame.before[0] == 0 &&
                         window.stride == ones && window.dilation == ones && frame.step == ones,
                     "Winograd's convolution has one group and a kernel of 3 x 3 over two axes "
                     "that moves by single elements");
    validator.demand(window.channels > 0 && window.filters > 0,
                     "Winograd's convolution has channels and filters");
    sizes.w = product(winograd::tile_numbers, window.channels, window.filters);
  }
  validator.length("x", sizes.x);
  validator.length("an image", sizes.image);
  validator.length("w", sizes.w);
  validator.length("y", sizes.y);
  return sizes;
}

// Elements of a y that has places as the frame says.
std::int64_t spread_places(const Validator& validator, const Window& window, const Frame& frame) {
  for (const auto* list : {&frame.lengths, &frame.before, &frame.step}) spatial(validator, *list);
  std::int64_t size = product(window.images, window.groups, window.filters);
  for (std::size_t axis = 0; axis < spatial_axes; ++axis) {
    validator.length("an axis of y", frame.lengths[axis]);
    validator.length("what lies before the places", frame.before[axis]);
    validator.length("the step of places", frame.step[axis]);
    const std::int64_t places = window.places(axis);
    const std::int64_t end =
        places == 0 ? 0 : sum(sum(frame.before[axis], product(places - 1, frame.step[axis])), 1);
    validator.demand(frame.step[axis] > 0 && end <= frame.lengths[axis],
                     "places must lie inside y, apart from each other");
    size = product(size, frame.lengths[axis]);
  }
  validator.length("y", size);
  return size;
}

// Elements of the operands of a pooling.
struct PoolSizes {
  std::int64_t x, y;
};

PoolSizes sizes_of(const Validator& validator, DType dtype, const PoolWindow& window) {
  validator.demand(is_floating(dtype),
                   "poolings compute in float32 or float64, not " + std::string(name_of(dtype)));
  validator.length("outer", window.outer);
  validator.length("inner", window.inner);
  for (const auto* list : {&window.lengths, &window.kernel, &window.stride, &window.dilation,
                           &window.before, &window.after}) {
    spatial(validator, *list);
  }
  const std::int64_t each = product(window.outer, window.inner);
  PoolSizes sizes = {each, each};
  std::int64_t bordered = each, taps = 1;
  for (std::size_t axis = 0; axis < spatial_axes; ++axis) {
    validator.length("an axis", window.lengths[axis]);
    validator.length("before", window.before[axis]);
    validator.length("after", window.after[axis]);
    const std::int64_t length =
        sum(sum(window.before[axis], window.lengths[axis]), window.after[axis]);
    along(validator, length, window.kernel[axis], window.stride[axis], window.dilation[axis]);
    bordered = product(bordered, length);
    sizes.x = product(sizes.x, window.lengths[axis]);
    sizes.y = product(sizes.y, window.places(axis));
    taps = product(taps, window.kernel[axis]);
  }
  if (taps > most_taps) {
    validator.refuse("a window has up to " + std::to_string(most_taps) + " elements, got " +
                     std::to_string(taps));
  }
  validator.length("x with its border", bordered);
  return sizes;
}

}  // namespace

std::vector<Extent> Validator::operator()(const Conv& conv) const {
  Sizes sizes = sizes_of(*this, conv.dtype, conv.window, conv.frame, conv.winograd);
  if (conv.y_frame) {
    demand(!conv.winograd && !conv.epilogue,
           "neither Winograd's convolution nor one with an epilogue spreads its places out");
    sizes.y = spread_places(*this, conv.window, *conv.y_frame);
  }
  demand(!conv.accumulate || conv.y_frame, "only places in a frame are added to what y holds");
  const Extent y = place("y", conv.y, conv.dtype, sizes.y);
  const Extent x = place("x", conv.x, conv.dtype, sizes.x);
  const Extent w = place("w", conv.w, conv.dtype, sizes.w);
  apart(y, x);
  apart(y, w);
  std::vector<Extent> written = {y};
  if (conv.epilogue) {
    const std::int64_t channels = product(conv.window.groups, conv.window.filters);
    epilogue(*conv.epilogue, {conv.y, conv.dtype, channels, 0}, sizes.places, channels,
             sizes.places / std::max<std::int64_t>(conv.window.images, 1), {x, w}, written);
  }
  return written;
}

std::vector<Extent> Validator::operator()(const ConvWeightGrad& conv) const {
  const Sizes sizes = sizes_of(*this, conv.dtype, conv.window, conv.frame, conv.winograd);
  length("parts", conv.parts);
  demand(conv.parts > 0, "there must be a part of the images");
  const std::int64_t sums = product(conv.parts, sizes.w);
  length("w", sums);
  const Extent w = place("w", conv.w, conv.dtype, sums);
  apart(w, place("x", conv.x, conv.dtype, sizes.x));
  apart(w, place("g", conv.g, conv.dtype, sizes.y));
  return {w};
}

std::vector<Extent> Validator::operator()(const MaxPool& pool) const {
  const PoolSizes sizes = sizes_of(*this, pool.dtype, pool.window);
  const Extent x = place("x", pool.x, pool.dtype, sizes.x);
  std::vector<Extent> results = {place("y", pool.y, pool.dtype, sizes.y)};
  apart(results[0], x);
  if (pool.taps) {
    results.push_back(place("taps", *pool.taps, DType::int32, sizes.y));
    apart(results[1], x);
    apart(results[1], results[0]);
  }
  return results;
}

std::vector<Extent> Validator::operator()(const SumPool& pool) const {
  const PoolSizes sizes = sizes_of(*this, pool.dtype, pool.window);
  const Extent y = place("y", pool.y, pool.dtype, sizes.y);
  apart(y, place("x", pool.x, pool.dtype, sizes.x));
  if (pool.taps) apart(y, place("taps", *pool.taps, DType::int32, sizes.y));
  return {y};
}

std::vector<Extent> Validator::operator()(const SumPoolInputGrad& pool) const {
  const PoolSizes sizes = sizes_of(*this, pool.dtype, pool.window);
  const Extent x = place("x", pool.x, pool.dtype, sizes.x);
  apart(x, place("g", pool.g, pool.dtype, sizes.y));
  if (pool.taps) apart(x, place("taps", *pool.taps, DType::int32, sizes.y));
  return {x};
}

}  // namespace chainrule
