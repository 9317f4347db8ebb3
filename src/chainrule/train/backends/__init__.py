"""Backends run steps: batch by batch in the reference interpreter, or many at a time natively."""

from chainrule.train.backends.base import MOST_STEPS, Backend, LearningRates, TrainRequest
from chainrule.train.backends.choice import (
    checked_backend,
    get_default_backend,
    make_backend,
    set_default_backend,
)
from chainrule.train.backends.native import NativeBackend

__all__ = [
    "MOST_STEPS",
    "Backend",
    "LearningRates",
    "NativeBackend",
    "TrainRequest",
    "checked_backend",
    "get_default_backend",
    "make_backend",
    "set_default_backend",
]
