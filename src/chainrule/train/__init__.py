"""Training: the Trainer, what it measures, what it keeps."""

from chainrule.train.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from chainrule.train.checkpoint import FileError
from chainrule.train.compiled import compile_step
from chainrule.train.history import History
from chainrule.train.metrics import Metric
from chainrule.train.range_test import RangeTest
from chainrule.train.trainer import Trainer

__all__ = [
    "Callback",
    "EarlyStopping",
    "FileError",
    "History",
    "Metric",
    "RangeTest",
    "ReduceLROnPlateau",
    "Trainer",
    "compile_step",
]
