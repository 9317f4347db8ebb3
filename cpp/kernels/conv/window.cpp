// Products of the parts of an image under a moving window, without a copy of those parts.
//
// Row i of C is the sum over terms t of the element a[rows[i] + terms[t]] times row t of B. For a
// convolution a row is a place of the window, a term an element under it, and B holds the weights.
// For the gradient of the weights it is the other way round, and B holds the gradient of the
// output.
//
// A tile of C, some rows of up to 4 vectors, stays in registers over all terms. Each row has a
// pointer of its own into the image: so a tile may hold any places, whatever the stride and
// wherever a line of the image ends. A panel of B, as wide as a tile, is copied to where it stays
// in L1 while the tiles go by; there it is filled up to whole vectors. Of few columns the vectors
// are of half the lanes, where there are such.
#include <utility>

#include "kernels/declared.h"
#include "kernels/rounding.h"
#include "kernels/simd/each.h"
#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using std::int64_t;

// Registers hold the sums, a row of B, an element of A, and without an FMA their product.
constexpr int tile_vectors = vector_registers == 32 ? 4 : 2;
constexpr int most_rows = 9;  // more would need more pointers than there are registers
constexpr int few_rows = 4;   // of a tile for rows that are left over: enough to keep an FMA busy

constexpr int rows_of_tile(int vectors) { return vectors == tile_vectors ? 6 : 8; }
// Whether there are tiles of one row more.
constexpr bool has_tall(int vectors) { return 2 * vectors <= tile_vectors; }

template <typename T>
inline constexpr int64_t panel_size = tile_vectors * 10240 / static_cast<int64_t>(sizeof(T));

// A tile of C: which rows of the image it takes, and where its results go.
template <typename T>
struct Tile {
  const T* a;
  const int64_t* rows;
  const int64_t* terms;
  int64_t term_count;
  const T* panel;
  T* c = nullptr;
  int64_t ldc = 0;
  int64_t row_count = 0;  // that are stored
  int64_t last = 0;       // elements of the last vector
  bool accumulate = false;
};

// V is a Vector<T> or a HalfVector<T>.

template <typename T, typename V, int vectors>
CHAINRULE_INLINE void load_row(V (&row)[vectors], const T* x) {
  each<vectors>([&](int v) CHAINRULE_INLINE_LAMBDA { row[v] = V::load(x + v * V::lanes); });
}

template <typename T, typename V, int vectors>
CHAINRULE_INLINE void add_row(V (&sums)[vectors], T a, const V (&b)[vectors]) {
  const auto factor = V::broadcast(a);
  each<vectors>([&](int v)
                    CHAINRULE_INLINE_LAMBDA { sums[v] = multiply_add(factor, b[v], sums[v]); });
}

template <typename V, int vectors>
CHAINRULE_INLINE void clear(V (&sums)[vectors]) {
  each<vectors>([&](int v) CHAINRULE_INLINE_LAMBDA { sums[v] = V::broadcast(0); });
}

template <typename T, typename V>
CHAINRULE_INLINE void store_vector(V sum, T* to, int64_t count, bool accumulate) {
  if (count == V::lanes) {
    (accumulate ? V::load(to) + sum : sum).store(to);
  } else {
    (accumulate ? V::load_partial(to, count) + sum : sum).store_partial(to, count);
  }
}

template <typename T, typename V, int vectors>
CHAINRULE_INLINE void store_row(const V (&sums)[vectors], T* c, int64_t last, bool accumulate) {
  each<vectors>([&](int v) CHAINRULE_INLINE_LAMBDA {
    store_vector(sums[v], c + v * V::lanes, v + 1 < vectors ? V::lanes : last, accumulate);
  });
}

// Packs of indices unroll the rows: an array that is indexed in a loop that is left over lives in
// memory, not in registers.
template <typename T, typename V, int vectors, int... row>
CHAINRULE_INLINE void product_tile(const Tile<T>& tile, std::integer_sequence<int, row...>) {
  const T* const a[] = {tile.a + tile.rows[row]...};
  V sums[sizeof...(row)][vectors];
  (clear(sums[row]), ...);
  V b_row[vectors];
  const T* b = tile.panel;
  const int64_t* const terms = tile.terms;
  const int64_t count = tile.term_count;
  for (int64_t t = 0; t < count; ++t) {
    const int64_t term = terms[t];
    load_row(b_row, b);
    (add_row(sums[row], a[row][term], b_row), ...);
    b += vectors * V::lanes;
  }
  constexpr int lanes = V::lanes;
  if (tile.row_count == sizeof...(row) && tile.last == lanes) {  // as most are: no more questions
    if (tile.accumulate) {
      (store_row(sums[row], tile.c + row * tile.ldc, lanes, true), ...);
    } else {
      (store_row(sums[row], tile.c + row * tile.ldc, lanes, false), ...);
    }
    return;
  }
  ((row < tile.row_count ? store_row(sums[row], tile.c + row * tile.ldc, tile.last, tile.accumulate)
                         : void()),
   ...);
}

template <typename T>
using TileKernel = void (*)(const Tile<T>& tile);

template <typename T, typename V, int vectors, int rows>
void run_tile(const Tile<T>& tile) {
  product_tile<T, V, vectors>(tile, std::make_integer_sequence<int, rows>{});
}

// The kernels of tiles of one width in vectors.
template <typename T>
struct TileKernels {
  int rows;  // of a tile
  TileKernel<T> of_tile;
  TileKernel<T> tall = nullptr;  // of a row more, where there is such
  TileKernel<T> few = nullptr;   // of few_rows, where there is such
};

template <typename T, typename V, int vectors>
TileKernels<T> kernels_of() {
  constexpr int rows = rows_of_tile(vectors);
  TileKernels<T> kernels = {rows, run_tile<T, V, vectors, rows>};
  if constexpr (has_tall(vectors)) kernels.tall = run_tile<T, V, vectors, rows + 1>;
  if constexpr (vectors == tile_vectors) kernels.few = run_tile<T, V, vectors, few_rows>;
  return kernels;
}

template <typename T, typename V>
TileKernels<T> kernels_for(int64_t vectors) {
  if constexpr (V::lanes < Vector<T>::lanes) return kernels_of<T, V, 1>();
  if constexpr (tile_vectors == 4) {
    if (vectors == 4) return kernels_of<T, V, 4>();
    if (vectors == 3) return kernels_of<T, V, 3>();
  }
  return vectors == 2 ? kernels_of<T, V, 2>() : kernels_of<T, V, 1>();
}

// Where rows of C lie apart: a tile is computed beside C, then its rows go to their places.
template <typename T, typename V>
struct SpreadRows {
  T* c;
  const int64_t* rows;  // of those that are left, from c on
  int64_t vectors;      // of a row
  int64_t last;         // elements of the last one
  bool accumulate;
  alignas(cache_line) T beside[most_rows * tile_vectors * V::lanes];

  void run(TileKernel<T> kernel, Tile<T> tile) {
    tile.c = beside;
    tile.ldc = vectors * V::lanes;
    tile.last = V::lanes;
    tile.accumulate = false;
    kernel(tile);
    for (int64_t row = 0; row < tile.row_count; ++row, ++rows) {
      for (int64_t v = 0; v < vectors; ++v) {
        const int64_t count = v + 1 < vectors ? V::lanes : last;
        store_vector(V::load(beside + row * tile.ldc + v * V::lanes), c + *rows + v * V::lanes,
                     count, accumulate);
      }
    }
  }
};

// Runs tiles, one below the other.
template <typename T, typename V>
struct TileRun {
  Tile<T> tile;
  SpreadRows<T, V>* spread;  // or null
  int64_t last;              // elements of the last vector of a row
  int64_t below;             // rows of C that are left
  // Rows below one that whole vectors of it reach into; these are stored later.
  int64_t reach;

  void run(TileKernel<T> kernel, int64_t rows, int64_t count) {
    tile.row_count = rows;
    for (int64_t i = 0; i < count; ++i) {
      below -= rows;
      if (spread != nullptr) {
        spread->run(kernel, tile);
      } else {
        tile.last = below >= reach ? V::lanes : last;
        kernel(tile);
        tile.c += rows * tile.ldc;
      }
      tile.rows += rows;
    }
  }
};

// The numbers of the first rows of a tile, and for rows that it lacks that of the last one again.
struct TileRows {
  int64_t rows[most_rows];

  TileRows(const int64_t* from, int64_t count) {
    for (int64_t i = 0; i < most_rows; ++i) rows[i] = from[i < count ? i : count - 1];
  }
};

// Cuts rows into tiles: taller ones for those that are left over, or tiles of few rows where these
// leave fewer of their rows unused.
struct RowSplit {
  int64_t tiles, tall = 0, few = 0, rest;  // rows that are left over

  RowSplit(int64_t rows, int64_t tile_rows, bool may_be_taller, bool may_be_few)
      : tiles(rows / tile_rows), rest(rows % tile_rows) {
    if (may_be_taller && rest <= tiles) {
      tall = rest;
      tiles -= rest;
      rest = 0;
    }
    if (!may_be_few) return;
    if (tiles > 0 && rest + tile_rows == 2 * few_rows) {
      --tiles;
      few = 2;
      rest = 0;
    } else if (rest == few_rows) {
      few = 1;
      rest = 0;
    }
  }
};

// Cuts terms into blocks of about equal length whose panels have room.
struct TermBlocks {
  int64_t count, length;

  TermBlocks(int64_t terms, int64_t most)
      : count(terms <= most ? 1 : ceil_div(terms, most)), length(ceil_div(terms, count)) {}
};

// Columns of B, filled up with zeros to whole vectors.
template <typename V, typename T>
void pack(T* panel, const T* b, int64_t ldb, int64_t terms, int64_t vectors, int64_t last) {
  constexpr int64_t lanes = V::lanes;
  for (int64_t t = 0; t < terms; ++t, b += ldb, panel += vectors * lanes) {
    for (int64_t v = 0; v + 1 < vectors; ++v) V::load(b + v * lanes).store(panel + v * lanes);
    const int64_t end = (vectors - 1) * lanes;
    const auto part = last == lanes ? V::load(b + end) : V::load_partial(b + end, last);
    part.store(panel + end);
  }
}

// Columns of C, `vectors` vectors of them.
template <typename T, typename V>
void product_of_columns(const WindowProduct<T>& p, int64_t column, int64_t vectors, int64_t last,
                        T* panel) {
  constexpr int64_t lanes = V::lanes;
  const TileKernels<T> kernels = kernels_for<T, V>(vectors);
  const RowSplit split(p.m, kernels.rows, kernels.tall != nullptr, kernels.few != nullptr);
  const TermBlocks blocks(p.term_count, panel_size<T> / (vectors * lanes));
  // B itself, without a copy.
  const bool is_panel = p.ldb == vectors * lanes && (p.n == p.ldb || p.whole_rows);
  const bool follow = column == 0 && p.n <= vectors * lanes && p.ldc == p.n;  // the rows of C
  for (int64_t block = 0; block < blocks.count; ++block) {
    const int64_t term = block * blocks.length;
    const int64_t terms = p.term_count - term < blocks.length ? p.term_count - term : blocks.length;
    const T* const b = p.b + term * p.ldb + column;
    if (!is_panel) pack<V>(panel, b, p.ldb, terms, vectors, last);
    const bool accumulate = p.accumulate || block > 0;
    const int64_t reach = follow && !accumulate ? (vectors * lanes - 1) / p.n : p.m;
    SpreadRows<T, V> spread;
    spread.c = p.c + column;
    spread.rows = p.c_rows;
    spread.vectors = vectors;
    spread.last = last;
    spread.accumulate = accumulate;
    TileRun<T, V> tiles = {.tile = {.a = p.a,
                                    .rows = p.rows,
                                    .terms = p.terms + term,
                                    .term_count = terms,
                                    .panel = is_panel ? b : panel,
                                    .c = p.c + column,
                                    .ldc = p.ldc,
                                    .accumulate = accumulate},
                           .spread = p.c_rows != nullptr ? &spread : nullptr,
                           .last = last,
                           .below = p.m,
                           .reach = reach};
    tiles.run(kernels.of_tile, kernels.rows, split.tiles);
    tiles.run(kernels.tall, kernels.rows + 1, split.tall);
    tiles.run(kernels.few, few_rows, split.few);
    if (split.rest > 0) {
      const TileRows left_over(tiles.tile.rows, split.rest);
      tiles.tile.rows = left_over.rows;
      const bool is_few = kernels.few != nullptr && split.rest <= few_rows;
      tiles.run(is_few ? kernels.few : kernels.of_tile, split.rest, 1);
    }
  }
}

// --- Each channel for itself ---

constexpr int channel_rows = 8;

// Sums over terms of vectors of channels times such vectors of B.
template <typename T, bool partial, int... row>
CHAINRULE_INLINE void channel_tile(const Tile<T>& tile, Vector<T> (&sums)[channel_rows],
                                   std::integer_sequence<int, row...>) {
  const T* const a[] = {tile.a + tile.rows[row]...};
  const auto load = [&](const T* x) CHAINRULE_INLINE_LAMBDA {
    return partial ? Vector<T>::load_partial(x, tile.last) : Vector<T>::load(x);
  };
  ((sums[row] = Vector<T>::broadcast(0)), ...);
  const T* b = tile.panel;
  for (int64_t t = 0; t < tile.term_count; ++t, b += Vector<T>::lanes) {
    const int64_t term = tile.terms[t];
    const auto factor = Vector<T>::load(b);
    ((sums[row] = multiply_add(load(a[row] + term), factor, sums[row])), ...);
  }
}

}  // namespace

template <typename T>
void window_product(const WindowProduct<T>& product) {
  constexpr int64_t lanes = Vector<T>::lanes;
  const WindowProduct<T> p = product;
  alignas(cache_line) T panel[panel_size<T>];
  if (p.n <= HalfVector<T>::lanes) {
    product_of_columns<T, HalfVector<T>>(p, 0, 1, p.n, panel);
    return;
  }
  for (int64_t column = 0; column < p.n; column += tile_vectors * lanes) {
    const int64_t left = ceil_div(p.n - column, lanes);
    const int64_t vectors = left < tile_vectors ? left : tile_vectors;
    const int64_t last = left > vectors ? lanes : p.n - column - (vectors - 1) * lanes;
    product_of_columns<T, Vector<T>>(p, column, vectors, last, panel);
  }
}

template <typename T>
void channel_product(const ChannelProduct<T>& product) {
  constexpr int64_t lanes = Vector<T>::lanes;
  const ChannelProduct<T> p = product;
  alignas(cache_line) T panel[panel_size<T>];
  const TermBlocks blocks(p.term_count, panel_size<T> / lanes);
  for (int64_t channel = 0; channel < p.n; channel += lanes) {
    const int64_t count = p.n - channel < lanes ? p.n - channel : lanes;
    for (int64_t block = 0; block < blocks.count; ++block) {
      const int64_t term = block * blocks.length;
      const int64_t terms =
          p.term_count - term < blocks.length ? p.term_count - term : blocks.length;
      const T* const b = p.b + term * p.b_term + channel * p.b_channel;
      if (p.b_channel == 1) {
        pack<Vector<T>>(panel, b, p.b_term, terms, 1, count);
      } else {
        for (int64_t t = 0; t < terms; ++t) {
          for (int64_t i = 0; i < lanes; ++i) {
            panel[t * lanes + i] = i < count ? b[t * p.b_term + i * p.b_channel] : T(0);
          }
        }
      }
      for (int64_t row = 0; row < p.m; row += channel_rows) {
        const int64_t rows = p.m - row < channel_rows ? p.m - row : channel_rows;
        const TileRows of_tile(p.rows + row, rows);
        const Tile<T> tile = {.a = p.a + channel,
                              .rows = of_tile.rows,
                              .terms = p.terms + term,
                              .term_count = terms,
                              .panel = panel,
                              .last = count};
        Vector<T> sums[channel_rows];
        constexpr auto all = std::make_integer_sequence<int, channel_rows>{};
        if (count == lanes) {
          channel_tile<T, false>(tile, sums, all);
        } else {
          channel_tile<T, true>(tile, sums, all);
        }
        for (int64_t i = 0; i < rows; ++i) {
          T* const c = p.c + channel * p.c_channel +
                       (p.c_rows != nullptr ? p.c_rows[row + i] : (row + i) * p.c_row);
          const bool accumulate = p.accumulate || block > 0;
          if (p.c_channel == 1) {
            store_vector(sums[i], c, count, accumulate);
            continue;
          }
          T sum[lanes];
          sums[i].store(sum);
          for (int64_t j = 0; j < count; ++j) {
            T& to = c[j * p.c_channel];
            to = accumulate ? to + sum[j] : sum[j];
          }
        }
      }
    }
  }
}

template void window_product(const WindowProduct<float>&);
template void window_product(const WindowProduct<double>&);
template void channel_product(const ChannelProduct<float>&);
template void channel_product(const ChannelProduct<double>&);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
