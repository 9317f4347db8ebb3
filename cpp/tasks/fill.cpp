// One value everywhere.
#include <algorithm>

#include "kernels/rounding.h"
#include "tasks/building.h"

namespace chainrule {
namespace {

class FillTask final : public Task {
 public:
  FillTask(const Fill& fill, const Building& building)
      : fill_(fill), out_(building.memory.at(fill.out)) {
    split(building.chunks, ceil_div(fill.count, unit),
          0.02 * number(fill.count) * number(itemsize(fill.dtype)));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range range = share(chunk, fill_.count, unit);
    with_type(fill_.dtype, [&]<typename T>(T*) {
      std::fill_n(reinterpret_cast<T*>(out_) + range.begin, range.length(),
                  static_cast<T>(fill_.number));
    });
    return true;
  }

 private:
  static constexpr std::int64_t unit = cache_line;
  Fill fill_;
  std::byte* out_;
};

}  // namespace

std::unique_ptr<Task> make_task(const Fill& fill, const Building& building) {
  return std::make_unique<FillTask>(fill, building);
}

}  // namespace chainrule
