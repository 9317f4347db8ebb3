// Conversions between the types that programs compute in and the types of arrays in memory.
#pragma once

#include <cstdint>

namespace chainrule::CHAINRULE_INSTRUCTION_SET {

// Stored is the type in memory. Floats become integers by cutting off the fraction.
template <typename T, typename Stored>
void load_as(T* out, const void* x, std::int64_t n);
template <typename T, typename Stored>
void store_as(void* out, const T* x, std::int64_t n);

// One byte per boolean, 0 or 1; whatever is not 0 is true.
struct Boolean {
  std::uint8_t byte;
};

}  // namespace chainrule::CHAINRULE_INSTRUCTION_SET
