"""LBFGS with a closure: PyTorch's iterations, line searches, tolerances and ends of a step."""

import copy
import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import optim

START = np.array([-1.2, 1.0, -0.5, 0.8])
SCALES = np.array([1.0, 30.0, 0.2, 5.0])


def rosenbrock(x):
    a, b = x[:-1], x[1:]
    return (100.0 * (b - a * a) * (b - a * a) + (1.0 - a) * (1.0 - a)).sum()


def quartic(x):
    return (x * x * x * x + 0.5 * x * x - x).sum()


def waves(x):
    """Of many minima, whose slopes go up and down along a line."""
    return (0.05 * x * x + (3.0 * x).sin()).sum()


def needle(x):
    """Steep beside its minimum: a bracket's cubic is least near its edge again and again."""
    return ((x * x + 1e-3).log() + 0.1 * x * x).sum()


def bowl(x):
    return ((x - 1.0) * (x - 1.0)).sum()


FASTEST = {rosenbrock: 1e-3, quartic: 1.0, bowl: 5.0}
"""The greatest lr that converges without a search."""


def ours(function, start=START, steps=4, dtype="float64", **options):
    """The points, losses returned and the number of evaluations after each step."""
    w = cr.Parameter(start, dtype)
    optimizer = optim.LBFGS([w], **options)
    calls = itertools.count()

    def closure():
        next(calls)
        optimizer.zero_grad()
        loss = function(w)
        loss.backward()
        return loss

    points, losses = [], []
    for _ in range(steps):
        with cr.no_grad():  # the closure computes with gradients all the same
            losses.append(optimizer.step(closure).item())
        points.append(w.numpy())
    return np.array(points), np.array(losses), next(calls)


def theirs(function, start=START, steps=4, dtype="float64", **options):
    torch = pytest.importorskip("torch")
    w = torch.tensor(start.astype(dtype), requires_grad=True)
    optimizer = torch.optim.LBFGS([w], **options)
    calls = itertools.count()

    def closure():
        next(calls)
        optimizer.zero_grad()
        loss = function(w)
        loss.backward()
        return loss

    points, losses = [], []
    for _ in range(steps):
        losses.append(optimizer.step(closure).item())
        points.append(w.detach().numpy().copy())
    return np.array(points), np.array(losses), next(calls)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.3},
        {"lr": 5.0},
        {"max_iter": 1},
        {"max_iter": 3},
        {"max_iter": 30, "max_eval": 7},
        {"tolerance_grad": 0.1},
        {"tolerance_change": 1e-2},
        {"history_size": 2},
        {"max_iter": 40, "max_eval": 60, "history_size": 5, "lr": 0.7},
    ],
    ids=str,
)
@pytest.mark.parametrize("function", [rosenbrock, quartic, waves, needle, bowl])
@pytest.mark.parametrize("search", [None, "strong_wolfe"])
def test_equals_pytorch(function, search, options):
    if search is None:
        if function in (waves, needle):
            pytest.skip("without a search it jumps between minima, and rounding decides to which")
        options = {**options, "lr": min(options.get("lr", 1), FASTEST[function])}
    got = ours(function, line_search_fn=search, **options)
    expected = theirs(function, line_search_fn=search, **options)
    assert got[2] == expected[2]
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("search", [None, "strong_wolfe", "armijo"])
def test_float32(search):
    points, *_ = ours(bowl, dtype="float32", line_search_fn=search)
    assert points.dtype == np.float32
    np.testing.assert_allclose(points[-1], 1.0, rtol=1e-5)


def test_armijo_finds_the_valley():
    points, losses, _ = ours(rosenbrock, steps=20, line_search_fn="armijo")
    np.testing.assert_allclose(points[-1], 1.0, rtol=1e-4)
    assert (np.diff(losses) <= 0).all()


@pytest.mark.parametrize("search", ["strong_wolfe", "armijo"])
def test_a_search_turns_back_where_the_loss_is_no_number(search):
    """-log(x) + 10 x, with its minimum at 0.1, is NaN for x < 0, where the first trial lies."""
    with np.errstate(invalid="ignore"):
        points, *_ = ours(
            lambda x: (10.0 * x - x.log()).sum(), np.array([2.0]), lr=10.0, line_search_fn=search
        )
    np.testing.assert_allclose(points[-1], 0.1, rtol=1e-4)


def scaled(w):
    return (w * w * SCALES).sum()


@pytest.mark.parametrize("search", [None, "strong_wolfe", "armijo"])
def test_a_state_goes_on(search):
    """Two steps are those of an optimiser that is loaded, or copied, between them."""

    def closure_of(w, optimizer):
        def closure():
            optimizer.zero_grad()
            loss = rosenbrock(w)
            loss.backward()
            return loss

        return closure

    options = {"line_search_fn": search, "max_iter": 3, "lr": 0.5 if search else 1e-3}
    w = cr.Parameter(START)
    optimizer = optim.LBFGS([w], **options)
    optimizer.step(closure_of(w, optimizer))
    loaded = cr.Parameter(w.numpy())
    other = optim.LBFGS([loaded], **options)
    other.load_state_dict(optimizer.state_dict())
    copied, third = copy.deepcopy((w, optimizer))
    for p, o in ((w, optimizer), (loaded, other), (copied, third)):
        o.step(closure_of(p, o))
    assert w.tolist() == loaded.tolist() == copied.tolist()


def test_steps_of_both_kinds_go_on_from_each_other():
    w = cr.Parameter(START)
    optimizer = optim.LBFGS([w], max_iter=2, line_search_fn="armijo")

    def closure():
        optimizer.zero_grad()
        loss = scaled(w)
        loss.backward()
        return loss

    for _ in range(20):
        optimizer.step(closure)
        optimizer.step(closure())
    np.testing.assert_allclose(w.numpy(), 0.0, atol=1e-6)


def test_parameters_without_gradient_stay():
    w, still = cr.Parameter(START), cr.Parameter([2.0], "float64")
    optimizer = optim.LBFGS([w, still], line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = bowl(w)
        loss.backward()
        return loss

    optimizer.step(closure)
    np.testing.assert_allclose(w.numpy(), 1.0, rtol=1e-7)
    assert still.tolist() == [2.0]


@pytest.mark.parametrize("search", [None, "strong_wolfe", "armijo"])
def test_a_closure_that_raises_changes_nothing(search):
    w = cr.Parameter(START)
    optimizer = optim.LBFGS([w], line_search_fn=search, lr=1e-3)
    before = optimizer.state_dict()
    calls = itertools.count()

    def closure():
        if next(calls) == 2:
            raise KeyboardInterrupt
        optimizer.zero_grad()
        loss = rosenbrock(w)
        loss.backward()
        return loss

    with pytest.raises(KeyboardInterrupt):
        optimizer.step(closure)
    assert w.tolist() == START.tolist()
    after = optimizer.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)


# Errors


def test_a_closure_returns_the_loss():
    w = cr.Parameter(START)
    optimizer = optim.LBFGS([w])

    def nothing():
        optimizer.zero_grad()
        bowl(w).backward()

    def rows():
        nothing()
        return w * w

    with pytest.raises(TypeError, match=r"returned None.*end it with return loss"):
        optimizer.step(nothing)
    with pytest.raises(cr.ShapeError, match="the loss is a float scalar"):
        optimizer.step(rows)
    assert w.tolist() == START.tolist()


def test_strong_wolfe_needs_a_closure():
    w = cr.Parameter(START)
    optimizer = optim.LBFGS([w], line_search_fn="strong_wolfe")
    loss = bowl(w)
    loss.backward()
    for call in (optimizer.step, lambda: optimizer.step(loss)):
        with pytest.raises(ValueError, match=r"step\(closure\).*armijo"):
            call()


def test_a_closure_is_no_part_of_a_graph():
    w = cr.Parameter(START)
    optimizer = optim.LBFGS([w])

    @cr.compile
    def step():
        return optimizer.step(lambda: bowl(w))

    with pytest.raises(cr.SymbolicError, match=r"step\(loss\)"):
        step()


def test_the_loss_alone_is_one_iteration_in_a_compiled_function():
    w, same = cr.Parameter(START), cr.Parameter(START)

    def step(w, optimizer):
        optimizer.zero_grad()
        loss = scaled(w)
        loss.backward()
        optimizer.step(loss)
        return loss

    compiled = cr.compile(step)
    a, b = optim.LBFGS([w], line_search_fn="armijo"), optim.LBFGS([same], line_search_fn="armijo")
    for _ in range(6):
        compiled(w, a)
        step(same, b)
    np.testing.assert_allclose(w.numpy(), same.numpy(), rtol=1e-12)


@pytest.mark.parametrize("search", [None, "armijo", "strong_wolfe"])
def test_a_group_that_maximizes_goes_up(search):
    points = []
    for sign, options in ((1.0, {}), (-1.0, {"maximize": True})):
        w = cr.Parameter(START, "float64")
        optimizer = optim.LBFGS([{"params": [w], **options}], lr=0.5, line_search_fn=search)

        def closure(w=w, sign=sign, optimizer=optimizer):
            optimizer.zero_grad()
            loss = sign * quartic(w)
            loss.backward()
            return loss

        assert optimizer.step(closure).item() == sign * quartic(START)
        points.append(w.numpy())
    np.testing.assert_array_equal(*points)
    assert quartic(points[0]) < quartic(START)
