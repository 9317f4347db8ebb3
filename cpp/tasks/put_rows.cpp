// Rows written at their indices.
#include <cstring>

#include "kernels/rounding.h"
#include "tasks/row_update.h"

namespace chainrule {
namespace {

class PutRowsTask final : public RowUpdateTask {
 public:
  PutRowsTask(const PutRows& put, const Building& building)
      : RowUpdateTask(put, building), values_(building.memory.at(put.values)) {
    // By columns: of equal indices the first wins.
    split(building.chunks, column_parts(ceil_div(row_bytes_, cache_line)),
          number(rows_to_write()) * (20 + 0.1 * number(row_bytes_)));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    for (std::int64_t i = 0; i < count_; ++i) {
      if (!position(indices_[i], length_)) return false;
    }
    const Range bytes = share(chunk, row_bytes_, cache_line);
    update(chunk, bytes, [&] {
      for (std::int64_t i = count_ - 1; i >= 0; --i) {
        std::memcpy(row(i) + bytes.begin, values_ + i * row_bytes_ + bytes.begin,
                    static_cast<std::size_t>(bytes.length()));
      }
    });
    return true;
  }

 private:
  const std::byte* values_;
};

}  // namespace

std::unique_ptr<Task> make_task(const PutRows& put, const Building& building) {
  return std::make_unique<PutRowsTask>(put, building);
}

}  // namespace chainrule
