#include "bindings/fields.h"

#include <algorithm>
#include <stdexcept>

namespace nb = nanobind;

namespace chainrule {
namespace {

// Whether an object is a whole number, or converts to one without loss as NumPy's do.
bool is_whole_number(nb::handle given) {
  return PyIndex_Check(given.ptr()) != 0 && !PyBool_Check(given.ptr());
}

// The text of a str. Raises UnicodeEncodeError where UTF-8 has none, as for a lone surrogate.
std::string text_of(nb::handle str) {
  Py_ssize_t size = 0;
  const char* const text = PyUnicode_AsUTF8AndSize(str.ptr(), &size);
  if (text == nullptr) throw nb::python_error();
  return {text, static_cast<std::size_t>(size)};
}

}  // namespace

std::string Where::text() const {
  if (outer == nullptr) return name;
  if (name == nullptr) return outer->text() + "[" + std::to_string(index) + "]";
  return outer->text() + (outer->outer == nullptr ? ": " : ".") + name;
}

void Where::expected(const char* what, nb::handle given) const {
  throw nb::type_error((text() + " must be " + what + ", got " + text_of(nb::repr(given))).c_str());
}

void read(const Where& where, nb::handle given, std::int64_t& value) {
  if (!is_whole_number(given)) where.expected("a whole number", given);
  if (!nb::try_cast(given, value)) where.expected("a whole number of 64 bits", given);
}

void read(const Where& where, nb::handle given, double& value) {
  if (!PyFloat_Check(given.ptr()) && !is_whole_number(given)) where.expected("a number", given);
  if (!nb::try_cast(given, value)) where.expected("a number", given);
}

void read(const Where& where, nb::handle given, bool& value) {
  if (!nb::try_cast(given, value)) where.expected("True or False", given);
}

void read(const Where& where, nb::handle given, Register& value) {
  std::int64_t number = 0;
  read(where, given, number);
  if (number < 0 || number >= max_registers) {
    throw std::invalid_argument(where.text() + ": registers are numbered 0 to " +
                                std::to_string(max_registers - 1) + ", got " +
                                std::to_string(number));
  }
  value = static_cast<Register>(number);
}

void read(const Where& where, nb::handle given, Operands& value) {
  const std::vector<nb::object> found = elements(where, given);
  if (found.size() > Operands::most) where.expected("at most 3 registers", given);
  value = {};
  value.count = static_cast<std::uint8_t>(found.size());
  for (std::size_t i = 0; i < found.size(); ++i) {
    read(Where{&where, nullptr, i}, found[i], value.registers[i]);
  }
}

void read(const Where& where, nb::handle given, Ref& value) {
  const auto is_pair = [&] { return PyTuple_Check(given.ptr()) != 0 && nb::len(given) == 2; };
  if (!is_pair()) where.expected("a place (space, offset)", given);
  read(Where{&where, nullptr, 0}, given[0], value.space);
  read(Where{&where, nullptr, 1}, given[1], value.offset);
}

std::string read_name(const Where& where, nb::handle given) {
  if (PyUnicode_Check(given.ptr()) == 0) where.expected("a name", given);
  return text_of(given);
}

std::vector<nb::object> elements(const Where& where, nb::handle given) {
  if (PyList_Check(given.ptr()) == 0 && PyTuple_Check(given.ptr()) == 0) {
    where.expected("a list", given);
  }
  std::vector<nb::object> found;
  for (nb::handle element : given) found.push_back(nb::borrow(element));
  return found;
}

FieldReader::FieldReader(const Where& where, nb::handle given) : where_(where) {
  if (PyDict_Check(given.ptr()) == 0) where.expected("a dict of fields", given);
  given_ = nb::borrow<nb::dict>(given);
}

nb::object FieldReader::take(const char* name) {
  names_.push_back(name);
  nb::object found = nb::borrow(PyDict_GetItemString(given_.ptr(), name));
  if (found.is_valid()) ++taken_;
  return found;
}

void FieldReader::lacks(const char* name) const {
  throw nb::type_error((where_.text() + ": the field '" + name + "' is missing").c_str());
}

void FieldReader::finish() const {
  if (nb::len(given_) == taken_) return;
  for (auto [key, value] : given_) {
    const std::string name = text_of(PyUnicode_Check(key.ptr()) ? nb::borrow(key) : nb::repr(key));
    if (std::ranges::find(names_, name) != names_.end()) continue;
    throw nb::type_error(
        (where_.text() + ": unknown field '" + name + "'; known are " + listed(names_)).c_str());
  }
}

}  // namespace chainrule
