// By how many threads a plan's steps are shared.
//
// To hand work from CPU to CPU, and the cache lines that it reads and writes, takes microseconds:
// how many depends on the machine, and on what else runs there. So steps that are short, or that
// move more than they compute, may be faster on one thread than on many. Both are tried, and what
// was faster goes on; now and then both are tried anew. The results are the same, to the bit.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

namespace chainrule {

class ThreadChoice {
 public:
  // `most` is how many threads there are.
  explicit ThreadChoice(std::int32_t most = 1) : most_(most) {}

  // The next steps, by how many threads.
  struct Turn {
    std::int32_t threads;
    std::int64_t most_steps;
  };

  Turn next(std::int32_t most) {
    if (most != most_) *this = ThreadChoice(most);
    if (most == 1) return {1, unlimited};
    if (turns_ < trials) return {most, steps_of_a_trial};
    if (!is_tried()) return {1, is_short() ? steps_of_a_trial : 1};
    return {alone_ < shared_ ? 1 : most, unlimited};
  }

  // What a turn's steps have taken.
  void note(const Turn& turn, std::int64_t steps, double seconds) {
    if (steps == 0) return;
    double& least = turn.threads == 1 ? alone_ : shared_;
    least = std::min(least, seconds / static_cast<double>(steps));
    ++turns_;
    seconds_ += seconds;
    if (seconds_ > seconds_until_anew) *this = ThreadChoice(most_);
  }

 private:
  bool is_short() const { return shared_ <= short_step; }
  // Whether both have been, or one thread takes too long.
  bool is_tried() const {
    if (turns_ > trials + 1 && alone_ > clearly * shared_) return true;
    return turns_ >= 2 * trials || (!is_short() && most_ * shared_ > long_alone);
  }

  // Of each kind. The least time of several counts: others may have waited for a CPU.
  static constexpr std::int64_t trials = 3;
  static constexpr std::int64_t steps_of_a_trial = 4;
  static constexpr std::int64_t unlimited = std::numeric_limits<std::int64_t>::max();
  static constexpr double short_step = 200e-6;
  // Longer steps than these are tried alone only where one thread needs at most this time for one.
  static constexpr double long_alone = 4e-3;
  // Two turns alone that take this many times as long as shared ones need no third.
  static constexpr double clearly = 1.5;
  static constexpr double seconds_until_anew = 2;
  static constexpr double unknown = std::numeric_limits<double>::infinity();

  std::int32_t most_;
  std::int64_t turns_ = 0;
  double seconds_ = 0;
  double alone_ = unknown, shared_ = unknown;  // seconds a step, the least of all turns
};

}  // namespace chainrule
