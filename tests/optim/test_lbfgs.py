"""L-BFGS step for step as PyTorch's; its line search as an independent one; both by Trainer."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

SHAPES = [(3, 2), (2,), ()]


def rosenbrock(x):
    """The banana valley; its minimum, 0, is at (1, 1, 1, 1)."""
    a, b = x[:-1], x[1:]
    return (100.0 * (b - a * a) * (b - a * a) + (1.0 - a) * (1.0 - a)).sum()


def rosenbrock_gradient(x):
    a, b = x[:-1], x[1:]
    g = np.zeros_like(x)
    g[:-1] += -400 * a * (b - a * a) - 2 * (1 - a)
    g[1:] += 200 * (b - a * a)
    return g


START = np.array([-1.2, 1.0, -0.5, 0.8])


def run(steps, **options):
    """The points after each step on Rosenbrock's function, eagerly."""
    w = cr.Parameter(START)
    optimizer = optim.LBFGS([w], **options)
    seen = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        optimizer.step(loss)
        seen.append(w.numpy())
    return np.array(seen)


def torchs(torch, params, **options):
    return torch.optim.LBFGS(
        params, max_iter=1, tolerance_grad=0, tolerance_change=0, line_search_fn=None, **options
    )


@pytest.mark.parametrize("options", [{"lr": 0.3}, {"lr": 0.1, "history_size": 3}], ids=str)
def test_equals_pytorch(options):
    torch = pytest.importorskip("torch")
    w = torch.tensor(START, requires_grad=True)
    optimizer = torchs(torch, [w], **options)

    def closure():
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        return loss

    expected = []
    for _ in range(15):
        optimizer.step(closure)
        expected.append(w.detach().numpy().copy())
    np.testing.assert_allclose(run(15, **options), expected, rtol=1e-10, atol=1e-10)


def gradients(steps=25):
    rng = np.random.default_rng(5)
    return [[rng.standard_normal(shape) for shape in SHAPES] for _ in range(steps)]


@pytest.mark.parametrize("missing", [None, 1])
def test_equals_pytorch_where_pairs_are_refused(missing):
    """Gradients of no function: about half of the pairs have s y < 0."""
    torch = pytest.importorskip("torch")
    steps = [[None if i == missing else g for i, g in enumerate(grads)] for grads in gradients()]
    firsts = gradients(1)[0]
    theirs = [torch.tensor(value, requires_grad=True) for value in firsts]
    peer = torchs(torch, theirs, lr=0.1, history_size=4)
    ours = [cr.Parameter(value) for value in firsts]
    optimizer = optim.LBFGS(ours, lr=0.1, history_size=4)
    refused = 0
    for grads in steps:
        for param, parameter, grad in zip(theirs, ours, grads, strict=True):
            param.grad = None if grad is None else torch.tensor(grad)
            parameter.grad = None if grad is None else cr.as_tensor(grad)
        before = optimizer.states()["group0.rho"].numpy()
        optimizer.step()
        refused += np.array_equal(before, optimizer.states()["group0.rho"].numpy())
        # A direction that does not descend is not taken there; none occurs here.
        peer.step(lambda: torch.tensor(0.0))
        for param, parameter in zip(theirs, ours, strict=True):
            np.testing.assert_allclose(
                parameter.numpy(), param.detach().numpy(), rtol=1e-10, atol=1e-10
            )
    assert 3 < refused < 20
    if missing is not None:
        assert np.array_equal(ours[missing].numpy(), firsts[missing])


# The line search


def searched(steps, lr=1.0, history_size=100):
    """Trials and whether each was accepted: H by its recursion (Nocedal and Wright, 7.16), as a
    matrix, and Armijo's condition, as a loop over points."""
    points, accepted, pairs, gamma = [], [], [], 1.0
    x, f, g = START, rosenbrock(START), rosenbrock_gradient(START)
    t = lr * min(1, 1 / np.abs(g).sum())
    d = -g
    for _ in range(steps):
        trial = x + t * d
        points.append(trial)
        value, gradient = rosenbrock(trial), rosenbrock_gradient(trial)
        accepted.append(bool(value <= f + 1e-4 * t * (g @ d)))
        if not accepted[-1]:
            t /= 2
            continue
        s, y = trial - x, gradient - g
        if s @ y > 1e-10:
            pairs = [*pairs, (s, y)][-history_size:]
            gamma = (s @ y) / (y @ y)
        x, f, g, t = trial, value, gradient, lr
        H = gamma * np.eye(len(x))
        for s, y in pairs:
            V = np.eye(len(x)) - np.outer(y, s) / (s @ y)
            H = V.T @ H @ V + np.outer(s, s) / (s @ y)
        d = -H @ g
    return np.array(points), accepted


@pytest.mark.parametrize("history_size", [3, 100])
def test_line_search_equals_an_independent_one(history_size):
    expected, accepted = searched(40, history_size=history_size)
    assert accepted.count(False) > 3
    got = run(40, line_search_fn="armijo", history_size=history_size)
    np.testing.assert_allclose(got, expected, rtol=1e-8, atol=1e-8)


def test_line_search_finds_the_minimum():
    points = run(80, line_search_fn="armijo")
    np.testing.assert_allclose(points[-1], 1.0, atol=1e-7)
    assert rosenbrock(run(40, lr=1.0)[-1]) > 1  # without it, from here, there is no convergence


def test_a_trial_that_is_not_finite_is_refused():
    """f = x - log x at 3: g = 2/3, d = -2/3, t = 6: at -1 f is NaN; t = 3: at 1 is the minimum."""
    w = cr.Parameter([3.0], "float64")
    optimizer = optim.LBFGS([w], lr=6.0, line_search_fn="armijo")
    seen = []
    for _ in range(4):
        optimizer.zero_grad()
        with np.errstate(invalid="ignore"):
            loss = (w - w.log()).sum()
        loss.backward()
        optimizer.step(loss)
        seen.append(w.item())
    np.testing.assert_allclose(seen, [-1, 1, 1, 1], atol=1e-12)


@pytest.mark.parametrize("loss", [np.nan, np.inf])
def test_the_first_step_has_no_trial_to_go_back_from(loss):
    w = cr.Parameter([3.0, -1.0], "float64")
    optimizer = optim.LBFGS([w], line_search_fn="armijo")
    w.grad = cr.tensor([0.5, 0.25], "float64")
    optimizer.step(cr.tensor(loss, "float64"))
    assert w.tolist() == [2.5, -1.25]


# By Trainer


def model(dtype="float64"):
    with cr.use_generator(cr.Generator(3)):
        return nn.Sequential(nn.Linear(4, 5, dtype=dtype), nn.Tanh(), nn.Linear(5, 1, dtype=dtype))


def data(dtype="float64"):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4)).astype(dtype)
    return x, np.sin(x.sum(axis=1, keepdims=True))


def trained(backend, epochs=12, accumulate=1, **options):
    net = model()
    trainer = cr.Trainer(
        net,
        nn.MSELoss(),
        optim.LBFGS(net.parameters(), **options),
        backend=backend,
        accumulate=accumulate,
    )
    x, y = data()
    history = trainer.fit(x, y, epochs=epochs, batch_size=40, shuffle=False, progress=False)
    return trainer, [record["loss"] for record in history]


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("history_size", [1, 5])
def test_training_equals_pytorchs(history_size, backend):
    torch = pytest.importorskip("torch")
    theirs = torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 1)
    ).double()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in model().state_dict().items()})
    optimizer = torchs(torch, theirs.parameters(), lr=0.5, history_size=history_size)
    x, y = map(torch.tensor, data())

    def closure():
        optimizer.zero_grad()
        loss = torch.nn.functional.mse_loss(theirs(x), y)
        loss.backward()
        return loss

    expected = [optimizer.step(closure).item() for _ in range(12)]
    trainer, losses = trained(backend, lr=0.5, history_size=history_size)
    np.testing.assert_allclose(losses, expected, rtol=1e-10)
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(
            trainer.model.state_dict()[name], value.numpy(), rtol=1e-10, atol=1e-10
        )


def test_line_search_native_and_reference():
    options = {"line_search_fn": "armijo", "history_size": 10, "lr": 2.0}
    first, losses = trained("native", 40, **options)
    second, same = trained("reference", 40, **options)
    np.testing.assert_allclose(losses, same, rtol=1e-9)
    assert any(later > before for before, later in itertools.pairwise(losses))
    assert losses[-1] < 0.1 * losses[0]
    for name, buffer in first.optimizer.states().items():
        np.testing.assert_allclose(
            buffer.numpy(), second.optimizer.states()[name].numpy(), rtol=1e-5, atol=1e-7
        )


def test_state_dict_goes_on_with_equal_bits():
    straight, _ = trained("native", 10, line_search_fn="armijo", history_size=3)
    first, _ = trained("native", 6, line_search_fn="armijo", history_size=3)
    net = model()
    net.load_state_dict(first.model.state_dict())
    optimizer = optim.LBFGS(net.parameters(), line_search_fn="armijo", history_size=3)
    optimizer.load_state_dict(first.optimizer.state_dict())
    x, y = data()
    trainer = cr.Trainer(net, nn.MSELoss(), optimizer)
    trainer.fit(x, y, epochs=4, batch_size=40, shuffle=False, progress=False)
    for name, value in straight.model.state_dict().items():
        assert np.array_equal(value, trainer.model.state_dict()[name])


# Errors

A, B = cr.Parameter([1.0], name="a"), cr.Parameter([1.0], "float64", name="b")


@pytest.mark.parametrize(
    ("params", "options", "message"),
    [
        ([A, B], {}, "one dtype, got float32, float64"),
        ([{"params": [A]}, {"params": [cr.Parameter([2.0])]}], {}, "LBFGS takes one group"),
        ([A], {"lr": -1}, "lr must be >= 0"),
        ([A], {"history_size": 0}, "history_size is at least 1, got 0"),
        ([A], {"history_size": 2.5}, "history_size is a whole number, at least 1; got 2.5"),
        (
            [A],
            {"line_search_fn": "wolfe"},
            "line_search_fn is None or 'armijo' or 'strong_wolfe', not 'wolfe",
        ),
        ([], {}, "got no parameters"),
    ],
)
def test_arguments_are_checked(params, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        optim.LBFGS(params, **options)


@pytest.mark.parametrize(
    ("loss", "error", "message"),
    [
        (None, ValueError, r"a line search needs the loss: call step\(loss\)"),
        (1.0, TypeError, "the loss is 1.0, not a Tensor"),
        (cr.tensor([1.0]), cr.ShapeError, r"a float scalar, got float32 of shape \(1,\)"),
        (cr.tensor(1), cr.ShapeError, "a float scalar, got int64"),
    ],
)
def test_a_line_search_needs_a_loss(loss, error, message):
    w = cr.Parameter([1.0])
    optimizer = optim.LBFGS([w], line_search_fn="armijo")
    w.grad = cr.tensor([1.0])
    for call in (lambda: optimizer.step(loss), lambda: optimizer.update([w.grad], loss)):
        with pytest.raises(error, match=message):
            call()
    assert w.item() == 1.0
    assert optimizer.states()["group0.step"].item() == 0


def test_a_line_search_refuses_accumulated_gradients():
    with pytest.raises(ValueError, match="train with accumulate=1"):
        trained("native", accumulate=2, line_search_fn="armijo")
