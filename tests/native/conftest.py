"""Fixtures of the tests that write plans by hand."""

import numpy as np
import pytest
from bench import Bench

from chainrule import _core
from chainrule.execute import blas


@pytest.fixture(scope="session", autouse=True)
def blas_is_loaded():
    """Also where the best kernels need none: tests run those of all instruction sets."""
    _core.set_blas(*blas.load())


@pytest.fixture
def chunks():
    """Into how many parts each instruction of `bench` is split; tests may say otherwise."""
    return 0


@pytest.fixture
def bench(chunks):
    return Bench(chunks=chunks)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.fixture
def own_kernels():
    """Products by our own kernels, even where BLAS is faster."""
    _core.set_blas(0, 0)
    yield
    _core.set_blas(*blas.load())
