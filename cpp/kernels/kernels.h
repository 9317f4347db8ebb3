// The kernels as the rest of the core sees them: one table of function pointers per instruction
// set.
//
// Every file of this folder is compiled once per instruction set, into the namespace
// chainrule::CHAINRULE_INSTRUCTION_SET. Such a file must not instantiate inline functions or
// templates from outside that namespace (std::vector, std::max, ...): the linker keeps one copy of
// each, and could keep the AVX-512 one for all.
#pragma once

#include <cstdint>

#include "kernels/chains.h"
#include "kernels/kinds.h"

namespace chainrule {

// Independent chains x = x * multiplier + addend, as many as hide the latency of an FMA.
// `run` returns the sum of all chains, so that no compiler can leave out the work.
template <typename Scalar>
struct FmaChains {
  Scalar (*run)(std::int64_t iterations, Scalar multiplier, Scalar addend);
  std::int64_t flops_per_iteration;
};

// An epilogue that is applied to a product's elements before they leave their registers, without a
// second pass. `x` is the other operand.
enum class RegisterEpilogue : std::uint8_t { none, add, add_relu, heaviside_multiply };

// C (m x n) = op(A) op(B), and out = C, C + x, relu(C + x) or heaviside(x) * C. `out` may be C, and
// x may lie where `out` lies; x with stride 0 is the same in all rows.
template <typename T>
struct SmallGemm {
  T* c;
  std::int64_t ldc;
  const T* a;
  std::int64_t lda;
  bool transpose_a;
  const T* b;
  std::int64_t ldb;
  bool transpose_b;
  std::int64_t m, n, k;
  RegisterEpilogue epilogue;
  const T* x;
  std::int64_t ldx;
  T* out;
  std::int64_t ldout;
};

// The most rows of C that a kernel for small products takes at once.
inline constexpr std::int64_t most_small_rows = 128;

template <typename T>
using SmallGemmKernel = void (*)(const SmallGemm<T>& gemm, T* workspace);

// Row i of C (m x n) = the sum over terms t of the element a[rows[i] + terms[t]] times row t of B,
// in the order of the terms; added to C where `accumulate` is set.
template <typename T>
struct WindowProduct {
  T* c;
  std::int64_t ldc;
  const T* a;
  const std::int64_t* rows;  // m of them
  const std::int64_t* terms;
  std::int64_t term_count;
  const T* b;
  std::int64_t ldb;
  std::int64_t m, n;
  bool accumulate;
  bool whole_rows = false;               // whether all ldb elements of each row of B can be read
  const std::int64_t* c_rows = nullptr;  // where rows of C begin, which then are not ldc apart
};

// The same with a product of its own for each of n channels, which lie side by side in A: C (i, j)
// = the sum over terms t of a[rows[i] + terms[t] + j] times B (t, j).
template <typename T>
struct ChannelProduct {
  T* c;
  std::int64_t c_row, c_channel;  // steps
  const T* a;
  const std::int64_t* rows;  // m of them
  const std::int64_t* terms;
  std::int64_t term_count;
  const T* b;
  std::int64_t b_term, b_channel;
  std::int64_t m, n;
  bool accumulate;
  const std::int64_t* c_rows = nullptr;  // as above
};

// A line of tiles of Winograd's convolution F(4 x 4, 3 x 3), and how the numbers of each lie:
// number i of tile t is at `tiles` + i * apart + t * channels, for `channels` channels side by
// side. The lines of elements that go with it are (columns, channels).
template <typename T>
struct WinogradLine {
  std::int64_t columns, channels;
  std::int64_t first;  // column of an image that the first tile begins with, perhaps beside it
  std::int64_t count;  // of tiles
  T* tiles;
  std::int64_t apart;
};

// Pooling windows side by side, all of which have the same taps in x. Window w of `windows` lies
// over the elements first + w * step + taps[i], of which each is the first of `inner` side by side.
struct PoolRun {
  std::int64_t windows, inner;
  std::int64_t first, step;
  const std::int64_t* taps;
  const std::int32_t* numbers;  // of the taps, rising
  std::int64_t tap_count;
  bool has_all;  // numbers are 0 ... tap_count - 1
};

// One head of an attention: places in rows, whose elements lie side by side. The strides go from
// row to row. `bias`, of a row for each query and a column for each key, and `lse` may be null.
template <typename T>
struct AttentionRows {
  const T* q;
  std::int64_t q_stride;
  const T* k;
  std::int64_t k_stride;
  const T* v;
  std::int64_t v_stride;
  const T* bias;
  std::int64_t bias_stride;
  T* out;
  std::int64_t out_stride;
  T* lse;  // the logarithm of the sum of each query's exp(scores)
  std::int64_t queries, keys, width, value_width;
  T scale;
  bool causal;  // query i sees the keys 0 ... i
};

// Its gradient, given g, the gradient by the result y; `forward.out` is not used.
template <typename T>
struct AttentionGradRows {
  AttentionRows<T> forward;
  const T* g;
  std::int64_t g_stride;
  const T* y;
  std::int64_t y_stride;
  T* dq;
  std::int64_t dq_stride;
  T* dk;
  std::int64_t dk_stride;
  T* dv;
  std::int64_t dv_stride;
};

// Rows of a table by their numbers; in their order where `numbers` is null.
template <typename T>
struct TableRowsOf {
  const T* table;
  const std::int64_t* numbers;
};

// By group the weights of n rows in each of m sums: that of row j in sum i is number
// i * from_sum + j * from_row of the group's m n weights.
template <typename T>
struct WeightsOf {
  const T* weights;
  std::int64_t groups, m, n, from_sum, from_row;
};

// out[o * inner_total + i] = the reduction over l of x[(o * length + l) * inner_total + i], for
// o < outer and i < inner <= inner_total.
template <typename T>
struct ReduceCall {
  T* out;
  const T* x;
  std::int64_t outer, length, inner, inner_total;
};

// The operands of a row kernel, as rows.def lists them. Each holds `rows` contiguous rows.
template <typename T>
struct RowCall {
  void* out;
  void* second;
  const void* inputs[most_row_inputs];
  std::int64_t rows, columns;
  double number;  // of kernels that take one
};

// out[i] = f(a[i], b[i], c[i]); out may be a, b or c.
template <typename T>
using ElementwiseKernel = void (*)(T* out, const T* a, const T* b, const T* c, std::int64_t n);
// A chain of chains.h: the arrays of its results from those of its inputs.
template <typename T>
using ChainKernel = void (*)(T* const* results, const T* const* inputs, std::int64_t n);
template <typename T>
using LoadKernel = void (*)(T* out, const void* x, std::int64_t n);
template <typename T>
using StoreKernel = void (*)(void* out, const T* x, std::int64_t n);
template <typename T>
using ReduceKernel = void (*)(const ReduceCall<T>& call);
// False where a label is out of range.
template <typename T>
using RowKernel = bool (*)(const RowCall<T>& call);

// The products that `gemm` sums up at once; the sums of further ones are added to C.
inline constexpr std::int64_t gemm_block_depth = 512;

// The kernels for one type of element. A null pointer means that the type has no such kernel; the
// plan refuses it when it is built.
template <typename T>
struct Kernels {
  ElementwiseKernel<T> ops[opcode_count];
  ChainKernel<T> chains[chain_count];
  // Conversions from and to any DType, by its number.
  LoadKernel<T> load[dtype_count];
  StoreKernel<T> store[dtype_count];
  ReduceKernel<T> reduce[reduce_count];
  RowKernel<T> rows[row_kind_count];  // by RowKind

  // Products of more multiplications are faster by BLAS; see gemm/choice.h.
  double largest_own_product;

#define CHAINRULE_KERNEL(name, types, result, parameters) result(*name) parameters;
#include "kernels/kernels.def"
#undef CHAINRULE_KERNEL
};

struct KernelTable {
  FmaChains<float> fma_chains_float32;
  FmaChains<double> fma_chains_float64;
  Kernels<float> float32;
  Kernels<double> float64;
  Kernels<std::int64_t> int64;
};

namespace baseline {
extern const KernelTable kernel_table;
}
#if defined(CHAINRULE_X86_64_KERNELS)
namespace avx2 {
extern const KernelTable kernel_table;
}
namespace avx512 {
extern const KernelTable kernel_table;
}
#endif

}  // namespace chainrule
