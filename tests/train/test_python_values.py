"""Python values that a captured step has read: a change counts from the next call on."""

import copy
import importlib
import pickle
import random
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
from training_cases import assert_close, classification, network, regression, weights

import chainrule as cr
from chainrule import nn, optim
from chainrule.train.metrics import as_metrics

pytestmark = pytest.mark.usefixtures("backend")

X, Y = regression(24)
ALPHA = 1.0
SETTINGS = {"scale": 1.0}


class Scaled(nn.Module):
    """A layer that reads a number from wherever a user may have put it."""

    gain = 1.0

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4, dtype="float64")
        self.scale = 1.0
        self.parts = [1.0]
        self.options = {"scale": 1.0}
        self.settings = SimpleNamespace(scale=1.0)
        self.mask = np.ones(4)
        self.factor = cr.tensor(1.0, dtype="float64")
        self.factors = [cr.tensor(1.0, dtype="float64")]
        self.after = None

    def shift(self):
        return ALPHA * SETTINGS["scale"]

    def forward(self, x):
        x = self.linear(x) * self.scale * self.gain * self.parts[-1] * self.options["scale"]
        x = x * self.settings.scale * cr.tensor(self.mask) * self.shift()
        x = x * self.factor * self.factors[0]
        return x if self.after is None else self.after(x)


class OwnLoss:
    def __init__(self):
        self.weight = 1.0

    def __call__(self, output, target):
        return (((output - target) ** 2) * self.weight).mean()


class OwnConstraint:
    def __init__(self, parameter):
        self.parameter, self.limit = parameter, 10.0

    def apply(self):
        w = self.parameter
        w.assign(cr.minimum(cr.maximum(w, -self.limit), self.limit))


def world():
    """A model with all the parts of a training."""
    with cr.use_generator(cr.Generator(2)):
        model = nn.Sequential(Scaled(), nn.Tanh(), nn.Linear(4, 1, dtype="float64"))
    things = SimpleNamespace(model=model, loss=OwnLoss(), limit=0.0, huber=nn.HuberLoss(delta=0.5))
    things.constraint = OwnConstraint(model[2].weight)
    things.penalty = lambda: things.limit * (model[2].weight ** 2).sum()
    things.optimizer = optim.SGD(model.parameters(), lr=0.1)
    return things


def change_global(things):
    global ALPHA
    ALPHA = 0.5


def replaced_layer(things):
    with cr.use_generator(cr.Generator(5)):
        setattr(things.model, "2", nn.Linear(4, 1, dtype="float64"))


CHANGES = {
    "attribute": lambda t: setattr(t.model[0], "scale", 0.5),
    "class attribute": lambda t: setattr(Scaled, "gain", 0.5),
    "list": lambda t: t.model[0].parts.append(0.5),
    "dict": lambda t: t.model[0].options.update(scale=0.5),
    "object": lambda t: setattr(t.model[0].settings, "scale", 0.5),
    "array in place": lambda t: t.model[0].mask.__setitem__(0, 0.0),
    "array": lambda t: setattr(t.model[0], "mask", np.zeros(4)),
    "Tensor": lambda t: setattr(t.model[0], "factor", cr.tensor(0.5, dtype="float64")),
    "Tensor of a list": lambda t: t.model[0].factors.__setitem__(
        0, cr.tensor(0.5, dtype="float64")
    ),
    "module attribute": lambda t: setattr(t.model[0], "after", nn.ReLU()),
    "layer": replaced_layer,
    "appended layer": lambda t: t.model.append(nn.ReLU()),
    "global": change_global,
    "global dict": lambda t: SETTINGS.update(scale=0.5),
    "forward": lambda t: setattr(t.model[1], "forward", lambda x: x * 0.5),
    "method": lambda t: setattr(Scaled, "shift", lambda self: 0.25),
    "loss": lambda t: setattr(t.loss, "weight", 3.0),
    "penalty": lambda t: setattr(t, "limit", 0.1),
    "constraint": lambda t: setattr(t.constraint, "limit", 0.01),
}


@pytest.fixture(autouse=True)
def clean():
    global ALPHA
    shift = Scaled.shift
    yield
    ALPHA, SETTINGS["scale"], Scaled.gain, Scaled.shift = 1.0, 1.0, 1.0, shift


def fitted(things, **options):
    return cr.Trainer(
        things.model, things.loss, things.optimizer, penalties=[things.penalty],
        constraints=[things.constraint], **options,
    )  # fmt: skip


def fit(trainer):
    return trainer.fit(X, Y, epochs=1, batch_size=9, shuffle=False, progress=False)


@pytest.mark.parametrize("name", CHANGES)
def test_a_trainer_notices(name):
    """As a Trainer that is made after the change, over weights of the same values."""
    change = CHANGES[name]
    things = world()
    trainer = fitted(things)
    fit(trainer), trainer.predict(X), trainer.evaluate(X, Y)
    state = {key: value.copy() for key, value in things.model.state_dict().items()}
    change(things)
    found = trainer.predict(X), trainer.evaluate(X, Y), fit(trainer)["loss"][-1]
    after = weights(things.model)
    other = world()
    other.model.load_state_dict(state)
    if "global" not in name and name not in ("class attribute", "method"):
        change(other)
    fresh = fitted(other)
    wanted = fresh.predict(X), fresh.evaluate(X, Y), fit(fresh)["loss"][-1]
    np.testing.assert_allclose(found[0], wanted[0], rtol=1e-12)
    assert found[1] == pytest.approx(wanted[1], rel=1e-12)
    assert found[2] == pytest.approx(wanted[2], rel=1e-12)
    if name != "layer":  # which is none of the optimiser's
        assert_close(after, weights(other.model), 1e-12)


@pytest.mark.parametrize("name", CHANGES)
def test_a_compiled_function_notices(name):
    def steps(compiled):
        things = world()
        model, loss_fn, optimizer = things.model, things.loss, things.optimizer
        constraint, penalty = things.constraint, things.penalty

        def step(x, y):
            optimizer.zero_grad()
            loss = loss_fn(model(x), y)
            (loss + penalty()).backward()
            optimizer.step()
            constraint.apply()
            return loss

        call = cr.compile(step) if compiled else step
        losses = [call(cr.tensor(X), cr.tensor(Y)).item() for _ in range(2)]
        CHANGES[name](things)
        return [*losses, *(call(cr.tensor(X), cr.tensor(Y)).item() for _ in range(2))]

    found = steps(True)
    shift, Scaled.gain = vars(Scaled).get("shift"), 1.0
    global ALPHA
    ALPHA, SETTINGS["scale"] = 1.0, 1.0
    Scaled.shift = lambda self: ALPHA * SETTINGS["scale"]
    np.testing.assert_allclose(found, steps(False), rtol=1e-12)
    Scaled.shift = shift


@pytest.mark.parametrize(
    ("loss", "name", "value"),
    [
        (lambda: nn.HuberLoss(delta=0.5), "delta", 5.0),
        (lambda: nn.MSELoss(), "reduction", "sum"),
        (lambda: nn.CrossEntropyLoss(), "label_smoothing", 0.5),
    ],
)
def test_numbers_of_losses(loss, name, value):
    loss = loss()
    x, y = classification(24) if isinstance(loss, nn.CrossEntropyLoss) else (X, X[:, :3] * 3)
    model = network()
    trainer = cr.Trainer(model, loss, optim.SGD(model.parameters(), lr=0.1))

    def fit(trainer):
        return trainer.fit(x, y, epochs=1, batch_size=8, shuffle=False, progress=False)["loss"][-1]

    fit(trainer)
    before, state = trainer.evaluate(x, y), weights(model)
    setattr(loss, name, value)
    assert trainer.evaluate(x, y)["loss"] != before["loss"]
    found = fit(trainer)
    other = network()
    other.load_state_dict(state)
    wanted = fit(cr.Trainer(other, loss, optim.SGD(other.parameters(), lr=0.1)))
    assert found == pytest.approx(wanted, rel=1e-12)
    assert_close(weights(model), weights(other), 1e-12)


def test_settings_of_a_step():
    model = network(outputs=1)
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    fit(trainer)
    trainer.graphs.options.clip_norm = 1e-9
    before = weights(model)
    fit(trainer)
    assert_close(weights(model), before, 1e-6)
    trainer.graphs.metrics.append(as_metrics(["mae"], trainer.graphs.loss)[0])
    assert "mae" in trainer.evaluate(X, Y)


def test_what_returns_is_known_again(monkeypatch):
    captured = []
    original = cr.train.training_step.capture

    def counted(*arguments):
        captured.append(1)
        return original(*arguments)

    monkeypatch.setattr(cr.train.training_step, "capture", counted)
    things = world()
    trainer = fitted(things)
    for scale in (1.0, 2.0, 1.0, 2.0, 1.0):
        things.model[0].scale = scale
        trainer.predict(X)
    things.model.eval()
    trainer.predict(X)
    things.model.train()
    things.model.requires_grad_(False)
    things.model[0].parts[:] = [1.0]
    trainer.predict(X)
    assert len(captured) == 3


class ByKey(optim.Optimizer):
    """W - rate * g, of a key of the user's in the group, read where one is asked for."""

    lr = optim.Number(low=0)
    key = optim.OneOf("rate", "none")

    def __init__(self, params, key="rate"):
        super().__init__(params, lr=1.0, key=key)

    def group_rule(self, group, pairs, h, loss):
        for W, grad in pairs:
            W.assign(W - grad * (group["rate"] if h.key == "rate" else 0.5))


@pytest.mark.parametrize("loop", ["eager", "compiled", "trainer"])
@pytest.mark.parametrize("key", ["rate", "none"])
def test_a_key_of_the_users_in_a_group_counts_where_a_rule_reads_it(monkeypatch, loop, key):
    captured = []
    for place, name in (
        ("train.training_step", "capture"),
        ("train.compile", "record"),
        ("optim.optimizer", "capture"),
    ):
        module = importlib.import_module(f"chainrule.{place}")
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, _o=original: captured.append(1) or _o(*a))
    model = nn.Linear(1, 1, bias=False, dtype="float64")
    model.weight.assign([[0.0]])
    optimizer = ByKey([{"params": model.parameters(), "rate": 1.0, "last": 0}], key)
    x, y = np.ones((2, 1)), -np.ones((2, 1))
    trainer = cr.Trainer(model, lambda output, target: (output - target).sum() / 2, optimizer)

    def step():
        optimizer.zero_grad()
        (model(x) - y).sum().backward()
        model.weight.grad = model.weight.grad / 2
        optimizer.step()

    compiled = cr.compile(step)
    group = optimizer.param_groups[0]
    expected, rates = 0.0, [1.0] * 70 + [2.0] * 3
    for number, rate in enumerate(rates):
        group["last"] = group[f"new{number}"] = number
        if rate != group["rate"]:
            group["rate"] = rate
        if loop == "trainer":
            trainer.fit(x, y, epochs=1, batch_size=2, progress=False)
        else:
            (step if loop == "eager" else compiled)()
        expected -= rate if key == "rate" else 0.5
        assert model.weight.item() == expected
    # An eager rule is captured again once it is known what it reads.
    assert len(captured) == (1 if key == "none" else 3 if loop == "eager" else 2)


def test_a_key_of_the_users_in_a_group_is_not_changed_in_a_capture():
    class Setting(ByKey):
        def group_rule(self, group, pairs, h, loss):
            group["rate"] = 2.0

    w = cr.Parameter([1.0])
    optimizer = Setting([{"params": [w], "rate": 1.0}])
    w.sum().backward()
    for step in (optimizer.step, cr.compile(lambda: optimizer.step())):
        with pytest.raises(cr.SymbolicError, match="'rate' of a parameter group would be changed"):
            step()
    assert optimizer.param_groups[0]["rate"] == 1.0


@pytest.mark.parametrize(
    "read",
    [
        lambda group: float("rate" in [*group]),
        lambda group: group.own.get("rate", 1.0),
        lambda group: group.get("rate", 1.0),
        lambda group: 1.0 + ("rate" in group),
        lambda group: float(len(group)) - 3,
        lambda group: float("rate" in [*group]) + group.get("rate", 1.0),
    ],
)
def test_a_key_of_the_users_in_a_group_is_noticed_however_it_is_read(read):
    w = cr.Parameter([1.0])
    optimizer = optim.SGD([{"params": [w], "scale": 1.0}], lr=1.0)
    f = cr.compile(lambda x: x * (read(optimizer.param_groups[0])))
    first = f(1.0 + np.zeros(2)).tolist()
    optimizer.param_groups[0]["rate"] = 7.0
    assert f(1.0 + np.zeros(2)).tolist() != first


def test_what_forward_itself_changes_is_reported_once_and_not_captured_for_ever(monkeypatch):
    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(4, 1, dtype="float64")
            self.calls = 0
            self.outputs = []
            self.last = None

        def forward(self, x):
            self.calls += 1
            self.last = self.linear(x)
            self.outputs.append(self.last)
            return self.last

    captured = []
    original = cr.train.training_step.capture
    monkeypatch.setattr(
        cr.train.training_step, "capture", lambda *a: captured.append(1) or original(*a)
    )
    model = Counting()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    with pytest.warns(RuntimeWarning, match=r"calls of Counting.*chainrule\.Buffer") as caught:
        for _ in range(4):
            fit(trainer), trainer.evaluate(X, Y), trainer.predict(X)
    # The first capture is made twice: to see whether a step reads what the one before has left.
    assert len(captured) == 5 and 1 <= len(caught) <= 5


class Remembering(nn.Module):
    """x - m, with a running mean m that is a plain attribute."""

    def __init__(self, start, put=setattr):
        super().__init__()
        self.scale = nn.Parameter(np.ones(4))
        self.put = put
        if start is not MISSING:
            self.mean = start

    def forward(self, x):
        mean = getattr(self, "mean", None)
        new = x.mean(0).detach()
        self.put(self, "mean", new if mean is None else 0.5 * mean + 0.5 * new)
        return (x - self.mean) * self.scale


MISSING = object()
STARTS = {
    "tensor": lambda: cr.zeros(4, dtype="float64"),
    "array": lambda: np.zeros(4),
    "number": lambda: 0.0,
    "none": lambda: None,
    "missing": lambda: MISSING,
}


@pytest.mark.parametrize(
    "put", [setattr, object.__setattr__, lambda m, k, v: vars(m).update({k: v})]
)
@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("loop", ["compiled", "trainer"])
def test_a_value_that_a_module_carries_from_call_to_call_is_refused(loop, start, put):
    held = STARTS[start]()
    model = nn.Sequential(Remembering(held, put))
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.0))
    compiled = cr.compile(model)
    remedy = r"mean of Remembering .*register_buffer\('mean', \.\.\.\).* mean\.assign"
    for _ in range(2):
        with pytest.raises(cr.SymbolicError, match=remedy):
            compiled(X) if loop == "compiled" else trainer.predict(X)
        assert vars(model[0]).get("mean", MISSING) is held  # as before
    assert not model(cr.tensor(X)).is_symbolic


def test_a_value_that_is_set_by_the_function_is_refused_too():
    model = nn.Linear(4, 1, dtype="float64")
    model.mean = cr.tensor(0.0, dtype="float64")

    @cr.compile
    def step(x):
        model.mean = 0.5 * model.mean + model(x).mean()
        return model.mean

    with pytest.raises(cr.SymbolicError, match=r"mean of Linear[\s\S]*model\.mean = 0\.5"):
        step(X)


def test_a_buffer_carries_a_value():
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("mean", np.zeros(4))

        def forward(self, x):
            self.mean.assign(0.5 * self.mean + 0.5 * x.mean(0))
            return x - self.mean

    eager, model = Mean(), Mean()
    compiled = cr.compile(model)
    for _ in range(3):
        np.testing.assert_allclose(compiled(X).numpy(), eager(X).numpy(), rtol=1e-12)


class Looked(nn.Module):
    """Leaves a Tensor, and its input, to be looked at."""

    def __init__(self):
        super().__init__()
        self.linear, self.aux = nn.Linear(4, 1, dtype="float64"), cr.tensor(0.0)

    def forward(self, x):
        self.seen = x
        out = self.linear(x)
        self.aux = (out**2).mean()
        return out


@pytest.mark.parametrize("loop", ["compiled", "trainer"])
def test_a_value_that_is_only_set_is_allowed_and_says_what_it_is_afterwards(loop, tmp_path):
    def loss_fn(output, target):
        return ((output - target) ** 2).mean() + model.aux

    model, eager = Looked(), Looked()
    eager.load_state_dict(model.state_dict())
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    trainer = cr.Trainer(model, loss_fn, optimizer)

    def step(x, y):
        optimizer.zero_grad()
        loss = loss_fn(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    compiled = cr.compile(step)
    for x in (X, X, X[:10], X):
        if loop == "compiled":
            compiled(x, Y[: len(x)])
        else:
            trainer.fit(x, Y[: len(x)], epochs=1, batch_size=24, progress=False)
            trainer.predict(x), trainer.evaluate(x, Y[: len(x)])
    of_eager = optim.SGD(eager.parameters(), lr=0.1)
    for x in (X, X, X[:10], X):
        of_eager.zero_grad()
        (nn.MSELoss()(eager(x), Y[: len(x)]) + eager.aux).backward()
        of_eager.step()
    assert_close(weights(model), weights(eager), 1e-12)
    twins = copy.deepcopy(model), pickle.loads(pickle.dumps(model))
    for one in (model, *twins):
        for read in (
            one.aux.item,
            one.aux.backward,
            lambda one=one: one.aux * 2,
            lambda one=one: np.asarray(one.seen),
        ):
            with pytest.raises(cr.SymbolicError, match=r"of Looked .* return it from the function"):
                read()
        assert one.aux.shape == ()
    other = cr.Trainer(model, nn.MSELoss(), optimizer)
    fresh = Looked()
    first = cr.Trainer(fresh, nn.MSELoss(), optim.SGD(fresh.parameters(), lr=0.1))
    first.save(tmp_path / "first.safetensors")
    other.load(tmp_path / "first.safetensors")
    other.fit(X, Y, epochs=1, progress=False)
    assert np.isfinite(twins[0](X).numpy()).all() and twins[0].aux.item() > 0


def test_a_tuple_that_a_module_carries_is_refused_by_its_name():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.state = (cr.zeros(4), cr.ones(4))

        def forward(self, x):
            h, c = self.state
            self.state = (0.5 * h + x.sum(0), c)
            return self.state[0]

    with pytest.raises(cr.SymbolicError, match=r"changes state of Pair .*chainrule\.Buffer"):
        cr.compile(Pair())(X)


@pytest.mark.parametrize(
    "draw",
    [
        lambda self: np.random.rand(),
        lambda self: random.random(),
        lambda self: self.generator.normal(),
        lambda self: self.state.rand(),
        lambda self: self.python.random(),
    ],
)
def test_numbers_drawn_while_a_step_is_captured_are_reported(draw):
    class Noisy(nn.Module):
        def __init__(self):
            super().__init__()
            self.generator = np.random.default_rng(0)
            self.state = np.random.RandomState(0)
            self.python = random.Random(0)

        def forward(self, x):
            return x * draw(self)

    trainer = cr.Evaluator(Noisy(), nn.MSELoss())
    with pytest.warns(RuntimeWarning, match=r"cr\.uniform.*Dropout"):
        trainer.predict(X)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        np.random.rand(), random.random()
        trainer.predict(X)
