"""Layers as functions of the graph, composed of operations.

The names are those of `torch.nn.functional`, arguments included (`input`, `dim`). The operations
themselves are in `chainrule.ops` and follow NumPy (`axis`, `keepdims`).
"""

from typing import TYPE_CHECKING

from chainrule.graph.names import absent
from chainrule.nn import distances
from chainrule.nn.distances import *  # noqa: F403
from chainrule.nn.functional import (
    activations,
    adaptive_pooling,
    attention,
    conv,
    interpolation,
    losses,
    normalisation,
    padding,
    pooling,
    rearranging,
    sampling,
)
from chainrule.nn.functional.activations import *  # noqa: F403
from chainrule.nn.functional.adaptive_pooling import *  # noqa: F403
from chainrule.nn.functional.attention import *  # noqa: F403
from chainrule.nn.functional.conv import *  # noqa: F403
from chainrule.nn.functional.dropout import *  # noqa: F403
from chainrule.nn.functional.dropout import __all__ as _dropout_names  # `dropout` hides its module
from chainrule.nn.functional.embedding import *  # noqa: F403
from chainrule.nn.functional.embedding import __all__ as _embedding_names  # as does `embedding`
from chainrule.nn.functional.interpolation import *  # noqa: F403
from chainrule.nn.functional.linear import *  # noqa: F403
from chainrule.nn.functional.linear import __all__ as _linear_names  # as does `linear`
from chainrule.nn.functional.losses import *  # noqa: F403
from chainrule.nn.functional.normalisation import *  # noqa: F403
from chainrule.nn.functional.padding import *  # noqa: F403
from chainrule.nn.functional.pooling import *  # noqa: F403
from chainrule.nn.functional.rearranging import *  # noqa: F403
from chainrule.nn.functional.sampling import *  # noqa: F403

__all__ = [*_dropout_names, *_embedding_names, *_linear_names]
__all__ += (
    activations.__all__
    + attention.__all__
    + conv.__all__
    + distances.__all__
    + losses.__all__
    + normalisation.__all__
)
__all__ += (
    adaptive_pooling.__all__
    + interpolation.__all__
    + padding.__all__
    + pooling.__all__
    + rearranging.__all__
    + sampling.__all__
)

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent("nn.functional", globals())
