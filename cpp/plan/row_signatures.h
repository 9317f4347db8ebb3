// What the row kernels of kernels/rows.def take and give.
#pragma once

#include <array>

#include "kernels/kinds.h"

namespace chainrule {

struct RowSignature {
  RowTypes types;
  std::array<RowForm, most_row_inputs> inputs;  // none after the last
  RowForm out, second;
};

#define CHAINRULE_LIST(...) __VA_ARGS__
inline constexpr std::array<RowSignature, row_kind_count> row_signatures = [] {
  using enum RowForm;
  return std::array<RowSignature, row_kind_count>{{
#define CHAINRULE_ROW(name, types, inputs, out, second) \
  {RowTypes::types, {CHAINRULE_LIST inputs}, out, second},
#include "kernels/rows.def"
#undef CHAINRULE_ROW
  }};
}();
#undef CHAINRULE_LIST

}  // namespace chainrule
