"""Layers as functions of the graph, composed of operations, under PyTorch's names."""

from chainrule.nn.functional import activations, normalisation
from chainrule.nn.functional.activations import *  # noqa: F403
from chainrule.nn.functional.dropout import *  # noqa: F403
from chainrule.nn.functional.dropout import __all__ as _dropout_names
from chainrule.nn.functional.normalisation import *  # noqa: F403

__all__: list[str] = []
__all__ += activations.__all__ + _dropout_names + normalisation.__all__
