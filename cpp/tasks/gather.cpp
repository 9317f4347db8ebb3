// Parts of an array by their index.
#include <algorithm>
#include <cstring>

#include "tasks/building.h"
#include "tasks/indices.h"

namespace chainrule {
namespace {

class GatherTask final : public Task {
 public:
  GatherTask(const Gather& gather, const Building& building)
      : gather_(gather),
        piece_(gather.inner * gather.itemsize),
        x_(building.memory.at(gather.x)),
        indices_(building.memory.at<const std::int64_t>(gather.indices)),
        out_(building.memory.at(gather.out)) {
    const std::int64_t pieces = gather.outer * gather.count;
    split(building.chunks, pieces, number(pieces) * (2 + 0.05 * number(piece_)));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range range = share(chunk, gather_.outer * gather_.count);
    switch (piece_) {  // the size of one element, known when it is compiled, needs no call
      case 4:
        return copy<4>(range);
      case 8:
        return copy<8>(range);
      default:
        return copy<0>(range);
    }
  }

 private:
  Gather gather_;
  std::int64_t piece_;  // bytes
  const std::byte* x_;
  const std::int64_t* indices_;
  std::byte* out_;

  // Pieces of `size` bytes, or of any number where that is 0.
  template <std::int64_t size>
  bool copy(Range range) const noexcept {
    const std::int64_t piece = size != 0 ? size : piece_;
    for (std::int64_t i = range.begin; i < range.end;) {
      const std::int64_t outer = i / gather_.count;
      const std::byte* const plane = x_ + outer * gather_.length * piece;
      const std::int64_t* const indices = indices_ - outer * gather_.count;
      const std::int64_t end = std::min(range.end, (outer + 1) * gather_.count);
      for (; i < end; ++i) {
        const auto from = gather_.wraps ? position(indices[i], gather_.length)
                                        : place(indices[i], gather_.length);
        if (!from) return false;
        if (piece == 0) continue;
        std::memcpy(out_ + i * piece, plane + *from * piece, static_cast<std::size_t>(piece));
      }
    }
    return true;
  }
};

}  // namespace

std::unique_ptr<Task> make_task(const Gather& gather, const Building& building) {
  return std::make_unique<GatherTask>(gather, building);
}

}  // namespace chainrule
