// The inner loops of the matrix products: a tile of C is kept in registers while k runs.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/gemm/gemm_vector.h"
#include "kernels/kernels.h"
#include "kernels/math/formulas.h"
#include "kernels/rounding.h"
#include "kernels/simd/each.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_tile {

using namespace gemm_vector;
using formulas::heaviside;
using formulas::relu;

// Registers for the tile, for a row of B and for one broadcast element of A. Without an FMA the
// product needs one more.
inline constexpr int tile_vectors = 2;
#if defined(__AVX2__) || defined(__AVX512F__) || defined(__aarch64__) || defined(_M_ARM64)
inline constexpr int tile_rows = (vector_registers - tile_vectors - 1) / tile_vectors;
#else
inline constexpr int tile_rows = (vector_registers - tile_vectors - 2) / tile_vectors;
#endif
template <typename T>
inline constexpr int tile_columns = tile_vectors * Vector<T>::lanes;

// What is multiplied next, and comes into L2 meanwhile: the lines of a block of a matrix, row by
// row. A tile takes one with each step of k, so that they never wait for each other.
template <typename T>
class Lines {
 public:
  Lines() = default;  // none
  Lines(const T* x, std::int64_t stride, std::int64_t rows, std::int64_t columns)
      : next_(x),
        of_row_(ceil_div(columns, line)),
        left_of_row_(of_row_),
        to_next_row_(stride - (of_row_ - 1) * line),
        left_(rows * of_row_) {}

  std::int64_t left() const { return left_; }
  // Of some that are left.
  CHAINRULE_INLINE void bring_one() {
    prefetch_to_read(next_);
    --left_of_row_;
    const bool is_last = left_of_row_ == 0;
    next_ += is_last ? to_next_row_ : line;
    left_of_row_ = is_last ? of_row_ : left_of_row_;
  }
  void has_brought(std::int64_t count) { left_ -= count; }

 private:
  static constexpr std::int64_t line = 64 / static_cast<std::int64_t>(sizeof(T));
  const T* next_ = nullptr;
  std::int64_t of_row_ = 0, left_of_row_ = 0, to_next_row_ = 0, left_ = 0;
};

inline constexpr int blocks_ahead = 3;

// Shorter sums are made before anything could come.
inline constexpr std::int64_t prefetch_depth = 32;

// A tile of C: `columns` columns, as many rows as the kernel says. Where `accumulate` is set, the
// product is added to C.
template <typename T>
struct Tile {
  const T* a;
  std::int64_t a_stride;  // between rows, or, where A is transposed, between columns of op(A)
  const T* b;             // rows of whole vectors, even where `columns` is less
  std::int64_t b_stride;
  T* c;
  std::int64_t c_stride;
  std::int64_t depth;  // k
  int columns;
  bool accumulate;
  // Of a tile that is not accumulated; see SmallGemm in kernels.h.
  RegisterEpilogue epilogue = RegisterEpilogue::none;
  const T* x = nullptr;
  std::int64_t x_stride = 0;
  T* out = nullptr;
  std::int64_t out_stride = 0;
  // `blocks_ahead` blocks, one after another; null: only C comes, before the sums are made.
  Lines<T>* next = nullptr;
};

template <typename T, int vectors>
CHAINRULE_INLINE void load_row(Vector<T> (&row)[vectors], const T* x) {
  row[0] = Vector<T>::load(x);
  if constexpr (vectors == 2) row[1] = Vector<T>::load(x + Vector<T>::lanes);
}

template <typename T, int vectors>
CHAINRULE_INLINE void add_row(Vector<T> (&sums)[vectors], const T* a,
                              const Vector<T> (&b)[vectors]) {
  const auto factor = Vector<T>::broadcast(*a);
  sums[0] = multiply_add(factor, b[0], sums[0]);
  if constexpr (vectors == 2) sums[1] = multiply_add(factor, b[1], sums[1]);
}

// `last` is the number of columns in the last vector.
template <typename T, int vectors>
CHAINRULE_INLINE void store_row(const Vector<T> (&sums)[vectors], T* c, int last, bool accumulate) {
  constexpr int lanes = Vector<T>::lanes;
  if constexpr (vectors == 2) {
    (accumulate ? Vector<T>::load(c) + sums[0] : sums[0]).store(c);
    c += lanes;
  }
  const Vector<T> sum = sums[vectors - 1];
  if (last == lanes) {
    (accumulate ? Vector<T>::load(c) + sum : sum).store(c);
  } else {
    (accumulate ? Vector<T>::load_partial(c, last) + sum : sum).store_partial(c, last);
  }
}

template <RegisterEpilogue epilogue, typename T>
CHAINRULE_INLINE Vector<T> with_epilogue(Vector<T> sum, Vector<T> x) {
  if constexpr (epilogue == RegisterEpilogue::add) return sum + x;
  if constexpr (epilogue == RegisterEpilogue::add_relu) return relu(sum + x);
  if constexpr (epilogue == RegisterEpilogue::heaviside_multiply) return heaviside(x) * sum;
}

// Row number `row` of C, unless that is the result's, and of the result. x is read before C is
// written: where they are 4 KiB apart, the load would wait for the store.
template <RegisterEpilogue epilogue, typename T, int vectors>
CHAINRULE_INLINE void store_row_with_epilogue(const Vector<T> (&sums)[vectors], const Tile<T>& tile,
                                              int row, int last) {
  constexpr int lanes = Vector<T>::lanes;
  const T* x = tile.x + row * tile.x_stride;
  T* c = tile.c + row * tile.c_stride;
  T* out = tile.out + row * tile.out_stride;
  const bool keeps_c = tile.c != tile.out;
  if constexpr (vectors == 2) {
    const Vector<T> result = with_epilogue<epilogue>(sums[0], Vector<T>::load(x));
    if (keeps_c) sums[0].store(c);
    result.store(out);
    x += lanes;
    c += lanes;
    out += lanes;
  }
  const Vector<T> sum = sums[vectors - 1];
  if (last == lanes) {
    const Vector<T> result = with_epilogue<epilogue>(sum, Vector<T>::load(x));
    if (keeps_c) sum.store(c);
    result.store(out);
  } else {
    const int part = last % lanes;  // `last` itself, but GCC sees that it is less than `lanes`
    const Vector<T> result = with_epilogue<epilogue>(sum, Vector<T>::load_partial(x, part));
    if (keeps_c) sum.store_partial(c, part);
    result.store_partial(out, part);
  }
}

template <typename T, int vectors>
CHAINRULE_INLINE void prefetch_row(const T* c) {
  prefetch_to_write(c);
  if constexpr (vectors == 2) prefetch_to_write(c + Vector<T>::lanes);
}

// `term`, `depth` times, while lines of what is next come.
template <typename T, typename Term>
CHAINRULE_INLINE void over_terms(Lines<T>* next, std::int64_t depth, Term term) {
  if (next != nullptr) {
    for (int number = 0; number < blocks_ahead; ++number) {
      Lines<T> lines = next[number];
      const std::int64_t count = depth < lines.left() ? depth : lines.left();
      for (std::int64_t i = 0; i < count; ++i) {
        lines.bring_one();
        term();
      }
      lines.has_brought(count);
      next[number] = lines;
      depth -= count;
    }
  }
  for (; depth > 0; --depth) term();
}

// Everything is unrolled through packs of indices: an array that is indexed in a loop that is left
// over lives in memory, not in registers.
template <typename T, bool a_transposed, int vectors, int... row>
void multiply(const Tile<T>& tile, std::integer_sequence<int, row...>) {
  // Copies, because the compiler must expect that storing C changes `tile`.
  T* const c = tile.c;
  const std::int64_t a_stride = tile.a_stride, b_stride = tile.b_stride, c_stride = tile.c_stride;
  const std::int64_t depth = tile.depth;
  const bool accumulate = tile.accumulate;
  const int last = tile.columns - (vectors - 1) * Vector<T>::lanes;

  // C comes into L1 while the sums are made.
  if (tile.next == nullptr && depth >= prefetch_depth)
    (prefetch_row<T, vectors>(c + row * c_stride), ...);

  const auto zero = Vector<T>::broadcast(0);
  Vector<T> sums[sizeof...(row)][vectors];
  ((sums[row][0] = zero, sums[row][vectors - 1] = zero), ...);
  Vector<T> b_row[vectors];
  const T* b = tile.b;
  if constexpr (a_transposed) {
    const T* a = tile.a;
    over_terms(tile.next, depth, [&]() CHAINRULE_INLINE_LAMBDA {
      load_row(b_row, b);
      (add_row(sums[row], a + row, b_row), ...);
      a += a_stride;
      b += b_stride;
    });
  } else {
    // One pointer for three rows: x86 adds a stride or twice a stride to a pointer for free.
    const T* a[] = {(row % 3 == 0 ? tile.a + row * a_stride : nullptr)...};
    over_terms(tile.next, depth, [&]() CHAINRULE_INLINE_LAMBDA {
      load_row(b_row, b);
      (add_row(sums[row], a[row / 3 * 3] + row % 3 * a_stride, b_row), ...);
      ((row % 3 == 0 ? ++a[row] : nullptr), ...);
      b += b_stride;
    });
  }

  if (accumulate) {
    (store_row(sums[row], c + row * c_stride, last, true), ...);
    return;
  }
  const Tile<T> local = tile;  // the compiler sees that no store changes it
  switch (local.epilogue) {
    case RegisterEpilogue::none:
      (store_row(sums[row], c + row * c_stride, last, false), ...);
      return;
    case RegisterEpilogue::add:
      (store_row_with_epilogue<RegisterEpilogue::add>(sums[row], local, row, last), ...);
      return;
    case RegisterEpilogue::add_relu:
      (store_row_with_epilogue<RegisterEpilogue::add_relu>(sums[row], local, row, last), ...);
      return;
    case RegisterEpilogue::heaviside_multiply:
      (store_row_with_epilogue<RegisterEpilogue::heaviside_multiply>(sums[row], local, row, last),
       ...);
      return;
  }
}

template <typename T, bool a_transposed, int vectors, int rows>
void multiply_rows(const Tile<T>& tile) {
  multiply<T, a_transposed, vectors>(tile, std::make_integer_sequence<int, rows>{});
}

template <typename T>
using TileKernel = void (*)(const Tile<T>&);

template <typename T, bool a_transposed, int vectors, int... row>
TileKernel<T> choose_rows(int rows, std::integer_sequence<int, row...>) {
  static constexpr TileKernel<T> kernels[] = {multiply_rows<T, a_transposed, vectors, row + 1>...};
  return kernels[rows - 1];
}

// The kernel for tiles of `rows` <= tile_rows rows and of one or two vectors of columns.
template <typename T>
TileKernel<T> choose(bool a_transposed, int vectors, int rows) {
  constexpr auto all = std::make_integer_sequence<int, tile_rows>{};
  if (a_transposed) {
    return vectors == 1 ? choose_rows<T, true, 1>(rows, all) : choose_rows<T, true, 2>(rows, all);
  }
  return vectors == 1 ? choose_rows<T, false, 1>(rows, all) : choose_rows<T, false, 2>(rows, all);
}

// --- Dot products ------------------------------------------------------------------------------

// Registers hold dot_rows x dot_columns vectors of partial sums and the vectors that they multiply.
inline constexpr int dot_rows = vector_registers == 32 ? 6 : 2;
inline constexpr int dot_columns = 4;

// C (rows x columns) = A B^T for A and B whose rows are contiguous; epilogues that add x.
template <typename T, int columns, int... row>
void dot(const Tile<T>& tile, std::integer_sequence<int, row...>) {
  constexpr int lanes = Vector<T>::lanes;
  constexpr int rows = sizeof...(row);
  const std::int64_t a_stride = tile.a_stride;
  const std::int64_t b_stride = tile.b_stride;
  const auto zero = Vector<T>::broadcast(0);
  Vector<T> sums[rows][4] = {{(static_cast<void>(row), zero), zero, zero, zero}...};
  const T* a = tile.a;
  const T* b = tile.b;
  const auto step = [&](auto load_lanes) CHAINRULE_INLINE_LAMBDA {
    Vector<T> b_row[columns];
    each<columns>([&](int j) CHAINRULE_INLINE_LAMBDA { b_row[j] = load_lanes(b + j * b_stride); });
    const auto add_row = [&](Vector<T>* sum, Vector<T> x) CHAINRULE_INLINE_LAMBDA {
      each<columns>([&](int j)
                        CHAINRULE_INLINE_LAMBDA { sum[j] = multiply_add(x, b_row[j], sum[j]); });
    };
    (add_row(sums[row], load_lanes(a + row * a_stride)), ...);
    a += lanes;
    b += lanes;
  };
  std::int64_t left = tile.depth;
  for (; left >= lanes; left -= lanes) {
    step([](const T* x) CHAINRULE_INLINE_LAMBDA { return Vector<T>::load(x); });
  }
  if (left > 0) {
    const int count = static_cast<int>(left);
    step([&](const T* x) CHAINRULE_INLINE_LAMBDA { return Vector<T>::load_partial(x, count); });
  }
  const Tile<T> local = tile;
  const auto store_row = [&](const Vector<T>* from, int number) CHAINRULE_INLINE_LAMBDA {
    T totals[4];
    sum_of_each(from[0], from[1], from[2], from[3], totals);
    T* const c = local.c + number * local.c_stride;
    each<columns>([&](int j) CHAINRULE_INLINE_LAMBDA { c[j] = totals[j]; });
    if (local.epilogue == RegisterEpilogue::none) return;
    const T* const x = local.x + number * local.x_stride;
    T* const out = local.out + number * local.out_stride;
    each<columns>([&](int j) CHAINRULE_INLINE_LAMBDA {
      const T sum = totals[j] + x[j];
      out[j] = local.epilogue == RegisterEpilogue::add_relu && T(0) > sum ? T(0) : sum;
    });
  };
  (store_row(sums[row], row), ...);
}

template <typename T, int columns, int... row>
TileKernel<T> choose_dot_rows(int rows, std::integer_sequence<int, row...>) {
  static constexpr TileKernel<T> kernels[] = {[](const Tile<T>& tile) {
    dot<T, columns>(tile, std::make_integer_sequence<int, row + 1>{});
  }...};
  return kernels[rows - 1];
}

// The kernel for `rows` <= dot_rows and `columns` <= dot_columns.
template <typename T>
TileKernel<T> choose_dot(int rows, int columns) {
  constexpr auto all = std::make_integer_sequence<int, dot_rows>{};
  switch (columns) {
    case 1:
      return choose_dot_rows<T, 1>(rows, all);
    case 2:
      return choose_dot_rows<T, 2>(rows, all);
    case 3:
      return choose_dot_rows<T, 3>(rows, all);
    default:
      return choose_dot_rows<T, dot_columns>(rows, all);
  }
}

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET::gemm_tile
