"""Tests that ask for `backend` run by the native core and by the reference interpreter."""

import pytest

import chainrule as cr


@pytest.fixture(params=["native", "reference"])
def backend(request):
    """What Trainer, Evaluator and cr.compile use where a test does not say."""
    before = cr.get_default_backend()
    cr.set_default_backend(request.param)
    yield request.param
    cr.set_default_backend(before)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.safetensors"
