// Transposing through registers, a square block of Vector<T>::lanes rows at a time.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/gemm/gemm_vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_transpose {

using namespace gemm_vector;

// Each stage deals the rows out as one shuffles cards, which rotates the bits of an element's place
// (row, lane) by one; after as many stages as a lane's number has bits, row and lane have changed
// places.
template <typename T, int stages, int... pair>
CHAINRULE_INLINE void shuffle(Vector<T>* x, std::integer_sequence<int, pair...> pairs) {
  if constexpr (stages > 0) {
    constexpr int half = sizeof...(pair);
    Vector<T> dealt[2 * half];
    (interleave(x[pair], x[pair + half], dealt[2 * pair], dealt[2 * pair + 1]), ...);
    shuffle<T, stages - 1>(dealt, pairs);
    ((x[2 * pair] = dealt[2 * pair], x[2 * pair + 1] = dealt[2 * pair + 1]), ...);
  }
}

template <typename T>
CHAINRULE_INLINE void add_part(T* to, Vector<T> x, int count) {
  (Vector<T>::load_partial(to, count) + x).store_partial(to, count);
}

constexpr int logarithm(int lanes) { return lanes == 1 ? 0 : 1 + logarithm(lanes / 2); }

template <typename T, int... row>
void block(const T* x, std::int64_t x_stride, int rows, int columns, T* to, std::int64_t to_stride,
           bool part, bool accumulate, std::integer_sequence<int, row...>) {
  constexpr int lanes = Vector<T>::lanes;
  Vector<T> values[lanes];
  if (rows == lanes && columns == lanes) {
    ((values[row] = Vector<T>::load(x + row * x_stride)), ...);
  } else {
    const auto zero = Vector<T>::broadcast(0);
    ((values[row] = row < rows ? Vector<T>::load_partial(x + row * x_stride, columns) : zero), ...);
  }
  shuffle<T, logarithm(lanes)>(values, std::make_integer_sequence<int, lanes / 2>{});
  if (!part) {
    ((row < columns ? values[row].store(to + row * to_stride) : void()), ...);
    return;
  }
  if (accumulate) {
    ((row < columns ? add_part(to + row * to_stride, values[row], rows) : void()), ...);
  } else {
    ((row < columns ? values[row].store_partial(to + row * to_stride, rows) : void()), ...);
  }
}

template <typename T>
inline constexpr auto all_rows = std::make_integer_sequence<int, Vector<T>::lanes>{};

// Writes x (rows x columns) to `to` transposed, or adds it.
template <typename T>
void transpose(const T* x, std::int64_t x_stride, int rows, int columns, T* to,
               std::int64_t to_stride, bool accumulate) {
  constexpr int lanes = Vector<T>::lanes;
  for (int i = 0; i < rows; i += lanes) {
    const int block_rows = rows - i < lanes ? rows - i : lanes;
    for (int j = 0; j < columns; j += lanes) {
      const int block_columns = columns - j < lanes ? columns - j : lanes;
      block(x + i * x_stride + j, x_stride, block_rows, block_columns, to + j * to_stride + i,
            to_stride, true, accumulate, all_rows<T>);
    }
  }
}

// The same, where `to` has rows of whole vectors; the elements after `rows` become zero.
template <typename T>
void transpose_padded(const T* x, std::int64_t x_stride, int rows, std::int64_t columns, T* to,
                      std::int64_t to_stride) {
  constexpr int lanes = Vector<T>::lanes;
  for (std::int64_t j = 0; j < columns; j += lanes) {
    const int block_columns = columns - j < lanes ? static_cast<int>(columns - j) : lanes;
    for (int i = 0; i < rows; i += lanes) {
      const int block_rows = rows - i < lanes ? rows - i : lanes;
      block(x + i * x_stride + j, x_stride, block_rows, block_columns, to + j * to_stride + i,
            to_stride, false, false, all_rows<T>);
    }
  }
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_transpose
