"""Tests that ask for `backend` run by the native core and by the reference interpreter."""

import pytest

import chainrule as cr


@pytest.fixture(params=["native", "reference"])
def backend(request, monkeypatch):
    """What Trainer and compile_step use where a test does not say."""
    for function in (cr.Trainer.__init__, cr.compile_step):
        monkeypatch.setitem(function.__kwdefaults__, "backend", request.param)
    return request.param
