#include "tasks/pool_places.h"

#include <algorithm>

#include "kernels/rounding.h"

namespace chainrule {

PoolPlaces::PoolPlaces(const PoolWindow& window) : inner_(window.inner), plane_(window.inner) {
  for (std::size_t axis = spatial_axes; axis-- > 0;) {
    axes_[axis] = {window.lengths[axis],
                   window.kernel[axis],
                   window.stride[axis],
                   window.dilation[axis],
                   window.before[axis],
                   window.places(axis),
                   plane_};
    plane_ *= window.lengths[axis];
    const bool side_by_side =
        window.places(axis) == 1 || window.stride[axis] == window.kernel[axis];
    const bool has_gaps = window.kernel[axis] > 1 && window.dilation[axis] > 1;
    covers_once_ = covers_once_ && side_by_side && !has_gaps && window.before[axis] == 0 &&
                   window.places(axis) * window.kernel[axis] == window.lengths[axis];
  }
  // There may be no result at all, and more places than memory holds.
  rows_ = window.outer * inner_ == 0 ? 0 : window.outer * rows_of_outer();
  if (rows_ == 0) return;

  for (std::int64_t place = 0; place < axes_[2].places; ++place) {
    const Taps taps = axes_[2].inside(place);
    if (runs_.empty() || runs_.back().taps != taps) runs_.push_back({place, place, taps});
    ++runs_.back().end;
  }
  for (std::int64_t i = 0; i < axes_[0].kernel; ++i) {
    for (std::int64_t j = 0; j < axes_[1].kernel; ++j) {
      for (std::int64_t k = 0; k < axes_[2].kernel; ++k) {
        taps_.push_back(i * axes_[0].dilation * axes_[0].step +
                        j * axes_[1].dilation * axes_[1].step +
                        k * axes_[2].dilation * axes_[2].step);
        numbers_.push_back(static_cast<std::int32_t>(numbers_.size()));
      }
    }
  }
}

PoolPlaces::Taps PoolPlaces::Axis::inside(std::int64_t place) const {
  const std::int64_t first = place * stride - before;
  const std::int64_t begin = first < 0 ? ceil_div(-first, dilation) : 0;
  const std::int64_t end = first < length ? (length - 1 - first) / dilation + 1 : 0;
  return {std::min(begin, kernel), std::max(std::min(begin, kernel), std::min(end, kernel))};
}

PoolRun PoolPlaces::taps_in(Taps i, Taps j, Taps k, std::byte* scratch) const {
  PoolRun run = {};
  run.taps = taps_.data();
  run.numbers = numbers_.data();
  run.tap_count = (i.end - i.begin) * (j.end - j.begin) * (k.end - k.begin);
  run.has_all = run.tap_count == taps();
  if (run.has_all) return run;
  auto* const inside = reinterpret_cast<std::int64_t*>(scratch);
  auto* const numbers = reinterpret_cast<std::int32_t*>(inside + taps_.size());
  std::int64_t count = 0;
  for (std::int64_t a = i.begin; a < i.end; ++a) {
    for (std::int64_t b = j.begin; b < j.end; ++b) {
      for (std::int64_t c = k.begin; c < k.end; ++c) {
        const std::int64_t number = (a * axes_[1].kernel + b) * axes_[2].kernel + c;
        inside[count] = taps_[static_cast<std::size_t>(number)];
        numbers[count++] = static_cast<std::int32_t>(number);
      }
    }
  }
  run.taps = inside;
  run.numbers = numbers;
  return run;
}

}  // namespace chainrule
