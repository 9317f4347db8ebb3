"""`Parameter` and `Buffer` in the module where PyTorch has them."""

from chainrule.graph.state import Buffer, Parameter

__all__ = ["Buffer", "Parameter"]
