// Copies of blocks of A and B in the order in which tiles read them, and hints for what comes next.
#pragma once

#include <cstdint>

#include "kernels/gemm/choice.h"
#include "kernels/gemm/gemm_blocks.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/gemm_transpose.h"
#include "kernels/rounding.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_pack {

using namespace gemm_blocks;
using gemm_tile::Lines;
using gemm_tile::tile_columns;
using gemm_tile::tile_rows;

// The rows of A that are multiplied one after another stay in L2, about half of it at most.
constexpr int64_t block_bytes = 192 * 1024;

// m rows in blocks of about equal size.
template <typename T>
int64_t rows_of_blocks(int64_t m, int64_t depth) {
  constexpr int64_t unit = tile_rows, least = 8 * unit, most = 256;
  const int64_t fitting = block_bytes / (depth * static_cast<int64_t>(sizeof(T)));
  const int64_t blocks = ceil_div(m, larger(least, smaller(most, fitting)));
  return blocks > 1 ? round_up(ceil_div(m, blocks), unit) : m;
}

// The distance of copied rows: an odd number of lines, so that they spread over all of L1.
template <typename T>
constexpr int64_t spread(int64_t columns) {
  return (ceil_div(columns, line<T>) | 1) * line<T>;
}

// Copies rows of `vectors` vectors to places side by side.
template <int vectors, typename T>
void copy_vectors(const T* x, int64_t x_stride, int64_t rows, T* to) {
  constexpr int lanes = Vector<T>::lanes;
  const auto copy_row = [&](int64_t row) CHAINRULE_INLINE_LAMBDA {
    for (int i = 0; i < vectors; ++i) {
      Vector<T>::load(x + row * x_stride + i * lanes).store(to + (row * vectors + i) * lanes);
    }
  };
  constexpr int64_t step = 4;
  int64_t row = 0;
  for (; row + step <= rows; row += step) {
    copy_row(row);
    copy_row(row + 1);
    copy_row(row + 2);
    copy_row(row + 3);
  }
  for (; row < rows; ++row) copy_row(row);
}

// --- A -------------------------------------------------------------------------------------------

// Rows cut into tiles of nearly equal height: a last one of a row or two would wait for its sums.
// The first ones are a row taller.
class TileHeights {
 public:
  explicit TileHeights(int64_t rows)
      : count_(ceil_div(rows, tile_rows)),
        height_(static_cast<int>(static_cast<std::uint32_t>(rows) /
                                 static_cast<std::uint32_t>(count_))),
        taller_(rows - height_ * count_) {}

  int64_t count() const { return count_; }
  int of(int64_t tile) const { return tile < taller_ ? height_ + 1 : height_; }

 private:
  int64_t count_;
  int height_;
  int64_t taller_;
};

// Packed tiles have the elements of their rows side by side, k after k, in whole vectors.
template <typename T>
constexpr int64_t packed_row = round_up(tile_rows, Vector<T>::lanes);
template <typename T>
constexpr int64_t packed_tile(int64_t depth) {
  return spread<T>(depth * packed_row<T>);
}

// Some rows of op(A), as their tiles read them.
template <typename T>
class RowsOfA {
 public:
  // `rows` rows of A from i0 on and `depth` columns from l0 on, in place or a copy in `copied`.
  RowsOfA(const Product<T>& p, int64_t i0, int64_t rows, int64_t l0, int64_t depth, T* copied)
      : a_{p.a.at(i0, l0), p.a.stride, p.a.transposed},
        rows_(rows),
        depth_(depth),
        copied_(copied),
        packs_(gemm_choice::packs_tiles(p)),
        copies_(gemm_choice::copies_rows(p)) {}

  bool transposed() const { return a_.transposed; }
  // Between rows, or, where A is transposed, between columns of op(A), as tiles see them.
  int64_t stride() const {
    if (packs_) return packed_row<T>;
    return copies_ ? spread<T>(depth_) : a_.stride;
  }
  // The tile with this number, from row i on.
  const T* tile(int64_t number, int64_t i) const {
    if (packs_) return copied_ + number * packed_tile<T>(depth_);
    return copies_ ? copied_ + i * spread<T>(depth_) : a_.at(i, 0);
  }
  // Makes the copy of a tile of `height` rows, if there is one; once, before it is used.
  void copy_tile(int64_t number, int64_t i, int height) const {
    if (packs_) {
      T* const to = copied_ + number * packed_tile<T>(depth_);
      if (i + packed_row<T> <= rows_) {
        copy_vectors<packed_row<T> / Vector<T>::lanes>(a_.at(i, 0), a_.stride, depth_, to);
      } else {
        copy_padded(a_.at(i, 0), a_.stride, depth_, height, to, packed_row<T>);
      }
    } else if (copies_) {
      copy_padded(a_.at(i, 0), a_.stride, height, static_cast<int>(depth_),
                  copied_ + i * spread<T>(depth_), spread<T>(depth_));
    }
  }
  // What a tile of `height` rows from row i on needs that tiles before it do not.
  Lines<T> lines(int64_t i, int height) const {
    if (!a_.transposed) return {a_.at(i, 0), a_.stride, height, depth_};
    return {a_.at(i + height - 1, 0), a_.stride, depth_, 1};  // the others' lines are there
  }

 private:
  Matrix<T> a_;
  int64_t rows_, depth_;
  T* copied_;
  bool packs_, copies_;
};

// Elements that the copy of a block of A needs at most.
template <typename T>
constexpr int64_t copied_block(bool a_transposed, int64_t rows, int64_t depth) {
  return a_transposed ? ceil_div(rows, tile_rows) * packed_tile<T>(depth) : rows * spread<T>(depth);
}

// --- B -------------------------------------------------------------------------------------------

// The columns from j0 on of k rows of B, in one panel: in place, or a copy in `panel`, which may be
// there already.
template <typename T>
Matrix<T> panel_of_b(const Product<T>& p, int64_t l0, int64_t k, int64_t j0, int columns,
                     bool copies, bool is_there, T* panel) {
  constexpr int lanes = Vector<T>::lanes;
  const Matrix<T> b = {p.b.at(l0, j0), p.b.stride, false};
  const int64_t stride = columns > lanes ? tile_columns<T> : lanes;
  if (!p.b.transposed && !copies && columns % lanes == 0) return b;
  if (!is_there) {
    if (p.b.transposed) {
      gemm_transpose::transpose_padded(b.data, b.stride, columns, k, panel, stride);
    } else if (columns == tile_columns<T>) {
      copy_vectors<gemm_tile::tile_vectors>(b.data, b.stride, k, panel);
    } else {
      copy_padded(b.data, b.stride, k, columns, panel, stride);
    }
  }
  return {panel, stride, false};
}

// The panel of B that is used after the one of block (j0, l0) of n and k.
template <typename T>
Lines<T> next_panel(const Product<T>& p, int64_t j0, int64_t l0, int64_t depth) {
  j0 += tile_columns<T>;
  if (j0 >= p.n) {
    j0 = 0;
    l0 += depth;
  }
  if (l0 >= p.k) return {};
  const int64_t k = smaller(depth, p.k - l0);
  const int64_t columns = smaller(tile_columns<T>, p.n - j0);
  return {p.b.at(l0, j0), p.b.stride, p.b.transposed ? columns : k, p.b.transposed ? k : columns};
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_pack
