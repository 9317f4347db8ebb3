// Products of the parts of an image under a moving window, without a copy of those parts.
//
// A tile of C, up to 6 rows of up to 4 vectors, stays in registers over all taps and channels. Each
// of its rows has a pointer of its own into the image: so a tile may hold any six places, whatever
// the stride and wherever a line of the image ends. In an image with the channels last, the taps of
// one line lie side by side, and count as one.
//
// The gradient of the weights is a sum over all places of outer products: a tile of it, 6 elements
// of the window by up to 4 vectors of filters, stays in registers over a block of places.
#include <utility>

#include "kernels/declared.h"
#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using std::int64_t;

constexpr int tile_rows = 6;
// Registers hold tile_rows x tile_vectors sums, a row of B, an element of A, and without an FMA
// their product.
constexpr int tile_vectors = vector_registers == 32 ? 4 : 2;

// Up to `vectors` vectors of a row; of the last one only `last` elements where `partial` is set.
template <typename T, int vectors, bool partial>
CHAINRULE_INLINE void load_row(Vector<T> (&row)[vectors], const T* x, int64_t last) {
  constexpr int lanes = Vector<T>::lanes;
  if constexpr (vectors > 1) row[0] = Vector<T>::load(x);
  if constexpr (vectors > 2) row[1] = Vector<T>::load(x + lanes);
  if constexpr (vectors > 3) row[2] = Vector<T>::load(x + 2 * lanes);
  const T* const end = x + (vectors - 1) * lanes;
  row[vectors - 1] = partial ? Vector<T>::load_partial(end, last) : Vector<T>::load(end);
}

template <typename T, int vectors>
CHAINRULE_INLINE void add_row(Vector<T> (&sums)[vectors], T a, const Vector<T> (&b)[vectors]) {
  const auto factor = Vector<T>::broadcast(a);
  sums[0] = multiply_add(factor, b[0], sums[0]);
  if constexpr (vectors > 1) sums[1] = multiply_add(factor, b[1], sums[1]);
  if constexpr (vectors > 2) sums[2] = multiply_add(factor, b[2], sums[2]);
  if constexpr (vectors > 3) sums[3] = multiply_add(factor, b[3], sums[3]);
}

template <typename T, int vectors>
CHAINRULE_INLINE void clear(Vector<T> (&sums)[vectors]) {
  const auto zero = Vector<T>::broadcast(0);
  sums[0] = zero;
  if constexpr (vectors > 1) sums[1] = zero;
  if constexpr (vectors > 2) sums[2] = zero;
  if constexpr (vectors > 3) sums[3] = zero;
}

template <typename T, int vectors, bool partial>
CHAINRULE_INLINE void store_row(const Vector<T> (&sums)[vectors], T* c, int64_t last,
                                bool accumulate) {
  constexpr int lanes = Vector<T>::lanes;
  const auto store = [&](Vector<T> sum, T* to) CHAINRULE_INLINE_LAMBDA {
    (accumulate ? Vector<T>::load(to) + sum : sum).store(to);
  };
  if constexpr (vectors > 1) store(sums[0], c);
  if constexpr (vectors > 2) store(sums[1], c + lanes);
  if constexpr (vectors > 3) store(sums[2], c + 2 * lanes);
  T* const end = c + (vectors - 1) * lanes;
  if constexpr (partial) {
    const Vector<T> sum = sums[vectors - 1];
    (accumulate ? Vector<T>::load_partial(end, last) + sum : sum).store_partial(end, last);
  } else {
    store(sums[vectors - 1], end);
  }
}

// Which part of C, and which kernel of the table below does it.
struct Part {
  int64_t row, column;
  int64_t last;  // elements of the last vector
};

// Packs of indices unroll the rows: an array that is indexed in a loop that is left over lives in
// memory, not in registers.
template <typename T, int vectors, bool partial, int... row>
CHAINRULE_INLINE void product_tile(const WindowProduct<T>& product, Part part,
                                   std::integer_sequence<int, row...>) {
  const WindowProduct<T> p = product;  // a copy, which no store changes
  const int64_t* const rows = p.rows + part.row;
  Vector<T> sums[sizeof...(row)][vectors];
  (clear(sums[row]), ...);
  Vector<T> b_row[vectors];
  const T* b = p.b + part.column;
  for (int64_t t = 0; t < p.tap_count; ++t) {
    const T* const tap = p.a + p.taps[t];
    const T* const a[] = {tap + rows[row]...};
    for (int64_t l = 0; l < p.depth; ++l) {
      load_row<T, vectors, partial>(b_row, b, part.last);
      (add_row(sums[row], a[row][l], b_row), ...);
      b += p.ldb;
    }
  }
  T* const c = p.c + part.row * p.ldc + part.column;
  (store_row<T, vectors, partial>(sums[row], c + row * p.ldc, part.last, false), ...);
}

template <typename T, int vectors, bool partial, int... row>
CHAINRULE_INLINE void sum_tile(const WindowSum<T>& sum, Part part,
                               std::integer_sequence<int, row...>) {
  const WindowSum<T> s = sum;
  Vector<T> sums[sizeof...(row)][vectors];
  (clear(sums[row]), ...);
  Vector<T> b_row[vectors];
  const T* b = s.b + part.column;
  const T* const a = s.a + part.row;
  for (int64_t p = 0; p < s.place_count; ++p) {
    const T* const place = a + s.places[p];
    load_row<T, vectors, partial>(b_row, b, part.last);
    (add_row(sums[row], place[row], b_row), ...);
    b += s.ldb;
  }
  T* const c = s.c + part.row * s.ldc + part.column;
  (store_row<T, vectors, partial>(sums[row], c + row * s.ldc, part.last, s.accumulate), ...);
}

template <typename Call>
using TileKernel = void (*)(const Call& call, Part part);

template <typename T, int vectors, bool partial, int rows>
void run_tile(const WindowProduct<T>& call, Part part) {
  product_tile<T, vectors, partial>(call, part, std::make_integer_sequence<int, rows>{});
}
template <typename T, int vectors, bool partial, int rows>
void run_tile(const WindowSum<T>& call, Part part) {
  sum_tile<T, vectors, partial>(call, part, std::make_integer_sequence<int, rows>{});
}

template <typename T, typename Call, int vectors, bool partial, int... row>
TileKernel<Call> choose_rows(int64_t rows, std::integer_sequence<int, row...>) {
  static constexpr TileKernel<Call> kernels[] = {run_tile<T, vectors, partial, row + 1>...};
  return kernels[rows - 1];
}

template <typename T, typename Call, int vectors>
TileKernel<Call> choose_partial(int64_t rows, bool partial) {
  constexpr auto all = std::make_integer_sequence<int, tile_rows>{};
  return partial ? choose_rows<T, Call, vectors, true>(rows, all)
                 : choose_rows<T, Call, vectors, false>(rows, all);
}

template <typename T, typename Call>
TileKernel<Call> choose(int64_t vectors, int64_t rows, bool partial) {
  if constexpr (tile_vectors == 4) {
    if (vectors == 4) return choose_partial<T, Call, 4>(rows, partial);
    if (vectors == 3) return choose_partial<T, Call, 3>(rows, partial);
  }
  return vectors == 2 ? choose_partial<T, Call, 2>(rows, partial)
                      : choose_partial<T, Call, 1>(rows, partial);
}

// All tiles of C. A panel of B, as wide as a tile, stays in cache while the rows go by.
template <typename T, typename Call>
void run_tiles(const Call& call) {
  constexpr int64_t lanes = Vector<T>::lanes;
  constexpr int64_t width = tile_vectors * lanes;
  for (int64_t column = 0; column < call.n; column += width) {
    const int64_t columns = call.n - column < width ? call.n - column : width;
    const int64_t vectors = (columns + lanes - 1) / lanes;
    const int64_t last = columns - (vectors - 1) * lanes;
    for (int64_t row = 0; row < call.m; row += tile_rows) {
      const int64_t rows = call.m - row < tile_rows ? call.m - row : tile_rows;
      choose<T, Call>(vectors, rows, last < lanes)(call, {row, column, last});
    }
  }
}

}  // namespace

template <typename T>
void window_product(const WindowProduct<T>& product) {
  run_tiles<T>(product);
}

template <typename T>
void window_sum(const WindowSum<T>& sum) {
  run_tiles<T>(sum);
}

template void window_product(const WindowProduct<float>&);
template void window_product(const WindowProduct<double>&);
template void window_sum(const WindowSum<float>&);
template void window_sum(const WindowSum<double>&);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
