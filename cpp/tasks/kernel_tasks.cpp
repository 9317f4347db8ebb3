// Tasks of what kernels compute: programs, reductions, rows, random numbers.
#include <algorithm>
#include <array>
#include <stdexcept>
#include <string>
#include <string_view>

#include "tasks/program/program.h"
#include "tasks/tasks.h"

namespace chainrule {
namespace {

[[noreturn]] void refuse(const std::string& label, std::string_view what, DType dtype) {
  throw std::invalid_argument(label + ": no kernel for " + std::string(what) + " of " +
                              std::string(name_of(dtype)));
}

template <typename T>
class ProgramTask final : public Task {
 public:
  ProgramTask(const Program& program, const std::string& label, std::int32_t chunks,
              const Memory& memory, const KernelTable& kernels)
      : program_(program, label, memory, kernels_of<T>(kernels), true), unit_(program_.block()) {
    need_scratch(program_.scratch_bytes());
    if (program_.has_sums()) unit_ = sum_columns;
    const std::int64_t blocks = (program_.columns() + unit_ - 1) / unit_;
    by_rows_ = program_.rows() >= blocks && !program_.has_sums();
    split(chunks, by_rows_ ? program_.rows() : blocks, program_.nanoseconds());
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    Region region = {0, program_.rows(), 0, program_.columns()};
    if (by_rows_) {
      const Range rows = share(chunk, program_.rows());
      region.row_begin = rows.begin;
      region.row_end = rows.end;
    } else {
      const Range columns = share(chunk, program_.columns(), unit_);
      region.column_begin = columns.begin;
      region.column_end = columns.end;
    }
    program_.run(region, worker.scratch);
    return true;
  }

  std::int64_t chains() const override { return program_.fused_chains(); }

 private:
  // Fewer columns of many rows would be copied together into blocks.
  static constexpr std::int64_t sum_columns = 256;

  ElementwiseProgram<T> program_;
  std::int64_t unit_;  // columns that stay together
  bool by_rows_;
};

template <typename T>
class ReduceTask final : public Task {
 public:
  ReduceTask(const Reduce& reduce, const std::string& label, std::int32_t chunks,
             const Memory& memory, const KernelTable& kernels)
      : reduce_(reduce),
        kernel_(kernels_of<T>(kernels).reduce[static_cast<std::size_t>(reduce.kind)]),
        x_(memory.at<const T>(reduce.x)),
        out_(memory.at<T>(reduce.out)) {
    if (kernel_ == nullptr) refuse(label, "reductions", reduce.dtype);
    if (reduce.outer == 0 || reduce.inner == 0) return;
    const std::int64_t units = (reduce.inner + unit - 1) / unit;
    by_outer_ = reduce.outer >= units;
    split(chunks, by_outer_ ? reduce.outer : units,
          0.1 * number(reduce.outer) * number(reduce.length) * number(reduce.inner));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    if (reduce_.outer == 0 || reduce_.inner == 0) return true;
    Range outer = {0, reduce_.outer};
    Range inner = {0, reduce_.inner};
    if (by_outer_) {
      outer = share(chunk, reduce_.outer);
    } else {
      inner = share(chunk, reduce_.inner, unit);
    }
    kernel_(out_ + outer.begin * reduce_.inner + inner.begin,
            x_ + outer.begin * reduce_.length * reduce_.inner + inner.begin, outer.length(),
            reduce_.length, inner.length(), reduce_.inner);
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line / static_cast<std::int64_t>(sizeof(T));

  Reduce reduce_;
  void (*kernel_)(T* out, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner,
                  std::int64_t inner_total);
  const T* x_;
  T* out_;
  bool by_outer_ = true;
};

template <typename T>
class RowsTask final : public Task {
 public:
  RowsTask(const Rows& rows, const std::string& label, std::int32_t chunks, const Memory& memory,
           const KernelTable& kernels)
      : kind_(rows.kind),
        rows_(rows.rows),
        columns_(rows.columns),
        kernels_(kernels_of<T>(kernels)),
        out_(memory.at(rows.out)),
        second_(rows.second ? memory.at(*rows.second) : nullptr) {
    for (std::size_t i = 0; i < rows.inputs.size(); ++i) inputs_[i] = memory.at(rows.inputs[i]);
    if (!is_available()) refuse(label, name_of(rows.kind), rows.dtype);
    split(chunks, rows.rows, 0.5 * number(rows.rows) * number(rows.columns));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range range = share(chunk, rows_);
    const std::int64_t count = range.length();
    if (count == 0) return true;
    const auto column_of = [&](std::byte* data) { return at<T>(data, range.begin); };
    const auto matrix_of = [&](std::byte* data) { return at<T>(data, range.begin * columns_); };
    const auto integers_of = [&](std::byte* data) { return at<std::int64_t>(data, range.begin); };
    const auto& in = inputs_;
    switch (kind_) {
      case RowKind::softmax:
        kernels_.softmax(matrix_of(out_), matrix_of(in[0]), count, columns_);
        return true;
      case RowKind::log_softmax:
        kernels_.log_softmax(matrix_of(out_), matrix_of(in[0]), count, columns_);
        return true;
      case RowKind::logsumexp:
        kernels_.logsumexp(column_of(out_), matrix_of(in[0]), count, columns_);
        return true;
      case RowKind::argmax:
        kernels_.argmax(integers_of(out_), matrix_of(in[0]), count, columns_);
        return true;
      case RowKind::first_equal:
        kernels_.first_equal(matrix_of(out_), matrix_of(in[0]), column_of(in[1]), count, columns_);
        return true;
      case RowKind::softmax_cross_entropy:
        return kernels_.softmax_cross_entropy(column_of(out_), matrix_of(in[0]), integers_of(in[1]),
                                              count, columns_);
      case RowKind::softmax_cross_entropy_grad:
        return kernels_.softmax_cross_entropy_grad(matrix_of(out_), column_of(in[0]),
                                                   matrix_of(in[1]), integers_of(in[2]), count,
                                                   columns_);
      case RowKind::softmax_cross_entropy_and_grad:
        return kernels_.softmax_cross_entropy_and_grad(column_of(out_), matrix_of(second_),
                                                       column_of(in[0]), matrix_of(in[1]),
                                                       integers_of(in[2]), count, columns_);
      case RowKind::one_hot:
        return kernels_.one_hot(matrix_of(out_), integers_of(in[0]), count, columns_);
    }
    return true;
  }

 private:
  template <typename U>
  static U* at(std::byte* data, std::int64_t element) {
    return reinterpret_cast<U*>(data) + element;
  }

  bool is_available() const {
    switch (kind_) {
      case RowKind::softmax:
        return kernels_.softmax != nullptr;
      case RowKind::log_softmax:
        return kernels_.log_softmax != nullptr;
      case RowKind::logsumexp:
        return kernels_.logsumexp != nullptr;
      case RowKind::argmax:
        return kernels_.argmax != nullptr;
      case RowKind::first_equal:
        return kernels_.first_equal != nullptr;
      case RowKind::softmax_cross_entropy:
        return kernels_.softmax_cross_entropy != nullptr;
      case RowKind::softmax_cross_entropy_grad:
        return kernels_.softmax_cross_entropy_grad != nullptr;
      case RowKind::softmax_cross_entropy_and_grad:
        return kernels_.softmax_cross_entropy_and_grad != nullptr;
      case RowKind::one_hot:
        return kernels_.one_hot != nullptr;
    }
    return false;
  }

  RowKind kind_;
  std::int64_t rows_, columns_;
  const Kernels<T>& kernels_;
  std::array<std::byte*, 3> inputs_ = {};
  std::byte* out_;
  std::byte* second_;
};

template <typename T>
class RandomUniformTask final : public Task {
 public:
  RandomUniformTask(const RandomUniform& random, const std::string& label, std::int32_t chunks,
                    const Memory& memory, const KernelTable& kernels)
      : kernel_(kernels_of<T>(kernels).random_uniform),
        count_(random.count),
        state_(memory.at<const std::uint64_t>(random.state)),
        out_(memory.at<T>(random.out)) {
    if (kernel_ == nullptr) refuse(label, "random_uniform", random.dtype);
    split(chunks, (count_ + unit - 1) / unit, 0.5 * number(count_));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range range = share(chunk, count_, unit);
    kernel_(out_ + range.begin, state_[0], state_[1], range.begin, range.length());
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line;
  void (*kernel_)(T* out, std::uint64_t seed, std::uint64_t position, std::int64_t first,
                  std::int64_t count);
  std::int64_t count_;
  const std::uint64_t* state_;
  T* out_;
};

}  // namespace

std::unique_ptr<Task> make_program(const Program& program, const std::string& label,
                                   std::int32_t chunks, const Memory& memory,
                                   const KernelTable& kernels) {
  return of_dtype<ProgramTask>(program.dtype, program, label, chunks, memory, kernels);
}

std::unique_ptr<Task> make_reduce(const Reduce& reduce, const std::string& label,
                                  std::int32_t chunks, const Memory& memory,
                                  const KernelTable& kernels) {
  return of_dtype<ReduceTask>(reduce.dtype, reduce, label, chunks, memory, kernels);
}

std::unique_ptr<Task> make_rows(const Rows& rows, const std::string& label, std::int32_t chunks,
                                const Memory& memory, const KernelTable& kernels) {
  return of_dtype<RowsTask>(rows.dtype, rows, label, chunks, memory, kernels);
}

std::unique_ptr<Task> make_random_uniform(const RandomUniform& random, const std::string& label,
                                          std::int32_t chunks, const Memory& memory,
                                          const KernelTable& kernels) {
  return of_dtype<RandomUniformTask>(random.dtype, random, label, chunks, memory, kernels);
}

}  // namespace chainrule
