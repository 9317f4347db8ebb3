// Uniform random numbers of a generator's state.
#include "kernels/rounding.h"
#include "tasks/building.h"

namespace chainrule {
namespace {

template <typename T>
class RandomUniformTask final : public Task {
 public:
  RandomUniformTask(const RandomUniform& random, const Building& building)
      : kernel_(kernels_of<T>(building.kernels).random_uniform),
        count_(random.count),
        state_(building.memory.at<const std::uint64_t>(random.state)),
        out_(building.memory.at<T>(random.out)) {
    split(building.chunks, ceil_div(count_, unit), 0.5 * number(count_));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range range = share(chunk, count_, unit);
    kernel_(out_ + range.begin, state_[0], state_[1], range.begin, range.length());
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line;
  decltype(Kernels<T>::random_uniform) kernel_;
  std::int64_t count_;
  const std::uint64_t* state_;
  T* out_;
};

}  // namespace

std::unique_ptr<Task> make_task(const RandomUniform& random, const Building& building) {
  return make_floating_task_of<RandomUniformTask>(random, building);
}

}  // namespace chainrule
