"""Fixtures of the tests that write plans by hand."""

import numpy as np
import pytest
from bench import Bench


@pytest.fixture
def bench():
    return Bench()


@pytest.fixture
def rng():
    return np.random.default_rng(0)
