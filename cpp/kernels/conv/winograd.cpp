// The transforms of Winograd's convolution F(4 x 4, 3 x 3): tiles of 4 x 4 places under a window of
// 3 x 3, from 6 x 6 elements of the image, by 36 products in the place of 144.
//
//   y = A' ((G w G') * (B' x B)) A      w' = G' ((A g A') * (B' x B)) G      * element by element
//
// A line of places is the product of the polynomials that a line of the image and the kernel are,
// from its values at the points 0, a, -a, b, -b and infinity. With p = a^2 b^2 and s = a^2 + b^2:
//
//   B' = p    0    -s   0   1  0     A' = 1  1    1    1    1    0     G = 1/p  0     0
//        0  -a b^2 -b^2 a   1  0          0  a   -a    b   -b    0         1/n  a/n   a^2/n
//        0   a b^2 -b^2 -a  1  0          0  a^2  a^2  b^2  b^2  0         1/n  -a/n  a^2/n
//        0  -b a^2 -a^2 b   1  0          0  a^3 -a^3  b^3 -b^3  1         1/m  b/m   b^2/m
//        0   b a^2 -a^2 -b  1  0                                           1/m  -b/m  b^2/m
//        0   p     0    -s  0  1          n = 2 a^2 (a^2 - b^2) = -m a^2/b^2   0    0     1
//
// The rounding error hangs on the points: with 5/8 and 3/2 it is half of that with 1 and 2. A
// vector holds channels. A line of tiles is done from left to right.
//
// Sources: Lavin, Gray, "Fast algorithms for convolutional neural networks", CVPR 2016; Barabasz,
// Anderson, Soodhalter, Gregg, "Error analysis and improving the accuracy of Winograd convolution
// for deep neural networks", ACM Transactions on Mathematical Software, 2020.
#include "kernels/conv/tiles.h"
#include "kernels/declared.h"
#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using std::int64_t;

constexpr int side = winograd::tile_side, places = winograd::tile_places;

// The points and what comes of them; all are numbers of float32.
constexpr double a = 0.625, b = 1.5;
constexpr double a2 = a * a, b2 = b * b;

template <bool partial, typename T>
CHAINRULE_INLINE Vector<T> load(const T* from, int64_t count) {
  return partial ? Vector<T>::load_partial(from, count) : Vector<T>::load(from);
}
template <bool partial, typename T>
CHAINRULE_INLINE void store(Vector<T> value, T* to, int64_t count) {
  if constexpr (partial) {
    value.store_partial(to, count);
  } else {
    value.store(to);
  }
}

// Calls visit<partial>(first channel, count) for each vector of channels.
template <typename T, typename Visit>
CHAINRULE_INLINE void for_each_vector(int64_t channels, Visit visit) {
  constexpr int64_t lanes = Vector<T>::lanes;
  int64_t c = 0;
  for (; c + lanes <= channels; c += lanes) visit.template operator()<false>(c, lanes);
  if (c < channels) visit.template operator()<true>(c, channels - c);
}

template <typename T>
struct Six {
  Vector<T> at[side];
};
template <typename T>
struct FourPlaces {
  Vector<T> at[places];
};

template <typename T>
CHAINRULE_INLINE Vector<T> number(double x) {
  return Vector<T>::broadcast(static_cast<T>(x));
}

// B' times a column.
template <typename T>
CHAINRULE_INLINE Six<T> of_image(const Six<T>& x) {
  const auto p = number<T>(a2 * b2), s = number<T>(a2 + b2);
  const auto even_a = negative_multiply_add(number<T>(b2), x.at[2], x.at[4]);
  const auto odd_a = negative_multiply_add(number<T>(b2), x.at[1], x.at[3]);
  const auto even_b = negative_multiply_add(number<T>(a2), x.at[2], x.at[4]);
  const auto odd_b = negative_multiply_add(number<T>(a2), x.at[1], x.at[3]);
  return {{multiply_add(p, x.at[0], negative_multiply_add(s, x.at[2], x.at[4])),
           multiply_add(number<T>(a), odd_a, even_a),
           negative_multiply_add(number<T>(a), odd_a, even_a),
           multiply_add(number<T>(b), odd_b, even_b),
           negative_multiply_add(number<T>(b), odd_b, even_b),
           multiply_add(p, x.at[1], negative_multiply_add(s, x.at[3], x.at[5]))}};
}

// A times a column of four.
template <typename T>
CHAINRULE_INLINE Six<T> of_places(const FourPlaces<T>& x) {
  const auto even_a = multiply_add(number<T>(a2), x.at[2], x.at[0]);
  const auto odd_a = multiply_add(number<T>(a2), x.at[3], x.at[1]);
  const auto even_b = multiply_add(number<T>(b2), x.at[2], x.at[0]);
  const auto odd_b = multiply_add(number<T>(b2), x.at[3], x.at[1]);
  return {{x.at[0], multiply_add(number<T>(a), odd_a, even_a),
           negative_multiply_add(number<T>(a), odd_a, even_a),
           multiply_add(number<T>(b), odd_b, even_b),
           negative_multiply_add(number<T>(b), odd_b, even_b), x.at[3]}};
}

// A' times a column.
template <typename T>
CHAINRULE_INLINE FourPlaces<T> to_places(const Six<T>& m) {
  const auto sum_a = m.at[1] + m.at[2], difference_a = m.at[1] - m.at[2];
  const auto sum_b = m.at[3] + m.at[4], difference_b = m.at[3] - m.at[4];
  return {{(m.at[0] + sum_a) + sum_b,
           multiply_add(number<T>(a), difference_a, number<T>(b) * difference_b),
           multiply_add(number<T>(a2), sum_a, number<T>(b2) * sum_b),
           multiply_add(number<T>(a * a2), difference_a,
                        multiply_add(number<T>(b * b2), difference_b, m.at[5]))}};
}

// Six numbers of a tile, `apart` from each other.
template <bool partial, typename T>
CHAINRULE_INLINE void store_six(const Six<T>& row, T* to, int64_t apart, int64_t count) {
  store<partial>(row.at[0], to, count);
  store<partial>(row.at[1], to + apart, count);
  store<partial>(row.at[2], to + 2 * apart, count);
  store<partial>(row.at[3], to + 3 * apart, count);
  store<partial>(row.at[4], to + 4 * apart, count);
  store<partial>(row.at[5], to + 5 * apart, count);
}

template <typename T, int64_t count, int64_t width>
CHAINRULE_INLINE void set_column(Vector<T> (&rows)[count][width], int64_t i,
                                 const Vector<T> (&column)[count]) {
  for (int64_t k = 0; k < count; ++k) rows[k][i] = column[k];
}

// Tiles of a line whose columns are transformed, then their rows.
constexpr int64_t tiles_at_once = 8;
constexpr int64_t columns_at_once = tiles_at_once * places + side - places;

}  // namespace

template <typename T>
void winograd_image(const WinogradLine<T>& given, const T* const* lines) {
  const WinogradLine<T> line = given;
  for_each_vector<T>(line.channels, [&]<bool partial>(int64_t channel, int64_t count) {
    const T* const x[] = {lines[0] + channel, lines[1] + channel, lines[2] + channel,
                          lines[3] + channel, lines[4] + channel, lines[5] + channel};
    Vector<T> rows[side][columns_at_once];
    for (int64_t begin = 0; begin < line.count; begin += tiles_at_once) {
      const int64_t tiles = line.count - begin < tiles_at_once ? line.count - begin : tiles_at_once;
      const int64_t first = line.first + begin * places;
      const int64_t columns = tiles * places + side - places;
      for (int64_t i = 0; i < columns; ++i) {
        Six<T> column = {};
        if (const int64_t from = first + i; from >= 0 && from < line.columns) {
          const int64_t at = from * line.channels;
          column =
              of_image(Six<T>{{load<partial>(x[0] + at, count), load<partial>(x[1] + at, count),
                               load<partial>(x[2] + at, count), load<partial>(x[3] + at, count),
                               load<partial>(x[4] + at, count), load<partial>(x[5] + at, count)}});
        } else {
          const auto zero = Vector<T>::broadcast(0);
          column = {{zero, zero, zero, zero, zero, zero}};
        }
        set_column(rows, i, column.at);
      }
      T* to = line.tiles + begin * line.channels + channel;
      for (int64_t tile = 0; tile < tiles; ++tile, to += line.channels) {
        for (int64_t i = 0; i < side; ++i) {
          const Vector<T>* const row = rows[i] + tile * places;
          store_six<partial>(of_image(Six<T>{{row[0], row[1], row[2], row[3], row[4], row[5]}}),
                             to + i * side * line.apart, line.apart, count);
        }
      }
    }
  });
}

template <typename T>
void winograd_places(const WinogradLine<T>& given, const T* const* lines) {
  const WinogradLine<T> line = given;
  for_each_vector<T>(line.channels, [&]<bool partial>(int64_t channel, int64_t count) {
    const T* const g[] = {lines[0] + channel, lines[1] + channel, lines[2] + channel,
                          lines[3] + channel};
    T* to = line.tiles + channel;
    for (int64_t tile = 0; tile < line.count; ++tile, to += line.channels) {
      Vector<T> rows[side][places];
      for (int64_t i = 0; i < places; ++i) {
        const auto zero = Vector<T>::broadcast(0);
        FourPlaces<T> column = {{zero, zero, zero, zero}};
        if (const int64_t from = tile * places + i; from < line.columns) {
          const int64_t at = from * line.channels;
          column = {{load<partial>(g[0] + at, count), load<partial>(g[1] + at, count),
                     load<partial>(g[2] + at, count), load<partial>(g[3] + at, count)}};
        }
        set_column(rows, i, of_places(column).at);
      }
      for (int64_t i = 0; i < side; ++i) {
        store_six<partial>(
            of_places(FourPlaces<T>{{rows[i][0], rows[i][1], rows[i][2], rows[i][3]}}),
            to + i * side * line.apart, line.apart, count);
      }
    }
  });
}

template <typename T>
void winograd_results(const WinogradLine<T>& given, T* const* lines) {
  const WinogradLine<T> line = given;
  for_each_vector<T>(line.channels, [&]<bool partial>(int64_t channel, int64_t count) {
    const T* from = line.tiles + channel;
    for (int64_t tile = 0; tile < line.count; ++tile, from += line.channels) {
      Vector<T> rows[places][side];
      for (int64_t j = 0; j < side; ++j) {
        const T* const m = from + j * line.apart;
        const int64_t down = side * line.apart;
        const FourPlaces<T> column = to_places(
            Six<T>{{load<partial>(m, count), load<partial>(m + down, count),
                    load<partial>(m + 2 * down, count), load<partial>(m + 3 * down, count),
                    load<partial>(m + 4 * down, count), load<partial>(m + 5 * down, count)}});
        set_column(rows, j, column.at);
      }
      const int64_t left = line.columns - tile * places;
      for (int64_t i = 0; i < places; ++i) {
        if (lines[i] == nullptr) continue;
        const FourPlaces<T> row = to_places(
            Six<T>{{rows[i][0], rows[i][1], rows[i][2], rows[i][3], rows[i][4], rows[i][5]}});
        T* const to = lines[i] + tile * places * line.channels + channel;
        store<partial>(row.at[0], to, count);
        if (left > 1) store<partial>(row.at[1], to + line.channels, count);
        if (left > 2) store<partial>(row.at[2], to + 2 * line.channels, count);
        if (left > 3) store<partial>(row.at[3], to + 3 * line.channels, count);
      }
    }
  });
}

template void winograd_image(const WinogradLine<float>&, const float* const*);
template void winograd_image(const WinogradLine<double>&, const double* const*);
template void winograd_places(const WinogradLine<float>&, const float* const*);
template void winograd_places(const WinogradLine<double>&, const double* const*);
template void winograd_results(const WinogradLine<float>&, float* const*);
template void winograd_results(const WinogradLine<double>&, double* const*);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
