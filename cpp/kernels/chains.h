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
  unsigned scalars;  // bit i: input i is one number, the same for all elements
  unsigned results;  // bit i: the result of operation i is needed after the chain
  ChainOp ops[most_chain_ops];

  constexpr bool is_scalar(int input) const { return scalars >> input & 1; }
  constexpr bool is_result(int op) const { return results >> op & 1; }
};

inline constexpr Chain chains[] = {
    // Adam: m = beta1 m + rest1 g, v = beta2 v + rest2 g^2, W = W - step m / (sqrt(v) + eps).
    // Inputs: rest1, g, beta1, m, rest2, beta2, v, step, eps, W.
    {10,
     10,
     1u << 0 | 1u << 2 | 1u << 4 | 1u << 5 | 1u << 7 | 1u << 8,
     1u << 1 | 1u << 4 | 1u << 9,
     {{Opcode::multiply, {0, 1}},
      {Opcode::multiply_add, {2, 3, ~0}},
      {Opcode::multiply, {1, 1}},
      {Opcode::multiply, {4, ~2}},
      {Opcode::multiply_add, {5, 6, ~3}},
      {Opcode::multiply, {7, ~1}},
      {Opcode::sqrt, {~4}},
      {Opcode::add, {~6, 8}},
      {Opcode::divide, {~5, ~7}},
      {Opcode::subtract, {9, ~8}}}},
    // SGD with momentum: v = momentum v + g, W = W - lr v. Inputs: momentum, v, g, lr, W.
    {3,
     5,
     1u << 0 | 1u << 3,
     1u << 0 | 1u << 2,
     {{Opcode::multiply_add, {0, 1, 2}}, {Opcode::multiply, {3, ~0}}, {Opcode::subtract, {4, ~1}}}},
    // Bias and ReLU; the derivative of ReLU times what comes from above.
    {2, 2, 0, 1u << 1, {{Opcode::add, {0, 1}}, {Opcode::relu, {~0}}}},
    {2, 2, 0, 1u << 1, {{Opcode::heaviside, {0}}, {Opcode::multiply, {1, ~0}}}},
    // GELU, x Phi(x), and its derivative, x phi(x) + Phi(x).
    {5,
     1,
     0,
     1u << 1 | 1u << 4,
     {{Opcode::normal_cdf, {0}},
      {Opcode::multiply, {0, ~0}},
      {Opcode::normal_pdf, {0}},
      {Opcode::multiply, {0, ~2}},
      {Opcode::add, {~3, ~0}}}},
    // SiLU, x s with s = sigmoid(x), and its derivative, x s (1 - s) + s. Inputs: x, 1.
    {6,
     2,
     1u << 1,
     1u << 1 | 1u << 5,
     {{Opcode::sigmoid, {0}},
      {Opcode::multiply, {0, ~0}},
      {Opcode::subtract, {1, ~0}},
      {Opcode::multiply, {0, ~0}},
      {Opcode::multiply, {~3, ~2}},
      {Opcode::add, {~4, ~0}}}},
    // The gradient of a step of an LSTM, c' = f c + i g, h = o tanh(c'): of what o, g, f and i are
    // of, and of c. Inputs: two parts of that of h, o, tanh(c'), 1, a part of that of c', i, g, c,
    // f.
    {23,
     10,
     1u << 4,
     1u << 12 | 1u << 15 | 1u << 18 | 1u << 21 | 1u << 22,
     {{Opcode::add, {0, 1}},         {Opcode::multiply, {~0, 2}}, {Opcode::multiply, {~0, 3}},
      {Opcode::multiply, {3, 3}},    {Opcode::subtract, {4, ~3}}, {Opcode::multiply, {~1, ~4}},
      {Opcode::add, {~5, 5}},        {Opcode::multiply, {~6, 6}}, {Opcode::multiply, {~6, 7}},
      {Opcode::multiply, {~6, 8}},   {Opcode::subtract, {4, 2}},  {Opcode::multiply, {2, ~10}},
      {Opcode::multiply, {~2, ~11}}, {Opcode::multiply, {7, 7}},  {Opcode::subtract, {4, ~13}},
      {Opcode::multiply, {~7, ~14}}, {Opcode::subtract, {4, 9}},  {Opcode::multiply, {9, ~16}},
      {Opcode::multiply, {~9, ~17}}, {Opcode::subtract, {4, 6}},  {Opcode::multiply, {6, ~19}},
      {Opcode::multiply, {~8, ~20}}, {Opcode::multiply, {~6, 9}}}},
    // cos(x) and sin(x), of one reduction.
    {2, 1, 0, 1u << 0 | 1u << 1, {{Opcode::cos, {0}}, {Opcode::sin, {0}}}},
    // A parametric activation with dropout, as RealMLP has it: y = m (x + a (s(x) - x)) of
    // x = z + b, with m = 0 where u < p, else 1 / (1 - p); its derivatives m (s(x) - x) by a, and
    // m + m a (s'(x) - 1) by x. Of Mish, and of SELU.
    // Inputs: z, b, a, u, p, 0, 1 / (1 - p), 1.
    {21,
     8,
     1u << 4 | 1u << 5 | 1u << 6 | 1u << 7,
     1u << 7 | 1u << 8 | 1u << 20,
     {{Opcode::add, {0, 1}},
      {Opcode::tanh_softplus, {~0}},
      {Opcode::multiply, {~0, ~1}},
      {Opcode::subtract, {~2, ~0}},
      {Opcode::multiply_add, {2, ~3, ~0}},
      {Opcode::less, {3, 4}},
      {Opcode::where, {~5, 5, 6}},
      {Opcode::multiply, {~4, ~6}},
      {Opcode::multiply, {~6, ~3}},
      {Opcode::multiply, {~1, ~1}},
      {Opcode::subtract, {7, ~9}},
      {Opcode::sigmoid, {~0}},
      {Opcode::multiply, {~10, ~11}},
      {Opcode::multiply, {~6, 2}},
      {Opcode::negative, {~13}},
      {Opcode::multiply, {~13, ~1}},
      {Opcode::multiply, {~13, ~0}},
      {Opcode::multiply, {~16, ~12}},
      {Opcode::add, {~17, ~15}},
      {Opcode::add, {~18, ~14}},
      {Opcode::add, {~19, ~6}}}},
    // Inputs: z, b, a, u, p, 0, 1 / (1 - p), 1, alpha, scale.
    {25,
     10,
     1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 8 | 1u << 9,
     1u << 10 | 1u << 11 | 1u << 24,
     {{Opcode::add, {0, 1}},
      {Opcode::relu, {~0}},
      {Opcode::minimum, {~0, 5}},
      {Opcode::expm1, {~2}},
      {Opcode::multiply_add, {8, ~3, ~1}},
      {Opcode::multiply, {9, ~4}},
      {Opcode::subtract, {~5, ~0}},
      {Opcode::multiply_add, {2, ~6, ~0}},
      {Opcode::less, {3, 4}},
      {Opcode::where, {~8, 5, 6}},
      {Opcode::multiply, {~7, ~9}},
      {Opcode::multiply, {~9, ~6}},
      {Opcode::add, {~3, 7}},
      {Opcode::heaviside, {~1}},
      {Opcode::greater, {~0, 5}},
      {Opcode::multiply, {~9, 2}},
      {Opcode::negative, {~15}},
      {Opcode::multiply, {~15, 9}},
      {Opcode::multiply, {~17, 8}},
      {Opcode::multiply, {~18, ~12}},
      {Opcode::where, {~14, 5, ~19}},
      {Opcode::multiply, {~17, ~13}},
      {Opcode::add, {~21, ~20}},
      {Opcode::add, {~22, ~16}},
      {Opcode::add, {~23, ~9}}}},
};
inline constexpr int chain_count = sizeof(chains) / sizeof(chains[0]);

}  // namespace chainrule
