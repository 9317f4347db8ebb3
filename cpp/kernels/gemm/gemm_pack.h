// Copies of blocks of A and B in the order in which tiles read them, and hints for what comes next.
#pragma once

#include <cstdint>

#include "kernels/gemm/choice.h"
#include "kernels/gemm/gemm_blocks.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/gemm_transpose.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_pack {

using namespace gemm_blocks;
using gemm_tile::tile_columns;
using gemm_tile::tile_rows;
using gemm_vector::prefetch_to_read;

// The rows of A that are multiplied one after another stay in L2, about half of it at most.
constexpr int64_t block_bytes = 192 * 1024;

// m rows in blocks of about equal size.
template <typename T>
int64_t rows_of_blocks(int64_t m, int64_t depth) {
  constexpr int64_t unit = tile_rows, least = 8 * unit, most = 256;
  const int64_t fitting = block_bytes / (depth * static_cast<int64_t>(sizeof(T)));
  const int64_t blocks = parts(m, larger(least, smaller(most, fitting)));
  return blocks > 1 ? parts(parts(m, blocks), unit) * unit : m;
}

// The distance of copied rows: an odd number of lines, so that they spread over all of L1.
template <typename T>
constexpr int64_t spread(int64_t columns) {
  return (parts(columns, line<T>) | 1) * line<T>;
}

// Copies rows of so many vectors to places side by side.
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

// Brings a block of a matrix into L2, in `portions` about equal portions.
template <typename T>
class Prefetch {
 public:
  Prefetch() = default;  // of nothing
  Prefetch(const T* x, int64_t stride, int64_t rows, int64_t columns, int64_t portions)
      : row_(x),
        stride_(stride),
        rows_(rows),
        columns_(columns),
        portion_(parts(rows * parts(columns, line<T>), portions)) {}

  void next_portion() {
    for (int64_t i = 0; i < portion_ && rows_ > 0; ++i) {
      prefetch_to_read(row_ + column_);
      column_ += line<T>;
      if (column_ >= columns_) {
        column_ = 0;
        row_ += stride_;
        --rows_;
      }
    }
  }

 private:
  const T* row_ = nullptr;
  int64_t stride_ = 0, rows_ = 0, columns_ = 0, portion_ = 0;
  int64_t column_ = 0;
};

// --- A -------------------------------------------------------------------------------------------

// Rows cut into tiles of nearly equal height: a last one of a row or two would wait for its sums.
// The first ones are a row taller.
class TileHeights {
 public:
  explicit TileHeights(int64_t rows)
      : count_(parts(rows, tile_rows)),
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
constexpr int64_t packed_row = parts(tile_rows, Vector<T>::lanes) * Vector<T>::lanes;
template <typename T>
constexpr int64_t packed_tile(int64_t depth) {
  return spread<T>(depth * packed_row<T>);
}

// Packs op(A) = x^T (`rows` x `depth`) for its tiles, so that they read whole lines.
template <typename T>
void pack_tiles(const T* x, int64_t x_stride, int64_t rows, int64_t depth, T* to) {
  constexpr int64_t step = 8;  // rows of x, which are read piece by piece while they are in L1
  constexpr int64_t ahead = 3 * step;  // those that come meanwhile
  const TileHeights heights(rows);
  for (int64_t l = 0; l < depth; l += step) {
    const int64_t count = smaller(step, depth - l);
    for (int64_t row = l + ahead; row < smaller(l + ahead + step, depth); ++row) {
      const T* const next = x + (row - l) * x_stride;
      for (int64_t j = 0; j < rows; j += line<T>) prefetch_to_read(next + j);
    }
    int64_t i = 0;
    for (int64_t tile = 0; tile < heights.count(); ++tile) {
      const int height = heights.of(tile);
      T* const out = to + tile * packed_tile<T>(depth) + l * packed_row<T>;
      if (i + packed_row<T> <= rows) {
        copy_vectors<packed_row<T> / Vector<T>::lanes>(x + i, x_stride, count, out);
      } else {
        copy_padded(x + i, x_stride, count, height, out, packed_row<T>);
      }
      i += height;
    }
    x += step * x_stride;
  }
}

// Some rows of op(A), as their tiles read them.
template <typename T>
struct RowsOfA {
  Matrix<T> a;          // in place, or a copy
  int64_t packed_tile;  // the distance of packed tiles; 0: they are not packed

  // The tile from row i on.
  const T* tile(int64_t number, int64_t i) const {
    return packed_tile > 0 ? a.data + number * packed_tile : a.at(i, 0);
  }
};

// Elements that the copy of a block of A needs at most.
template <typename T>
constexpr int64_t copied_block(bool a_transposed, int64_t rows, int64_t depth) {
  return a_transposed ? parts(rows, tile_rows) * packed_tile<T>(depth) : rows * spread<T>(depth);
}

// `rows` rows of A from i0 on and k columns from l0 on, in place or a copy in `copied`.
template <typename T>
RowsOfA<T> rows_of_a(const Product<T>& p, int64_t i0, int64_t rows, int64_t l0, int64_t k,
                     T* copied) {
  const Matrix<T> a = {p.a.at(i0, l0), p.a.stride, p.a.transposed};
  if (gemm_choice::packs_tiles(p)) {
    pack_tiles(a.data, a.stride, rows, k, copied);
    return {{copied, packed_row<T>, true}, packed_tile<T>(k)};
  }
  if (gemm_choice::copies_rows(p)) {
    copy_padded(a.data, a.stride, rows, static_cast<int>(k), copied, spread<T>(k));
    return {{copied, spread<T>(k), false}, 0};
  }
  return {a, 0};
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

// Whether hints for the next panel of B pay: its rows begin in different pages, which the processor
// does not foresee, or there are many tiles to spread them over. Where A^T is read in place they
// are slower: it is pushed out of L2.
template <typename T>
bool prefetches_panels(const Product<T>& p) {
  constexpr int64_t page = 4096;  // bytes
  if (p.a.transposed && !p.b.transposed && !gemm_choice::packs_tiles(p)) return false;
  return p.b.stride * static_cast<int64_t>(sizeof(T)) >= page || p.m > 128;
}

// The panel of B that is used after the one of block (i0, j0, l0) of m, n and k.
template <typename T>
Prefetch<T> next_panel(const Product<T>& p, int64_t rows, int64_t j0, int64_t l0, int64_t depth) {
  j0 += tile_columns<T>;
  if (j0 >= p.n) {
    j0 = 0;
    l0 += depth;
  }
  if (l0 >= p.k) return {};
  const int64_t k = smaller(depth, p.k - l0);
  const int64_t columns = smaller(tile_columns<T>, p.n - j0);
  return {p.b.at(l0, j0), p.b.stride, p.b.transposed ? columns : k, p.b.transposed ? k : columns,
          parts(rows, tile_rows)};
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_pack
