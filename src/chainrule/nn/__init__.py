"""Layers, losses and models, under PyTorch's names."""

from chainrule.graph.state import Buffer, Parameter
from chainrule.nn import functional, init, layers
from chainrule.nn.description import build, describe
from chainrule.nn.layers import *  # noqa: F403
from chainrule.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, L1Loss, MSELoss, NLLLoss
from chainrule.nn.module import Module

__all__ = [
    "BCEWithLogitsLoss",
    "Buffer",
    "CrossEntropyLoss",
    "L1Loss",
    "MSELoss",
    "Module",
    "NLLLoss",
    "Parameter",
    "build",
    "describe",
    "functional",
    "init",
]
__all__ += layers.__all__
