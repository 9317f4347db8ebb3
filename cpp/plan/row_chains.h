// Chains: instructions, one after another, whose results have the same number of rows, and row r of
// each needs only row r of those before it.
//
//                    h1 = f(z1 + h0 W)   h2 = f(z2 + h1 W)   h3 = f(z3 + h2 W)
//     block 0      |------------------ thread 0 ------------------------------>
//     block 1      |------------------ thread 1 ------------------------------>
//
// So a thread takes a block of rows through the whole chain, without waiting for any other, and
// finds in its cache what it has written. The steps of a recurrence are such a chain: the rows are
// the sequences of a batch. Instructions that follow each other belong to one chain where `chain`
// is the same number, not 0; which may, is the compiler's knowledge (compiler/row_chains.py).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>

#include "kernels/rounding.h"

namespace chainrule {

// Into how many blocks the rows are split: a power of two, for of three equal blocks one thread of
// two would do two. Blocks of fewer rows do not keep the registers of a product's tiles busy.
inline std::int64_t row_blocks(std::int64_t rows) {
  constexpr std::uint64_t rows_of_a_block = 16;
  constexpr std::uint64_t most_blocks = 64;
  if (rows < 2) return 1;
  const std::uint64_t blocks = std::bit_floor(static_cast<std::uint64_t>(rows) / rows_of_a_block);
  return static_cast<std::int64_t>(std::clamp<std::uint64_t>(blocks, 2, most_blocks));
}

// The first row of a block; that of number `row_blocks` is the end. Blocks differ by a row at most.
inline std::int64_t first_row(std::int64_t block, std::int64_t rows) {
  return rows * block / row_blocks(rows);
}

inline std::int64_t most_rows_of_a_block(std::int64_t rows) {
  const std::int64_t blocks = row_blocks(rows);
  return ceil_div(rows, blocks);
}

}  // namespace chainrule
