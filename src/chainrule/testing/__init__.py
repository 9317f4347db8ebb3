"""Checks for your own operations, functions and layers, and for derivations by hand.

`check_gradient` compares gradients with finite differences, to second order. `check_operation`
holds an operation to everything that its block promises. `compare` holds a derivation by hand to
the graph, and names its first wrong quantity and the slip.
"""

from chainrule.testing.comparison import Comparison, Finding, compare
from chainrule.testing.gradients import check_gradient, check_operation

__all__ = ["Comparison", "Finding", "check_gradient", "check_operation", "compare"]
