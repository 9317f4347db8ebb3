// The gradient of a convolution's weights: sums over all places of outer products.
#include <algorithm>

#include "tasks/building.h"
#include "tasks/window.h"

namespace chainrule {
namespace {

constexpr std::int64_t block_places = 192;  // whose part of g stays in L1
// Of the elements of a window that a thread takes at once, and from where on it takes the more.
constexpr std::int64_t most_terms = 48, few_terms = 8, many = 96;

template <typename T>
class ConvWeightGradTask final : public Task {
 public:
  ConvWeightGradTask(const ConvWeightGrad& conv, const Building& building)
      : places_(conv.window),
        groups_(conv.window.groups),
        channels_(conv.window.channels),
        filters_(conv.window.filters),
        kernel_(kernels_of<T>(building.kernels).window_product),
        channel_kernel_(kernels_of<T>(building.kernels).channel_product),
        x_(building.memory.at<const T>(conv.x)),
        g_(building.memory.at<const T>(conv.g)),
        w_(building.memory.at<T>(conv.w)) {
    if (kernel_ == nullptr) building.lacks("convolutions", conv.dtype);
    need_scratch(block_places * static_cast<std::int64_t>(sizeof(std::int64_t)));
    if (filters_ == 0 || terms() == 0) return;
    part_ = terms() < many ? few_terms : most_terms;
    parts_ = (terms() + part_ - 1) / part_;
    count_ = is_by_channel() ? parts_ : groups_ * parts_;
    const double multiplications =
        number(places_.count()) * number(groups_) * number(terms()) * number(filters_);
    split(building.chunks, count_, multiplications / 50);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    auto* const places = reinterpret_cast<std::int64_t*>(worker.scratch);
    const Range range = share(chunk, count_);
    // At least one block, which writes the zeros of no places.
    for (std::int64_t begin = 0; begin == 0 || begin < places_.count(); begin += block_places) {
      const std::int64_t count = std::min(block_places, places_.count() - begin);
      places_.offsets(begin, count, places);
      // The parts of each group together.
      for (std::int64_t i = range.begin; i < range.end;) {
        const std::int64_t group = i / parts_;
        const std::int64_t end = std::min(range.end, (group + 1) * parts_);
        const std::int64_t first = (i - group * parts_) * part_;
        const std::int64_t last = std::min(terms(), (end - group * parts_) * part_);
        add_terms(group, first, last - first, begin, count, places);
        i = end;
      }
    }
    return true;
  }

 private:
  std::int64_t terms() const { return static_cast<std::int64_t>(places_.terms().size()); }
  bool is_by_channel() const { return channels_ == 1 && groups_ > 1; }

  // Adds `count` places from `begin` on to `rows` of a group's terms, from `first` on.
  void add_terms(std::int64_t group, std::int64_t first, std::int64_t rows, std::int64_t begin,
                 std::int64_t count, const std::int64_t* places) const noexcept {
    const std::int64_t filters = groups_ * filters_;
    const T* const g = g_ + begin * filters;
    const std::int64_t* const elements = places_.terms().data() + first;
    if (is_by_channel()) {
      for (std::int64_t f = 0; f < filters_; ++f) {
        channel_kernel_({w_ + first * filters_ + f, filters_, terms() * filters_, x_, elements,
                         places, count, g + f, filters, filters_, rows, groups_, begin > 0});
      }
      return;
    }
    kernel_({w_ + (group * terms() + first) * filters_, filters_, x_ + group * channels_, elements,
             places, count, g + group * filters_, filters, rows, filters_, begin > 0});
  }

  WindowPlaces places_;
  std::int64_t groups_, channels_, filters_;
  std::int64_t part_ = 1, parts_ = 0, count_ = 0;
  void (*kernel_)(const WindowProduct<T>&);
  void (*channel_kernel_)(const ChannelProduct<T>&);
  const T* x_;
  const T* g_;
  T* w_;
};

}  // namespace

std::unique_ptr<Task> make_task(const ConvWeightGrad& conv, const Building& building) {
  return make_floating_task_of<ConvWeightGradTask>(conv, building);
}

}  // namespace chainrule
