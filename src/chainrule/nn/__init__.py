"""Layers, losses and models, under PyTorch's names."""

from typing import TYPE_CHECKING

from chainrule.graph.names import absent
from chainrule.graph.state import Buffer, Parameter
from chainrule.nn import functional, init, layers, losses, utils
from chainrule.nn.calibration import data_driven_, lsuv_, recompute_batch_statistics
from chainrule.nn.containers import ModuleDict, ModuleList, ParameterDict, ParameterList
from chainrule.nn.description import from_description, to_description
from chainrule.nn.layers import *  # noqa: F403
from chainrule.nn.losses import *  # noqa: F403
from chainrule.nn.means import weighted_mean
from chainrule.nn.module import Module
from chainrule.nn.penalties import ElasticNetPenalty, L1Penalty, L2Penalty, select_parameters

__all__ = [
    "Buffer",
    "ElasticNetPenalty",
    "L1Penalty",
    "L2Penalty",
    "Module",
    "ModuleDict",
    "ModuleList",
    "Parameter",
    "ParameterDict",
    "ParameterList",
    "data_driven_",
    "from_description",
    "functional",
    "init",
    "lsuv_",
    "recompute_batch_statistics",
    "select_parameters",
    "to_description",
    "utils",
    "weighted_mean",
]
__all__ += layers.__all__ + losses.__all__

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent("nn", globals(), {n: f"nn.functional.{n}" for n in functional.__all__})
