// Sums of parts with the same index.
#include <algorithm>
#include <type_traits>

#include "tasks/building.h"
#include "tasks/indices.h"

namespace chainrule {
namespace {

template <typename T>
class ScatterAddTask final : public Task {
 public:
  ScatterAddTask(const ScatterAdd& scatter, const Building& building)
      : scatter_(scatter),
        x_(building.memory.at<const T>(scatter.x)),
        indices_(building.memory.at<const std::int64_t>(scatter.indices)),
        out_(building.memory.at<T>(scatter.out)) {
    // Never by the indices: of equal ones the order of additions counts.
    const std::int64_t units = (scatter.inner + unit - 1) / unit;
    by_outer_ = scatter.outer >= units;
    split(building.chunks, by_outer_ ? scatter.outer : units,
          0.2 * number(scatter.outer) * number(scatter.inner) *
              (number(scatter.count) + number(scatter.length)));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    Range outer = {0, scatter_.outer};
    Range inner = {0, scatter_.inner};
    if (by_outer_) {
      outer = share(chunk, scatter_.outer);
    } else {
      inner = share(chunk, scatter_.inner, unit);
    }
    for (std::int64_t o = outer.begin; o < outer.end; ++o) {
      T* const plane = out_ + o * scatter_.length * scatter_.inner + inner.begin;
      const T* from = x_ + o * scatter_.count * scatter_.inner + inner.begin;
      for (std::int64_t i = 0; i < scatter_.length; ++i) {
        std::fill_n(plane + i * scatter_.inner, inner.length(), T(0));
      }
      for (std::int64_t i = 0; i < scatter_.count; ++i, from += scatter_.inner) {
        const auto row = position(indices_[i], scatter_.length);
        if (!row) return false;
        T* const to = plane + *row * scatter_.inner;
        for (std::int64_t j = 0; j < inner.length(); ++j) to[j] = sum(to[j], from[j]);
      }
    }
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line / static_cast<std::int64_t>(sizeof(T));

  // Whole numbers wrap around as NumPy's do.
  static T sum(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      using Unsigned = std::make_unsigned_t<T>;
      return static_cast<T>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
    } else {
      return a + b;
    }
  }

  ScatterAdd scatter_;
  const T* x_;
  const std::int64_t* indices_;
  T* out_;
  bool by_outer_ = true;
};

}  // namespace

std::unique_ptr<Task> make_task(const ScatterAdd& scatter, const Building& building) {
  return make_task_of<ScatterAddTask>(scatter, building);
}

}  // namespace chainrule
