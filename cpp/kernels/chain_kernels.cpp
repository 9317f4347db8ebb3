#include "kernels/chain_kernels.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {
namespace {

template <Opcode opcode, typename T>
CHAINRULE_INLINE Vector<T> apply(Vector<T> a, [[maybe_unused]] Vector<T> b,
                                 [[maybe_unused]] Vector<T> c) {
#define CHAINRULE_OP(name, inputs, cost) \
  if constexpr (opcode == Opcode::name) return CHAINRULE_FORMULA(name, inputs, a, b, c);
#include "kernels/ops.def"
#undef CHAINRULE_OP
}

// Arrays whose indices the compiler knows become registers.
template <typename T>
struct Registers {
  Vector<T> input[most_chain_inputs], result[most_chain_ops];

  template <int operand>
  CHAINRULE_INLINE Vector<T> at() const {
    if constexpr (operand < 0) {
      return result[~operand];
    } else {
      return input[operand];
    }
  }
};

// Operation `i` of the chain and those after it.
template <const Chain& chain, int i, typename T>
CHAINRULE_INLINE void compute(Registers<T>& registers) {
  if constexpr (i < chain.length) {
    constexpr ChainOp op = chain.ops[i];
    registers.result[i] = apply<op.opcode>(registers.template at<op.operands[0]>(),
                                           registers.template at<op.operands[1]>(),
                                           registers.template at<op.operands[2]>());
    compute<chain, i + 1>(registers);
  }
}

template <const Chain& chain, int i, typename T, typename Load>
CHAINRULE_INLINE void load(Registers<T>& registers, Load from, bool scalars) {
  if constexpr (i < chain.inputs) {
    constexpr bool is_scalar = chain.is_scalar(i);
    if (is_scalar == scalars) registers.input[i] = from(i);
    load<chain, i + 1>(registers, from, scalars);
  }
}

template <const Chain& chain, int i, int r, typename T, typename Store>
CHAINRULE_INLINE void store(const Registers<T>& registers, Store to) {
  if constexpr (i < chain.length) {
    constexpr bool is_result = chain.is_result(i);
    if constexpr (is_result) to(r, registers.result[i]);
    store<chain, i + 1, r + is_result>(registers, to);
  }
}

}  // namespace

template <const Chain& chain, typename T>
void run_chain(T* const* results, const T* const* inputs, std::int64_t n) {
  using V = Vector<T>;
  Registers<T> registers;
  for (V& v : registers.input) v = broadcast(T(0));
  load<chain, 0>(
      registers, [&](int k) CHAINRULE_INLINE_LAMBDA { return broadcast(*inputs[k]); }, true);
  std::int64_t i = 0;
  for (; i + V::lanes <= n; i += V::lanes) {
    load<chain, 0>(
        registers, [&](int k) CHAINRULE_INLINE_LAMBDA { return V::load(inputs[k] + i); }, false);
    compute<chain, 0>(registers);
    store<chain, 0, 0>(registers,
                       [&](int r, V v) CHAINRULE_INLINE_LAMBDA { v.store(results[r] + i); });
  }
  if (const std::int64_t rest = n - i; rest > 0) {
    load<chain, 0>(
        registers,
        [&](int k) CHAINRULE_INLINE_LAMBDA { return V::load_partial(inputs[k] + i, rest); }, false);
    compute<chain, 0>(registers);
    store<chain, 0, 0>(registers, [&](int r, V v) CHAINRULE_INLINE_LAMBDA {
      v.store_partial(results[r] + i, rest);
    });
  }
}

#define CHAINRULE_CHAIN(name)                                                             \
  template void run_chain<fused::name>(float* const*, const float* const*, std::int64_t); \
  template void run_chain<fused::name>(double* const*, const double* const*, std::int64_t);
#include "kernels/chains.def"
#undef CHAINRULE_CHAIN

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
