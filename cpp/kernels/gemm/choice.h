// Which kernel computes a product. The first of these that applies is taken:
//
//   1. BLAS                 the vectors are narrow, and the product is not tiny largest_own_product
//   2. without zeros of B   B has many zeros, and clearly more than A            choose
//   3. without zeros of A   A has many zeros                                     choose
//   4. dot products         C = A B^T, not added to; C is small and k is long    choose_dense
//   5. tiles                the estimate for C is at most that for C^T           choose_dense
//   6. tiles of C^T         else                                                 choose_dense
//
// 1 is asked by tasks/multiplier.cpp for each tile that a thread takes, 2 to 6 by gemm(). A product
// that is one tile, or adds up few terms, with an epilogue that the kernels have, takes a shorter
// way through 4 or 5 if it needs no blocks and no copies but of B: choose_small, asked by
// tasks/gemm.cpp when the plan is built. That way does not look for zeros.
//
// All but 2 and 3, which sample the elements, depends on shapes, strides and flags alone.
#pragma once

#include <cstdint>

#include "kernels/gemm/gemm_blocks.h"
#include "kernels/gemm/gemm_tile.h"
#include "kernels/gemm/sparse_gemm.h"
#include "kernels/kernels.h"
#include "kernels/rounding.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_choice {

using namespace gemm_blocks;

// `none`: there is no short way.
enum class Way : std::uint8_t {
  none,
  without_zeros_of_b,
  without_zeros_of_a,
  dots,
  tiles,
  swapped
};

// --- Our own kernels, or BLAS --------------------------------------------------------------------

// Products of more multiplications are left to BLAS, where there is one.
//
// From measurements on a Zen 5, one thread: our AVX-512 kernels do 1.7 to 2.5 times the work of
// OpenBLAS, which takes AVX2 there, from 32 x 16 x 16 to 512 x 512 x 256; our AVX2 kernels are from
// equal to 1.7 times as fast. On a Zen 4, where OpenBLAS takes AVX-512, ours do 1.05 to 1.2 times
// its work from 64 x 512 x 512 to 256 x 2048 x 2048. Kernels of 16-byte vectors (SSE2) do a third
// of it: they are worth it where a call of BLAS costs more than the product.
template <typename T>
inline constexpr double largest_own_product =
    Vector<T>::lanes * sizeof(T) > 16 ? __builtin_huge_val() : 8.0 * 8 * 16;

// --- Copies that a product needs -----------------------------------------------------------------

// L1 has this many ways, or more: it holds this many lines that are a multiple of `way_bytes`
// apart.
inline constexpr int64_t ways = 8;
inline constexpr int64_t way_bytes = 4096;

// Whether rows at this distance push each other out of L1: it is near a multiple of a way's size.
template <typename T>
bool crowded(int64_t stride) {
  const int64_t bytes = stride * static_cast<int64_t>(sizeof(T));
  return (bytes & -bytes) >= 2048;
}

// Whether the rows of A's tiles push each other out of L1, and a copy is used often enough.
template <typename T>
bool copies_rows(const Product<T>& p) {
  return !p.a.transposed && p.a.stride * static_cast<int64_t>(sizeof(T)) % way_bytes == 0 &&
         smaller(p.m, gemm_tile::tile_rows) > ways && p.n > gemm_tile::tile_columns<T>;
}

// Whether A^T is packed: its tiles need a piece of a line of each of k rows, which push each other
// out of L2 as well, and are used by several panels.
template <typename T>
bool packs_tiles(const Product<T>& p) {
  return p.a.transposed && p.a.stride * static_cast<int64_t>(sizeof(T)) % way_bytes == 0 &&
         p.k > 2 * ways && p.n > gemm_tile::tile_columns<T>;
}

// Whether a panel is copied: it is transposed, or many tiles use it and its rows crowd. Others
// come from L2 as fast as they are needed.
template <typename T>
bool copies_panels(const Product<T>& p) {
  constexpr int64_t many = 32;
  return p.b.transposed || (p.m > many && crowded<T>(p.b.stride));
}

// --- Dot products or tiles: estimates in cycles, right to a third or so --------------------------

template <typename T>
int64_t cost_of_tiles(bool b_transposed, bool c_transposed, int64_t m, int64_t n, int64_t k) {
  constexpr int64_t lanes = Vector<T>::lanes;
  const int64_t vectors = ceil_div(n, lanes);
  // Two FMAs a cycle, and four cycles until a sum can take the next one.
  const int64_t multiply = k * (m * vectors < 8 ? 4 : ceil_div(m * vectors, 2));
  const int64_t pack = b_transposed ? ceil_div(k, lanes) * vectors * 5 * lanes : 0;
  const int64_t unpack =
      c_transposed ? ceil_div(k, block_depth) * ceil_div(m, lanes) * vectors * 7 * lanes : 0;
  return multiply + pack + unpack;
}

template <typename T>
int64_t cost_of_dots(int64_t m, int64_t n, int64_t k) {
  return m * n * (ceil_div(k, Vector<T>::lanes) * 5 / 8 + 3);
}

template <typename T>
Way choose_dense(const Product<T>& p) {
  const int64_t tiles = cost_of_tiles<T>(p.b.transposed, false, p.m, p.n, p.k);
  const int64_t swapped = cost_of_tiles<T>(!p.a.transposed, true, p.n, p.m, p.k);
  if (p.b.transposed && !p.a.transposed && !p.adds &&
      cost_of_dots<T>(p.m, p.n, p.k) < smaller(tiles, swapped)) {
    return Way::dots;
  }
  return tiles <= swapped ? Way::tiles : Way::swapped;
}

// --- Zeros ---------------------------------------------------------------------------------------

template <typename T>
Way choose(const Product<T>& p) {
  // Fewer rows are not worth a panel, fewer columns not the words.
  constexpr int64_t least_rows = 16, least_columns = 3 * Vector<T>::lanes, least_depth = 16;
  // With fewer zeros tiles are faster; transposing C costs as much as some of the FMAs.
  constexpr double enough = 0.25, more = 0.125;
  if (p.k < least_depth) return choose_dense(p);
  double zeros_of_a = 0, zeros_of_b = 0;
  if (p.m >= least_rows && p.n >= least_columns) zeros_of_a = share_of_zeros(p.a, p.m, p.k);
  // In the gradient of weights, delta^T h, both may have zeros.
  if (p.a.transposed && !p.b.transposed && p.n >= least_rows && p.m >= least_columns) {
    zeros_of_b = share_of_zeros(p.b, p.k, p.n);
  }
  if (zeros_of_b > zeros_of_a + more && zeros_of_b >= enough + more) return Way::without_zeros_of_b;
  if (zeros_of_a >= enough) return Way::without_zeros_of_a;
  return choose_dense(p);
}

// --- The short way of small products -------------------------------------------------------------

// Dots, tiles or none; `p` is the product of `g`.
template <typename T>
Way choose_small(const SmallGemm<T>& g, const Product<T>& p) {
  if (g.k == 0 || g.k > block_depth || g.m > most_small_rows || (g.m == 1 && g.transpose_a) ||
      (g.n == 1 && !g.transpose_b)) {
    return Way::none;
  }
  const Way way = choose_dense(p);
  if (way == Way::dots) {
    return g.epilogue == RegisterEpilogue::heaviside_multiply ? Way::none : way;
  }
  const bool copies = copies_rows(p) || (p.m > 32 && crowded<T>(p.b.stride));
  return way == Way::tiles && !copies ? way : Way::none;
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_choice
