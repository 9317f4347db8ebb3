"""The computational graph: nodes, operations, and back-propagation through them."""

from chainrule.graph.backprop import prune

__all__ = ["prune"]
