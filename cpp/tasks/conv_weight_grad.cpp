// The gradient of a convolution's weights: sums over all places of outer products.
#include <algorithm>

#include "tasks/building.h"
#include "tasks/window.h"

namespace chainrule {
namespace {

constexpr std::int64_t block_places = 256;  // whose part of g stays in L2
constexpr std::int64_t part_rows = 48;      // of a tap's elements, that a thread takes at once

template <typename T>
class ConvWeightGradTask final : public Task {
 public:
  ConvWeightGradTask(const ConvWeightGrad& conv, const Building& building)
      : places_(conv.window),
        groups_(conv.window.groups),
        channels_(conv.window.channels),
        filters_(conv.window.filters),
        kernel_(kernels_of<T>(building.kernels).window_sum),
        x_(building.memory.at<const T>(conv.x)),
        g_(building.memory.at<const T>(conv.g)),
        w_(building.memory.at<T>(conv.w)) {
    if (kernel_ == nullptr) building.lacks("convolutions", conv.dtype);
    need_scratch(block_places * static_cast<std::int64_t>(sizeof(std::int64_t)));
    if (filters_ == 0 || places_.depth() == 0) return;
    parts_of_tap_ = (places_.depth() + part_rows - 1) / part_rows;
    count_ = groups_ * taps() * parts_of_tap_;
    const double multiplications = number(places_.count()) * number(groups_ * taps()) *
                                   number(places_.depth()) * number(filters_);
    split(building.chunks, count_, multiplications / 50);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    auto* const places = reinterpret_cast<std::int64_t*>(worker.scratch);
    const Range range = share(chunk, count_);
    // At least one block, which writes the zeros of no places.
    for (std::int64_t begin = 0; begin == 0 || begin < places_.count(); begin += block_places) {
      const std::int64_t count = std::min(block_places, places_.count() - begin);
      places_.offsets(begin, count, places);
      for (std::int64_t i = range.begin; i < range.end; ++i) add_part(i, begin, count, places);
    }
    return true;
  }

 private:
  std::int64_t taps() const { return static_cast<std::int64_t>(places_.taps().size()); }

  void add_part(std::int64_t part, std::int64_t begin, std::int64_t count,
                const std::int64_t* places) const noexcept {
    const std::int64_t row = part % parts_of_tap_ * part_rows;
    const std::int64_t tap = part / parts_of_tap_;  // those of a group after those of another
    const std::int64_t group = tap / taps();
    const std::int64_t filters = groups_ * filters_;
    const std::int64_t offset = places_.taps()[static_cast<std::size_t>(tap % taps())];
    kernel_({w_ + (tap * places_.depth() + row) * filters_, filters_,
             x_ + group * channels_ + offset + row, places, count,
             g_ + begin * filters + group * filters_, filters,
             std::min(part_rows, places_.depth() - row), filters_, begin > 0});
  }

  WindowPlaces places_;
  std::int64_t groups_, channels_, filters_;
  std::int64_t parts_of_tap_ = 0, count_ = 0;
  void (*kernel_)(const WindowSum<T>&);
  const T* x_;
  const T* g_;
  T* w_;
};

}  // namespace

std::unique_ptr<Task> make_task(const ConvWeightGrad& conv, const Building& building) {
  return make_floating_task_of<ConvWeightGradTask>(conv, building);
}

}  // namespace chainrule
