"""Optimisers, whose rules are graphs, learning-rate schedules, averages and constraints."""

from chainrule.optim import lr_scheduler
from chainrule.optim.adagrad import Adadelta, Adagrad, RMSprop
from chainrule.optim.adam import Adam, AdamW, NAdam
from chainrule.optim.averaging import EMA
from chainrule.optim.constraints import MaxNorm
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.hyperparameters import Count, Flag, Number, Numbers, OneOf, Term
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.lion import Lion
from chainrule.optim.lr_scheduler import *  # noqa: F403
from chainrule.optim.muon import Muon
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.sgd import SGD

__all__ = [
    "EMA",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
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
    "ParameterGroup",
    "RMSprop",
    "Term",
]
__all__ += ["lr_scheduler", *lr_scheduler.__all__]
