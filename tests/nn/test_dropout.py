"""Dropout, AlphaDropout, GaussianNoise: their random numbers, generators and training."""

import copy

import numpy as np
import pytest
from nn_parity import torch
from nn_training import BATCH, FEATURES, ROWS, assert_states_close, data, linear, train

import chainrule as cr
from chainrule import nn, optim
from chainrule.compiler.capture import capture
from chainrule.execute.native import NativeStep
from chainrule.execute.reference import Interpreter
from chainrule.execute.state_block import StateBlock
from chainrule.testing import check_gradient

KINDS = [nn.Dropout(0.3), nn.AlphaDropout(0.3), nn.GaussianNoise(0.3)]


@pytest.fixture(autouse=True)
def all_threads_afterwards():
    yield
    cr.set_num_threads(None)


@pytest.mark.parametrize("layer", KINDS, ids=repr)
def test_evaluation_changes_nothing_and_draws_nothing(layer):
    layer = copy.deepcopy(layer).eval()
    x = np.random.default_rng(0).standard_normal((4, 5))
    with cr.use_generator(cr.Generator(1)) as generator:
        assert np.array_equal(layer(x).numpy(), x)
        assert generator.state.tolist() == [1, 0]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_dropout_keeps_or_scales_by_the_draw(dtype):
    x = np.random.default_rng(0).standard_normal((200, 50)).astype(dtype)
    with cr.use_generator(cr.Generator(3)) as generator:
        y = nn.Dropout(0.3)(x)
        assert generator.state.tolist() == [3, 1]
    kept = cr.Generator(3).uniform(x.shape, dtype).numpy() >= np.asarray(0.3, dtype)
    assert y.dtype == dtype
    np.testing.assert_allclose(y.numpy(), np.where(kept, x / 0.7, 0), rtol=1e-6, atol=0)
    assert kept.mean() == pytest.approx(0.7, abs=0.02)


@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_values_and_gradients_are_pytorchs(p):
    """Of ones both give two values; which elements are dropped is each library's own draw."""
    for name, function in (
        ("Dropout", torch.nn.functional.dropout),
        ("AlphaDropout", torch.nn.functional.alpha_dropout),
    ):
        x = cr.tensor(np.ones(400), requires_grad=True)
        y = getattr(nn, name)(p)(x)
        theirs = torch.ones(400, dtype=torch.float64, requires_grad=True)
        wanted = function(theirs, p, training=True)
        wanted.sum().backward()
        found, grad = y.numpy(), cr.grad(y.sum(), x).numpy()
        np.testing.assert_allclose(
            np.unique(found.round(13)), np.unique(wanted.detach().numpy().round(13)), atol=1e-12
        )
        np.testing.assert_allclose(
            np.unique(grad.round(13)), np.unique(theirs.grad.numpy().round(13)), atol=1e-12
        )
        assert np.isfinite(grad).all()


def test_alpha_dropout_is_the_papers():
    """a (x d + s (1 - d)) + b with s = -lambda alpha, d = 1 where an element is kept."""
    x, p, s = np.random.default_rng(0).standard_normal((30, 20)), 0.2, -1.7580993408473766
    with cr.use_generator(cr.Generator(2)):
        y = nn.AlphaDropout(p)(x).numpy()
    d = cr.Generator(2).uniform(x.shape, "float64").numpy() >= p
    q = 1 - p
    a = (q + s**2 * q * (1 - q)) ** -0.5
    np.testing.assert_allclose(y, a * (x * d + s * (1 - d)) - a * (1 - q) * s, rtol=1e-12)


def test_gaussian_noise_has_its_deviation():
    x = np.full((300, 100), 5.0)
    with cr.use_generator(cr.Generator(0)):
        y = nn.GaussianNoise(0.5)(x).numpy()
        assert nn.GaussianNoise(0)(x).tolist() == x.tolist()
    assert y.mean() == pytest.approx(5, abs=0.02) and y.std() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("layer", KINDS, ids=repr)
def test_gradients_by_finite_differences(layer):
    def call(x):
        with cr.use_generator(cr.Generator(4)):
            return cr.tanh(layer(x))

    check_gradient(call, np.random.default_rng(0).standard_normal((3, 4)))


# The same draws everywhere


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masks_have_the_same_bits_on_every_backend_and_number_of_threads(dtype):
    shape = (96, 700)  # large enough for several threads
    generator = cr.Generator(9)
    layers = [nn.Dropout(0.3), nn.Dropout(0.7)]

    def masks():
        with cr.use_generator(generator):
            return [layer(np.ones(shape, dtype)) for layer in layers]

    eager = [[y.numpy() for y in masks()] for _ in range(2)]
    assert not np.array_equal(eager[0][0] == 0, eager[1][0] == 0)
    generator.manual_seed(9)
    graph = cr.capture(masks)
    assert [n.operation.name for n in graph.nodes if n.operation].count("random_uniform") == 2
    interpreter = Interpreter(graph)
    for wanted in eager:
        for found, value in zip(interpreter(), wanted, strict=True):
            np.testing.assert_array_equal(found, value)
    for threads in (1, 2, 3):
        cr.set_num_threads(threads)
        generator.manual_seed(9)
        step = NativeStep(graph, StateBlock([*graph.reads, *graph.updates]))
        for wanted in eager:
            step.run(None, 0, 1)
            for found, value in zip(step.outputs(), wanted, strict=True):
                np.testing.assert_array_equal(found, value)


def network(*layers):
    return nn.Sequential(linear(FEATURES, 6), *layers, linear(6, 3, seed=2))


@pytest.mark.parametrize("layer", KINDS, ids=repr)
def test_training_is_the_same_on_both_backends_and_any_number_of_threads(layer):
    x, y = data()
    states = []
    for threads in (1, 2, 3):
        cr.set_num_threads(threads)
        model = network(copy.deepcopy(layer))
        train(model, x, y, seed=5)
        states.append(model.state_dict())
    reference = network(copy.deepcopy(layer))
    train(reference, x, y, "reference", seed=5)
    assert_states_close(states[0], reference.state_dict(), 1e-12)
    for other in states[1:]:
        assert_states_close(other, states[0], 0)
    plain = network()
    train(plain, x, y, seed=5)
    assert not np.allclose(plain[0].weight.numpy(), states[0]["0.weight"])


@pytest.mark.parametrize("p", [0.0, 0.4])
def test_ten_native_steps_are_pytorchs_with_the_same_masks(p):
    x, y = data()
    ours = network(nn.ReLU(), nn.Dropout(p))
    theirs = [torch.nn.Linear(FEATURES, 6).double(), torch.nn.Linear(6, 3).double()]
    for layer, place in zip(theirs, ("0", "3"), strict=True):
        for name, parameter in layer.named_parameters():
            parameter.data = torch.tensor(ours.state_dict()[f"{place}.{name}"])
    train(ours, x, y, seed=6)
    generator = cr.Generator(6)
    optimizer = torch.optim.SGD([*theirs[0].parameters(), *theirs[1].parameters()], 0.1, 0.9)
    for start in list(range(0, ROWS, BATCH)) * 2:
        kept = generator.uniform((BATCH, 6), "float64").numpy() >= p
        batch = slice(start, start + BATCH)
        hidden = torch.relu(theirs[0](torch.tensor(x[batch]))) * torch.tensor(kept) / (1 - p)
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(theirs[1](hidden), torch.tensor(y[batch])).backward()
        optimizer.step()
    for layer, place in zip(theirs, ("0", "3"), strict=True):
        for name, parameter in layer.named_parameters():
            np.testing.assert_allclose(
                ours.state_dict()[f"{place}.{name}"], parameter.detach(), rtol=1e-10, atol=1e-12
            )


# p changes between steps


def test_p_is_a_number_that_can_be_set():
    layer = nn.Dropout(0.5)
    layer.p = 0.25
    assert layer.p == 0.25 and type(layer.p) is float
    assert repr(layer) == "Dropout(p=0.25)" and layer.constructor_arguments() == {"p": 0.25}
    assert nn.Dropout(0.75).p == 0.75 and layer.p == 0.25
    assert list(layer.state_dict()) == []
    noise = nn.GaussianNoise(2)
    noise.std = 0.5
    assert repr(noise) == "GaussianNoise(std=0.5)"
    for bad, error in (
        (1.5, ValueError),
        (-0.1, ValueError),
        ("0.5", TypeError),
        (True, TypeError),
    ):
        with pytest.raises(error, match=r"^p is"):
            layer.p = bad
    with pytest.raises(ValueError, match="std is not negative"):
        noise.std = -1
    with pytest.raises(ValueError, match="p is a probability"):
        nn.functional.dropout([1.0], 2.0)
    assert layer.p == 0.25 and noise.std == 0.5


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("p", [0.0, 0.25, 1.0])
def test_setting_p_takes_effect_without_a_new_graph(backend, p, tmp_path, monkeypatch):
    """The second epoch is that of a model that had the new p from its first step on."""
    graphs = []

    def counted(*arguments):
        graphs.append(capture(*arguments))
        return graphs[-1]

    monkeypatch.setattr("chainrule.train.training_step.capture", counted)
    x, y = data()
    changed, made = network(nn.Dropout(0.5)), network(nn.Dropout(0.5))
    trainer = train(changed, x, y, backend, epochs=1)
    trainer.save(tmp_path / "model.safetensors")
    changed[1].p = p
    before = len(graphs)
    fit(trainer, x, y)
    assert len(graphs) == before
    optimizer = optim.SGD(made.parameters(), lr=0.1, momentum=0.9)
    other = cr.Trainer(made, nn.CrossEntropyLoss(), optimizer, backend=backend)
    other.load(tmp_path / "model.safetensors")
    made[1].p = p  # before the first step of this Trainer
    fit(other, x, y)
    assert_states_close(changed.state_dict(), made.state_dict(), 0)
    first, second = trainer.history["loss"]
    assert other.history["loss"] == [first, second] and first != second


class OwnDropout(nn.Dropout):
    """A layer of a user, whose code names no part of its base."""

    def forward(self, input):
        return super().forward(input) * 2.0


RATES = [nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.AlphaDropout, nn.FeatureAlphaDropout]


@pytest.mark.parametrize("kind", RATES)
def test_without_a_rate_nothing_is_drawn_but_the_generator_moves_on(kind):
    """The layer that had p = 0.5 before draws a mask; both give the same, and so do later draws."""
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    never, before = kind(0.0), kind(0.5)
    before.p = 0.0
    for layer, draws in ((never, 0), (before, 1)):
        text = str(capture(layer, cr.placeholder(x.shape, "float64")))
        assert text.count("random_uniform") == draws
    for layer in (never, before):
        with cr.use_generator(cr.Generator(7)) as generator:
            assert layer(x).tolist() == x.tolist()
            assert generator.state.tolist() == [7, 1]
    never.p = 0.5
    drawn = []
    for layer in (never, kind(0.5)):
        with cr.use_generator(cr.Generator(7)):
            drawn.append(layer(x).tolist())
    assert drawn[0] == drawn[1] != x.tolist()


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("kind", [nn.Dropout, OwnDropout])
def test_a_first_rate_between_steps_is_captured_anew(kind, backend):
    """As of a model that draws its mask all the time, for a Trainer and a compiled step."""
    x, y = data()
    found = []
    for first in (0.0, 0.5):
        model = network(kind(first))
        model[1].p = 0.0
        optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, backend=backend, seed=1)
        step = cr.compile(model, backend=backend)
        called = []
        for p in (0.0, 0.5, 0.0):
            model[1].p = p
            fit(trainer, x, y)
            with cr.use_generator(cr.Generator(4)):
                called.append(step(x).tolist())
        found.append((trainer.history["loss"], called, model.state_dict()))
    (losses, called, states), other = found[0], found[1]
    assert (losses, called) == other[:2]
    assert_states_close(states, other[2], 0)


def fit(trainer, x, y):
    trainer.fit(x, y, epochs=1, batch_size=BATCH, shuffle=False, progress=False)


@pytest.mark.parametrize(
    ("layer", "shape", "axes"),
    [
        (nn.Dropout1d(0.5), (6, 5, 4), 2),
        (nn.Dropout1d(0.5), (30, 4), 1),
        (nn.Dropout2d(0.5), (6, 5, 2, 3), 2),
        (nn.Dropout2d(0.5), (6, 5, 4), 2),
    ],
)
def test_whole_channels_are_dropped(layer, shape, axes):
    x = np.random.default_rng(0).standard_normal(shape)
    with cr.use_generator(cr.Generator(3)):
        y = layer(x).numpy()
        drawn = cr.Generator(3).uniform((*shape[:axes], *(1,) * (len(shape) - axes)), "float64")
    np.testing.assert_allclose(y, np.where(drawn.numpy() < 0.5, 0, x / 0.5), rtol=1e-14)
    assert 0 < (y == 0).mean() < 1
    assert layer.eval()(x).tolist() == x.tolist()
    layer.train()


@pytest.mark.parametrize(
    ("layer", "shape"), [(nn.Dropout1d(), (4,)), (nn.Dropout2d(), (2, 3)), (nn.Dropout2d(), (4,))]
)
def test_dropping_channels_needs_channels(layer, shape):
    for mode in (True, False):
        with pytest.raises(cr.ShapeError, match=r"the input has shape \(N, C.* it is Dropout"):
            layer.train(mode)(np.ones(shape))
