#include "kernels/reduce.h"

#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

// By their names in reductions.def.
namespace operations {
struct sum {
  template <typename T>
  static constexpr T identity = T(0);
  template <typename T>
  CHAINRULE_INLINE Vector<T> operator()(Vector<T> a, Vector<T> b) const {
    return a + b;
  }
};
struct max {
  template <typename T>
  static constexpr T identity = lowest<T>;
  template <typename T>
  CHAINRULE_INLINE Vector<T> operator()(Vector<T> a, Vector<T> b) const {
    return maximum(a, b);
  }
};
struct min {
  template <typename T>
  static constexpr T identity = highest<T>;
  template <typename T>
  CHAINRULE_INLINE Vector<T> operator()(Vector<T> a, Vector<T> b) const {
    return minimum(a, b);
  }
};
}  // namespace operations

// Combines blocks in pairs, pairs of pairs and so on, as they come: the rounding error of a sum
// grows with the logarithm of their number. Level l holds the result of 2^l blocks where bit l of
// `count` is set.
template <typename T, typename Op, int width>
struct Pairwise {
  struct Block {
    Vector<T> part[width];
  };
  static constexpr int levels = 60;
  std::int64_t count = 0;
  Block level[levels];

  static CHAINRULE_INLINE void combine(Block& to, const Block& earlier) {
    for (int w = 0; w < width; ++w) to.part[w] = Op{}(earlier.part[w], to.part[w]);
  }
  void add(Block block) {
    int l = 0;
    for (std::int64_t c = count; c & 1; c >>= 1) combine(block, level[l++]);
    level[l] = block;
    ++count;
  }
  // All blocks and the one given, which comes last.
  Block finish(Block last) const {
    int l = 0;
    for (std::int64_t c = count; c; c >>= 1, ++l) {
      if (c & 1) combine(last, level[l]);
    }
    return last;
  }
};

// One contiguous row, by four independent accumulators.
template <typename T, typename Op>
T reduce_floating_row(const T* x, std::int64_t length) {
  using V = Vector<T>;
  constexpr int lanes = V::lanes, chains = 4, block = 16 * chains * lanes;
  const Op op{};
  const V identity = broadcast(Op::template identity<T>);
  Pairwise<T, Op, 1> pairs;
  while (true) {
    V a = identity, b = identity, c = identity, d = identity;
    const std::int64_t n = length < block ? length : block;
    std::int64_t i = 0;
    for (; i + chains * lanes <= n; i += chains * lanes) {
      a = op(a, V::load(x + i));
      b = op(b, V::load(x + i + lanes));
      c = op(c, V::load(x + i + 2 * lanes));
      d = op(d, V::load(x + i + 3 * lanes));
    }
    if (length > block) {
      pairs.add({{op(op(a, b), op(c, d))}});
      x += block;
      length -= block;
      continue;
    }
    for (; i + lanes <= n; i += lanes) a = op(a, V::load(x + i));
    if (const std::int64_t rest = n - i; rest > 0) {
      const V tail = V::load_partial(x + i, rest);
      b = op(b, select(first_lanes(tail, rest), tail, identity));
    }
    const auto total = pairs.finish({{op(op(a, b), op(c, d))}});
    return one_lane(across_lanes(total.part[0], op));
  }
}

template <typename T, typename Op>
T reduce_row(const T* x, std::int64_t length) {
  if constexpr (is_integer<T>) {  // exact in any order, so compilers find their own vectors
    Vector<T> total = broadcast(Op::template identity<T>);
    for (std::int64_t i = 0; i < length; ++i) total = Op{}(total, Vector<T>::load(x + i));
    return total.value;
  } else {
    return reduce_floating_row<T, Op>(x, length);
  }
}

// `width` vectors of neighbouring columns, row by row; of the last one only `columns` lanes if
// that is not 0.
template <int width, typename T, typename Op>
CHAINRULE_INLINE void reduce_columns(T* out, const T* x, std::int64_t length, std::int64_t stride,
                                     std::int64_t columns) {
  using V = Vector<T>;
  using Pairs = Pairwise<T, Op, width>;
  constexpr std::int64_t block = 32;
  const Op op{};
  const auto load = [columns](const T* from) CHAINRULE_INLINE_LAMBDA {
    return columns ? V::load_partial(from, columns) : V::load(from);
  };
  Pairs pairs;
  while (true) {
    typename Pairs::Block sums;
    for (int w = 0; w < width; ++w) sums.part[w] = broadcast(Op::template identity<T>);
    const std::int64_t n = length < block ? length : block;
    for (std::int64_t l = 0; l < n; ++l, x += stride) {
      for (int w = 0; w < width; ++w) sums.part[w] = op(sums.part[w], load(x + w * V::lanes));
    }
    if (length > block) {
      pairs.add(sums);
      length -= block;
      continue;
    }
    if (pairs.count) sums = pairs.finish(sums);
    for (int w = 0; w < width; ++w) {
      if (columns) {
        sums.part[w].store_partial(out + w * V::lanes, columns);
      } else {
        sums.part[w].store(out + w * V::lanes);
      }
    }
    return;
  }
}

template <typename T, typename Op>
void reduce(const ReduceCall<T>& call) {
  const auto [out, x, outer, length, inner, inner_total] = call;
  constexpr int lanes = Vector<T>::lanes;
  for (std::int64_t o = 0; o < outer; ++o) {
    T* const to = out + o * inner_total;
    const T* const from = x + o * length * inner_total;
    if (inner_total == 1) {
      *to = reduce_row<T, Op>(from, length);
      continue;
    }
    std::int64_t i = 0;
    for (; i + 8 * lanes <= inner; i += 8 * lanes) {
      reduce_columns<8, T, Op>(to + i, from + i, length, inner_total, 0);
    }
    for (; i + 2 * lanes <= inner; i += 2 * lanes) {
      reduce_columns<2, T, Op>(to + i, from + i, length, inner_total, 0);
    }
    for (; i + lanes <= inner; i += lanes) {
      reduce_columns<1, T, Op>(to + i, from + i, length, inner_total, 0);
    }
    if (i < inner) reduce_columns<1, T, Op>(to + i, from + i, length, inner_total, inner - i);
  }
}

}  // namespace

#define CHAINRULE_REDUCTION(name)                         \
  template <typename T>                                   \
  void reduce_##name(const ReduceCall<T>& call) {         \
    reduce<T, operations::name>(call);                    \
  }                                                       \
  template void reduce_##name(const ReduceCall<float>&);  \
  template void reduce_##name(const ReduceCall<double>&); \
  template void reduce_##name(const ReduceCall<std::int64_t>&);
#include "kernels/reductions.def"
#undef CHAINRULE_REDUCTION

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
