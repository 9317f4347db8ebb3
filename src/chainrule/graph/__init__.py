"""The computational graph: nodes, operations, and back-propagation through them."""

from chainrule.graph.backprop import ancestors, prune

__all__ = ["ancestors", "prune"]
