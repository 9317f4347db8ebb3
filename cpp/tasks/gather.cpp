// Tasks that find rows by their index: gather, scatter_add, the batches of the user's arrays.
#include <algorithm>
#include <cstring>
#include <optional>
#include <type_traits>

#include "tasks/tasks.h"

namespace chainrule {
namespace {

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

}  // namespace

std::unique_ptr<Task> make_gather(const Gather& gather, std::int32_t chunks, const Memory& memory) {
  return std::make_unique<GatherTask>(gather, chunks, memory);
}

std::unique_ptr<Task> make_scatter_add(const ScatterAdd& scatter, std::int32_t chunks,
                                       const Memory& memory) {
  return of_dtype<ScatterAddTask>(scatter.dtype, scatter, chunks, memory);
}

std::unique_ptr<Task> make_gather_batch(const GatherBatch& gather, std::int32_t chunks,
                                        const Memory& memory, const KernelTable& kernels,
                                        const std::vector<Input>& inputs) {
  return std::make_unique<GatherBatchTask>(gather, chunks, memory, kernels, inputs);
}

}  // namespace chainrule
