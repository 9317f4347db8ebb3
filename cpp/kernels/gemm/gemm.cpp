// Products of the sizes that networks have: from 32 x 3 to thousands, called once per tile and
// step.
//
//            k               two vectors          two vectors
//        +-------+           +----------+         +----------+
//     m  | tile  |  14   x   |  panel   |  k   =  |   tile   |  14, in registers
//        | of A  | rows      |  of B    |         |   of C   |  while k runs
//        +-------+           +----------+         +----------+
//
// A tile of C, up to 14 rows of two vectors with AVX-512, stays in registers while k runs: each
// step loads two vectors of B's row and broadcasts the tile's elements of A. So A is read in place,
// transposed or not. B is read in place where its rows are op(B)'s; otherwise one panel of it, two
// vectors wide, is transposed into the workspace, for all tiles that are above each other.
//
// With each step of k, a line of what is multiplied next comes into L2: of C's next tile, of A's
// next rows, of B's next panel. What an instruction reads is in L3 or in memory, at so many places
// that the processor does not foresee what comes; lines that are asked for at once would wait for
// each other. So most products take the time of their FMAs, wherever their operands are.
//
// Rows of A that are a multiple of 4 KiB apart, as those of layers with 1024 or 2048 units, share
// so few places in L1 that the rows of a tile of 14 push each other out. They are copied into the
// workspace; those of a transposed A, of which a tile needs a piece of each of k rows, are packed
// there. If the rows of A are too many for L2, they are multiplied block by block, and all panels
// of B are kept for the next block.
//
// Transposing costs as much as a few rows of the product. For C = A B^T it is therefore done to the
// smaller one: C^T = B A^T is the same problem, whose tiles are transposed as they are stored.
// Where C is small and k is long, dot products along k need no transposing at all.
//
// Where A or B has many zeros, sparse_gemm.cpp leaves them out. choice.h says which way is taken.
//
// The products of small networks, which need no blocks, go a shorter way through the same tiles and
// dot products: a bias, ReLU or its derivative is applied while the sums are still in registers.
#include "kernels/declared.h"
#include "kernels/gemm/choice.h"
#include "kernels/gemm/gemm_blocks.h"
#include "kernels/gemm/gemm_pack.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/gemm_transpose.h"
#include "kernels/gemm/sparse_gemm.h"
#include "kernels/rounding.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using namespace gemm_blocks;
using namespace gemm_choice;
using namespace gemm_pack;

// --- Tiles ---------------------------------------------------------------------------------------

// The block of C at (i0, j0): `rows` rows and the columns of one panel. `a` and `b` are the parts
// of A and B that belong to it. Into L2 come meanwhile the next tile of C, with the first panel the
// next rows of A, and `next_panel`.
template <typename T>
void multiply_panel(const Product<T>& p, const RowsOfA<T>& a, const Matrix<T>& b, int64_t i0,
                    int64_t rows, int64_t j0, int columns, int64_t depth, bool accumulate,
                    const Lines<T>& next_panel) {
  using namespace gemm_tile;
  const int vectors = columns > Vector<T>::lanes ? 2 : 1;
  const TileHeights heights(rows);
  int height = 0;
  TileKernel<T> kernel = nullptr;
  Tile<T> tile = {.a = nullptr,
                  .a_stride = a.stride(),
                  .b = b.data,
                  .b_stride = b.stride,
                  .c = p.c,
                  .c_stride = p.c_stride,
                  .depth = depth,
                  .columns = columns,
                  .accumulate = accumulate};
  Lines<T> next[blocks_ahead] = {{}, {}, next_panel};
  if (depth >= prefetch_depth) tile.next = next;
  int64_t i = 0;
  for (int64_t number = 0; number < heights.count(); ++number) {
    if (heights.of(number) != height) {
      height = heights.of(number);
      kernel = choose<T>(a.transposed(), vectors, height);
    }
    tile.a = a.tile(number, i);
    if (j0 == 0) a.copy_tile(number, i, height);
    if (number + 1 < heights.count()) {
      const int next_height = heights.of(number + 1);
      const int64_t row = i + height;
      if (j0 == 0) next[1] = a.lines(row, next_height);
      if (!p.c_transposed) {
        next[0] = {p.c + (i0 + row) * p.c_stride + j0, p.c_stride, next_height, columns};
      }
    } else if (!p.c_transposed && j0 + columns < p.n) {
      next[0] = {p.c + i0 * p.c_stride + j0 + columns, p.c_stride, heights.of(0), columns};
    }
    if (p.c_transposed) {
      alignas(alignment) T buffer[tile_rows * tile_columns<T>];
      tile.c = buffer;
      tile.c_stride = vectors * Vector<T>::lanes;
      tile.columns = vectors * Vector<T>::lanes;
      tile.accumulate = false;
      kernel(tile);
      gemm_transpose::transpose(buffer, tile.c_stride, height, columns,
                                p.c + j0 * p.c_stride + i0 + i, p.c_stride, accumulate);
    } else {
      tile.c = p.c + (i0 + i) * p.c_stride + j0;
      kernel(tile);
    }
    i += height;
  }
}

// Block by block of A's rows; where there are several, all panels of B are kept for them.
template <typename T>
void multiply_tiles(const Product<T>& p, T* workspace) {
  constexpr int64_t width = tile_columns<T>;
  const int64_t depth = depth_of_blocks(p.k);
  const int64_t rows = rows_of_blocks<T>(p.m, depth);
  const bool copies_b = copies_panels(p);
  const bool has_blocks = p.m > rows;
  T* const panels = aligned(workspace);
  T* const copied = panels + (has_blocks ? ceil_div(p.n, width) : 1) * depth * width;
  for (int64_t l0 = 0; l0 < p.k; l0 += depth) {
    const int64_t k = smaller(depth, p.k - l0);
    for (int64_t i0 = 0; i0 < p.m; i0 += rows) {
      const int64_t m = smaller(rows, p.m - i0);
      const RowsOfA<T> a(p, i0, m, l0, k, copied);
      for (int64_t j0 = 0; j0 < p.n; j0 += width) {
        const auto columns = static_cast<int>(smaller(width, p.n - j0));
        T* const panel = has_blocks ? panels + j0 * depth : panels;
        const bool is_there = has_blocks && i0 > 0;
        const Matrix<T> b = panel_of_b(p, l0, k, j0, columns, copies_b, is_there, panel);
        const Lines<T> next = is_there ? Lines<T>() : next_panel(p, j0, l0, depth);
        multiply_panel(p, a, b, i0, m, j0, columns, k, p.adds || l0 > 0, next);
      }
    }
  }
}

// --- Dot products --------------------------------------------------------------------------------

// The tile of a product, with its part of the epilogue, that begins at (i, j).
template <typename T>
gemm_tile::Tile<T> tile_of(const SmallGemm<T>& g, int64_t i, int64_t j, int columns) {
  return {g.a + i * (g.transpose_a ? 1 : g.lda),
          g.lda,
          g.b + j * (g.transpose_b ? g.ldb : 1),
          g.ldb,
          g.c + i * g.ldc + j,
          g.ldc,
          g.k,
          columns,
          false,
          g.epilogue,
          g.x + i * g.ldx + j,
          g.ldx,
          g.out + i * g.ldout + j,
          g.ldout};
}

// C (m x n) = A B^T from the rows of A and B, k elements each.
template <typename T>
void multiply_dots(const SmallGemm<T>& g, T*) {
  using namespace gemm_tile;
  const auto multiply_tile = [&](int64_t i, int64_t j) {
    const int rows = static_cast<int>(smaller(dot_rows, g.m - i));
    const int columns = static_cast<int>(smaller(dot_columns, g.n - j));
    choose_dot<T>(rows, columns)(tile_of(g, i, j, columns));
  };
  // The smaller operand is the one to be read again and again.
  if (g.m < g.n) {
    for (int64_t j = 0; j < g.n; j += dot_columns) {
      for (int64_t i = 0; i < g.m; i += dot_rows) multiply_tile(i, j);
    }
  } else {
    for (int64_t i = 0; i < g.m; i += dot_rows) {
      for (int64_t j = 0; j < g.n; j += dot_columns) multiply_tile(i, j);
    }
  }
}

// --- Small products ------------------------------------------------------------------------------

// A row or a column whose elements lie side by side is its own transpose.
template <typename T>
Product<T> product_of(T* c, int64_t ldc, const T* a, int64_t lda, bool transpose_a, const T* b,
                      int64_t ldb, bool transpose_b, int64_t m, int64_t n, int64_t k,
                      bool adds = false) {
  if (m == 1 && transpose_a && lda == 1) {
    transpose_a = false;
    lda = k;
  }
  if (n == 1 && !transpose_b && ldb == 1) {
    transpose_b = true;
    ldb = k;
  }
  return {{a, lda, transpose_a}, {b, ldb, transpose_b}, c, ldc, false, m, n, k, adds};
}

// Whether all panels of B stay in L1 at once, beside a tile of the result.
template <typename T>
bool keeps_panels(int64_t n, int64_t k) {
  constexpr int64_t bytes = 24 * 1024;
  return n * k * static_cast<int64_t>(sizeof(T)) <= bytes;
}

// Panel by panel; or, where all panels stay in L1, row of tiles by row of tiles: so each line of
// the result is written at once.
template <typename T>
void multiply_small(const SmallGemm<T>& g, T* workspace) {
  using namespace gemm_tile;
  constexpr int lanes = Vector<T>::lanes;
  T* const panels = aligned(workspace);
  const bool keeps = keeps_panels<T>(g.n, g.k);
  const TileHeights heights(g.m);
  const int64_t tiles_at_once = keeps ? 1 : heights.count();
  int64_t row = 0;
  for (int64_t first = 0; first < heights.count(); first += tiles_at_once) {
    const int64_t end = first + tiles_at_once;
    for (int64_t j = 0; j < g.n; j += tile_columns<T>) {
      const int columns = static_cast<int>(smaller(tile_columns<T>, g.n - j));
      const int vectors = columns > lanes ? 2 : 1;
      const int64_t stride = vectors * lanes;
      T* const panel = keeps ? panels + j * g.k : panels;
      Tile<T> tile = tile_of(g, row, j, columns);
      if (g.transpose_b || columns % lanes != 0) {
        if (first == 0 && g.transpose_b) {
          gemm_transpose::transpose_padded(tile.b, g.ldb, columns, g.k, panel, stride);
        } else if (first == 0) {
          copy_padded(tile.b, g.ldb, g.k, columns, panel, stride);
        }
        tile.b = panel;
        tile.b_stride = stride;
      }
      for (int64_t number = first; number < end; ++number) {
        const int height = heights.of(number);
        choose<T>(g.transpose_a, vectors, height)(tile);
        tile.a += g.transpose_a ? height : height * g.lda;
        tile.c += height * g.ldc;
        tile.x += height * g.ldx;
        tile.out += height * g.ldout;
      }
    }
    for (int64_t number = first; number < end; ++number) row += heights.of(number);
  }
}

}  // namespace

template <typename T>
SmallGemmKernel<T> small_gemm(const SmallGemm<T>& g) {
  const auto p =
      product_of(g.c, g.ldc, g.a, g.lda, g.transpose_a, g.b, g.ldb, g.transpose_b, g.m, g.n, g.k);
  switch (choose_small(g, p)) {
    case Way::dots:
      return multiply_dots<T>;
    case Way::tiles:
      return multiply_small<T>;
    default:
      return nullptr;
  }
}

template <typename T>
void gemm(T* c, int64_t ldc, const T* a, int64_t lda, bool transpose_a, const T* b, int64_t ldb,
          bool transpose_b, int64_t m, int64_t n, int64_t k, bool adds, T* workspace) {
  if (k == 0) {
    if (adds) return;
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = 0;
    }
    return;
  }
  const Product<T> product =
      product_of(c, ldc, a, lda, transpose_a, b, ldb, transpose_b, m, n, k, adds);
  switch (choose(product)) {
    case Way::without_zeros_of_b:
      return multiply_without_zeros(product.swapped(), workspace);
    case Way::without_zeros_of_a:
      return multiply_without_zeros(product, workspace);
    case Way::dots:
      return multiply_dots<T>({.c = c,
                               .ldc = ldc,
                               .a = a,
                               .lda = product.a.stride,
                               .transpose_a = false,
                               .b = b,
                               .ldb = product.b.stride,
                               .transpose_b = true,
                               .m = m,
                               .n = n,
                               .k = k,
                               .epilogue = RegisterEpilogue::none,
                               .x = c,
                               .ldx = 0,
                               .out = c,
                               .ldout = ldc},
                              workspace);
    case Way::swapped:
      return multiply_tiles(product.swapped(), workspace);
    default:
      return multiply_tiles(product, workspace);
  }
}

template <typename T>
int64_t gemm_workspace(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  const int64_t depth = smaller(block_depth, k);
  // Of A B, or of the swapped product, whose matrices are the other one's transposed.
  const auto tiles_workspace = [&](bool a_transposed, int64_t rows, int64_t columns) {
    const int64_t block = rows_of_blocks<T>(rows, depth_of_blocks(k));
    const bool keeps = rows > block || keeps_panels<T>(columns, k);
    const int64_t panels = keeps ? ceil_div(columns, tile_columns<T>) : 1;
    return line<T> + panels * depth * tile_columns<T> + copied_block<T>(a_transposed, block, depth);
  };
  const int64_t dense =
      larger(tiles_workspace(transpose_a, m, n), tiles_workspace(!transpose_b, n, m));
  const int64_t sparse = sparse_workspace<T>(transpose_a, transpose_b, m, n, k);
  return dense > sparse ? dense : sparse;
}

template void gemm(float*, int64_t, const float*, int64_t, bool, const float*, int64_t, bool,
                   int64_t, int64_t, int64_t, bool, float*);
template void gemm(double*, int64_t, const double*, int64_t, bool, const double*, int64_t, bool,
                   int64_t, int64_t, int64_t, bool, double*);
template int64_t gemm_workspace<float>(bool, bool, int64_t, int64_t, int64_t);
template int64_t gemm_workspace<double>(bool, bool, int64_t, int64_t, int64_t);
template SmallGemmKernel<float> small_gemm(const SmallGemm<float>&);
template SmallGemmKernel<double> small_gemm(const SmallGemm<double>&);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
