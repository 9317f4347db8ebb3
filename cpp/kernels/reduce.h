// Sums and extremes over one axis; see Kernels::reduce. The order in which elements are combined
// depends on the shape and the instruction set alone.
#pragma once

#include <cstdint>

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename T>
void reduce_sum(T* out, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner,
                std::int64_t inner_total);
template <typename T>
void reduce_max(T* out, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner,
                std::int64_t inner_total);
template <typename T>
void reduce_min(T* out, const T* x, std::int64_t outer, std::int64_t length, std::int64_t inner,
                std::int64_t inner_total);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
