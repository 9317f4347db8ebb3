"""PyTorch's own lists of modules, criteria and their inputs, which lie in its wheel."""

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

common_modules = pytest.importorskip("torch.testing._internal.common_modules")
common_nn = pytest.importorskip("torch.testing._internal.common_nn")

module_db = common_modules.module_db


def module_inputs(info, training):
    torch.manual_seed(0)
    return info.module_inputs_func(
        info, device="cpu", dtype=torch.float64, requires_grad=True, training=training
    )


def criterion_tests():
    """The tests of criteria: dicts of a constructor and sizes, or makers, of the data."""
    return common_nn.criterion_tests


def new_module_tests():
    torch.manual_seed(0)
    return common_nn.module_tests + common_nn.get_new_module_tests()
