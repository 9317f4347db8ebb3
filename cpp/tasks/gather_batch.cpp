// The batches of the user's arrays.
#include <cstring>
#include <type_traits>

#include "tasks/building.h"

namespace chainrule {
namespace {

class GatherBatchTask final : public Task {
 public:
  GatherBatchTask(const GatherBatch& gather, const Building& building)
      : gather_(gather),
        kernels_(building.kernels),
        inputs_(building.inputs),
        out_(building.memory.at(gather.out)) {
    // The input's dtype is not known yet, so it is not asked.
    split(building.chunks, gather.rows, number(gather.rows) * (5 + 0.2 * number(gather.columns)));
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

std::unique_ptr<Task> make_task(const GatherBatch& gather, const Building& building) {
  return std::make_unique<GatherBatchTask>(gather, building);
}

}  // namespace chainrule
