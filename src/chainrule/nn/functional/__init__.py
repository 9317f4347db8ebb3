"""Layers as functions of the graph, composed of operations, under PyTorch's names."""

from chainrule.nn.functional import activations, dropping, normalisation
from chainrule.nn.functional.activations import *  # noqa: F403
from chainrule.nn.functional.dropping import *  # noqa: F403
from chainrule.nn.functional.normalisation import *  # noqa: F403

__all__: list[str] = []
__all__ += activations.__all__ + dropping.__all__ + normalisation.__all__
