// Random numbers by counter: Philox4x32-10, as src/chainrule/ops/random.py defines them.
// Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
#include "kernels/declared.h"
#include "kernels/simd/vector.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

inline constexpr int rounds = 10;

// Words of 32 bits in lanes of 64; what is above them is ignored. W is Bits<double>.
template <typename W>
struct Counters {
  W word[4];
};

template <typename W>
struct Keys {
  W word[rounds][2];
};
template <typename W>
CHAINRULE_INLINE Keys<W> philox_keys(std::uint64_t seed) {
  Keys<W> keys;
  auto low = static_cast<std::uint32_t>(seed), high = static_cast<std::uint32_t>(seed >> 32);
  for (int i = 0; i < rounds; ++i) {
    keys.word[i][0] = W::broadcast(low);
    keys.word[i][1] = W::broadcast(high);
    low += 0x9E3779B9u;
    high += 0xBB67AE85u;
  }
  return keys;
}

template <typename W>
CHAINRULE_INLINE Counters<W> philox(Counters<W> c, const Keys<W>& keys) {
  const W first = W::broadcast(0xD2511F53u), second = W::broadcast(0xCD9E8D57u);
  for (int i = 0; i < rounds; ++i) {
    const W p = multiply_low_words(c.word[0], first);
    const W q = multiply_low_words(c.word[2], second);
    c = {{shift_right<32>(q) ^ c.word[1] ^ keys.word[i][0], q,
          shift_right<32>(p) ^ c.word[3] ^ keys.word[i][1], p}};
  }
  const W mask = W::broadcast(0xFFFFFFFFu);
  for (W& word : c.word) word = word & mask;
  return c;
}

// 53 bits of two words, in two exact parts.
template <typename W>
CHAINRULE_INLINE Vector<double> uniform_of(W high, W low) {
  const W exponent = to_bits(broadcast(0x1p52));
  const auto upper = from_bits(shift_right<5>(high) | exponent) - broadcast(0x1p52);
  const auto lower = from_bits(shift_right<6>(low) | exponent) - broadcast(0x1p52);
  return upper * broadcast(0x1p-27) + lower * broadcast(0x1p-53);
}

// The lanes hold counters in the order in which interleaving puts them right.
template <typename W>
CHAINRULE_INLINE void store_uniform(float* out, const Counters<W>& c) {
  if constexpr (sizeof(W) == 8) {
    for (int i = 0; i < 4; ++i) {
      out[i] = static_cast<float>(static_cast<std::uint32_t>(c.word[i].value) >> 8) * 0x1p-24f;
    }
  } else {
    const W a = c.word[0] | shift_left<32>(c.word[1]);
    const W b = c.word[2] | shift_left<32>(c.word[3]);
    const auto scale = broadcast(0x1p-24f);
    const auto low = from_int32(shift_right<8>(as_words(interleave_low(a, b)))) * scale;
    const auto high = from_int32(shift_right<8>(as_words(interleave_high(a, b)))) * scale;
    low.store(out);
    high.store(out + low.lanes);
  }
}
template <typename W>
CHAINRULE_INLINE void store_uniform(double* out, const Counters<W>& c) {
  const auto a = uniform_of(c.word[0], c.word[1]);
  const auto b = uniform_of(c.word[2], c.word[3]);
  if constexpr (sizeof(W) == 8) {
    a.store(out);
    b.store(out + 1);
  } else {
    from_bits(interleave_low(to_bits(a), to_bits(b))).store(out);
    from_bits(interleave_high(to_bits(a), to_bits(b))).store(out + a.lanes);
  }
}

}  // namespace

template <typename T>
void random_uniform(T* out, std::uint64_t seed, std::uint64_t position, std::int64_t first,
                    std::int64_t count) {
  using W = Bits<double>;
  constexpr int lanes = Vector<double>::lanes;
  constexpr int per_counter = sizeof(T) == 4 ? 4 : 2, batch = lanes * per_counter;
  std::uint64_t order[lanes];
  for (int i = 0; i < lanes; ++i) {
    order[i] = static_cast<std::uint64_t>(lanes == 1 ? 0 : i / 2 + i % 2 * (lanes / 2));
  }
  const W offsets = W::load(order);
  const Keys<W> keys = philox_keys<W>(seed);
  const W position_low = W::broadcast(position), position_high = W::broadcast(position >> 32);
  const auto draw = [&](T* to, std::int64_t block) CHAINRULE_INLINE_LAMBDA {
    const W counter = W::broadcast(static_cast<std::uint64_t>(block)) + offsets;
    store_uniform(
        to, philox<W>({{counter, shift_right<32>(counter), position_low, position_high}}, keys));
  };

  std::int64_t block = first / per_counter;
  std::int64_t skip = first % per_counter;  // elements of the first counter that are not wanted
  while (count > 0) {
    if (skip == 0 && count >= batch) {
      draw(out, block);
      out += batch;
      count -= batch;
    } else {
      T drawn[batch];
      draw(drawn, block);
      const std::int64_t wanted = count < batch - skip ? count : batch - skip;
      for (std::int64_t i = 0; i < wanted; ++i) out[i] = drawn[skip + i];
      out += wanted;
      count -= wanted;
      skip = 0;
    }
    block += lanes;
  }
}

template void random_uniform(float*, std::uint64_t, std::uint64_t, std::int64_t, std::int64_t);
template void random_uniform(double*, std::uint64_t, std::uint64_t, std::int64_t, std::int64_t);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
