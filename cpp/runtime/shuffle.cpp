#include "runtime/shuffle.h"

#include <array>
#include <bit>
#include <numeric>
#include <utility>

#if defined(_MSC_VER) && !defined(__clang__)
#include <intrin.h>
#endif

namespace chainrule {
namespace {

std::pair<std::uint64_t, std::uint64_t> high_and_low(std::uint64_t a, std::uint64_t b) {
#if defined(_MSC_VER) && !defined(__clang__)
  return {__umulh(a, b), a * b};
#else
  __extension__ using Wide = unsigned __int128;
  const Wide product = static_cast<Wide>(a) * b;
  return {static_cast<std::uint64_t>(product >> 64), static_cast<std::uint64_t>(product)};
#endif
}

// Philox4x64-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC
// 2011) with NumPy's counter, which is 1 at the first draw, as a stream of 32-bit words: the lower
// half of each 64 bits first.
class Words {
 public:
  Words(std::uint64_t first_key, std::uint64_t second_key) : key_{first_key, second_key} {}

  std::uint32_t next() {
    if (used_ == 2 * drawn_.size()) draw();
    const std::uint64_t word = drawn_[used_ / 2];
    return static_cast<std::uint32_t>(used_++ % 2 == 0 ? word : word >> 32);
  }

 private:
  void draw() {
    std::array<std::uint64_t, 4> c = {++counter_, 0, 0, 0};
    auto [first, second] = key_;
    for (int round = 0; round < 10; ++round) {
      const auto [p_high, p_low] = high_and_low(0xD2E7470EE14C6C93u, c[0]);
      const auto [q_high, q_low] = high_and_low(0xCA5A826395121157u, c[2]);
      c = {q_high ^ c[1] ^ first, q_low, p_high ^ c[3] ^ second, p_low};
      first += 0x9E3779B97F4A7C15u;
      second += 0xBB67AE8584CAA73Bu;
    }
    drawn_ = c;
    used_ = 0;
  }

  std::array<std::uint64_t, 2> key_;
  std::uint64_t counter_ = 0;
  std::array<std::uint64_t, 4> drawn_ = {};
  std::size_t used_ = 8;
};

}  // namespace

// Fisher-Yates from the end. Indices are masked words; those above i are rejected, up to half of
// them, unpredictably. A rejected word swaps an element with itself, so there is no branch to
// mispredict.
void shuffle(std::span<std::int64_t> order, std::uint64_t seed, std::uint64_t epoch) {
  std::iota(order.begin(), order.end(), 0);
  if (order.empty()) return;
  Words words(seed, epoch);
  for (std::uint32_t i = static_cast<std::uint32_t>(order.size()) - 1; i > 0;) {
    const auto mask = static_cast<std::uint32_t>(std::bit_ceil(std::uint64_t{i} + 1) - 1);
    while (i > mask >> 1) {
      const std::uint32_t number = words.next() & mask;
      const std::uint32_t fits = number <= i;
      std::swap(order[i], order[i - ((i - number) & (0 - fits))]);  // number or i, without a branch
      i -= fits;
    }
  }
}

}  // namespace chainrule
