"""Constraints against NumPy, eagerly, captured, and in a training."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.reference import Interpreter


def weights(shape=(4, 3), dtype="float64", seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def clipped(w, limit, axis=1):
    """Row by row: longer rows are scaled to the limit."""
    axes = axis if isinstance(axis, tuple) else (axis,)
    flat = np.moveaxis(w.copy(), axes, range(-len(axes), 0))
    rows = flat.reshape(-1, int(np.prod([w.shape[a] for a in axes])))
    for row in rows:
        if np.linalg.norm(row) > limit:
            row *= limit / np.linalg.norm(row)
    return np.moveaxis(rows.reshape(flat.shape), range(-len(axes), 0), axes)


def apply(constraint):
    constraint.apply()


def apply_captured(constraint):
    Interpreter(cr.capture(constraint.apply))([])


@pytest.mark.parametrize("run", [apply, apply_captured])
@pytest.mark.parametrize(
    ("shape", "axis"),
    [((4, 3), 1), ((4, 3), 0), ((4, 3), -1), ((4, 3, 2, 2), (1, 2, 3)), ((5,), 0), ((4, 1), 1)],
)
def test_equals_numpy(shape, axis, run):
    w = cr.Parameter(weights(shape))
    run(optim.MaxNorm([w], 0.6, axis))
    expected = clipped(weights(shape), 0.6, axis)
    assert not np.array_equal(expected, weights(shape))
    np.testing.assert_allclose(w.numpy(), expected, rtol=1e-14)


def test_rows_within_the_limit_keep_their_bits():
    w = cr.Parameter(weights(dtype="float32"))
    optim.MaxNorm([w], 100).apply()
    assert np.array_equal(w.numpy(), weights(dtype="float32"))
    zero = cr.Parameter(np.zeros((2, 2), "float32"))
    optim.MaxNorm([zero], 1e-30).apply()
    assert np.array_equal(zero.numpy(), np.zeros((2, 2)))


def test_several_parameters_and_dtypes():
    params = [cr.Parameter(weights(dtype=dtype)) for dtype in ("float32", "float64")]
    optim.MaxNorm(iter(params), 1).apply()
    assert [p.dtype for p in params] == ["float32", "float64"]
    for parameter in params:
        np.testing.assert_allclose(parameter.numpy(), clipped(weights(), 1), rtol=1e-6)


def test_the_limit_can_change_between_steps():
    w = cr.Parameter(weights())
    constraint = optim.MaxNorm([w], 2)
    run = Interpreter(cr.capture(constraint.apply))
    run([])
    constraint.max_norm = 0.5
    run([])
    np.testing.assert_allclose(w.numpy(), clipped(weights(), 0.5), rtol=1e-14)
    assert constraint.max_norm == 0.5
    assert repr(constraint) == "MaxNorm(1 parameters, max_norm=0.5, axis=1)"


class Constrained(optim.SGD):
    """Applies a constraint after every update, inside the captured step."""

    constraint = None

    def update(self, grads, loss=None):
        super().update(grads, loss)
        self.constraint.apply()


def test_in_a_training():
    x = np.random.default_rng(0).standard_normal((40, 4))
    y = 5.0 * x[:, :3]
    found = []
    for backend in ("native", "reference"):
        model = nn.Linear(4, 3, bias=False, dtype="float64")
        model.weight.assign(weights((3, 4)))
        optimizer = Constrained(model.parameters(), lr=0.2)
        optimizer.constraint = optim.MaxNorm(model.parameters(), 1.5)
        trainer = cr.Trainer(model, nn.MSELoss(), optimizer, backend=backend)
        trainer.fit(x, y, epochs=10, batch_size=40, shuffle=False, progress=False)
        found.append(model.weight.numpy())
    expected = weights((3, 4))
    for _ in range(10):
        gradient = 2 * (x @ expected.T - y).T @ x / y.size
        expected = clipped(expected - 0.2 * gradient, 1.5)
    np.testing.assert_allclose(np.linalg.norm(expected, axis=1), 1.5)
    for got in found:
        np.testing.assert_allclose(got, expected, rtol=1e-10)


W = cr.Parameter(weights(), name="w")
BIAS = cr.Parameter([1.0], name="bias")


@pytest.mark.parametrize(
    ("params", "max_norm", "axis", "message"),
    [
        ([], 1, 1, "a constraint is on Parameters; there are none"),
        (W, 1, 1, "such as model.parameters"),
        ([W, W], 1, 1, "parameter w .* was given twice"),
        ([weights()], 1, 1, "number 0 is array"),
        ([W, BIAS], 1, 1, r"parameter bias of shape \(1,\) has no axis 1: pass weights only"),
        ([W], 1, (1, 2), "has no axis 2"),
        ([W], 1, -3, "has no axis -3"),
        ([W], 1, 1.0, "axis is a whole number or a tuple"),
        ([W], 0, 1, "max_norm is positive, got 0"),
        ([W], -1, 1, "max_norm is positive, got -1"),
        ([W], float("inf"), 1, "max_norm is finite, got inf"),
        ([W], float("nan"), 1, "max_norm is finite, got nan"),
        ([W], "3", 1, "max_norm is a number, got '3'"),
    ],
)
def test_arguments_are_checked(params, max_norm, axis, message):
    with pytest.raises((TypeError, ValueError), match=message):
        optim.MaxNorm(params, max_norm, axis)


def test_a_limit_set_later_is_checked_too():
    constraint = optim.MaxNorm([W], 3)
    with pytest.raises(ValueError, match="max_norm is positive"):
        constraint.max_norm = 0
    assert constraint.max_norm == 3.0
