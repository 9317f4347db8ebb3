"""Sums of products with a common factor: the numbers stay, the backward pass reads less."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

ACTIVATIONS = {
    "gelu": nn.functional.gelu,
    "silu": nn.functional.silu,
    "mish": nn.functional.mish,
}
TOLERANCE = {"float32": 2e-5, "float64": 1e-12}


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_backward_pass_reads_one_array_besides_the_incoming_gradient(name, dtype, bias):
    """Of a layer over sequences, against NumPy; its gradient's program loads g and f."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((6, 5, 7)).astype(dtype)
    found, trainers = [], []
    for backend in ("native", "reference"):
        cr.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(7, 20, bias=bias, dtype=dtype),
            Activation(name),
            nn.Linear(20, 3, dtype=dtype),
        )
        optimizer = cr.optim.SGD(model.parameters(), lr=0.1)
        trainer = cr.Trainer(model, nn.MSELoss(), optimizer, backend=backend, seed=0)
        trainer.fit(x, x[..., :3], epochs=3, batch_size=4, progress=False)
        found.append(model.state_dict())
        trainers.append(trainer)
    for key, weight in found[0].items():
        np.testing.assert_allclose(weight, found[1][key], TOLERANCE[dtype], TOLERANCE[dtype])
    calls = trainers[0].backend.last_step.plan.calls
    last = [c for c in calls if c.kind == "program" and "(0 backward)" in c.label][-1]
    loads = len({load["ref"] for load in last.fields["loads"]})
    assert loads == 2, trainers[0].describe_plan()


class Activation(nn.Module):
    def __init__(self, name):
        super().__init__()
        self.function = ACTIVATIONS[name]

    def forward(self, x):
        return self.function(x)


def late(x, w, v):
    """The other factors are computed no earlier than the common one."""
    g = x @ w
    return g * (g @ v) + g * (x @ w).exp()


SUMS = {
    "late": late,
    "a term without it": lambda x, w, v: _sum((x @ w) @ v, x.exp(), x.tanh()) + x.exp(),
    "constants alone": lambda x, w, v: (x @ w) * 2.0 + (x @ w) * 3.0,
    "itself": lambda x, w, v: (x @ w) * (x @ w) + (x @ w) * (x @ w),
    "empty": lambda x, w, v: _sum((x[:0] @ w) @ v, x[:0].exp(), x[:0].tanh()),
    "three": lambda x, w, v: _sum((x @ w) @ v, x.exp(), x.tanh(), x * x.exp()),
    "products read twice": lambda x, w, v: [
        t := (x @ w) * x.exp(),
        t + (x @ w) * x.tanh(),
    ],
}


def _sum(g, *factors):
    total = g * factors[0]
    for factor in factors[1:]:
        total = total + g * factor
    return total


@pytest.mark.parametrize("name", SUMS)
def test_values_and_gradients_are_those_of_the_graph_itself(name):
    """To the second order."""
    rng = np.random.default_rng(1)
    x, w, v = (rng.standard_normal(shape) for shape in ((4, 6), (6, 6), (6, 6)))

    def function(x, w, v):
        x = x * 1.0
        values = SUMS[name](x, w, v)
        values = values if isinstance(values, list) else [values]
        total = sum(t.tanh().sum() for t in values)
        gradients = list(cr.grad(total, [x, w]))
        second = sum((g * g).sum() for g in gradients)
        return [*values, *gradients, *cr.grad(second, [x, w])]

    native, reference = (cr.compile(function, backend=b)(x, w, v) for b in ("native", "reference"))
    for one, other in zip(native, reference, strict=True):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_allclose(one.numpy(), other.numpy(), 1e-10, 1e-10)


@pytest.mark.parametrize("dtype", TOLERANCE)
@pytest.mark.parametrize("activation", [nn.Mish, nn.SELU])
def test_a_learnt_slope_and_dropout_leave_two_arrays_to_the_backward_pass(activation, dtype):
    """One for the gradient of x, one for that of the slope; the kernels of chains do the rest."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((32, 20)).astype(dtype)
    found, trainers = [], []
    for backend in ("native", "reference"):
        cr.manual_seed(0)
        model = nn.Sequential(
            nn.Linear(20, 40, dtype=dtype),
            nn.ParametricActivation(activation(), 40, dtype=dtype),
            nn.Dropout(0.2),
            nn.Linear(40, 3, dtype=dtype),
        )
        model[1].weight.assign(np.linspace(0.5, 1.5, 40, dtype=dtype))
        optimizer = cr.optim.AdamW(model.parameters(), lr=0.01)
        trainer = cr.Trainer(model, nn.MSELoss(), optimizer, backend=backend, seed=0)
        trainer.fit(x, x[:, :3], epochs=3, batch_size=16, progress=False)
        found.append(model.state_dict())
        trainers.append(trainer)
    for key, weight in found[0].items():
        limit = 20 * TOLERANCE[dtype]
        np.testing.assert_allclose(weight, found[1][key], limit, limit, err_msg=key)
    step = trainers[0].backend.last_step
    programs = [
        c.fields if c.kind == "program" else c.fields.get("epilogue") for c in step.plan.calls
    ]
    reads = {
        load["ref"]
        for program in programs
        if program is not None and not any(load["random"] for load in program["loads"])
        for load in program["loads"]
        if load["row_stride"] == 40
    }
    assert len(reads) == 3, trainers[0].describe_plan()  # with the incoming gradient
    if dtype == "float32":  # the activation, and AdamW
        assert step.fused_chains() == 2, trainers[0].describe_plan()


MASKED = {
    "one term": lambda x, m: cr.where(m, x * cr.exp(-x), 0.0),
    "two terms": lambda x, m: cr.where(m, cr.sin(x), 0.0) * 1.5 + cr.where(m, cr.exp(x), 0.0),
    "of a masked input": lambda x, m: nn.functional.silu(cr.where(m, x, 0.0)),
    "hardswish": lambda x, m: nn.functional.hardswish(cr.where(m, x, -4.0)),
}


@pytest.mark.parametrize("name", MASKED)
def test_what_where_leaves_out_has_no_gradient_where_the_incoming_one_is_infinite(name):
    x = np.array([[1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0]])
    mask = np.array([[True, False, True, False], [False] * 4])

    def gradient(x, m):
        rows = MASKED[name](x, m) @ np.ones((4, 1))
        return cr.grad(cr.sqrt(rows).sum(), [x])[0]

    with np.errstate(divide="ignore", invalid="ignore"):
        expected = gradient(cr.tensor(x, requires_grad=True), mask)
        found = cr.compile(gradient)(x, mask)
    np.testing.assert_allclose(found, expected, 1e-12)


def test_a_coefficient_does_not_overflow_where_the_gradient_does_not():
    y = np.array([[1e-30, 2.0, 3.0], [1.0, 2.0, 3.0]], "float32")
    weights = np.array([[0.0], [1.0]], "float32")

    def gradient(y, w):
        z = (y / 1e-20) / 1e-20 + y * cr.sin(y)
        return cr.grad((w * (z @ np.ones((3, 1), "float32"))).sum(), [y])[0]

    with np.errstate(over="ignore", invalid="ignore"):
        expected = gradient(cr.tensor(y, requires_grad=True), weights)
    np.testing.assert_array_equal(cr.compile(gradient)(y, weights)[0], 0.0)
    np.testing.assert_array_equal(expected[0], 0.0)
