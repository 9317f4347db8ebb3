"""Layers, under PyTorch's names. Every name in `__all__` can be saved and built again."""

from chainrule.nn.layers.activations import (
    ELU,
    GELU,
    GLU,
    SELU,
    Hardswish,
    Hardtanh,
    LeakyReLU,
    LogSigmoid,
    LogSoftmax,
    Mish,
    ParametricActivation,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softmax,
    Softplus,
    Softsign,
    Tanh,
)
from chainrule.nn.layers.connections import DenseConnection, Residual
from chainrule.nn.layers.containers import Identity, Sequential
from chainrule.nn.layers.dropout import AlphaDropout, Dropout, GaussianNoise
from chainrule.nn.layers.linear import Linear
from chainrule.nn.layers.normalisation import BatchNorm1d, GroupNorm, LayerNorm, RMSNorm
from chainrule.nn.layers.preprocessing import (
    Center,
    InverseRobustScale,
    MinMaxScale,
    RobustScale,
    Standardize,
    Unstandardize,
)
from chainrule.nn.layers.principal import PCA, FixedLinear, Whiten
from chainrule.nn.layers.scale import Scale
from chainrule.nn.layers.shape import Flatten

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "PCA",
    "SELU",
    "AlphaDropout",
    "BatchNorm1d",
    "Center",
    "DenseConnection",
    "Dropout",
    "FixedLinear",
    "Flatten",
    "GaussianNoise",
    "GroupNorm",
    "Hardswish",
    "Hardtanh",
    "Identity",
    "InverseRobustScale",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LogSigmoid",
    "LogSoftmax",
    "MinMaxScale",
    "Mish",
    "PReLU",
    "ParametricActivation",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Residual",
    "RobustScale",
    "Scale",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Standardize",
    "Tanh",
    "Unstandardize",
    "Whiten",
]
