// Kernels on contiguous rows; see kernels/rows.def.
#include "plan/row_signatures.h"
#include "tasks/building.h"

namespace chainrule {
namespace {

template <typename T>
class RowsTask final : public Task {
 public:
  RowsTask(const Rows& rows, const Building& building)
      : kernel_(kernels_of<T>(building.kernels).rows[static_cast<std::size_t>(rows.kernel)]),
        signature_(row_signatures[static_cast<std::size_t>(rows.kernel)]),
        rows_(rows.rows),
        columns_(rows.columns),
        number_(rows.number),
        out_(building.memory.at(rows.out)),
        second_(rows.second ? building.memory.at(*rows.second) : nullptr) {
    for (std::size_t i = 0; i < rows.inputs.size(); ++i) {
      inputs_[i] = building.memory.at(rows.inputs[i]);
    }
    split(building.chunks, rows.rows, 0.5 * number(rows.rows) * number(rows.columns));
  }

  bool run(std::int32_t chunk, const Worker&) const noexcept override {
    const Range range = share(chunk, rows_);
    if (range.length() == 0) return true;
    const auto from_row = [&](std::byte* data, RowForm form) {
      return data + range.begin * bytes_of_row(form);
    };
    RowCall<T> call = {};
    call.out = from_row(out_, signature_.out);
    call.second = from_row(second_, signature_.second);
    for (std::size_t i = 0; i < most_row_inputs; ++i) {
      call.inputs[i] = from_row(inputs_[i], signature_.inputs[i]);
    }
    call.rows = range.length();
    call.columns = columns_;
    call.number = number_;
    return kernel_(call);
  }

 private:
  std::int64_t bytes_of_row(RowForm form) const {
    constexpr auto item = static_cast<std::int64_t>(sizeof(T));
    switch (form) {
      case RowForm::matrix:
        return columns_ * item;
      case RowForm::column:
        return item;
      case RowForm::labels:
        return sizeof(std::int64_t);
      case RowForm::none:
        break;
    }
    return 0;
  }

  RowKernel<T> kernel_;
  const RowSignature& signature_;
  std::int64_t rows_, columns_;
  double number_;
  std::array<std::byte*, most_row_inputs> inputs_ = {};
  std::byte* out_;
  std::byte* second_;
};

}  // namespace

std::unique_ptr<Task> make_task(const Rows& rows, const Building& building) {
  return make_task_of<RowsTask>(rows, building);
}

}  // namespace chainrule
