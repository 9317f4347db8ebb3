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
// vectors wide, is transposed into the workspace, for all tiles that are above each other. While
// they are multiplied, the lines of the next panel come into L2: the weights of a wide layer are in
// L3 or in memory, in rows so far apart that the processor does not foresee what comes.
//
// Rows of A that are a multiple of 4 KiB apart, as those of layers with 1024 or 2048 units, share
// so few places in L1 that the rows of a tile of 14 push each other out. They are copied into the
// workspace. So are those of a transposed A, of which a tile needs a piece of each of k rows.
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
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/gemm_transpose.h"
#include "kernels/gemm/sparse_gemm.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using namespace gemm_blocks;
using namespace gemm_choice;

constexpr int64_t block_rows = 256;
// --- Tiles ---------------------------------------------------------------------------------------

// Whether hints for the next panel of B pay: its rows begin in different pages, which the processor
// does not foresee, or there are many tiles to spread them over. For A^T B, the gradient of
// weights, they are slower: A, read in place, is pushed out of L2.
template <typename T>
bool prefetches_panels(const Product<T>& p) {
  constexpr int64_t page = 4096;  // bytes
  if (p.a.transposed && !p.b.transposed) return false;
  return p.b.stride * static_cast<int64_t>(sizeof(T)) >= page || p.m > 128;
}

// The distance of copied rows: an odd number of lines, so that they spread over all of L1.
template <typename T>
constexpr int64_t spread(int64_t columns) {
  return (parts(columns, line<T>) | 1) * line<T>;
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
      gemm_vector::prefetch_to_read(row_ + column_);
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

// The block of C at (i0, j0): `rows` rows and the columns of one panel. `a` and `b` are the parts
// of A and B that belong to it; a portion of `next` comes with each tile.
template <typename T>
void multiply_panel(const Product<T>& p, const Matrix<T>& a, const Matrix<T>& b, int64_t i0,
                    int64_t rows, int64_t j0, int columns, int64_t depth, bool accumulate,
                    Prefetch<T>& next) {
  using namespace gemm_tile;
  const int vectors = columns > Vector<T>::lanes ? 2 : 1;
  // Tiles of nearly equal height: a last one of a row or two would wait for its sums.
  const auto tiles = static_cast<std::uint32_t>(parts(rows, tile_rows));
  const auto height = static_cast<int>(static_cast<std::uint32_t>(rows) / tiles);
  auto taller = static_cast<int>(rows - static_cast<int64_t>(height) * tiles);
  TileKernel<T> kernel = choose<T>(a.transposed, vectors, taller > 0 ? height + 1 : height);
  Tile<T> tile = {a.data, a.stride, b.data, b.stride, p.c, p.c_stride, depth, columns, accumulate};
  for (int64_t i = 0; i < rows;) {
    const int count = taller > 0 ? height + 1 : height;
    tile.a = a.at(i, 0);
    if (p.c_transposed) {
      alignas(alignment) T buffer[tile_rows * tile_columns<T>];
      tile.c = buffer;
      tile.c_stride = vectors * Vector<T>::lanes;
      tile.columns = vectors * Vector<T>::lanes;
      tile.accumulate = false;
      kernel(tile);
      gemm_transpose::transpose(buffer, tile.c_stride, count, columns,
                                p.c + j0 * p.c_stride + i0 + i, p.c_stride, accumulate);
    } else {
      tile.c = p.c + (i0 + i) * p.c_stride + j0;
      kernel(tile);
    }
    next.next_portion();
    i += count;
    if (--taller == 0) kernel = choose<T>(a.transposed, vectors, height);
  }
}

// The panel of B that is used after the one of block (i0, j0, l0) of m, n and k.
template <typename T>
Prefetch<T> next_panel(const Product<T>& p, int64_t i0, int64_t j0, int64_t l0, int64_t depth) {
  j0 += gemm_tile::tile_columns<T>;
  if (j0 >= p.n) {
    j0 = 0;
    i0 += block_rows;
    if (i0 >= p.m) l0 += depth;
  }
  if (l0 >= p.k) return {};
  const int64_t k = smaller(depth, p.k - l0);
  const int64_t columns = smaller(gemm_tile::tile_columns<T>, p.n - j0);
  const int64_t tiles = parts(smaller(p.m, block_rows), gemm_tile::tile_rows);
  return {p.b.at(l0, j0), p.b.stride, p.b.transposed ? columns : k, p.b.transposed ? k : columns,
          tiles};
}

template <typename T>
void multiply_tiles(const Product<T>& p, T* workspace) {
  constexpr int64_t width = gemm_tile::tile_columns<T>;
  constexpr int64_t lanes = Vector<T>::lanes;
  const int64_t depth = depth_of_blocks(p.k);
  T* const panel = aligned(workspace);
  T* const copied_rows = panel + depth * width;
  const bool copies_a = copies_rows(p);
  const bool copies_a_transposed = copies_columns(p);
  const bool copies_b = copies_panels(p);
  const bool prefetches_b = copies_b && prefetches_panels(p);
  for (int64_t l0 = 0; l0 < p.k; l0 += depth) {
    const int64_t k = smaller(depth, p.k - l0);
    for (int64_t i0 = 0; i0 < p.m; i0 += block_rows) {
      const int64_t m = smaller(block_rows, p.m - i0);
      Matrix<T> a = {p.a.at(i0, l0), p.a.stride, p.a.transposed};
      if (copies_a) {
        copy_padded(a.data, a.stride, m, static_cast<int>(k), copied_rows, spread<T>(k));
        a = {copied_rows, spread<T>(k), false};
      } else if (copies_a_transposed) {
        copy_padded(a.data, a.stride, k, static_cast<int>(m), copied_rows, spread<T>(m));
        a = {copied_rows, spread<T>(m), true};
      }
      for (int64_t j0 = 0; j0 < p.n; j0 += width) {
        const int64_t columns = smaller(width, p.n - j0);
        Matrix<T> b = {p.b.at(l0, j0), p.b.stride, false};
        const int64_t stride = columns > lanes ? width : lanes;
        if (p.b.transposed) {
          gemm_transpose::transpose_padded(b.data, b.stride, static_cast<int>(columns), k, panel,
                                           stride);
          b = {panel, stride, false};
        } else if (columns % lanes != 0 || copies_b) {
          copy_padded(b.data, b.stride, k, static_cast<int>(columns), panel, stride);
          b = {panel, stride, false};
        }
        Prefetch<T> next;
        if (prefetches_b) next = next_panel(p, i0, j0, l0, depth);
        multiply_panel(p, a, b, i0, m, j0, static_cast<int>(columns), k, l0 > 0, next);
      }
    }
  }
}

// --- Dot products --------------------------------------------------------------------------------

// C (m x n) = A B^T from the rows of A and B, k elements each.
template <typename T>
void multiply_dots(const SmallGemm<T>& g, T*) {
  using namespace gemm_tile;
  const auto multiply_tile = [&](int64_t i, int64_t j) {
    const int rows = static_cast<int>(smaller(dot_rows, g.m - i));
    const int columns = static_cast<int>(smaller(dot_columns, g.n - j));
    const Tile<T> tile = {g.a + i * g.lda,
                          g.lda,
                          g.b + j * g.ldb,
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
    choose_dot<T>(rows, columns)(tile);
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
                      int64_t ldb, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  if (m == 1 && transpose_a && lda == 1) {
    transpose_a = false;
    lda = k;
  }
  if (n == 1 && !transpose_b && ldb == 1) {
    transpose_b = true;
    ldb = k;
  }
  return {{a, lda, transpose_a}, {b, ldb, transpose_b}, c, ldc, false, m, n, k};
}

template <typename T>
void multiply_small(const SmallGemm<T>& g, T* workspace) {
  using namespace gemm_tile;
  constexpr int lanes = Vector<T>::lanes;
  T* const panel = aligned(workspace);
  const auto tiles = static_cast<std::uint32_t>(parts(g.m, tile_rows));
  const auto height = static_cast<int>(static_cast<std::uint32_t>(g.m) / tiles);
  const auto tall = static_cast<int64_t>(g.m - static_cast<int64_t>(height) * tiles);
  for (int64_t j = 0; j < g.n; j += tile_columns<T>) {
    const int columns = static_cast<int>(smaller(tile_columns<T>, g.n - j));
    const int vectors = columns > lanes ? 2 : 1;
    const int64_t stride = vectors * lanes;
    Tile<T> tile = {g.a,     g.lda, g.b + j,    g.ldb,   g.c + j, g.ldc,     g.k,
                    columns, false, g.epilogue, g.x + j, g.ldx,   g.out + j, g.ldout};
    if (g.transpose_b) {
      gemm_transpose::transpose_padded(g.b + j * g.ldb, g.ldb, columns, g.k, panel, stride);
      tile.b = panel;
      tile.b_stride = stride;
    } else if (columns % lanes != 0) {
      copy_padded(g.b + j, g.ldb, g.k, columns, panel, stride);
      tile.b = panel;
      tile.b_stride = stride;
    }
    const auto multiply = [&](int rows, int64_t count) {
      const TileKernel<T> kernel = choose<T>(g.transpose_a, vectors, rows);
      for (int64_t i = 0; i < count; ++i) {
        kernel(tile);
        tile.a += g.transpose_a ? rows : rows * g.lda;
        tile.c += rows * g.ldc;
        tile.x += rows * g.ldx;
        tile.out += rows * g.ldout;
      }
    };
    if (tall > 0) multiply(height + 1, tall);
    multiply(height, tiles - tall);
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
          bool transpose_b, int64_t m, int64_t n, int64_t k, T* workspace) {
  if (k == 0) {
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) c[i * ldc + j] = 0;
    }
    return;
  }
  const Product<T> product = product_of(c, ldc, a, lda, transpose_a, b, ldb, transpose_b, m, n, k);
  switch (choose(product)) {
    case Way::without_zeros_of_b:
      return multiply_without_zeros(product.swapped(), workspace);
    case Way::without_zeros_of_a:
      return multiply_without_zeros(product, workspace);
    case Way::dots:
      return multiply_dots<T>({c, ldc, a, product.a.stride, false, b, product.b.stride, true, m, n,
                               k, RegisterEpilogue::none, c, 0, c, ldc},
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
  // The rows that may be copied are those of op(A), or, where the product is swapped, of op(B)^T.
  const int64_t rows_of_a = transpose_a ? 0 : m;
  const int64_t rows_of_b = transpose_b ? n : 0;
  const int64_t most = smaller(block_rows, larger(rows_of_a, rows_of_b));
  const int64_t rows = smaller(most, gemm_tile::tile_rows) > ways ? most : 0;
  // So may the columns, where they are transposed.
  const int64_t columns = smaller(block_rows, larger(transpose_a ? m : 0, transpose_b ? 0 : n));
  const int64_t copied =
      larger(rows * spread<T>(depth), columns > 0 ? depth * spread<T>(columns) : 0);
  const int64_t dense = line<T> + depth * gemm_tile::tile_columns<T> + copied;
  const int64_t sparse = sparse_workspace<T>(transpose_a, transpose_b, m, n, k);
  return dense > sparse ? dense : sparse;
}

template void gemm(float*, int64_t, const float*, int64_t, bool, const float*, int64_t, bool,
                   int64_t, int64_t, int64_t, float*);
template void gemm(double*, int64_t, const double*, int64_t, bool, const double*, int64_t, bool,
                   int64_t, int64_t, int64_t, double*);
template int64_t gemm_workspace<float>(bool, bool, int64_t, int64_t, int64_t);
template int64_t gemm_workspace<double>(bool, bool, int64_t, int64_t, int64_t);
template SmallGemmKernel<float> small_gemm(const SmallGemm<float>&);
template SmallGemmKernel<double> small_gemm(const SmallGemm<double>&);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
