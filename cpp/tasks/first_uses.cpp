// Which indices are the first that mean their row.
#include <algorithm>
#include <bit>

#include "tasks/building.h"
#include "tasks/indices.h"

namespace chainrule {
namespace {

class FirstUsesTask final : public Task {
 public:
  FirstUsesTask(const FirstUses& uses, const Building& building)
      : uses_(uses),
        indices_(building.memory.at<const std::int64_t>(uses.indices)),
        out_(building.memory.at<std::int64_t>(uses.out)),
        // At most half of the places are taken.
        bits_(std::bit_width(static_cast<std::uint64_t>(std::max<std::int64_t>(uses.count, 1))) +
              1) {
    need_scratch((std::int64_t{1} << bits_) * std::int64_t{sizeof(std::int64_t)});
  }

  bool run(std::int32_t, const Worker& worker) const noexcept override {
    // Hashing with linear probing; a place holds the number of a first index, or -1.
    auto* const firsts = reinterpret_cast<std::int64_t*>(worker.scratch);
    const std::uint64_t mask = (std::uint64_t{1} << bits_) - 1;
    std::fill_n(firsts, mask + 1, -1);
    for (std::int64_t i = 0; i < uses_.count; ++i) {
      const auto row = position(indices_[i], uses_.length);
      if (!row) return false;
      std::uint64_t at = (static_cast<std::uint64_t>(*row) * 0x9e3779b97f4a7c15u) >> (64 - bits_);
      while (firsts[at] >= 0 && position(indices_[firsts[at]], uses_.length) != row) {
        at = (at + 1) & mask;
      }
      if (firsts[at] < 0) firsts[at] = i;
      out_[i] = firsts[at];
    }
    return true;
  }

 private:
  FirstUses uses_;
  const std::int64_t* indices_;
  std::int64_t* out_;
  int bits_;
};

}  // namespace

std::unique_ptr<Task> make_task(const FirstUses& uses, const Building& building) {
  return std::make_unique<FirstUsesTask>(uses, building);
}

}  // namespace chainrule
