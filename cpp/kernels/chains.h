// Chains of elementwise operations that have a kernel of their own.
//
// A program runs operation by operation over blocks, so each operation loads its operands and
// stores its result. A chain keeps the intermediate results in vector registers. It does the
// same operations in the same order: the same bits.
#pragma once

#include <cstdint>

#include "kernels/kinds.h"

namespace chainrule {

inline constexpr int most_chain_ops = 25;
inline constexpr int most_chain_inputs = 10;
inline constexpr int most_chain_results = 5;

// An operand of a chain's operation: input number i as i, the result of operation i as ~i.
struct ChainOp {
  Opcode opcode;
  std::int8_t operands[3];
};

struct Chain {
  int length;
  int inputs;
  unsigned scalars = 0;  // bit i: input i is one number, the same for all elements
  unsigned results;      // bit i: the result of operation i is needed after the chain
  ChainOp ops[most_chain_ops];

  constexpr bool is_scalar(int input) const { return scalars >> input & 1; }
  constexpr bool is_result(int op) const { return results >> op & 1; }
};

template <int... bit>
inline constexpr unsigned bits = ((1u << bit) | ...);

namespace fused {

using enum Opcode;

// Adam: m = beta1 m + rest1 g, v = beta2 v + rest2 g^2, W = W - step m / (sqrt(v) + eps).
// Inputs: rest1, g, beta1, m, rest2, beta2, v, step, eps, W.
inline constexpr Chain adam = {
    .length = 10,
    .inputs = 10,
    .scalars = bits<0, 2, 4, 5, 7, 8>,
    .results = bits<1, 4, 9>,
    .ops = {{multiply, {0, 1}},
            {multiply_add, {2, 3, ~0}},
            {multiply, {1, 1}},
            {multiply, {4, ~2}},
            {multiply_add, {5, 6, ~3}},
            {multiply, {7, ~1}},
            {sqrt, {~4}},
            {add, {~6, 8}},
            {divide, {~5, ~7}},
            {subtract, {9, ~8}}},
};
// SGD with momentum: v = momentum v + g, W = W - lr v. Inputs: momentum, v, g, lr, W.
inline constexpr Chain momentum = {
    .length = 3,
    .inputs = 5,
    .scalars = bits<0, 3>,
    .results = bits<0, 2>,
    .ops = {{multiply_add, {0, 1, 2}}, {multiply, {3, ~0}}, {subtract, {4, ~1}}},
};
// Bias and ReLU; the derivative of ReLU times what comes from above.
inline constexpr Chain add_relu = {
    .length = 2,
    .inputs = 2,
    .results = bits<1>,
    .ops = {{add, {0, 1}}, {relu, {~0}}},
};
inline constexpr Chain relu_grad = {
    .length = 2,
    .inputs = 2,
    .results = bits<1>,
    .ops = {{heaviside, {0}}, {multiply, {1, ~0}}},
};
// GELU, x Phi(x), and its derivative, x phi(x) + Phi(x).
inline constexpr Chain gelu_and_grad = {
    .length = 5,
    .inputs = 1,
    .results = bits<1, 4>,
    .ops = {{normal_cdf, {0}},
            {multiply, {0, ~0}},
            {normal_pdf, {0}},
            {multiply, {0, ~2}},
            {add, {~3, ~0}}},
};
// SiLU, x s with s = sigmoid(x), and its derivative, x s (1 - s) + s. Inputs: x, 1.
inline constexpr Chain silu_and_grad = {
    .length = 6,
    .inputs = 2,
    .scalars = bits<1>,
    .results = bits<1, 5>,
    .ops = {{sigmoid, {0}},
            {multiply, {0, ~0}},
            {subtract, {1, ~0}},
            {multiply, {0, ~0}},
            {multiply, {~3, ~2}},
            {add, {~4, ~0}}},
};
// The gradient of a step of an LSTM, c' = f c + i g, h = o tanh(c'): of what o, g, f and i are
// of, and of c. Inputs: two parts of that of h, o, tanh(c'), 1, a part of that of c', i, g, c,
// f.
inline constexpr Chain lstm_grad = {
    .length = 23,
    .inputs = 10,
    .scalars = bits<4>,
    .results = bits<12, 15, 18, 21, 22>,
    .ops = {{add, {0, 1}},         {multiply, {~0, 2}}, {multiply, {~0, 3}},
            {multiply, {3, 3}},    {subtract, {4, ~3}}, {multiply, {~1, ~4}},
            {add, {~5, 5}},        {multiply, {~6, 6}}, {multiply, {~6, 7}},
            {multiply, {~6, 8}},   {subtract, {4, 2}},  {multiply, {2, ~10}},
            {multiply, {~2, ~11}}, {multiply, {7, 7}},  {subtract, {4, ~13}},
            {multiply, {~7, ~14}}, {subtract, {4, 9}},  {multiply, {9, ~16}},
            {multiply, {~9, ~17}}, {subtract, {4, 6}},  {multiply, {6, ~19}},
            {multiply, {~8, ~20}}, {multiply, {~6, 9}}},
};
// cos(x) and sin(x), of one reduction.
inline constexpr Chain cos_and_sin = {
    .length = 2,
    .inputs = 1,
    .results = bits<0, 1>,
    .ops = {{cos, {0}}, {sin, {0}}},
};
// ELU, r + alpha (e^x - 1) of x = min(z, 0) and r = relu(z), and the e^x of its derivative, of one
// reduction. Inputs: x, alpha, r; of SELU the scale, too.
inline constexpr Chain elu_and_exp = {
    .length = 3,
    .inputs = 3,
    .scalars = bits<1>,
    .results = bits<1, 2>,
    .ops = {{expm1, {0}}, {multiply_add, {1, ~0, 2}}, {exp, {0}}},
};
inline constexpr Chain selu_and_exp = {
    .length = 4,
    .inputs = 4,
    .scalars = bits<1, 3>,
    .results = bits<2, 3>,
    .ops = {{expm1, {0}}, {multiply_add, {1, ~0, 2}}, {multiply, {3, ~1}}, {exp, {0}}},
};
// A parametric activation with dropout, as RealMLP has it: y = m (x + a (s(x) - x)) of
// x = z + b, with m = 0 where u < p, else 1 / (1 - p); its derivatives m (s(x) - x) by a, and
// m + m a (s'(x) - 1) by x. Of Mish, and of SELU.
// Inputs: z, b, a, u, p, 0, 1 / (1 - p), 1.
inline constexpr Chain mish_with_dropout = {
    .length = 21,
    .inputs = 8,
    .scalars = bits<4, 5, 6, 7>,
    .results = bits<7, 8, 20>,
    .ops = {{add, {0, 1}},          {tanh_softplus, {~0}},       {multiply, {~0, ~1}},
            {subtract, {~2, ~0}},   {multiply_add, {2, ~3, ~0}}, {less, {3, 4}},
            {where, {~5, 5, 6}},    {multiply, {~4, ~6}},        {multiply, {~6, ~3}},
            {multiply, {~1, ~1}},   {subtract, {7, ~9}},         {sigmoid, {~0}},
            {multiply, {~10, ~11}}, {multiply, {~6, 2}},         {negative, {~13}},
            {multiply, {~13, ~1}},  {multiply, {~13, ~0}},       {multiply, {~16, ~12}},
            {add, {~17, ~15}},      {add, {~18, ~14}},           {add, {~19, ~6}}},
};
// Inputs: z, b, a, u, p, 0, 1 / (1 - p), 1, alpha, scale.
inline constexpr Chain selu_with_dropout = {
    .length = 25,
    .inputs = 10,
    .scalars = bits<4, 5, 6, 7, 8, 9>,
    .results = bits<10, 11, 24>,
    .ops = {{add, {0, 1}},
            {relu, {~0}},
            {minimum, {~0, 5}},
            {expm1, {~2}},
            {multiply_add, {8, ~3, ~1}},
            {multiply, {9, ~4}},
            {subtract, {~5, ~0}},
            {multiply_add, {2, ~6, ~0}},
            {less, {3, 4}},
            {where, {~8, 5, 6}},
            {multiply, {~7, ~9}},
            {multiply, {~9, ~6}},
            {exp, {~2}},
            {heaviside, {~1}},
            {greater, {~0, 5}},
            {multiply, {~9, 2}},
            {negative, {~15}},
            {multiply, {~15, 9}},
            {multiply, {~17, 8}},
            {multiply, {~18, ~12}},
            {where, {~14, 5, ~19}},
            {multiply, {~17, ~13}},
            {add, {~21, ~20}},
            {add, {~22, ~16}},
            {add, {~23, ~9}}},
};

}  // namespace fused

inline constexpr Chain chains[] = {
#define CHAINRULE_CHAIN(name) fused::name,
#include "kernels/chains.def"
#undef CHAINRULE_CHAIN
};
inline constexpr int chain_count = sizeof(chains) / sizeof(chains[0]);

}  // namespace chainrule
