"""Training: the Trainer and the Evaluator, what they measure, and files of models."""

from chainrule.errors import FileError
from chainrule.train import metrics
from chainrule.train.backends import get_default_backend, set_default_backend
from chainrule.train.callbacks import Callback, EarlyStopping, ReduceLROnPlateau
from chainrule.train.compile import compile
from chainrule.train.ensemble import Ensemble
from chainrule.train.evaluator import Evaluator
from chainrule.train.history import History
from chainrule.train.metrics import Metric
from chainrule.train.model_file import load, read_metadata, save
from chainrule.train.range_test import RangeTest
from chainrule.train.search_space import Range
from chainrule.train.searching import search
from chainrule.train.state import TrainingState
from chainrule.train.trainer import Trainer
from chainrule.train.trials import SearchResult, Trial

__all__ = [
    "Callback",
    "EarlyStopping",
    "Ensemble",
    "Evaluator",
    "FileError",
    "History",
    "Metric",
    "Range",
    "RangeTest",
    "ReduceLROnPlateau",
    "SearchResult",
    "Trainer",
    "TrainingState",
    "Trial",
    "compile",
    "get_default_backend",
    "load",
    "metrics",
    "read_metadata",
    "save",
    "search",
    "set_default_backend",
]
