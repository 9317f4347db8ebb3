"""A model that is built like an earlier one takes copies of its graphs, with its own states."""

import gc
import weakref

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

X = np.random.default_rng(0).normal(size=(23, 5)).astype("float32")
Y = np.random.default_rng(1).integers(0, 3, 23)


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Linear(5, 3)

    def forward(self, x):
        return self.inner(x)


def trainer(seed=0, *, middle=nn.ReLU, loss=None, optimizer=optim.Adam, rate=0.01, **options):
    cr.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 7), middle(), nn.Linear(7, 3))
    return cr.Trainer(
        model, loss or nn.CrossEntropyLoss(), optimizer(model.parameters(), lr=rate), **options
    )


def fitted(made, epochs=2):
    made.fit(X, Y, epochs=epochs, batch_size=8, progress=False)
    return [p.numpy().copy() for p in made.model.parameters()], made.predict(X)


def captures(monkeypatch):
    counted = []
    original = cr.train.training_step.capture

    def counting(*arguments):
        counted.append(1)
        return original(*arguments)

    monkeypatch.setattr(cr.train.training_step, "capture", counting)
    return counted


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"middle": lambda: nn.Dropout(0.4)},
        {"middle": lambda: nn.BatchNorm1d(7)},
        {"optimizer": optim.AdamW, "clip_norm": 0.5},
        {"accumulate": 2, "metrics": ["accuracy"]},
    ],
    ids=["plain", "dropout", "batch norm", "clipped", "accumulated"],
)
def test_a_copied_graph_trains_to_the_same_bits(monkeypatch, backend, options):
    with monkeypatch.context() as without:
        without.setattr(cr.train.versions.Version, "shared_facts", lambda version: None)
        wanted = [fitted(trainer(seed, backend=backend, **options)) for seed in (1, 2)]
    fitted(trainer(3, backend=backend, **options))
    counted = captures(monkeypatch)
    found = [fitted(trainer(seed, backend=backend, **options)) for seed in (1, 2)]
    assert counted == []
    for (weights, outputs), (weights_wanted, outputs_wanted) in zip(found, wanted, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(weights, weights_wanted, strict=True))
        assert np.array_equal(outputs, outputs_wanted)


@pytest.mark.parametrize(
    "other",
    [
        {"middle": nn.Tanh},
        {"loss": nn.CrossEntropyLoss(label_smoothing=0.1)},
        {"loss": nn.CrossEntropyLoss(weight=[1.0, 2.0, 3.0])},
        {"optimizer": optim.AdamW},
        {"optimizer": lambda p, lr: optim.Adam(p, lr=lr, amsgrad=True)},
        {"optimizer": lambda p, lr: optim.Adam(p, lr=lr, weight_decay=0.1)},
        {"optimizer": lambda p, lr: optim.Adam(p, lr=lr, maximize=True)},
        {"clip_norm": 0.1},
        {"clip_value": 0.01},
        {"middle": lambda: nn.LeakyReLU(0.3)},
        {"middle": lambda: nn.BatchNorm1d(7, eps=0.5)},
    ],
)
def test_another_setting_is_another_graph(monkeypatch, other):
    with monkeypatch.context() as without:
        without.setattr(cr.train.versions.Version, "shared_facts", lambda version: None)
        wanted = fitted(trainer(5, **other))
    fitted(trainer(5))
    fitted(trainer(5, middle=nn.LeakyReLU))
    fitted(trainer(5, middle=lambda: nn.BatchNorm1d(7)))
    found = fitted(trainer(5, **other))
    assert all(np.array_equal(a, b) for a, b in zip(found[0], wanted[0], strict=True))
    assert np.array_equal(found[1], wanted[1])


def test_frozen_parameters_have_graphs_of_their_own():
    fitted(trainer(1))
    made = trainer(2)
    made.model[0].requires_grad_(False)
    before = made.model[0].weight.numpy().copy()
    fitted(made)
    assert np.array_equal(made.model[0].weight.numpy(), before)


def test_numbers_are_read_by_each_model():
    slow, fast = trainer(4, rate=1e-5), trainer(4, rate=0.1)
    first = [p.numpy().copy() for p in slow.model.parameters()]
    moved = [
        max(np.abs(a - b).max() for a, b in zip(fitted(made, 1)[0], first, strict=True))
        for made in (slow, fast)
    ]
    assert moved[0] < 1e-3 < moved[1]


def test_a_users_module_is_captured_for_each_model(monkeypatch):
    def made():
        model = Own()
        return cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))

    fitted(made())
    counted = captures(monkeypatch)
    fitted(made())
    assert len(counted) >= 3


def test_a_failure_is_named_in_the_copy():
    fitted(trainer(1))
    made = trainer(2)
    made.model[2].weight.assign(np.full((3, 7), 1e38, "float32"))
    with pytest.raises(cr.NonFiniteError, match="2"):
        fitted(made)


def test_no_model_is_kept_alive():
    made = trainer(1)
    fitted(made)
    weight = weakref.ref(made.model[0].weight)
    del made
    gc.collect()
    assert weight() is None


def test_no_class_is_kept_alive():
    def use():
        class Scaled(Own):
            def forward(self, x):
                return 2.0 * self.inner(x)

        model = Scaled()
        cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1)).predict(X)
        return weakref.ref(Scaled)

    used = use()
    gc.collect()
    assert used() is None


def test_a_change_behind_a_weak_proxy_is_noticed():
    class Settings:
        factor = 1.0

    settings = Settings()

    class Scaled(Own):
        def __init__(self):
            super().__init__()
            self.settings = {"all": weakref.proxy(settings)}

        def forward(self, x):
            return self.settings["all"].factor * self.inner(x)

    model = Scaled()
    made = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    before = made.predict(X)
    settings.factor = 10.0
    np.testing.assert_allclose(made.predict(X), 10.0 * before, rtol=1e-6)
