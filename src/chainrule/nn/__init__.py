"""Layers, losses and models, under PyTorch's names."""

from chainrule.graph.state import Buffer, Parameter
from chainrule.nn import functional, init, layers, losses
from chainrule.nn.batch_statistics import finalize
from chainrule.nn.description import build, describe
from chainrule.nn.layers import *  # noqa: F403
from chainrule.nn.losses import *  # noqa: F403
from chainrule.nn.module import Module
from chainrule.nn.penalties import ElasticNetPenalty, L1Penalty, L2Penalty, select

__all__ = [
    "Buffer",
    "ElasticNetPenalty",
    "L1Penalty",
    "L2Penalty",
    "Module",
    "Parameter",
    "build",
    "describe",
    "finalize",
    "functional",
    "init",
    "select",
]
__all__ += layers.__all__ + losses.__all__
