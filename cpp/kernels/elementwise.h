// One kernel per opcode of ops.def, for float, double and int64.
#pragma once

#include <type_traits>

#include "kernels/kernels.h"
#include "kernels/math/formulas.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename T>
using ElementwiseKernel = void (*)(T* out, const T* a, const T* b, const T* c, std::int64_t n);

#define CHAINRULE_FORMULA_1(name, a, b, c) formulas::name(a)
#define CHAINRULE_FORMULA_2(name, a, b, c) formulas::name(a, b)
#define CHAINRULE_FORMULA_3(name, a, b, c) formulas::name(a, b, c)
#define CHAINRULE_FORMULA(name, inputs, a, b, c) CHAINRULE_FORMULA_##inputs(name, a, b, c)

// int64, as a type that depends on T: a requirement of it may fail without an error.
template <typename T>
using Int64 = std::conditional_t<sizeof(T) != 0, std::int64_t, T>;

// A pointer per opcode; null where the type has no such formula.
template <typename T>
struct Elementwise {
#define CHAINRULE_OP(name, inputs, cost)                                              \
  static void run_##name(T* out, const T* a, const T* b, const T* c, std::int64_t n); \
  static constexpr bool has_##name =                                                  \
      requires(Vector<T> x) { CHAINRULE_FORMULA(name, inputs, x, x, x); };            \
  static constexpr bool integers_have_##name =                                        \
      requires(Vector<Int64<T>> x) { CHAINRULE_FORMULA(name, inputs, x, x, x); };     \
  static_assert(has_##name || integers_have_##name || is_integer<T>,                  \
                "formulas.h lacks the formula of " #name);                            \
  static constexpr ElementwiseKernel<T> name = has_##name ? &Elementwise::run_##name : nullptr;
#include "kernels/ops.def"
#undef CHAINRULE_OP
};

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
