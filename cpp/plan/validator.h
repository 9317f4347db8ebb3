// Checks an instruction before it is added to a plan.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "plan/extents.h"
#include "plan/names.h"
#include "plan/plan.h"

namespace chainrule {

// Throws std::invalid_argument, with the label and what is wrong, for an instruction that is not
// safe to run. Returns what it writes.
std::vector<Extent> validate(const Instruction& instruction, const SpaceSizes& sizes);

// Throws std::invalid_argument unless `count` elements lie at `ref`, aligned.
void validate_place(std::string_view label, Ref ref, DType dtype, std::int64_t count,
                    const SpaceSizes& sizes);

inline bool is_computed_in(DType dtype) {
  return dtype == DType::float32 || dtype == DType::float64 || dtype == DType::int64;
}
inline bool is_floating(DType dtype) { return dtype == DType::float32 || dtype == DType::float64; }

// More than memory holds, and few enough for tasks to calculate with: a length may belong to no
// memory, as that of an axis that repeats.
inline constexpr std::int64_t most_elements = std::int64_t{1} << 48;

class Validator {
 public:
  Validator(std::string_view label, const SpaceSizes& sizes) : label_(label), sizes_(sizes) {}

  [[noreturn]] void refuse(const std::string& reason) const {
    throw std::invalid_argument(label_ + ": " + reason);
  }
  void demand(bool condition, const std::string& reason) const {
    if (!condition) refuse(reason);
  }
  void not_negative(std::string_view what, std::int64_t value) const;
  // A number of elements.
  void length(std::string_view what, std::int64_t value) const;
  // Of elements that are moved whatever their dtype.
  void itemsize_of_copies(std::int64_t itemsize) const;
  // A number that elements of the dtype can have.
  void representable(double number, DType dtype) const;

  // The bytes of elements [lowest, end), counted from ref.
  Extent place(std::string_view what, Ref ref, std::int64_t itemsize, std::int64_t lowest,
               std::int64_t end) const;
  Extent place(std::string_view what, Ref ref, DType dtype, std::int64_t count) const {
    return place(what, ref, itemsize(dtype), 0, count);
  }
  void apart(const Extent& out, const Extent& in) const {
    if (shares_bytes(out, in)) refuse("its output overlaps an input");
  }

  // Each returns what the instruction writes.
#define CHAINRULE_INSTRUCTION(Type, name) \
  std::vector<Extent> operator()(const Type& instruction) const;
#include "plan/instructions.def"
#undef CHAINRULE_INSTRUCTION

 private:
  void registers(const Program& program) const;
  // Adds what the epilogue writes of an instruction that writes `out`, rows x columns, tile by tile
  // while others still read its inputs. Its sums may be over `sum_rows` rows; 0: it has none.
  void epilogue(const Program& program, const Store& out, std::int64_t rows, std::int64_t columns,
                std::int64_t sum_rows, const std::vector<Extent>& inputs,
                std::vector<Extent>& written) const;
  // Of PutRows or SubtractRows: the table that it writes.
  template <typename Update>
  Extent updated_rows(const Update& update) const {
    length("length", update.length);
    length("count", update.count);
    length("inner", update.inner);
    const Extent out = place("out", update.out, update.dtype, product(update.length, update.inner));
    const Extent x = place("x", update.x, update.dtype, product(update.length, update.inner));
    if (x.space != out.space || x.begin != out.begin) apart(out, x);
    apart(out, place("values", update.values, update.dtype, product(update.count, update.inner)));
    apart(out, place("indices", update.indices, DType::int64, update.count));
    return out;
  }
  Extent matrix(std::string_view what, Ref ref, DType dtype, std::int64_t rows,
                std::int64_t columns, std::int64_t row_stride, std::int64_t batch,
                std::int64_t batch_stride) const;

  std::string label_;
  const SpaceSizes& sizes_;
};

}  // namespace chainrule
