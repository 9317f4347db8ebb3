// The task of a matrix product: tiles of the output, each with its epilogue.
#pragma once

#include <memory>
#include <string>

#include "tasks/task.h"

namespace chainrule {

std::unique_ptr<Task> make_matrix_product(const Gemm& gemm, const std::string& label,
                                          std::int32_t chunks, const Memory& memory,
                                          const KernelTable& kernels);

}  // namespace chainrule
