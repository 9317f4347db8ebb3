"""PyTorch's own lists of optimisers with their arguments, which lie in its wheel."""

import sys
import types
import unittest

import pytest

torch = pytest.importorskip("torch")

# PyTorch's file imports this package at its top, for expectations that are not used here.
if "expecttest" not in sys.modules:
    stand_in = types.ModuleType("expecttest")
    stand_in.TestCase = unittest.TestCase
    sys.modules["expecttest"] = stand_in

common_optimizers = pytest.importorskip("torch.testing._internal.common_optimizers")

optim_db = common_optimizers.optim_db


def inputs():
    """(class's name, keywords) of every entry, with Tensors among the keywords as they are."""
    for info in optim_db:
        for given in info.optim_inputs_func(device="cpu"):
            yield info.optim_cls.__name__, given.kwargs


def error_inputs():
    """(class's name, parameters, keywords, part of PyTorch's message) of every entry."""
    for info in optim_db:
        torch.manual_seed(0)
        for error in info.optim_error_inputs_func(device="cpu", dtype=torch.float64):
            given = error.optimizer_error_input
            yield info.optim_cls.__name__, given.params, given.kwargs, error.error_regex


def schedule_inputs():
    """(optimiser's name, functions of an optimiser that make its schedules) of every entry."""
    for info in optim_db:
        for makers in info.scheduler_inputs:
            yield info.optim_cls.__name__, makers


SCHEDULES = [
    name
    for name in (
        "ConstantLR",
        "ExponentialLR",
        "LinearLR",
        "PolynomialLR",
        "ReduceLROnPlateau",
        "StepLR",
    )
    if hasattr(common_optimizers, name)
]
"""The classes that those functions call, by their names in PyTorch's module."""
