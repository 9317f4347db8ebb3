"""Layers, under PyTorch's names. Every name in `__all__` can be saved and built again."""

from chainrule.nn.layers.activations import (
    ELU,
    GELU,
    SELU,
    LeakyReLU,
    LogSoftmax,
    Mish,
    ReLU,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Tanh,
)
from chainrule.nn.layers.containers import Identity, Sequential
from chainrule.nn.layers.linear import Linear
from chainrule.nn.layers.preprocessing import Standardize, Unstandardize
from chainrule.nn.layers.shape import Flatten

__all__ = [
    "ELU",
    "GELU",
    "SELU",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "Mish",
    "ReLU",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Standardize",
    "Tanh",
    "Unstandardize",
]
