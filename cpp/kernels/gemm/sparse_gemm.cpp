// After a ReLU about half of all activations are zero, or more, and so are their deltas; of the
// pixels of handwritten digits, four fifths. Those zeros are in one factor or both of the products
// of a layer: h W^T, delta W and delta^T h.
//
//     row of A     0  3  0  0  7  0 ...        row of C  +=  3 * row 1 of B's panel
//     its word     0  1  0  0  1  0 ...        row of C  +=  7 * row 4 of B's panel
//
// A row of A has words, with a bit for each of 64 elements that is not zero. Going from set bit to
// set bit, the kernel adds a row of B's panel, which is in L1, times that element to a row of C,
// which is in registers. A sum has the same terms in the same order as in a tile, without those
// that are zero, and so the same bits; only a sum that underflows to -0 would become +0 by them.
//
// Each FMA reads its part of B from L1, which gives it as fast as FMAs can be done. So the kernel
// does as much as the tiles do in the same time, and needs half of it where every second element is
// zero. The end of a word cannot be foreseen, but going through its bits takes less time than the
// FMAs: the processor comes to the end long before they are done, and goes on.
#include "kernels/gemm/sparse_gemm.h"

#include <utility>

#include "kernels/gemm/gemm_transpose.h"
#include "kernels/rounding.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

using namespace gemm_blocks;

namespace {

using BitWord = std::uint64_t;

constexpr int64_t word_bits = 64;
static_assert(block_depth % word_bits == 0);

// A panel of B has a row for each bit, of up to this many vectors. With AVX-512 that is all of L1,
// but fewer are slower: the columns share the work of going through the bits.
constexpr int panel_vectors = 8;
template <typename T>
constexpr int64_t panel_columns = panel_vectors * Vector<T>::lanes;

// Rows of op(A) that use the same panel: fewer where A is transposed, because they are copied.
constexpr int64_t rows_of_block(bool transpose_a) { return transpose_a ? 128 : 256; }

// --- Zeros ---------------------------------------------------------------------------------------

// Bit i is set where x[i] is not zero (NaN is not), for i < word_bits.
template <typename T, int... vector>
CHAINRULE_INLINE BitWord whole_word(const T* x, std::integer_sequence<int, vector...>) {
  constexpr int lanes = Vector<T>::lanes;
  const auto zero = Vector<T>::broadcast(0);
  return ((static_cast<BitWord>(lane_bits(Vector<T>::load(x + vector * lanes) != zero))
           << (vector * lanes)) |
          ...);
}

// The same for i < count <= word_bits.
template <typename T>
BitWord word_of(const T* x, int64_t count) {
  constexpr int lanes = Vector<T>::lanes;
  if (count == word_bits) {
    return whole_word(x, std::make_integer_sequence<int, word_bits / lanes>{});
  }
  const auto zero = Vector<T>::broadcast(0);
  BitWord word = 0;
  for (int64_t i = 0; i < count; i += lanes) {
    const auto v = Vector<T>::load_partial(x + i, smaller(lanes, count - i));
    word |= static_cast<BitWord>(lane_bits(v != zero)) << i;
  }
  return word;
}

// Of whole vectors.
template <typename T>
bool is_finite(const T* x, int64_t count) {
  constexpr int lanes = Vector<T>::lanes;
  const auto zero = Vector<T>::broadcast(0);
  Vector<T> sums[4] = {zero, zero, zero, zero};  // of NaNs and zeros
  const auto add = [&](int number, int64_t at) CHAINRULE_INLINE_LAMBDA {
    sums[number] = multiply_add(Vector<T>::load(x + at), zero, sums[number]);
  };
  int64_t i = 0;
  for (; i + 4 * lanes <= count; i += 4 * lanes) {
    add(0, i);
    add(1, i + lanes);
    add(2, i + 2 * lanes);
    add(3, i + 3 * lanes);
  }
  for (; i < count; i += lanes) add(0, i);
  const auto sum = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  return !any(sum != sum);
}

// --- Rows ----------------------------------------------------------------------------------------

// `count` rows of A and C, a word of each, and the panel that belongs to it.
template <typename T>
struct Rows {
  const T* a;
  int64_t a_stride;
  const BitWord* words;
  int64_t words_stride;
  const T* panel;  // a row of whole vectors for each bit
  T* c;
  int64_t c_stride;
  int64_t count;
  int columns;      // of C
  bool accumulate;  // the sums begin with C, not with 0
};

// Everything is unrolled through packs of indices; see gemm_tile.h.
template <typename T, int... vector>
void add_rows(const Rows<T>& rows, std::integer_sequence<int, vector...>) {
  constexpr int lanes = Vector<T>::lanes;
  constexpr int vectors = sizeof...(vector);
  // Copies, because the compiler must expect that storing C changes `rows`.
  const T* a = rows.a;
  const BitWord* words = rows.words;
  T* c = rows.c;
  const T* const panel = rows.panel;
  const int64_t a_stride = rows.a_stride, words_stride = rows.words_stride;
  const int64_t c_stride = rows.c_stride;
  const bool accumulate = rows.accumulate;
  const int last = rows.columns - (vectors - 1) * lanes;
  const auto is_whole = [=](int number) { return number < vectors - 1 || last == lanes; };
  const auto zero = Vector<T>::broadcast(0);
  for (int64_t i = rows.count; i > 0; --i) {
    Vector<T> sums[vectors] = {(static_cast<void>(vector), zero)...};
    if (accumulate) {
      ((sums[vector] = is_whole(vector) ? Vector<T>::load(c + vector * lanes)
                                        : Vector<T>::load_partial(c + vector * lanes, last)),
       ...);
    }
    for (BitWord word = *words; word != 0; word &= word - 1) {
      const int bit = lowest_bit(word);
      const auto factor = Vector<T>::broadcast(a[bit]);
      const T* const b = panel + bit * (vectors * lanes);
      ((sums[vector] = multiply_add(factor, Vector<T>::load(b + vector * lanes), sums[vector])),
       ...);
    }
    ((is_whole(vector) ? sums[vector].store(c + vector * lanes)
                       : sums[vector].store_partial(c + vector * lanes, last)),
     ...);
    a += a_stride;
    words += words_stride;
    c += c_stride;
  }
}

template <typename T>
using RowsKernel = void (*)(const Rows<T>&);

template <typename T, int... number>
RowsKernel<T> choose(int64_t vectors, std::integer_sequence<int, number...>) {
  static constexpr RowsKernel<T> kernels[] = {[](const Rows<T>& rows) {
    add_rows<T>(rows, std::make_integer_sequence<int, number + 1>{});
  }...};
  return kernels[vectors - 1];
}

// --- Blocks --------------------------------------------------------------------------------------

// Elements that the parts of the workspace take: whole cache lines.
template <typename T>
struct Workspace {
  int64_t panel, sums, words, copy;

  Workspace(bool transpose_a, int64_t m, int64_t k) {
    const int64_t rows = smaller(m, rows_of_block(transpose_a));
    const int64_t count = ceil_div(smaller(k, block_depth), word_bits);
    panel = word_bits * panel_columns<T>;
    sums = round_up(rows * panel_columns<T>, line<T>);
    words = ceil_div(rows * count * static_cast<int64_t>(sizeof(BitWord)), alignment) * line<T>;
    copy = transpose_a ? rows * count * word_bits : 0;
  }

  int64_t total() const { return line<T> + panel + sums + words + copy; }
};

// A product, block by block of A: the block's words first, then panel by panel of B.
template <typename T>
class SparseProduct {
 public:
  SparseProduct(const Product<T>& product, T* workspace) : p_(product) {
    const Workspace<T> sizes(p_.a.transposed, p_.m, p_.k);
    panel_ = aligned(workspace);
    sums_ = panel_ + sizes.panel;
    words_ = reinterpret_cast<BitWord*>(sums_ + sizes.sums);
    copy_ = sums_ + sizes.sums + sizes.words;
  }

  void multiply() {
    constexpr int64_t lanes = Vector<T>::lanes;
    const int64_t vectors = ceil_div(p_.n, lanes);
    const int64_t width = ceil_div(vectors, ceil_div(vectors, panel_vectors)) * lanes;
    const int64_t depth = depth_of_blocks(p_.k);
    const int64_t height = rows_of_block(p_.a.transposed);
    for (l0_ = 0; l0_ < p_.k; l0_ += depth) {
      depth_ = smaller(depth, p_.k - l0_);
      for (i0_ = 0; i0_ < p_.m; i0_ += height) {
        rows_ = smaller(height, p_.m - i0_);
        find_words();
        for (int64_t j0 = 0; j0 < p_.n; j0 += width) {
          multiply_panels(j0, static_cast<int>(smaller(width, p_.n - j0)));
        }
      }
    }
  }

 private:
  // The elements of the word at `l`.
  int64_t bits_at(int64_t l) const { return smaller(word_bits, depth_ - l); }
  // The rows of op(A), from `l` of the block on.
  Matrix<T> rows_at(int64_t l) const {
    if (p_.a.transposed) return {copy_ + l * rows_, word_bits, false};
    return {p_.a.at(i0_, l0_ + l), p_.a.stride, false};
  }

  void find_words() {
    for (int64_t l = 0; l < depth_; l += word_bits) {
      const int64_t bits = bits_at(l);
      if (p_.a.transposed) {
        gemm_transpose::transpose_padded(p_.a.at(i0_, l0_ + l), p_.a.stride, static_cast<int>(bits),
                                         rows_, copy_ + l * rows_, word_bits);
      }
      const Matrix<T> a = rows_at(l);
      BitWord* const words = words_ + l / word_bits * rows_;
      for (int64_t i = 0; i < rows_; ++i) words[i] = word_of(a.at(i, 0), bits);
    }
  }

  // Columns j0 ... j0 + columns - 1 of the block's rows of C.
  void multiply_panels(int64_t j0, int columns) {
    const int64_t vectors = ceil_div(columns, Vector<T>::lanes);
    const int64_t stride = vectors * Vector<T>::lanes;
    const RowsKernel<T> kernel =
        choose<T>(vectors, std::make_integer_sequence<int, panel_vectors>{});
    const bool adds = p_.adds || l0_ > 0;
    const bool is_direct = !adds && !p_.c_transposed;
    Rows<T> rows = {};
    rows.panel = panel_;
    rows.c = is_direct ? p_.c + i0_ * p_.c_stride + j0 : sums_;
    rows.c_stride = is_direct ? p_.c_stride : stride;
    rows.count = rows_;
    rows.columns = is_direct ? columns : static_cast<int>(stride);
    for (int64_t l = 0; l < depth_; l += word_bits) {
      const int64_t bits = bits_at(l);
      const T* const b = p_.b.at(l0_ + l, j0);
      if (p_.b.transposed) {
        gemm_transpose::transpose_padded(b, p_.b.stride, columns, bits, panel_, stride);
      } else {
        copy_padded(b, p_.b.stride, bits, columns, panel_, stride);
      }
      const BitWord every_bit = ~BitWord(0) >> (word_bits - bits);
      const bool leaves_out = is_finite(panel_, bits * stride);
      const Matrix<T> a = rows_at(l);
      rows.a = a.data;
      rows.a_stride = a.stride;
      rows.words = leaves_out ? words_ + l / word_bits * rows_ : &every_bit;
      rows.words_stride = leaves_out ? 1 : 0;
      rows.accumulate = l > 0;
      kernel(rows);
    }
    if (p_.c_transposed) {
      gemm_transpose::transpose(sums_, stride, static_cast<int>(rows_), columns,
                                p_.c + j0 * p_.c_stride + i0_, p_.c_stride, adds);
    } else if (!is_direct) {
      add_sums(p_.c + i0_ * p_.c_stride + j0, stride, columns);
    }
  }

  void add_sums(T* c, int64_t stride, int columns) const {
    constexpr int lanes = Vector<T>::lanes;
    const T* sums = sums_;
    for (int64_t i = 0; i < rows_; ++i) {
      for (int j = 0; j < columns; j += lanes) {
        const int64_t count = smaller(lanes, columns - j);
        (Vector<T>::load_partial(c + j, count) + Vector<T>::load(sums + j))
            .store_partial(c + j, count);
      }
      c += p_.c_stride;
      sums += stride;
    }
  }

  const Product<T> p_;
  T* panel_;
  T* sums_;  // of the rows and a panel, where C is not written directly
  BitWord* words_;
  T* copy_;  // of op(A)'s block
  int64_t l0_ = 0, depth_ = 0, i0_ = 0, rows_ = 0;
};

}  // namespace

template <typename T>
double share_of_zeros(const Matrix<T>& x, int64_t rows, int64_t columns) {
  constexpr int64_t samples = 8, most = 512;
  constexpr int lanes = Vector<T>::lanes;
  const auto zero = Vector<T>::broadcast(0), one = Vector<T>::broadcast(1);
  const int64_t lines = x.transposed ? columns : rows;
  const int64_t length = smaller(most, (x.transposed ? rows : columns) / lanes * lanes);
  auto zeros = zero;
  for (int64_t i = 0; i < samples; ++i) {
    const T* const from = x.data + lines * i / samples * x.stride;
    for (int64_t j = 0; j < length; j += lanes) {
      zeros = zeros + select_or_zero(Vector<T>::load(from + j) == zero, one);
    }
  }
  T counts[lanes];
  zeros.store(counts);
  double count = 0;
  for (const T each : counts) count += each;
  return length == 0 ? 0 : count / static_cast<double>(samples * length);
}

template <typename T>
void multiply_without_zeros(const Product<T>& product, T* workspace) {
  SparseProduct<T>(product, workspace).multiply();
}

template <typename T>
int64_t sparse_workspace(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k) {
  const int64_t straight = Workspace<T>(transpose_a, m, k).total();
  const int64_t swapped = Workspace<T>(!transpose_b, n, k).total();
  return straight > swapped ? straight : swapped;
}

template double share_of_zeros(const Matrix<float>&, int64_t, int64_t);
template double share_of_zeros(const Matrix<double>&, int64_t, int64_t);
template void multiply_without_zeros(const Product<float>&, float*);
template void multiply_without_zeros(const Product<double>&, double*);
template int64_t sparse_workspace<float>(bool, bool, int64_t, int64_t, int64_t);
template int64_t sparse_workspace<double>(bool, bool, int64_t, int64_t, int64_t);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
