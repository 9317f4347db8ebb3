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
    switch (piece_) {  // single elements
      case sizeof(std::uint32_t):
        return copy_elements<std::uint32_t>(range);
      case sizeof(std::uint64_t):
        return copy_elements<std::uint64_t>(range);
      default:
        return copy_pieces(range);
    }
  }

 private:
  Gather gather_;
  std::int64_t piece_;  // bytes
  const std::byte* x_;
  const std::int64_t* indices_;
  std::byte* out_;

  bool copy_pieces(Range range) const noexcept {
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

  // Block by block: all indices are checked, without a branch for each, then the elements copied.
  template <typename Element>
  bool copy_elements(Range range) const noexcept {
    constexpr std::int64_t block = 256;
    std::int64_t positions[block];
    Element* const out = reinterpret_cast<Element*>(out_);
    for (std::int64_t i = range.begin; i < range.end;) {
      const std::int64_t outer = i / gather_.count;
      const std::int64_t end = std::min({range.end, (outer + 1) * gather_.count, i + block});
      const std::int64_t* const indices = indices_ + (i - outer * gather_.count);
      const std::int64_t count = end - i, length = gather_.length;
      const std::int64_t from_end = gather_.wraps ? length : 0;
      bool fits = true;
      for (std::int64_t j = 0; j < count; ++j) {
        positions[j] = indices[j] + (indices[j] < 0 ? from_end : 0);
        fits &= static_cast<std::uint64_t>(positions[j]) < static_cast<std::uint64_t>(length);
      }
      if (!fits) return false;
      const Element* const x = reinterpret_cast<const Element*>(x_) + outer * length;
      for (std::int64_t j = 0; j < count; ++j) out[i + j] = x[positions[j]];
      i = end;
    }
    return true;
  }
};

}  // namespace

std::unique_ptr<Task> make_task(const Gather& gather, const Building& building) {
  return std::make_unique<GatherTask>(gather, building);
}

}  // namespace chainrule
