"""Optimisers, whose rules are graphs, and learning-rate schedules."""

from chainrule.optim.groups import ParameterGroup
from chainrule.optim.optimizer import Optimizer
from chainrule.optim.optimizers import SGD, Adam, AdamW, RMSprop
from chainrule.optim.schedules import (
    Constant,
    CosineAnnealingLR,
    ExponentialLR,
    InverseTimeLR,
    Schedule,
    StepLR,
    WarmupLR,
)

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "CosineAnnealingLR",
    "ExponentialLR",
    "InverseTimeLR",
    "Optimizer",
    "ParameterGroup",
    "RMSprop",
    "Schedule",
    "StepLR",
    "WarmupLR",
]
