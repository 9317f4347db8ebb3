"""Module.in_mode: training or evaluation mode for a while."""

import pytest

from chainrule import nn


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("training", [True, False])
def test_each_module_has_its_mode_again(training):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Sequential(nn.ReLU()))
    model[1].eval()
    before = modes(model)
    with model.in_mode(training):
        assert set(modes(model)) == {training}
    assert modes(model) == before
    with pytest.raises(KeyError, match="on purpose"), model.in_mode(training):
        raise KeyError("on purpose")
    assert modes(model) == before
