// Products with rows of tables.
#include <optional>

#include "tasks/building.h"
#include "tasks/indices.h"
#include "tasks/row_update.h"

namespace chainrule {
namespace {

template <typename T>
class Operand {
 public:
  Operand(const TableRows& rows, const Memory& memory)
      : length_(rows.length),
        table_(memory.at<const T>(rows.table)),
        indices_(rows.indices ? memory.at<const std::int64_t>(*rows.indices) : nullptr) {}

  // `count` rows; nothing if the table lacks one of them.
  std::optional<TableRowsOf<T>> rows(std::int64_t count) const {
    if (indices_ != nullptr && !are_places(indices_, count, length_)) return std::nullopt;
    return TableRowsOf<T>{table_, indices_};
  }

 private:
  std::int64_t length_;
  const T* table_;
  const std::int64_t* indices_;
};

constexpr double nanoseconds_a_product = 0.06;

template <typename T>
constexpr std::int64_t unit = cache_line / static_cast<std::int64_t>(sizeof(T));

// Into how many parts columns are split. Where rows do not begin on cache lines, threads would
// write parts of the same lines: one thread alone is faster.
template <typename T>
std::int64_t parts_of(std::int64_t columns) {
  return columns % unit<T> == 0 ? column_parts(columns / unit<T>) : 1;
}

// All tasks go by columns: so a thread finds in its cache the parts of rows that it has written,
// and no other has touched.

// The parts are chunks: their number does not depend on `building`, for the sums do.
template <typename T>
class RowProductsTask final : public Task {
 public:
  RowProductsTask(const RowProducts& products, const Building& building)
      : products_(products),
        kernel_(kernels_of<T>(building.kernels).row_products),
        a_(products.a, building.memory),
        b_(products.b, building.memory),
        out_(building.memory.at<T>(products.out)) {
    split(static_cast<std::int32_t>(products.parts), products.parts, 0);
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const auto& [dtype, parts, groups, m, n, width, a, b, out] = products_;
    const Range columns = share(chunk, width, unit<T>);
    const auto a_rows = a_.rows(groups * m);
    const auto b_rows = b_.rows(groups * n);
    if (!a_rows || !b_rows) return false;
    kernel_(*a_rows, *b_rows, width, out_ + chunk * groups * m * n, groups, m, n, columns.begin,
            columns.length());
    return true;
  }

 private:
  RowProducts products_;
  decltype(Kernels<T>::row_products) kernel_;
  Operand<T> a_, b_;
  T* out_;
};

template <typename T>
class WeightedRowsTask final : public Task {
 public:
  WeightedRowsTask(const WeightedRows& sums, const Building& building)
      : sums_(sums),
        kernel_(kernels_of<T>(building.kernels).weighted_rows),
        b_(sums.b, building.memory),
        weights_{building.memory.at<const T>(sums.weights),
                 sums.groups,
                 sums.m,
                 sums.n,
                 sums.transposed ? 1 : sums.n,
                 sums.transposed ? sums.m : 1},
        out_(building.memory.at<T>(sums.out)) {
    const double work = number(sums.groups) * number(sums.m) * number(sums.n);
    split(building.chunks, parts_of<T>(sums.width),
          work * number(sums.width) * nanoseconds_a_product);
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range columns = share(chunk, sums_.width, unit<T>);
    const auto rows = b_.rows(sums_.groups * sums_.n);
    if (!rows) return false;
    kernel_(weights_, *rows, sums_.width, out_, columns.begin, columns.length());
    return true;
  }

 private:
  WeightedRows sums_;
  decltype(Kernels<T>::weighted_rows) kernel_;
  Operand<T> b_;
  WeightsOf<T> weights_;
  T* out_;
};

template <typename T>
class SubtractRowsTask final : public RowUpdateTask {
 public:
  SubtractRowsTask(const SubtractRows& update, const Building& building)
      : RowUpdateTask(update, building),
        width_(update.inner),
        kernel_(kernels_of<T>(building.kernels).subtract_rows),
        values_(building.memory.at<const T>(update.values)),
        factor_(building.memory.at<const T>(update.factor)) {
    // Never by the indices: of equal ones the order counts.
    split(building.chunks, parts_of<T>(width_), 0.2 * number(rows_to_write()) * number(width_));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    if (!are_places(indices_, count_, length_)) return false;
    constexpr auto size = static_cast<std::int64_t>(sizeof(T));
    const Range columns = share(chunk, width_, unit<T>);
    update(chunk, {columns.begin * size, columns.end * size}, [&] {
      kernel_(reinterpret_cast<T*>(out_), indices_, values_, *factor_, count_, width_,
              columns.begin, columns.length());
    });
    return true;
  }

 private:
  std::int64_t width_;
  decltype(Kernels<T>::subtract_rows) kernel_;
  const T* values_;
  const T* factor_;
};

}  // namespace

std::unique_ptr<Task> make_task(const RowProducts& products, const Building& building) {
  return make_floating_task_of<RowProductsTask>(products, building);
}

std::unique_ptr<Task> make_task(const WeightedRows& sums, const Building& building) {
  return make_floating_task_of<WeightedRowsTask>(sums, building);
}

std::unique_ptr<Task> make_task(const SubtractRows& update, const Building& building) {
  return make_floating_task_of<SubtractRowsTask>(update, building);
}

}  // namespace chainrule
