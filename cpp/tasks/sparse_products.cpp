// Products with sparse rows.
#include <algorithm>
#include <array>
#include <type_traits>

#include "tasks/building.h"
#include "tasks/indices.h"

namespace chainrule {
namespace {

// The entries of sparse rows, without the zeros at the end of each.
template <typename T>
class Entries {
 public:
  Entries(const SparseRows& x, const Memory& memory)
      : x_(x),
        indices_(memory.at<const std::int64_t>(x.indices)),
        values_(memory.at<const T>(x.values)) {}

  std::int64_t scratch_bytes() const { return x_.rows * std::int64_t{sizeof(std::int64_t)}; }

  // Counts the entries of each row, in `counts`. False where a column is out of range.
  bool count(std::int64_t* counts) const {
    if (!are_places(indices_, x_.rows * x_.entries, x_.columns)) return false;
    for (std::int64_t row = 0; row < x_.rows; ++row) {
      std::int64_t end = x_.entries;
      while (end > 0 && values_[row * x_.entries + end - 1] == T(0)) --end;
      counts[row] = end;
    }
    return true;
  }

  // Calls visit(column, value) for the entries of a row.
  void visit(std::int64_t row, std::int64_t count, auto&& visit) const {
    const std::int64_t begin = row * x_.entries;
    for (std::int64_t i = begin; i < begin + count; ++i) visit(indices_[i], values_[i]);
  }

 private:
  SparseRows x_;
  const std::int64_t* indices_;
  const T* values_;
};

// Of both products; their chunks are shares of the outputs.
template <typename T, typename Product>
class SparseProductTask : public Task {
 protected:
  SparseProductTask(const Product& product, const Building& building)
      : product_(product), entries_(product.x, building.memory) {
    const double work = number(product.x.rows) * number(product.x.entries);
    split(building.chunks, column_parts(ceil_div(product.outputs, together)),
          0.4 * number(product.outputs) * work);
    need_scratch(entries_.scratch_bytes());
  }

  // Calls work(count, o, counts) for the outputs o ... o + count - 1, until all of a chunk are
  // done: `together` at a time, and those left one by one. False where a column is out of range.
  bool for_outputs(std::int32_t chunk, const Worker& worker, auto&& work) const {
    auto* const counts = reinterpret_cast<std::int64_t*>(worker.scratch);
    if (!entries_.count(counts)) return false;
    auto [o, end] = share(chunk, product_.outputs, together);
    for (; o + together <= end; o += together) work(Count<together>{}, o, counts);
    for (; o < end; ++o) work(Count<1>{}, o, counts);
    return true;
  }

  template <int count>
  using Count = std::integral_constant<int, count>;
  static constexpr int together = 4;  // outputs, for which the entries are read once

  Product product_;
  Entries<T> entries_;
};

template <typename T>
class SparseMatmulTask final : public SparseProductTask<T, SparseMatmul> {
  using Base = SparseProductTask<T, SparseMatmul>;

 public:
  SparseMatmulTask(const SparseMatmul& matmul, const Building& building)
      : Base(matmul, building),
        weight_(building.memory.at<const T>(matmul.weight)),
        out_(building.memory.at<T>(matmul.out)) {}

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    return this->for_outputs(
        chunk, worker, [&](auto count, auto o, auto* counts) { multiply<count()>(o, counts); });
  }

 private:
  template <int outputs>
  void multiply(std::int64_t o, const std::int64_t* counts) const {
    const std::int64_t columns = this->product_.x.columns;
    const T* const weights = weight_ + o * columns;
    for (std::int64_t row = 0; row < this->product_.x.rows; ++row) {
      std::array<double, outputs> sums{};
      this->entries_.visit(row, counts[row], [&](std::int64_t column, T value) {
        for (int i = 0; i < outputs; ++i) {
          sums[i] +=
              static_cast<double>(value) * static_cast<double>(weights[i * columns + column]);
        }
      });
      T* const to = out_ + row * this->product_.outputs + o;
      for (int i = 0; i < outputs; ++i) to[i] = static_cast<T>(sums[i]);
    }
  }

  const T* weight_;
  T* out_;
};

template <typename T>
class SparseMatmulWeightGradTask final : public SparseProductTask<T, SparseMatmulWeightGrad> {
  using Base = SparseProductTask<T, SparseMatmulWeightGrad>;

 public:
  SparseMatmulWeightGradTask(const SparseMatmulWeightGrad& grad, const Building& building)
      : Base(grad, building),
        g_(building.memory.at<const T>(grad.g)),
        out_(building.memory.at<T>(grad.out)) {}

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    return this->for_outputs(chunk, worker,
                             [&](auto count, auto o, auto* counts) { add<count()>(o, counts); });
  }

 private:
  template <int outputs>
  void add(std::int64_t o, const std::int64_t* counts) const {
    const std::int64_t columns = this->product_.x.columns;
    T* const sums = out_ + o * columns;
    std::fill_n(sums, outputs * columns, T(0));
    for (std::int64_t row = 0; row < this->product_.x.rows; ++row) {
      std::array<T, outputs> g;
      std::copy_n(g_ + row * this->product_.outputs + o, outputs, g.begin());
      this->entries_.visit(row, counts[row], [&](std::int64_t column, T value) {
        for (int i = 0; i < outputs; ++i) sums[i * columns + column] += g[i] * value;
      });
    }
  }

  const T* g_;
  T* out_;
};

}  // namespace

std::unique_ptr<Task> make_task(const SparseMatmul& matmul, const Building& building) {
  return make_floating_task_of<SparseMatmulTask>(matmul, building);
}

std::unique_ptr<Task> make_task(const SparseMatmulWeightGrad& grad, const Building& building) {
  return make_floating_task_of<SparseMatmulWeightGradTask>(grad, building);
}

}  // namespace chainrule
