// All tasks but the matrix product.
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>

#include "matrix_product.h"
#include "program.h"
#include "task.h"

namespace chainrule {

void Task::split(std::int32_t requested, std::int64_t parts, double nanoseconds) {
  // Handing work over costs up to a microsecond.
  constexpr double worth_sharing = 4000;
  constexpr double enough = 64;
  const auto limit = static_cast<double>(std::clamp<std::int64_t>(parts, 1, max_chunks));
  const double chunks = requested > 0 ? requested : std::min(nanoseconds / worth_sharing, enough);
  chunks_ = static_cast<std::int32_t>(std::clamp(chunks, 1.0, limit));
}

namespace {

constexpr std::int64_t cache_line = 64;

double number(std::int64_t count) { return static_cast<double>(count); }

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

// Up to 6 nested loops; the innermost two by a copy of elements of one size.
class CopyTask final : public Task {
 public:
  CopyTask(const Copy& copy, std::int32_t chunks, const Memory& memory)
      : itemsize_(copy.itemsize), x_(memory.at(copy.x)), out_(memory.at(copy.out)) {
    // Axes that follow each other in both arrays are one.
    for (std::size_t i = 0; i < copy.shape.size(); ++i) {
      const Axis axis = {copy.shape[i], copy.x_strides[i] * itemsize_,
                         copy.out_strides[i] * itemsize_};
      count_ *= axis.size;
      if (axis.size == 1) continue;
      if (axes_ > 0) {
        Axis& before = axis_[axes_ - 1];
        if (before.x == axis.x * axis.size && before.out == axis.out * axis.size) {
          before = {before.size * axis.size, axis.x, axis.out};
          continue;
        }
      }
      axis_[axes_++] = axis;
    }
    if (count_ == 0) return;
    // The loops below want two axes at least, and the first is the one to split.
    while (axes_ < 2) {
      std::move_backward(axis_.begin(), axis_.begin() + axes_, axis_.begin() + axes_ + 1);
      axis_[0] = {1, 0, 0};
      ++axes_;
    }
    // A single run of elements is split in itself, by a cache line.
    by_last_ = axes_ == 2 && axis_[0].size == 1;
    split(chunks, by_last_ ? (axis_[1].size + unit - 1) / unit : axis_[0].size,
          0.3 * number(count_));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    if (count_ == 0) return true;
    auto axis = axis_;
    Axis& shared = by_last_ ? axis[1] : axis[0];
    const Range range = share(chunk, shared.size, by_last_ ? unit : 1);
    shared.size = range.length();
    const std::byte* const x = x_ + range.begin * shared.x;
    std::byte* const out = out_ + range.begin * shared.out;
    copy(axis.data(), axes_, x, out);
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line;

  struct Axis {
    std::int64_t size, x, out;  // steps in bytes
  };

  void copy(const Axis* axis, std::size_t axes, const std::byte* x, std::byte* out) const {
    if (axes > 2) {
      for (std::int64_t i = 0; i < axis->size; ++i) {
        copy(axis + 1, axes - 1, x + i * axis->x, out + i * axis->out);
      }
      return;
    }
    switch (itemsize_) {
      case 1:
        return copy_plane<std::uint8_t>(axis[0], axis[1], x, out);
      case 2:
        return copy_plane<std::uint16_t>(axis[0], axis[1], x, out);
      case 4:
        return copy_plane<std::uint32_t>(axis[0], axis[1], x, out);
      default:
        return copy_plane<std::uint64_t>(axis[0], axis[1], x, out);
    }
  }

  template <typename T>
  static void copy_plane(const Axis& rows, const Axis& columns, const std::byte* x,
                         std::byte* out) {
    constexpr auto item = static_cast<std::int64_t>(sizeof(T));
    if (columns.x == item && columns.out == item) {
      for (std::int64_t row = 0; row < rows.size; ++row) {
        std::memcpy(out + row * rows.out, x + row * rows.x,
                    static_cast<std::size_t>(columns.size * item));
      }
      return;
    }
    // In squares: a transposition reads each cache line once, not once per element.
    constexpr std::int64_t side = 16;
    for (std::int64_t row = 0; row < rows.size; row += side) {
      const std::int64_t row_end = std::min(rows.size, row + side);
      for (std::int64_t column = 0; column < columns.size; column += side) {
        const std::int64_t column_end = std::min(columns.size, column + side);
        for (std::int64_t i = row; i < row_end; ++i) {
          for (std::int64_t j = column; j < column_end; ++j) {
            std::memcpy(out + i * rows.out + j * columns.out, x + i * rows.x + j * columns.x,
                        sizeof(T));
          }
        }
      }
    }
  }

  std::int64_t itemsize_;
  std::int64_t count_ = 1;
  std::array<Axis, 7> axis_ = {};
  std::size_t axes_ = 0;
  bool by_last_ = false;
  const std::byte* x_;
  std::byte* out_;
};

class FillTask final : public Task {
 public:
  FillTask(const Fill& fill, std::int32_t chunks, const Memory& memory)
      : fill_(fill), out_(memory.at(fill.out)) {
    split(chunks, (fill.count + unit - 1) / unit,
          0.02 * number(fill.count) * number(itemsize(fill.dtype)));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range range = share(chunk, fill_.count, unit);
    with_type(fill_.dtype, [&]<typename T>(T*) {
      std::fill_n(reinterpret_cast<T*>(out_) + range.begin, range.length(),
                  static_cast<T>(fill_.value));
    });
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line;
  Fill fill_;
  std::byte* out_;
};

// The place of an index that may count from the end, or nothing.
std::optional<std::int64_t> place(std::int64_t index, std::int64_t length) {
  if (index < 0) index += length;
  if (index < 0 || index >= length) return std::nullopt;
  return index;
}

class GatherTask final : public Task {
 public:
  GatherTask(const Gather& gather, std::int32_t chunks, const Memory& memory)
      : gather_(gather),
        piece_(gather.inner * gather.itemsize),
        x_(memory.at(gather.x)),
        indices_(memory.at<const std::int64_t>(gather.indices)),
        out_(memory.at(gather.out)) {
    const std::int64_t pieces = gather.outer * gather.count;
    split(chunks, pieces, number(pieces) * (2 + 0.05 * number(piece_)));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range range = share(chunk, gather_.outer * gather_.count);
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t outer = i / gather_.count;
      const auto from = place(indices_[i - outer * gather_.count], gather_.length);
      if (!from) return false;
      const std::byte* const piece = x_ + (outer * gather_.length + *from) * piece_;
      if (piece_ != 0) std::memcpy(out_ + i * piece_, piece, static_cast<std::size_t>(piece_));
    }
    return true;
  }

 private:
  Gather gather_;
  std::int64_t piece_;  // bytes
  const std::byte* x_;
  const std::int64_t* indices_;
  std::byte* out_;
};

template <typename T>
class ScatterAddTask final : public Task {
 public:
  ScatterAddTask(const ScatterAdd& scatter, std::int32_t chunks, const Memory& memory)
      : scatter_(scatter),
        x_(memory.at<const T>(scatter.x)),
        indices_(memory.at<const std::int64_t>(scatter.indices)),
        out_(memory.at<T>(scatter.out)) {
    // Never by the indices: of equal ones the order of additions counts.
    const std::int64_t units = (scatter.inner + unit - 1) / unit;
    by_outer_ = scatter.outer >= units;
    split(chunks, by_outer_ ? scatter.outer : units,
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
        const auto row = place(indices_[i], scatter_.length);
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

class GatherBatchTask final : public Task {
 public:
  GatherBatchTask(const GatherBatch& gather, std::int32_t chunks, const Memory& memory,
                  const KernelTable& kernels, const std::vector<Input>& inputs)
      : gather_(gather), kernels_(kernels), inputs_(inputs), out_(memory.at(gather.out)) {
    // The input's dtype is not known yet, so it is not asked.
    split(chunks, gather.rows, number(gather.rows) * (5 + 0.2 * number(gather.columns)));
  }

  bool run(std::int32_t chunk, const Worker& worker) const noexcept override {
    const Input& input = inputs_[static_cast<std::size_t>(gather_.input)];
    const Range rows = share(chunk, gather_.rows);
    if (gather_.columns == 0) return true;
    if (input.dtype == gather_.dtype) {
      with_type(gather_.dtype, [&]<typename T>(T*) { copy<T>(input, rows, worker.order); });
    } else if (gather_.dtype == DType::float32) {
      convert<float>(input, rows, worker.order);
    } else if (gather_.dtype == DType::float64) {
      convert<double>(input, rows, worker.order);
    } else {
      convert<std::int64_t>(input, rows, worker.order);
    }
    return true;
  }

 private:
  // Rows so short that a loop is faster than a call.
  static constexpr std::int64_t few = 16;

  template <typename T>
  void copy(const Input& input, Range rows, const std::int64_t* order) const {
    const auto bytes = static_cast<std::size_t>(gather_.columns) * sizeof(T);
    if (bytes == sizeof(T)) {
      copy_pieces<sizeof(T), 1>(input, rows, order, bytes);
    } else if (bytes <= 2 * sizeof(T)) {
      copy_pieces<sizeof(T), 2>(input, rows, order, bytes);
    } else if (bytes <= 4 * sizeof(T)) {
      copy_pieces<2 * sizeof(T), 2>(input, rows, order, bytes);
    } else if (bytes <= 8 * sizeof(T)) {
      copy_pieces<4 * sizeof(T), 2>(input, rows, order, bytes);
    } else if (bytes <= 16 * sizeof(T)) {
      copy_pieces<8 * sizeof(T), 2>(input, rows, order, bytes);
    } else {
      copy_pieces<0, 1>(input, rows, order, bytes);
    }
  }

  // Rows of one or two pieces of a fixed size, which need no call. Two may overlap. 0: any size.
  template <std::size_t piece, int pieces>
  void copy_pieces(const Input& input, Range rows, const std::int64_t* order,
                   std::size_t bytes) const {
    std::byte* out = out_ + rows.begin * static_cast<std::int64_t>(bytes);
    for (std::int64_t i = rows.begin; i < rows.end; ++i, out += bytes) {
      const std::byte* const row = input.data + order[i] * input.row_bytes;
      std::memcpy(out, row, piece == 0 ? bytes : piece);
      if constexpr (pieces == 2) std::memcpy(out + bytes - piece, row + bytes - piece, piece);
    }
  }

  template <typename T>
  void convert(const Input& input, Range rows, const std::int64_t* order) const {
    const bool rounds =
        std::is_integral_v<T> && (input.dtype == DType::float32 || input.dtype == DType::float64);
    if (gather_.columns <= few && !rounds && input.dtype != DType::boolean) {
      with_type(input.dtype, [&]<typename From>(From*) {
        if constexpr (std::is_integral_v<From> || std::is_floating_point_v<T>) {
          convert_short<T, From>(input, rows, order);
        }
      });
      return;
    }
    const auto kernel = kernels_of<T>(kernels_).load[static_cast<std::size_t>(input.dtype)];
    T* out = reinterpret_cast<T*>(out_) + rows.begin * gather_.columns;
    for (std::int64_t i = rows.begin; i < rows.end; ++i, out += gather_.columns) {
      kernel(out, input.data + order[i] * input.row_bytes, gather_.columns);
    }
  }

  template <typename T, typename From>
  void convert_short(const Input& input, Range rows, const std::int64_t* order) const {
    const std::int64_t columns = gather_.columns;
    T* out = reinterpret_cast<T*>(out_) + rows.begin * columns;
    for (std::int64_t i = rows.begin; i < rows.end; ++i, out += columns) {
      const From* const row =
          reinterpret_cast<const From*>(input.data + order[i] * input.row_bytes);
      for (std::int64_t j = 0; j < columns; ++j) out[j] = static_cast<T>(row[j]);
    }
  }

  GatherBatch gather_;
  const KernelTable& kernels_;
  const std::vector<Input>& inputs_;
  std::byte* out_;
};

// make<T> for the dtype; validation has left only those.
template <template <typename> typename TaskOf, typename... Arguments>
std::unique_ptr<Task> of_dtype(DType dtype, const Arguments&... arguments) {
  if (dtype == DType::float32) return std::make_unique<TaskOf<float>>(arguments...);
  if (dtype == DType::float64) return std::make_unique<TaskOf<double>>(arguments...);
  return std::make_unique<TaskOf<std::int64_t>>(arguments...);
}

}  // namespace

std::unique_ptr<Task> make_task(const Instruction& instruction, const Memory& memory,
                                const KernelTable& kernels, const std::vector<Input>& inputs) {
  const std::string& label = instruction.label;
  const std::int32_t chunks = instruction.chunks;
  struct Maker {
    const std::string& label;
    std::int32_t chunks;
    const Memory& memory;
    const KernelTable& kernels;
    const std::vector<Input>& inputs;

    std::unique_ptr<Task> operator()(const Program& work) const {
      return of_dtype<ProgramTask>(work.dtype, work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const Gemm& work) const {
      return make_matrix_product(work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const Reduce& work) const {
      return of_dtype<ReduceTask>(work.dtype, work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const Rows& work) const {
      return of_dtype<RowsTask>(work.dtype, work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const Copy& work) const {
      return std::make_unique<CopyTask>(work, chunks, memory);
    }
    std::unique_ptr<Task> operator()(const Fill& work) const {
      return std::make_unique<FillTask>(work, chunks, memory);
    }
    std::unique_ptr<Task> operator()(const Gather& work) const {
      return std::make_unique<GatherTask>(work, chunks, memory);
    }
    std::unique_ptr<Task> operator()(const ScatterAdd& work) const {
      return of_dtype<ScatterAddTask>(work.dtype, work, chunks, memory);
    }
    std::unique_ptr<Task> operator()(const RandomUniform& work) const {
      return of_dtype<RandomUniformTask>(work.dtype, work, label, chunks, memory, kernels);
    }
    std::unique_ptr<Task> operator()(const GatherBatch& work) const {
      return std::make_unique<GatherBatchTask>(work, chunks, memory, kernels, inputs);
    }
  };
  return std::visit(Maker{label, chunks, memory, kernels, inputs}, instruction.work);
}

}  // namespace chainrule
