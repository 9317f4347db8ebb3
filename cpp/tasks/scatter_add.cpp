// Sums of parts with the same index.
#include <algorithm>
#include <type_traits>

#include "kernels/rounding.h"
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
    const std::int64_t units = ceil_div(scatter.inner, unit);
    by_outer_ = scatter.outer >= units;
    split(building.chunks, by_outer_ ? scatter.outer : column_parts(units),
          0.2 * number(scatter.outer) * number(scatter.inner) *
              (number(scatter.count) + number(scatter.length)));
    if (is_long()) need_scratch(scatter.length * scatter.inner * std::int64_t{sizeof(double)});
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    Range outer = {0, scatter_.outer};
    Range inner = {0, scatter_.inner};
    if (by_outer_) {
      outer = share(chunk, scatter_.outer);
    } else {
      inner = share(chunk, scatter_.inner, unit);
    }
    for (std::int64_t o = outer.begin; o < outer.end; ++o) {
      T* const plane = out_ + o * scatter_.length * scatter_.inner + inner.begin;
      const T* const from = x_ + o * scatter_.count * scatter_.inner + inner.begin;
      if (is_long()) {
        double* const totals = reinterpret_cast<double*>(worker.scratch);
        if (!add(from, inner.length(), totals, inner.length())) return false;
        for (std::int64_t i = 0; i < scatter_.length; ++i) {
          std::transform(totals + i * inner.length(), totals + (i + 1) * inner.length(),
                         plane + i * scatter_.inner, [](double x) { return static_cast<T>(x); });
        }
      } else if (!add(from, inner.length(), plane, scatter_.inner)) {
        return false;
      }
    }
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line / static_cast<std::int64_t>(sizeof(T));

  // Whether an index may have parts enough for their sum in float32 to lose digits. The sums in
  // float64 stay in L2.
  bool is_long() const {
    constexpr std::int64_t many_parts = 1 << 16, many_of_each = 1 << 10, most_sums = 1 << 17;
    const bool has_many =
        scatter_.count >= many_parts || scatter_.count / many_of_each >= scatter_.length;
    return std::is_same_v<T, float> && has_many && scatter_.inner > 0 &&
           scatter_.length <= most_sums / scatter_.inner;
  }

  // to[row] = the sums of `width` columns of the parts whose index is that row. A row of `to` is
  // `stride` from the next. False where an index is out of range.
  template <typename Sum>
  bool add(const T* from, std::int64_t width, Sum* to, std::int64_t stride) const noexcept {
    for (std::int64_t i = 0; i < scatter_.length; ++i) std::fill_n(to + i * stride, width, Sum(0));
    for (std::int64_t i = 0; i < scatter_.count; ++i, from += scatter_.inner) {
      const auto row = position(indices_[i], scatter_.length);
      if (!row) return false;
      Sum* const sums = to + *row * stride;
      for (std::int64_t j = 0; j < width; ++j) sums[j] = sum(sums[j], static_cast<Sum>(from[j]));
    }
    return true;
  }

  // Whole numbers wrap around as NumPy's do.
  template <typename Sum>
  static Sum sum(Sum a, Sum b) {
    if constexpr (std::is_integral_v<Sum>) {
      using Unsigned = std::make_unsigned_t<Sum>;
      return static_cast<Sum>(static_cast<Unsigned>(a) + static_cast<Unsigned>(b));
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
