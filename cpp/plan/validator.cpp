#include "plan/validator.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <variant>

#include "plan/row_signatures.h"

namespace chainrule {

Extent Validator::place(std::string_view what, Ref ref, std::int64_t itemsize, std::int64_t lowest,
                        std::int64_t end) const {
  const std::int64_t size = sizes_.bytes[static_cast<std::size_t>(ref.space)];
  const std::string where = std::string(what) + " (" + std::string(name_of(ref.space)) + " + " +
                            std::to_string(ref.offset) + ")";
  if (ref.offset < 0 || ref.offset > size) refuse(where + " lies outside of its space");
  if (ref.offset % itemsize != 0) {
    refuse(where + " is not aligned to its elements of " + std::to_string(itemsize) + " bytes");
  }
  if (end <= lowest) return {ref.space, ref.offset, ref.offset};
  const std::int64_t before = product(-lowest, itemsize);
  const std::int64_t after = product(end, itemsize);
  if (before > ref.offset || after > size - ref.offset) {
    refuse(where + " needs bytes " + (before > ref.offset ? "before" : "after") +
           " its space, which has " + std::to_string(size));
  }
  return {ref.space, ref.offset - before, ref.offset + after};
}

void Validator::not_negative(std::string_view what, std::int64_t value) const {
  if (value < 0) refuse(std::string(what) + " must not be negative, got " + std::to_string(value));
}

void Validator::length(std::string_view what, std::int64_t value) const {
  not_negative(what, value);
  if (value > most_elements) refuse(std::string(what) + " is too large: " + std::to_string(value));
}

void Validator::itemsize_of_copies(std::int64_t itemsize) const {
  if (itemsize != 1 && itemsize != 2 && itemsize != 4 && itemsize != 8) {
    refuse("itemsize must be 1, 2, 4 or 8, got " + std::to_string(itemsize));
  }
}

void Validator::representable(double number, DType dtype) const {
  if (is_floating(dtype)) return;
  const bool is_boolean = dtype == DType::boolean;
  const bool is_unsigned = dtype == DType::uint64 || dtype == DType::uint32 ||
                           dtype == DType::uint16 || dtype == DType::uint8;
  const double bits = static_cast<double>(8 * itemsize(dtype));
  const double lowest = is_unsigned || is_boolean ? 0 : -std::exp2(bits - 1);
  const double end = is_boolean ? 2 : std::exp2(is_unsigned ? bits : bits - 1);
  if (!(number >= lowest && number < end) || number != std::trunc(number)) {
    refuse(std::to_string(number) + " is no " + std::string(name_of(dtype)));
  }
}

std::vector<Extent> Validator::operator()(const Reduce& reduce) const {
  demand(is_computed_in(reduce.dtype), "reductions compute in float32, float64 or int64, not " +
                                           std::string(name_of(reduce.dtype)));
  length("outer", reduce.outer);
  length("length", reduce.length);
  length("inner", reduce.inner);
  const std::int64_t results = product(reduce.outer, reduce.inner);
  if (reduce.reduction != ReduceKind::sum && reduce.length == 0 && results != 0) {
    refuse("the max or min of nothing");
  }
  const Extent out = place("out", reduce.out, reduce.dtype, results);
  apart(out, place("x", reduce.x, reduce.dtype, product(results, reduce.length)));
  return {out};
}

std::vector<Extent> Validator::operator()(const Rows& rows) const {
  const RowSignature& kernel = row_signatures[static_cast<std::size_t>(rows.kernel)];
  const std::string name(name_of(rows.kernel));
  const bool fits =
      kernel.types == RowTypes::computed ? is_computed_in(rows.dtype) : is_floating(rows.dtype);
  if (!fits) refuse(name + " of " + std::string(name_of(rows.dtype)));
  length("rows", rows.rows);
  length("columns", rows.columns);
  const auto inputs = static_cast<std::size_t>(
      std::ranges::count_if(kernel.inputs, [](RowForm form) { return form != RowForm::none; }));
  if (rows.inputs.size() != inputs) {
    refuse(name + " takes " + std::to_string(inputs) + " inputs, got " +
           std::to_string(rows.inputs.size()));
  }
  // Any label would be out of range, which a run reports.
  const bool takes_labels =
      std::ranges::find(kernel.inputs, RowForm::labels) != kernel.inputs.end();
  if (rows.columns == 0 && rows.rows != 0 && kernel.out != RowForm::matrix && !takes_labels) {
    refuse(name + " of empty rows");
  }
  const bool has_second = kernel.second != RowForm::none;
  if (rows.second.has_value() != has_second) {
    refuse(name + (has_second ? " has two results, got a place for one"
                              : " has one result, got two places"));
  }
  const auto operand = [&](const std::string& what, Ref ref, RowForm form) {
    const std::int64_t count =
        form == RowForm::matrix ? product(rows.rows, rows.columns) : rows.rows;
    return place(what, ref, form == RowForm::labels ? DType::int64 : rows.dtype, count);
  };
  std::vector<Extent> results = {operand("out", rows.out, kernel.out)};
  if (has_second) {
    results.push_back(operand("second", *rows.second, kernel.second));
    apart(results[0], results[1]);
  }
  for (std::size_t i = 0; i < inputs; ++i) {
    const Extent input = operand("input " + std::to_string(i), rows.inputs[i], kernel.inputs[i]);
    for (const Extent& written : results) apart(written, input);
  }
  return results;
}

std::vector<Extent> Validator::operator()(const Copy& copy) const {
  itemsize_of_copies(copy.itemsize);
  const std::size_t axes = copy.shape.size();
  if (axes > max_copy_axes) {
    refuse("a copy has at most " + std::to_string(max_copy_axes) + " axes, got " +
           std::to_string(axes));
  }
  if (copy.x_strides.size() != axes || copy.out_strides.size() != axes) {
    refuse("shape and strides differ in length");
  }
  not_negative("chain", copy.chain);
  if (copy.chain != 0 && axes == 0) refuse("a copy in a chain needs an axis of rows");
  bool empty = false;
  std::int64_t count = 1;
  for (const std::int64_t size : copy.shape) {
    length("an axis", size);
    empty = empty || size == 0;
    count = product(count, size);
  }
  const auto reach = [&](std::string_view what, Ref ref, const std::vector<std::int64_t>& strides) {
    std::int64_t lowest = 0;
    std::int64_t highest = 0;
    for (std::size_t i = 0; i < axes && !empty; ++i) {
      if (strides[i] < -huge) refuse("a stride out of range");
      const std::int64_t far = product(copy.shape[i] - 1, std::abs(strides[i]));
      if (strides[i] < 0) {
        lowest = sum(lowest, far);
      } else {
        highest = sum(highest, far);
      }
    }
    return place(what, ref, copy.itemsize, -lowest, empty ? -lowest : sum(highest, 1));
  };
  const Extent out = reach("out", copy.out, copy.out_strides);
  // Necessary, not sufficient, for elements that do not share a place.
  if (!empty && (out.end - out.begin) / copy.itemsize < count) refuse("elements of out overlap");
  apart(out, reach("x", copy.x, copy.x_strides));
  return {out};
}

std::vector<Extent> Validator::operator()(const Fill& fill) const {
  length("count", fill.count);
  const Extent out = place("out", fill.out, fill.dtype, fill.count);
  representable(fill.number, fill.dtype);
  return {out};
}

std::vector<Extent> Validator::operator()(const Gather& gather) const {
  const std::int64_t item = gather.itemsize;
  itemsize_of_copies(item);
  length("outer", gather.outer);
  length("length", gather.length);
  length("count", gather.count);
  length("inner", gather.inner);
  length("outer x count", product(gather.outer, gather.count));
  const Extent out =
      place("out", gather.out, item, 0, product(gather.outer, gather.count, gather.inner));
  apart(out, place("x", gather.x, item, 0, product(gather.outer, gather.length, gather.inner)));
  apart(out, place("indices", gather.indices, DType::int64, gather.count));
  return {out};
}

std::vector<Extent> Validator::operator()(const ScatterAdd& scatter) const {
  demand(is_computed_in(scatter.dtype), "scatter_add computes in float32, float64 or int64, not " +
                                            std::string(name_of(scatter.dtype)));
  length("outer", scatter.outer);
  length("length", scatter.length);
  length("count", scatter.count);
  length("inner", scatter.inner);
  const Extent out = place("out", scatter.out, scatter.dtype,
                           product(scatter.outer, scatter.length, scatter.inner));
  apart(out,
        place("x", scatter.x, scatter.dtype, product(scatter.outer, scatter.count, scatter.inner)));
  apart(out, place("indices", scatter.indices, DType::int64, scatter.count));
  return {out};
}

std::vector<Extent> Validator::operator()(const FirstUses& uses) const {
  length("length", uses.length);
  length("count", uses.count);
  const Extent out = place("out", uses.out, DType::int64, uses.count);
  apart(out, place("indices", uses.indices, DType::int64, uses.count));
  return {out};
}

std::vector<Extent> Validator::operator()(const PutRows& put) const { return {updated_rows(put)}; }

std::vector<Extent> Validator::operator()(const RandomUniform& random) const {
  if (!is_floating(random.dtype)) {
    refuse("random numbers are float32 or float64, not " + std::string(name_of(random.dtype)));
  }
  length("count", random.count);
  const Extent out = place("out", random.out, random.dtype, random.count);
  apart(out, place("state", random.state, DType::uint64, 2));
  return {out};
}

std::vector<Extent> Validator::operator()(const GatherBatch& gather) const {
  if (gather.input < 0 || gather.input >= most_inputs) {
    refuse("inputs are numbered 0 to " + std::to_string(most_inputs - 1) + ", got " +
           std::to_string(gather.input));
  }
  if (gather.rows < 1) refuse("a batch has at least one row, got " + std::to_string(gather.rows));
  length("columns", gather.columns);
  return {place("out", gather.out, gather.dtype, product(gather.rows, gather.columns))};
}

std::vector<Extent> validate(const Instruction& instruction, const SpaceSizes& sizes) {
  if (instruction.label.empty()) throw std::invalid_argument("an instruction needs a label");
  const Validator validator(instruction.label, sizes);
  return std::visit(validator, instruction.work);
}

void validate_place(std::string_view label, Ref ref, DType dtype, std::int64_t count,
                    const SpaceSizes& sizes) {
  const Validator validator(label, sizes);
  validator.length("count", count);
  validator.place("it", ref, dtype, count);
}

}  // namespace chainrule
