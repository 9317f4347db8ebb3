// The kinds of kernels and elements, as enums: from the lists (*.def) of this folder.
#pragma once

#include <cstdint>

namespace chainrule {

// Bytes of a cache line, and of the widest vector: memory begins at a multiple of it.
inline constexpr std::int64_t cache_line = 64;

enum class DType : std::uint8_t {
#define CHAINRULE_DTYPE(name, numpy_name, type) name,
#include "kernels/dtypes.def"
#undef CHAINRULE_DTYPE
};
inline constexpr int dtype_count = 0
#define CHAINRULE_DTYPE(name, numpy_name, type) +1
#include "kernels/dtypes.def"
#undef CHAINRULE_DTYPE
    ;

enum class Opcode : std::uint8_t {
#define CHAINRULE_OP(name, inputs, cost) name,
#include "kernels/ops.def"
#undef CHAINRULE_OP
};
inline constexpr int opcode_count = 0
#define CHAINRULE_OP(name, inputs, cost) +1
#include "kernels/ops.def"
#undef CHAINRULE_OP
    ;

enum class ReduceKind : std::uint8_t {
#define CHAINRULE_REDUCTION(name) name,
#include "kernels/reductions.def"
#undef CHAINRULE_REDUCTION
};
inline constexpr int reduce_count = 0
#define CHAINRULE_REDUCTION(name) +1
#include "kernels/reductions.def"
#undef CHAINRULE_REDUCTION
    ;

enum class RowKind : std::uint8_t {
#define CHAINRULE_ROW(name, types, inputs, out, second) name,
#include "kernels/rows.def"
#undef CHAINRULE_ROW
};
inline constexpr int row_kind_count = 0
#define CHAINRULE_ROW(name, types, inputs, out, second) +1
#include "kernels/rows.def"
#undef CHAINRULE_ROW
    ;

// What a row kernel computes in, and the forms of its operands; see rows.def.
enum class RowTypes : std::uint8_t { floating, computed };
enum class RowForm : std::uint8_t { none, matrix, column, labels };
inline constexpr int most_row_inputs = 3;

}  // namespace chainrule
