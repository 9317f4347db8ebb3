"""Optimisers, whose rules are graphs, learning-rate schedules, averages and constraints."""

from typing import TYPE_CHECKING

from chainrule.graph.names import absent
from chainrule.optim import lr_scheduler
from chainrule.optim.adafactor import Adafactor
from chainrule.optim.adagrad import Adadelta, Adagrad, RMSprop
from chainrule.optim.adam import Adam, AdamW, NAdam
from chainrule.optim.adamax import Adamax
from chainrule.optim.arguments import Options
from chainrule.optim.asgd import ASGD
from chainrule.optim.averaging import EMA
from chainrule.optim.constraints import MaxNorm
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.hyperparameters import Count, Flag, Number, Numbers, OneOf, Term
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.lion import Lion
from chainrule.optim.lr_scheduler import *  # noqa: F403
from chainrule.optim.muon import Muon
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.radam import RAdam
from chainrule.optim.rprop import Rprop
from chainrule.optim.sgd import SGD
from chainrule.optim.sparse_adam import SparseAdam

__all__ = [
    "ASGD",
    "EMA",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Count",
    "Flag",
    "Lion",
    "MaxNorm",
    "Muon",
    "NAdam",
    "Number",
    "Numbers",
    "OneOf",
    "Optimizer",
    "Options",
    "ParameterGroup",
    "RAdam",
    "RMSprop",
    "Rprop",
    "SparseAdam",
    "Term",
]
__all__ += ["lr_scheduler"]
__all__ += lr_scheduler.__all__  # in the form that type checkers read

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent("optim", globals())
