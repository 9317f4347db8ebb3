// Poolings: the maximum and the sum of windows, and the sum's gradient.
#include <algorithm>

#include "tasks/building.h"
#include "tasks/pool_places.h"

namespace chainrule {
namespace {

// What the three have in common.
class PoolTask : public Task {
 protected:
  explicit PoolTask(const PoolWindow& window) : places_(window) {
    need_scratch(places_.scratch_bytes());
  }

  template <typename T>
  static T* optional(const std::optional<Ref>& ref, const Building& building) {
    return ref ? building.memory.at<T>(*ref) : nullptr;
  }
  // From `from` on; null stays null.
  template <typename T>
  static T* from(T* first, std::int64_t from) {
    return first == nullptr ? nullptr : first + from;
  }

  // Rows for themselves: each result depends on x alone.
  void split_rows(const Building& building) {
    split(building.chunks, places_.rows(), nanoseconds());
  }
  // All windows of an outer together: they add to the same elements, in a fixed order.
  void split_outer(const PoolWindow& window, const Building& building) {
    if (places_.rows() > 0) split(building.chunks, window.outer, nanoseconds());
  }

  PoolPlaces places_;

 private:
  double nanoseconds() const {
    return 0.2 * number(places_.rows()) * number(places_.row_size()) * number(places_.taps() + 2);
  }
};

template <typename T>
class MaxPoolTask final : public PoolTask {
 public:
  MaxPoolTask(const MaxPool& pool, const Building& building)
      : PoolTask(pool.window),
        kernel_(kernels_of<T>(building.kernels).max_pool),
        x_(building.memory.at<const T>(pool.x)),
        y_(building.memory.at<T>(pool.y)),
        taps_(optional<std::int32_t>(pool.taps, building)) {
    split_rows(building);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Range rows = share(chunk, places_.rows());
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      places_.visit_row(row, worker.scratch, [&](const PoolRun& run, std::int64_t result) {
        kernel_(run, x_, y_ + result, from(taps_, result));
      });
    }
    return true;
  }

 private:
  void (*kernel_)(const PoolRun&, const T*, T*, std::int32_t*);
  const T* x_;
  T* y_;
  std::int32_t* taps_;
};

template <typename T>
class SumPoolTask final : public PoolTask {
 public:
  SumPoolTask(const SumPool& pool, const Building& building)
      : PoolTask(pool.window),
        kernel_(kernels_of<T>(building.kernels).sum_pool),
        x_(building.memory.at<const T>(pool.x)),
        taps_(optional<const std::int32_t>(pool.taps, building)),
        y_(building.memory.at<T>(pool.y)) {
    split_rows(building);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Range rows = share(chunk, places_.rows());
    for (std::int64_t row = rows.begin; row < rows.end; ++row) {
      places_.visit_row(row, worker.scratch, [&](const PoolRun& run, std::int64_t result) {
        kernel_(run, x_, from(taps_, result), y_ + result);
      });
    }
    return true;
  }

 private:
  void (*kernel_)(const PoolRun&, const T*, const std::int32_t*, T*);
  const T* x_;
  const std::int32_t* taps_;
  T* y_;
};

template <typename T>
class SumPoolInputGradTask final : public PoolTask {
 public:
  SumPoolInputGradTask(const SumPoolInputGrad& pool, const Building& building)
      : PoolTask(pool.window),
        kernel_(kernels_of<T>(building.kernels).spread_pool),
        outer_(places_.rows() == 0 ? 0 : pool.window.outer),
        g_(building.memory.at<const T>(pool.g)),
        taps_(optional<const std::int32_t>(pool.taps, building)),
        x_(building.memory.at<T>(pool.x)) {
    split_outer(pool.window, building);
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Range outer = share(chunk, outer_);
    const std::int64_t rows = places_.rows_of_outer();
    for (std::int64_t o = outer.begin; o < outer.end; ++o) {
      if (!places_.covers_once()) std::fill_n(x_ + o * places_.plane(), places_.plane(), T(0));
      for (std::int64_t row = o * rows; row < (o + 1) * rows; ++row) {
        places_.visit_row(row, worker.scratch, [&](const PoolRun& run, std::int64_t result) {
          kernel_(run, g_ + result, from(taps_, result), x_, !places_.covers_once());
        });
      }
    }
    return true;
  }

 private:
  void (*kernel_)(const PoolRun&, const T*, const std::int32_t*, T*, bool);
  std::int64_t outer_;
  const T* g_;
  const std::int32_t* taps_;
  T* x_;
};

}  // namespace

std::unique_ptr<Task> make_task(const MaxPool& pool, const Building& building) {
  return make_floating_task_of<MaxPoolTask>(pool, building);
}
std::unique_ptr<Task> make_task(const SumPool& pool, const Building& building) {
  return make_floating_task_of<SumPoolTask>(pool, building);
}
std::unique_ptr<Task> make_task(const SumPoolInputGrad& pool, const Building& building) {
  return make_floating_task_of<SumPoolInputGradTask>(pool, building);
}

}  // namespace chainrule
