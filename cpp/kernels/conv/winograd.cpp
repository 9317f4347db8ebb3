// The transforms of Winograd's convolution F(2 x 2, 3 x 3): tiles of 2 x 2 places under a window of
// 3 x 3, from 4 x 4 elements of the image, by 16 products in the place of 36.
//
//   y = A' ((G w G') * (B' x B)) A      w' = G' ((A g A') * (B' x B)) G      * element by element
//
//   B' = 1  0 -1  0     A' = 1  1  1  0     G = 1    0    0
//        0  1  1  0          0  1 -1 -1         1/2  1/2  1/2
//        0 -1  1  0                             1/2 -1/2  1/2
//        0  1  0 -1                             0    0    1
//
// A vector holds channels. A line of tiles is done from left to right.
//
// Source: Lavin, Gray, "Fast algorithms for convolutional neural networks", CVPR 2016.
#include "kernels/declared.h"
#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

using std::int64_t;

constexpr int side = 4;  // elements of a tile of the image along an axis

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
struct Four {
  Vector<T> at[side];
};

// B' times a column.
template <typename T>
CHAINRULE_INLINE Four<T> of_image(const Four<T>& x) {
  return {{x.at[0] - x.at[2], x.at[1] + x.at[2], x.at[2] - x.at[1], x.at[1] - x.at[3]}};
}

// A times a column of two.
template <typename T>
CHAINRULE_INLINE Four<T> of_places(Vector<T> first, Vector<T> second) {
  return {{first, first + second, first - second, -second}};
}

// A' times a column.
template <typename T>
CHAINRULE_INLINE void to_places(const Four<T>& m, Vector<T>& first, Vector<T>& second) {
  first = (m.at[0] + m.at[1]) + m.at[2];
  second = (m.at[1] - m.at[2]) - m.at[3];
}

// B' times a column of the image; zeros where the column lies beside the image.
template <bool partial, typename T>
CHAINRULE_INLINE Four<T> image_column(const WinogradLine<T>& line, const T* const* lines,
                                      int64_t column, int64_t channel, int64_t count) {
  const auto zero = broadcast(T(0));
  if (column < 0 || column >= line.columns) return {{zero, zero, zero, zero}};
  const int64_t at = column * line.channels + channel;
  return of_image(
      Four<T>{{load<partial>(lines[0] + at, count), load<partial>(lines[1] + at, count),
               load<partial>(lines[2] + at, count), load<partial>(lines[3] + at, count)}});
}

// The number of a row, known to the compiler: what is indexed by it stays in registers.
template <int i>
struct Row {};
template <typename Visit>
CHAINRULE_INLINE void for_each_row(Visit visit) {
  visit(Row<0>{});
  visit(Row<1>{});
  visit(Row<2>{});
  visit(Row<3>{});
}

// A row of a tile, whose numbers are `apart` from each other.
template <bool partial, typename T>
CHAINRULE_INLINE void store_row(const Four<T>& row, T* to, int64_t apart, int64_t count) {
  store<partial>(row.at[0], to, count);
  store<partial>(row.at[1], to + apart, count);
  store<partial>(row.at[2], to + 2 * apart, count);
  store<partial>(row.at[3], to + 3 * apart, count);
}

}  // namespace

template <typename T>
void winograd_image(const WinogradLine<T>& given, const T* const* lines) {
  const WinogradLine<T> line = given;
  for_each_vector<T>(line.channels, [&]<bool partial>(int64_t channel, int64_t count) {
    int64_t column = line.first;
    Four<T> a = image_column<partial>(line, lines, column, channel, count);
    Four<T> b = image_column<partial>(line, lines, column + 1, channel, count);
    T* to = line.tiles + channel;
    for (int64_t tile = 0; tile < line.count; ++tile, to += line.channels) {
      column += 2;
      const Four<T> c = image_column<partial>(line, lines, column, channel, count);
      const Four<T> d = image_column<partial>(line, lines, column + 1, channel, count);
      const auto store_line = [&]<int i>(Row<i>) CHAINRULE_INLINE_LAMBDA {
        store_row<partial>(of_image(Four<T>{{a.at[i], b.at[i], c.at[i], d.at[i]}}),
                           to + i * side * line.apart, line.apart, count);
      };
      for_each_row(store_line);
      a = c;
      b = d;
    }
  });
}

template <typename T>
void winograd_places(const WinogradLine<T>& given, const T* const* lines) {
  const WinogradLine<T> line = given;
  for_each_vector<T>(line.channels, [&]<bool partial>(int64_t channel, int64_t count) {
    const auto column_of = [&](int64_t column) CHAINRULE_INLINE_LAMBDA {
      const auto zero = broadcast(T(0));
      if (column >= line.columns) return of_places(zero, zero);
      const int64_t at = column * line.channels + channel;
      return of_places(load<partial>(lines[0] + at, count), load<partial>(lines[1] + at, count));
    };
    T* to = line.tiles + channel;
    for (int64_t tile = 0; tile < line.count; ++tile, to += line.channels) {
      const Four<T> a = column_of(2 * tile);
      const Four<T> b = column_of(2 * tile + 1);
      const auto store_line = [&]<int i>(Row<i>) CHAINRULE_INLINE_LAMBDA {
        store_row<partial>(of_places(a.at[i], b.at[i]), to + i * side * line.apart, line.apart,
                           count);
      };
      for_each_row(store_line);
    }
  });
}

template <typename T>
void winograd_results(const WinogradLine<T>& given, T* const* lines) {
  const WinogradLine<T> line = given;
  for_each_vector<T>(line.channels, [&]<bool partial>(int64_t channel, int64_t count) {
    const T* from = line.tiles + channel;
    for (int64_t tile = 0; tile < line.count; ++tile, from += line.channels) {
      Four<T> rows[2];
      for (int j = 0; j < side; ++j) {
        Four<T> m;
        for (int i = 0; i < side; ++i) {
          m.at[i] = load<partial>(from + (i * side + j) * line.apart, count);
        }
        to_places(m, rows[0].at[j], rows[1].at[j]);
      }
      for (int i = 0; i < 2; ++i) {
        if (lines[i] == nullptr) continue;
        Vector<T> first, second;
        to_places(rows[i], first, second);
        T* const to = lines[i] + 2 * tile * line.channels + channel;
        store<partial>(first, to, count);
        if (2 * tile + 1 < line.columns) store<partial>(second, to + line.channels, count);
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
