// What the tasks of poolings share: where the elements of windows lie.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/kernels.h"
#include "plan/plan.h"

namespace chainrule {

// Windows over x (outer, *lengths, inner). A row is what lies along the last axis of the places;
// rows are numbered over all of outer and the other axes.
class PoolPlaces {
 public:
  explicit PoolPlaces(const PoolWindow& window);

  std::int64_t rows() const { return rows_; }
  std::int64_t rows_of_outer() const { return axes_[0].places * axes_[1].places; }
  std::int64_t row_size() const { return axes_[2].places * inner_; }  // results of a row
  std::int64_t plane() const { return plane_; }  // elements of x for each outer
  std::int64_t taps() const { return static_cast<std::int64_t>(taps_.size()); }
  // Whether each element of x belongs to exactly one window.
  bool covers_once() const { return covers_once_; }

  std::int64_t scratch_bytes() const {
    return taps() * static_cast<std::int64_t>(sizeof(std::int64_t) + sizeof(std::int32_t));
  }

  // Calls visit(run, result) for the runs of windows of a row, where `result` is the number of the
  // run's first result. `scratch` has scratch_bytes().
  template <typename Visit>
  void visit_row(std::int64_t row, std::byte* scratch, Visit visit) const {
    const std::int64_t j = row % axes_[1].places;
    const std::int64_t i = row / axes_[1].places % axes_[0].places;
    const std::int64_t outer = row / rows_of_outer();
    for (const Run& run : runs_) {
      PoolRun windows = taps_in(axes_[0].inside(i), axes_[1].inside(j), run.taps, scratch);
      windows.windows = run.end - run.begin;
      windows.inner = inner_;
      windows.step = axes_[2].stride * axes_[2].step;
      windows.first =
          outer * plane_ + axes_[0].start(i) + axes_[1].start(j) + axes_[2].start(run.begin);
      visit(windows, row * row_size() + run.begin * inner_);
    }
  }

 private:
  struct Taps {
    std::int64_t begin, end;

    bool operator==(const Taps&) const = default;
  };

  struct Axis {
    std::int64_t length, kernel, stride, dilation, before;
    std::int64_t places;
    std::int64_t step;  // in x, from an element to the next

    // The distance of a place's first tap from the first element, which may be negative.
    std::int64_t start(std::int64_t place) const { return (place * stride - before) * step; }
    // The taps of a place that lie in x.
    Taps inside(std::int64_t place) const;
  };

  // Places along the last axis with the same taps in x.
  struct Run {
    std::int64_t begin, end;
    Taps taps;
  };

  // A run with its taps set.
  PoolRun taps_in(Taps i, Taps j, Taps k, std::byte* scratch) const;

  std::array<Axis, spatial_axes> axes_;
  std::int64_t inner_, plane_, rows_;
  bool covers_once_ = true;
  std::vector<Run> runs_;
  std::vector<std::int64_t> taps_;  // distances from the first tap
  std::vector<std::int32_t> numbers_;
};

}  // namespace chainrule
