// Checks an instruction before it is added to a plan.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "plan/extents.h"
#include "plan/plan.h"

namespace chainrule {

inline bool is_computed_in(DType dtype) {
  return dtype == DType::float32 || dtype == DType::float64 || dtype == DType::int64;
}
inline bool is_floating(DType dtype) { return dtype == DType::float32 || dtype == DType::float64; }

class Validator {
 public:
  Validator(std::string_view label, const SpaceSizes& sizes) : label_(label), sizes_(sizes) {}

  [[noreturn]] void refuse(const std::string& reason) const {
    throw std::invalid_argument(label_ + ": " + reason);
  }
  void demand(bool condition, const std::string& reason) const {
    if (!condition) refuse(reason);
  }
  void length(std::string_view what, std::int64_t value) const {
    if (value < 0)
      refuse(std::string(what) + " must not be negative, got " + std::to_string(value));
  }

  // [lowest, behind) in elements, seen from ref.
  Extent place(std::string_view what, Ref ref, std::int64_t itemsize, std::int64_t lowest,
               std::int64_t behind) const;
  Extent place(std::string_view what, Ref ref, DType dtype, std::int64_t count) const {
    return place(what, ref, itemsize(dtype), 0, count);
  }
  void apart(const Extent& out, const Extent& in) const {
    if (overlap(out, in)) refuse("its output overlaps an input");
  }

  std::vector<Extent> operator()(const Program& program) const;
  std::vector<Extent> operator()(const Gemm& gemm) const;
  std::vector<Extent> operator()(const Reduce& reduce) const;
  std::vector<Extent> operator()(const Rows& rows) const;
  std::vector<Extent> operator()(const Copy& copy) const;
  std::vector<Extent> operator()(const Fill& fill) const;
  std::vector<Extent> operator()(const Gather& gather) const;
  std::vector<Extent> operator()(const ScatterAdd& scatter) const;
  std::vector<Extent> operator()(const RandomUniform& random) const;
  std::vector<Extent> operator()(const GatherBatch& gather) const;

 private:
  void registers(const Program& program) const;
  Extent matrix(std::string_view what, Ref ref, DType dtype, std::int64_t rows,
                std::int64_t columns, std::int64_t row_stride, std::int64_t batch,
                std::int64_t batch_stride) const;

  std::string label_;
  const SpaceSizes& sizes_;
};

}  // namespace chainrule
