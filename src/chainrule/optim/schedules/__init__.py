"""Schedules of the learning rate, or of another hyper-parameter."""

from chainrule.optim.schedules.base import Schedule
from chainrule.optim.schedules.combined import ChainedScheduler, WarmupLR
from chainrule.optim.schedules.cosine import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    Coslog4LR,
    FlatCosineLR,
    OneCycleLR,
)
from chainrule.optim.schedules.decay import (
    ConstantLR,
    ExponentialLR,
    InverseTimeLR,
    LinearLR,
    MultiStepLR,
    PolynomialLR,
    StepLR,
)

__all__ = [
    "ChainedScheduler",
    "ConstantLR",
    "CosineAnnealingLR",
    "CosineAnnealingWarmRestarts",
    "Coslog4LR",
    "ExponentialLR",
    "FlatCosineLR",
    "InverseTimeLR",
    "LinearLR",
    "MultiStepLR",
    "OneCycleLR",
    "PolynomialLR",
    "Schedule",
    "StepLR",
    "WarmupLR",
]
