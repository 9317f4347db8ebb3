// Kernels on contiguous rows; see RowKind in plan.h.
#pragma once

#include <cstdint>

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

template <typename T>
void softmax(T* out, const T* x, std::int64_t rows, std::int64_t columns);
template <typename T>
void log_softmax(T* out, const T* x, std::int64_t rows, std::int64_t columns);
template <typename T>
void logsumexp(T* out, const T* x, std::int64_t rows, std::int64_t columns);
template <typename T>
void argmax(std::int64_t* out, const T* x, std::int64_t rows, std::int64_t columns);
template <typename T>
void first_equal(T* out, const T* x, const T* extreme, std::int64_t rows, std::int64_t columns);
// These return false where a label is not in 0 ... columns - 1.
template <typename T>
bool softmax_cross_entropy(T* out, const T* logits, const std::int64_t* labels, std::int64_t rows,
                           std::int64_t columns);
template <typename T>
bool softmax_cross_entropy_grad(T* out, const T* g, const T* logits, const std::int64_t* labels,
                                std::int64_t rows, std::int64_t columns);
template <typename T>
bool softmax_cross_entropy_and_grad(T* losses, T* grad, const T* g, const T* logits,
                                    const std::int64_t* labels, std::int64_t rows,
                                    std::int64_t columns);
template <typename T>
bool one_hot(T* out, const std::int64_t* labels, std::int64_t rows, std::int64_t columns);

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
