// Parts of an array by their index.
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
    for (std::int64_t i = range.begin; i < range.end; ++i) {
      const std::int64_t outer = i / gather_.count;
      const std::int64_t index = indices_[i - outer * gather_.count];
      const auto from =
          gather_.wraps ? position(index, gather_.length) : place(index, gather_.length);
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

}  // namespace

std::unique_ptr<Task> make_task(const Gather& gather, const Building& building) {
  return std::make_unique<GatherTask>(gather, building);
}

}  // namespace chainrule
