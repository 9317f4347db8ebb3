"""Layers as functions of the graph, composed of operations.

The names are those of `torch.nn.functional`, arguments included (`input`, `dim`). The operations
themselves are in `chainrule.ops` and follow NumPy (`axis`, `keepdims`). Losses, and layers with
state such as batch normalisation, are classes of `chainrule.nn` only.
"""

from chainrule.nn.functional import activations, normalisation
from chainrule.nn.functional.activations import *  # noqa: F403
from chainrule.nn.functional.dropout import *  # noqa: F403
from chainrule.nn.functional.dropout import __all__ as _dropout_names  # `dropout` hides its module
from chainrule.nn.functional.linear import linear
from chainrule.nn.functional.normalisation import *  # noqa: F403

__all__ = ["linear"]
__all__ += activations.__all__ + _dropout_names + normalisation.__all__
