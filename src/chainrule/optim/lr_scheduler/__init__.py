"""Schedules of the learning rate, or of another hyper-parameter."""

from typing import TYPE_CHECKING

from chainrule.graph.names import absent
from chainrule.optim.lr_scheduler.base import Schedule
from chainrule.optim.lr_scheduler.combined import ChainedScheduler, SequentialLR, WarmupLR
from chainrule.optim.lr_scheduler.cosine import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    Coslog4LR,
    FlatCosineLR,
)
from chainrule.optim.lr_scheduler.cyclic import CyclicLR, OneCycleLR
from chainrule.optim.lr_scheduler.decay import (
    ConstantLR,
    ExponentialLR,
    InverseTimeLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)
from chainrule.optim.lr_scheduler.functions import LambdaLR, MultiplicativeLR
from chainrule.optim.lr_scheduler.plateau import ReduceLROnPlateau

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "Coslog4LR",
    "CyclicLR",
    "ExponentialLR",
    "FlatCosineLR",
    "InverseTimeLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "OneCycleLR",
    "PolynomialLR",
    "ReduceLROnPlateau",
    "Schedule",
    "SequentialLR",
    "StepLR",
    "WarmupLR",
]

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent("optim.lr_scheduler", globals())
