// The table of one instruction set: every kernel that this compilation offers.
#include "kernels/chain_kernels.h"
#include "kernels/convert.h"
#include "kernels/declared.h"
#include "kernels/elementwise.h"
#include "kernels/fma_chains.h"
#include "kernels/gemm/choice.h"
#include "kernels/kernels.h"
#include "kernels/reduce.h"
#include "kernels/rows.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

extern const KernelTable kernel_table;

namespace {

// Of integers, the kernels that are for floating types only are null.
#define CHAINRULE_FLOATING_ONLY(kernel) \
  [] {                                  \
    if constexpr (is_integer<Scalar>) { \
      return nullptr;                   \
    } else {                            \
      return &kernel<Scalar>;           \
    }                                   \
  }()

template <const Chain& chain, typename Scalar>
constexpr auto chain_kernel = [] {
  if constexpr (is_integer<Scalar>) {
    return nullptr;
  } else {
    return &run_chain<chain, Scalar>;
  }
}();

#define CHAINRULE_OP(name, inputs, cost) Elementwise<Scalar>::name,
#define CHAINRULE_CHAIN(name) chain_kernel<fused::name, Scalar>,
#define CHAINRULE_REDUCTION(name) reduce_##name<Scalar>,
#define CHAINRULE_DTYPE_LOAD(name, numpy_name, Stored) load_as<Scalar, Stored>,
#define CHAINRULE_DTYPE_STORE(name, numpy_name, Stored) store_as<Scalar, Stored>,
#define CHAINRULE_OF_floating(name) CHAINRULE_FLOATING_ONLY(name)
#define CHAINRULE_OF_computed(name) &name<Scalar>
#define CHAINRULE_ROW(name, types, inputs, out, second) CHAINRULE_OF_##types(name),
#define CHAINRULE_KERNEL(name, types, result, parameters) .name = CHAINRULE_OF_##types(name),

template <typename Scalar>
constexpr Kernels<Scalar> kernels = {
    .ops =
        {
#include "kernels/ops.def"
        },
    .chains =
        {
#include "kernels/chains.def"
        },
    .load =
        {
#define CHAINRULE_DTYPE CHAINRULE_DTYPE_LOAD
#include "kernels/dtypes.def"
#undef CHAINRULE_DTYPE
        },
    .store =
        {
#define CHAINRULE_DTYPE CHAINRULE_DTYPE_STORE
#include "kernels/dtypes.def"
#undef CHAINRULE_DTYPE
        },
    .reduce =
        {
#include "kernels/reductions.def"
        },
    .rows =
        {
#include "kernels/rows.def"
        },
    .largest_own_product = gemm_choice::largest_own_product<Scalar>,
#include "kernels/kernels.def"
};

#undef CHAINRULE_OP
#undef CHAINRULE_CHAIN
#undef CHAINRULE_REDUCTION
#undef CHAINRULE_ROW
#undef CHAINRULE_KERNEL

}  // namespace

// Constant-initialised, so no code of this instruction set runs while the library loads.
constinit const KernelTable kernel_table = {
    .fma_chains_float32 = {fma_chains_float32, fma_chains_float32_flops},
    .fma_chains_float64 = {fma_chains_float64, fma_chains_float64_flops},
    .float32 = kernels<float>,
    .float64 = kernels<double>,
    .int64 = kernels<std::int64_t>,
};

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
