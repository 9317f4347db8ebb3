// What the ways to multiply matrices share: the matrices, and how they are cut into blocks.
#pragma once

#include <cstdint>

#include "kernels/kernels.h"
#include "kernels/rounding.h"
#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_blocks {

using std::int64_t;

// A panel of B (64 KiB with AVX-512) streams from L2, where the block of A stays too; the lines of
// A's tile stay in L1. Shorter panels would fit L1 but read and write C more often: measured
// slower.
constexpr int64_t block_depth = gemm_block_depth;
constexpr int64_t alignment = 64;  // bytes: a cache line, an AVX-512 register
template <typename T>
constexpr int64_t line = alignment / static_cast<int64_t>(sizeof(T));

constexpr int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t larger(int64_t a, int64_t b) { return a > b ? a : b; }

// k in blocks of nearly equal depth, the last one smaller. Each element's sum runs over a block in
// the order of k, and what the blocks give is added in their order.
constexpr int64_t depth_of_blocks(int64_t k) {
  constexpr int64_t unit = 64;
  return k > block_depth ? round_up(ceil_div(k, ceil_div(k, block_depth)), unit) : k;
}

template <typename T>
struct Matrix {
  const T* data;
  int64_t stride;
  bool transposed;

  const T* at(int64_t row, int64_t column) const {
    return transposed ? data + column * stride + row : data + row * stride + column;
  }
};

// C = A B, or C^T = A B where `c_transposed`; added to C where `adds`.
template <typename T>
struct Product {
  Matrix<T> a, b;
  T* c;
  int64_t c_stride;
  bool c_transposed;
  int64_t m, n, k;
  bool adds;

  Product swapped() const {
    return {{b.data, b.stride, !b.transposed},
            {a.data, a.stride, !a.transposed},
            c,
            c_stride,
            !c_transposed,
            n,
            m,
            k,
            adds};
  }
};

// Rows of whole vectors, with zeros after `columns`.
template <typename T>
void copy_padded(const T* x, int64_t x_stride, int64_t rows, int columns, T* to,
                 int64_t to_stride) {
  constexpr int lanes = Vector<T>::lanes;
  for (int64_t i = 0; i < rows; ++i) {
    int j = 0;
    for (; j + lanes <= columns; j += lanes) Vector<T>::load(x + j).store(to + j);
    if (j < columns) Vector<T>::load_partial(x + j, columns - j).store(to + j);
    x += x_stride;
    to += to_stride;
  }
}

template <typename T>
T* aligned(T* x) {
  const auto behind = reinterpret_cast<std::uintptr_t>(x) % alignment;
  return x + (alignment - behind) % alignment / sizeof(T);
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_blocks
