"""The computational graph: nodes, operations, and backpropagation through them."""

from chainrule.graph.backprop import ancestors, prune
from chainrule.graph.grad_table import GradTable

__all__ = ["GradTable", "ancestors", "prune"]
