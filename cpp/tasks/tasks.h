// What makes the tasks, one function for each kind, and what they share. The matrix product is in
// matrix_product.h.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "tasks/task.h"

namespace chainrule {

// In kernel_tasks.cpp: what kernels compute.
std::unique_ptr<Task> make_program(const Program& program, const std::string& label,
                                   std::int32_t chunks, const Memory& memory,
                                   const KernelTable& kernels);
std::unique_ptr<Task> make_reduce(const Reduce& reduce, const std::string& label,
                                  std::int32_t chunks, const Memory& memory,
                                  const KernelTable& kernels);
std::unique_ptr<Task> make_rows(const Rows& rows, const std::string& label, std::int32_t chunks,
                                const Memory& memory, const KernelTable& kernels);
std::unique_ptr<Task> make_random_uniform(const RandomUniform& random, const std::string& label,
                                          std::int32_t chunks, const Memory& memory,
                                          const KernelTable& kernels);

// In copy.cpp: elements that stay in their order.
std::unique_ptr<Task> make_copy(const Copy& copy, std::int32_t chunks, const Memory& memory);
std::unique_ptr<Task> make_fill(const Fill& fill, std::int32_t chunks, const Memory& memory);

// In gather.cpp: rows by their index.
std::unique_ptr<Task> make_gather(const Gather& gather, std::int32_t chunks, const Memory& memory);
std::unique_ptr<Task> make_scatter_add(const ScatterAdd& scatter, std::int32_t chunks,
                                       const Memory& memory);
std::unique_ptr<Task> make_gather_batch(const GatherBatch& gather, std::int32_t chunks,
                                        const Memory& memory, const KernelTable& kernels,
                                        const std::vector<Input>& inputs);

inline constexpr std::int64_t cache_line = 64;

inline double number(std::int64_t count) { return static_cast<double>(count); }

// make<T> for the dtype; validation has left only those.
template <template <typename> typename TaskOf, typename... Arguments>
std::unique_ptr<Task> of_dtype(DType dtype, const Arguments&... arguments) {
  if (dtype == DType::float32) return std::make_unique<TaskOf<float>>(arguments...);
  if (dtype == DType::float64) return std::make_unique<TaskOf<double>>(arguments...);
  return std::make_unique<TaskOf<std::int64_t>>(arguments...);
}

}  // namespace chainrule
