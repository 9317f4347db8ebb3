"""Training and evaluation mode: for a while, for frozen layers, in the steps of a Trainer."""

import numpy as np
import pytest
from compiled_steps import compiled_step

import chainrule as cr
from chainrule import nn, optim


def modes(model):
    return [module.training for module in model.modules()]


@pytest.mark.parametrize("training", [True, False])
def test_each_module_has_its_mode_again(training):
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Sequential(nn.ReLU()))
    model.train(not training)
    before = modes(model)
    with model.in_mode(training):
        assert set(modes(model)) == {training}
    assert modes(model) == before
    with pytest.raises(KeyError, match="on purpose"), model.in_mode(training):
        raise KeyError("on purpose")
    assert modes(model) == before


@pytest.mark.parametrize(
    ("root", "inner", "expected"),
    [
        (True, True, [True, True, True, True]),
        (True, False, [True, True, False, False]),  # frozen, with what is in it
        (False, False, [True, True, True, True]),  # model.eval() is a mode, not a freezing
    ],
)
def test_what_is_frozen_stays_so(root, inner, expected):
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Dropout()))
    model.train(root)
    model[1].train(inner)
    before = modes(model)
    with model.in_mode(True):
        assert modes(model) == expected
    with model.in_mode(False):
        assert not any(modes(model))
    assert modes(model) == before


def test_a_frozen_layer_inside_a_trained_part_of_a_model_in_evaluation_mode():
    model = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Dropout(), nn.ReLU())).eval()
    model[1].train()
    model[1][0].eval()
    with model.in_mode(True):
        assert modes(model) == [True, True, True, False, True]


class Backbone(nn.Module):
    """Keeps a part of it in evaluation mode, as is usual in PyTorch."""

    def __init__(self):
        super().__init__()
        self.bn = nn.BatchNorm1d(3)
        self.head = nn.Linear(3, 1)
        self.seen = []

    def train(self, mode=True):
        super().train(mode)
        self.seen.append(mode)
        self.bn.eval()
        return self

    def forward(self, x):
        return self.head(self.bn(x))


def data(rows=8):
    random = np.random.default_rng(0)
    return (5 + random.standard_normal((rows, 3))).astype("f"), np.ones((rows, 1), "f")


def statistics(bn):
    return bn.running_mean.tolist(), int(bn.num_batches_tracked.item())


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_train_method_of_the_users_is_called(backend, nested):
    backbone = Backbone()
    model = nn.Sequential(backbone) if nested else backbone
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1), backend=backend)
    trainer.fit(*data(), epochs=2, batch_size=8)
    assert backbone.seen[0] is True
    assert statistics(backbone.bn) == ([0.0, 0.0, 0.0], 0)


def step_of(way, model, optimizer, backend):
    """A function (x, y) that trains one step."""
    if way == "Trainer":
        trainer = cr.Trainer(model, nn.MSELoss(), optimizer, backend=backend)
        return lambda x, y: trainer.fit(x, y, epochs=1, batch_size=len(x))
    return compiled_step(model, nn.MSELoss(), optimizer, backend=backend)


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("way", ["Trainer", "compile"])
def test_a_layer_that_eval_froze_before_or_between_steps(way, backend):
    """Its steps are those of the eager loop with the same modes."""
    x, y = data()
    found = []
    for eager in (False, True):
        with cr.use_generator(cr.Generator(0)):
            model = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1))
        optimizer = optim.SGD(model.parameters(), 0.01)

        def loop(x, y, model=model, optimizer=optimizer):
            optimizer.zero_grad()
            nn.MSELoss()(model(cr.tensor(x)), y).backward()
            optimizer.step()

        step = loop if eager else step_of(way, model, optimizer, backend)
        model[1].eval()
        step(x, y)
        assert statistics(model[1])[1] == 0
        model[1].train()
        step(x, y)
        assert statistics(model[1])[1] == 1
        model[1].eval()
        step(x, y)
        assert statistics(model[1])[1] == 1
        assert modes(model) == [True, True, False, True]
        found.append([array.tolist() for array in model.state_dict().values()])
    for ours, theirs in zip(*found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=2e-5, atol=1e-6)


def test_a_layer_that_forward_makes_has_a_mode_of_its_own():
    """Not that of a layer that was gone before, which may have had its id."""
    model = nn.Linear(1, 1)
    with model.in_mode(True):
        for _ in range(20):
            layer = nn.Dropout(0.5)
            assert layer.training
            layer.eval()
            assert not layer.training
            del layer


def test_a_model_in_evaluation_mode_is_trained_and_stays_there():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Linear(3, 1)).eval()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1))
    trainer.fit(*data(), epochs=1, batch_size=8)
    assert statistics(model[0])[1] == 1
    assert not any(modes(model))


def test_evaluation_leaves_modes_and_statistics():
    model = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.5), nn.Linear(3, 1))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), 0.1))
    x, y = data()
    before = statistics(model[0])
    np.testing.assert_array_equal(trainer.predict(x), trainer.predict(x))
    trainer.evaluate(x, y)
    assert statistics(model[0]) == before and all(modes(model))
