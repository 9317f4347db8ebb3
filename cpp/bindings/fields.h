// Records of plan.h, read from Python by the names of their fields.
//
// read(where, given, value) sets a value from an object of Python: numbers as they are, enums by
// name, a Ref as (space, offset), a vector from a list, a record from a dict. It throws
// nanobind::type_error or std::invalid_argument that names the field and what was expected.
#pragma once

#include <nanobind/nanobind.h>

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "plan/names.h"
#include "plan/plan.h"

namespace chainrule {

// A field, an element of a list, or the instruction itself, by its label.
struct Where {
  const Where* outer;  // null: the instruction
  const char* name;    // null: an element
  std::size_t index = 0;

  std::string text() const;
  [[noreturn]] void expected(const char* what, nanobind::handle given) const;
};

void read(const Where& where, nanobind::handle given, std::int64_t& value);
void read(const Where& where, nanobind::handle given, double& value);
void read(const Where& where, nanobind::handle given, bool& value);
void read(const Where& where, nanobind::handle given, Register& value);
void read(const Where& where, nanobind::handle given, Operands& value);
void read(const Where& where, nanobind::handle given, Ref& value);
std::string read_name(const Where& where, nanobind::handle given);

template <typename Enum>
  requires std::is_enum_v<Enum>
void read(const Where& where, nanobind::handle given, Enum& value) {
  const std::string name = read_name(where, given);
  try {
    set_by_name(value, name);
  } catch (const std::invalid_argument& error) {
    throw std::invalid_argument(where.text() + ": " + error.what());
  }
}

// The elements of a list or a tuple.
std::vector<nanobind::object> elements(const Where& where, nanobind::handle given);

// Visits the fields of a record, and takes each from a dict.
class FieldReader {
 public:
  FieldReader(const Where& where, nanobind::handle given);

  template <typename Value>
  void operator()(const char* name, Value& value) {
    const nanobind::object given = take(name);
    if (!given.is_valid()) lacks(name);
    read(Where{&where_, name}, given, value);
  }
  template <typename Value>
  void optional(const char* name, Value& value) {
    const nanobind::object given = take(name);
    if (given.is_valid()) read(Where{&where_, name}, given, value);
  }
  // Throws if the dict has a field that was not visited.
  void finish() const;

 private:
  nanobind::object take(const char* name);  // not valid where it is not given
  [[noreturn]] void lacks(const char* name) const;

  const Where& where_;
  nanobind::dict given_;
  std::vector<std::string_view> names_;
  std::size_t taken_ = 0;
};

template <typename T>
concept Record = requires(T& record, FieldReader& reader) { record.fields(reader); };

template <Record T>
void read(const Where& where, nanobind::handle given, T& record) {
  FieldReader reader(where, given);
  record.fields(reader);
  reader.finish();
}

template <typename T>
void read(const Where& where, nanobind::handle given, std::vector<T>& list) {
  const std::vector<nanobind::object> found = elements(where, given);
  list.resize(found.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    read(Where{&where, nullptr, i}, found[i], list[i]);
  }
}

template <typename T>
void read(const Where& where, nanobind::handle given, std::optional<T>& value) {
  value.reset();
  if (!given.is_none()) read(where, given, value.emplace());
}

}  // namespace chainrule
