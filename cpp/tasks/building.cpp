#include "tasks/building.h"

#include <stdexcept>

namespace chainrule {

void Building::lacks(std::string_view what, DType dtype) const {
  throw std::invalid_argument(label + ": no kernel for " + std::string(what) + " of " +
                              std::string(name_of(dtype)));
}

}  // namespace chainrule
