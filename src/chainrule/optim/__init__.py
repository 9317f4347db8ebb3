"""Optimisers, whose rules are graphs, learning-rate schedules, averages and constraints."""

from chainrule.optim.adagrad import Adadelta, Adagrad, RMSprop
from chainrule.optim.adam import Adam, AdamW, NAdam
from chainrule.optim.averaging import EMA
from chainrule.optim.constraints import MaxNorm
from chainrule.optim.cosine import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    Coslog4LR,
    FlatCosineLR,
    OneCycleLR,
)
from chainrule.optim.groups import ParameterGroup
from chainrule.optim.hyperparameters import Count, Flag, Number, Numbers, OneOf, Term
from chainrule.optim.lbfgs import LBFGS
from chainrule.optim.lion import Lion
from chainrule.optim.muon import Muon
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.schedules import (
    ChainedScheduler,
    ConstantLR,
    ExponentialLR,
    InverseTimeLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    Schedule,
    StepLR,
    WarmupLR,
)
from chainrule.optim.sgd import SGD

__all__ = [
    "EMA",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "Coslog4LR",
    "Count",
    "ExponentialLR",
    "Flag",
    "FlatCosineLR",
    "InverseTimeLR",
    "LinearLR",
    "Lion",
    "MaxNorm",
    "MultiStepLR",
    "Muon",
    "NAdam",
    "Number",
    "Numbers",
    "OneCycleLR",
    "OneOf",
    "Optimizer",
    "ParameterGroup",
    "PolynomialLR",
    "RMSprop",
    "Schedule",
    "StepLR",
    "Term",
    "WarmupLR",
]
