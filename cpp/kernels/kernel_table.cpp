// The table of one instruction set: every kernel that this compilation offers.
#include "kernels/chain.h"
#include "kernels/convert.h"
#include "kernels/elementwise.h"
#include "kernels/fma_chains.h"
#include "kernels/gemm/gemm.h"
#include "kernels/kernels.h"
#include "kernels/random.h"
#include "kernels/reduce.h"
#include "kernels/rows.h"

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

extern const KernelTable kernel_table;

#define CHAINRULE_OP(name, inputs) Elementwise<Scalar>::name,
#define CHAINRULE_LOAD(Stored) load_as<Scalar, Stored>,
#define CHAINRULE_STORE(Stored) store_as<Scalar, Stored>,

namespace {

template <typename Scalar>
constexpr Kernels<Scalar> floating_kernels = {
    .ops =
        {
#include "kernels/ops.def"
        },
    .chains = {run_chain<0, Scalar>, run_chain<1, Scalar>, run_chain<2, Scalar>,
               run_chain<3, Scalar>},
    .load = {CHAINRULE_DTYPES(CHAINRULE_LOAD)},
    .store = {CHAINRULE_DTYPES(CHAINRULE_STORE)},
    .fill = fill<Scalar>,
    .reduce = {reduce_sum<Scalar>, reduce_max<Scalar>, reduce_min<Scalar>},
    .softmax = softmax<Scalar>,
    .log_softmax = log_softmax<Scalar>,
    .logsumexp = logsumexp<Scalar>,
    .argmax = argmax<Scalar>,
    .first_equal = first_equal<Scalar>,
    .softmax_cross_entropy = softmax_cross_entropy<Scalar>,
    .softmax_cross_entropy_grad = softmax_cross_entropy_grad<Scalar>,
    .softmax_cross_entropy_and_grad = softmax_cross_entropy_and_grad<Scalar>,
    .one_hot = one_hot<Scalar>,
    .random_uniform = random_uniform<Scalar>,
    .gemm = gemm<Scalar>,
    .gemm_workspace = gemm_workspace<Scalar>,
    .small_gemm = small_gemm<Scalar>,
};

template <typename Scalar>
constexpr Kernels<Scalar> integer_kernels = {
    .ops =
        {
#include "kernels/ops.def"
        },
    .chains = {},
    .load = {CHAINRULE_DTYPES(CHAINRULE_LOAD)},
    .store = {CHAINRULE_DTYPES(CHAINRULE_STORE)},
    .fill = fill<Scalar>,
    .reduce = {reduce_sum<Scalar>, reduce_max<Scalar>, reduce_min<Scalar>},
    .softmax = nullptr,
    .log_softmax = nullptr,
    .logsumexp = nullptr,
    .argmax = argmax<Scalar>,
    .first_equal = nullptr,
    .softmax_cross_entropy = nullptr,
    .softmax_cross_entropy_grad = nullptr,
    .softmax_cross_entropy_and_grad = nullptr,
    .one_hot = nullptr,
    .random_uniform = nullptr,
    .gemm = nullptr,
    .gemm_workspace = nullptr,
    .small_gemm = nullptr,
};

}  // namespace

#undef CHAINRULE_OP
#undef CHAINRULE_LOAD
#undef CHAINRULE_STORE

// Constant-initialised, so no code of this instruction set runs while the library loads.
constinit const KernelTable kernel_table = {
    .fma_chains_float32 = {fma_chains_float32, fma_chains_float32_flops},
    .fma_chains_float64 = {fma_chains_float64, fma_chains_float64_flops},
    .float32 = floating_kernels<float>,
    .float64 = floating_kernels<double>,
    .int64 = integer_kernels<std::int64_t>,
};

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
