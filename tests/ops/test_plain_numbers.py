"""A Tensor that requires a gradient, where a plain number is expected: kept, or refused."""

import inspect

import numpy as np
import pytest

import chainrule as cr
from chainrule.nn import functional

SPACES = {"cr": cr, "linalg": cr.linalg, "functional": functional}

NO_GRADIENT = {
    # steps, whose derivative is 0
    "around", "ceil", "fix", "floor", "floor_divide", "rint", "round", "trunc",
    # of another Tensor's shape alone
    "empty_like", "ones_like", "rand_like", "randn_like", "zeros_like",
    # constants, by what they are for
    "backprop", "bernoulli", "placeholder", "stop_gradient", "tensor",
}  # fmt: skip
NO_NUMBERS = {"copy", "dtype", "end_axis", "kind", "start_axis"}
"""Arguments that are read as flags, or only where they are needed."""

UNUSED = {
    ("full_like", "x"),
    ("heaviside", "x"),
    ("alpha_dropout", "p"),
    ("feature_alpha_dropout", "p"),
}


def functions():
    for space, module in SPACES.items():
        for name in dir(module):
            found = getattr(module, name)
            if not name.startswith("_") and inspect.isfunction(found) and name not in NO_GRADIENT:
                yield pytest.param(found, id=f"{space}.{name}")


def tensors_in(result):
    if isinstance(result, cr.Tensor):
        yield result
    elif isinstance(result, (list, tuple)):
        for part in result:
            yield from tensors_in(part)


FORMS = {
    "scalar": lambda: (w := cr.Parameter(0.5), w),
    "list": lambda: (w := cr.Parameter(0.5), [w, 1.0]),
    "nested": lambda: (w := cr.Parameter(0.5), [[w, 1.0], [2.0, 3.0]]),
}
FILLERS = [
    cr.tensor([[0.3, 0.6], [0.2, 0.9]]), 3, cr.tensor([0.3, 0.6]), 2.0, (2, 3),
    [cr.tensor([[0.3, 0.6]])] * 2, np.array([0, 1]),
]  # fmt: skip


def is_number(argument):
    return not isinstance(argument.default, bool) and argument.name not in NO_NUMBERS


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("function", [*functions()])
def test_no_argument_drops_a_gradient_silently(function):
    arguments = [
        a
        for a in inspect.signature(function).parameters.values()
        if a.kind not in (a.VAR_KEYWORD, a.VAR_POSITIONAL)
    ]
    for target in filter(is_number, arguments):
        if (function.__name__, target.name) in UNUSED:
            continue
        for make in FORMS.values():
            for filler in FILLERS:
                _, given = make()
                values = {a.name: filler for a in arguments if a.default is a.empty}
                values[target.name] = given
                in_place = [
                    values.pop(a.name)
                    for a in arguments
                    if a.kind is a.POSITIONAL_ONLY and a.name in values
                ]
                try:
                    result = function(*in_place, **values)
                except Exception:  # refused, or the filler does not fit
                    continue
                outputs = [t for t in tensors_in(result) if t.dtype.kind == "f"]
                assert not outputs or any(t.requires_grad for t in outputs), (target.name, given)


def test_gradients_pass_what_is_made_of_tensors():
    a, b = cr.Parameter([1.0, 2.0]), cr.Parameter(5.0)
    made = cr.linspace(a, b, 5)
    np.testing.assert_allclose(made.numpy(), np.linspace([1, 2], [5, 5], 5), rtol=1e-6)
    ga, gb = cr.grad(made.sum(), [a, b])
    np.testing.assert_allclose(ga.numpy(), [2.5, 2.5])
    np.testing.assert_allclose(gb.numpy(), 5.0)
    made = cr.linspace([a, 3.0 * a], 0.0, 3, endpoint=False)
    assert made.shape == (3, 2, 2) and made.dtype == np.float32
    np.testing.assert_allclose(cr.grad(made.sum(), a).numpy(), [8.0, 8.0], rtol=1e-6)
    filled = cr.full((2, 3), b, dtype="float64")
    assert filled.dtype == np.float64
    np.testing.assert_allclose(cr.grad(filled.sum(), b).numpy(), 6.0)
    np.testing.assert_allclose(cr.grad(cr.full((3, 2), [b, 2 * b]).sum(), b).numpy(), 9.0)
    np.testing.assert_allclose(cr.grad(cr.full_like(a, b).sum(), b).numpy(), 2.0)
    replaced = cr.nan_to_num(cr.tensor([1.0, np.inf, -np.inf, np.nan]), b, 2 * b, 3 * b)
    np.testing.assert_allclose(cr.grad(replaced.sum(), b).numpy(), 6.0)
    np.testing.assert_allclose(cr.grad(cr.asarray(a, copy=True).sum(), a).numpy(), [1, 1])
    np.testing.assert_allclose(cr.grad(cr.clip([1.0, 9.0], a, [b, b]).sum(), b).numpy(), 1.0)


def test_a_state_in_a_compiled_step_is_read_anew():
    scale = cr.Buffer(np.float32(2.0))
    compiled = cr.compile(lambda: (cr.full((2,), scale), cr.linspace(0.0, scale, 2)))
    for value in (2.0, 3.0):
        scale.assign(np.float32(value))
        filled, line = compiled()
        assert filled.tolist() == [value, value] and line.tolist() == [0.0, value]


REFUSED = {
    "arange": lambda w: cr.arange(w),
    "step": lambda w: cr.arange(0, 3, w),
    "eye": lambda w: cr.eye(3, k=w),
    "tri": lambda w: cr.tri(3, k=w),
    "tril": lambda w: cr.tril(cr.ones(2, 2), w),
    "trapezoid": lambda w: cr.trapezoid([1.0, 2.0], dx=w),
    "leaf": lambda w: cr.full((2,), w, requires_grad=True),
    "ends": lambda w: cr.linspace([w], 1.0, 3, requires_grad=True),
    "border": lambda w: cr.pad(cr.ones(2), 1, constant_values=w),
    "slope": lambda w: functional.leaky_relu(cr.ones(2), w),
    "alpha": lambda w: functional.elu(cr.ones(2), w),
    "bounds": lambda w: functional.hardtanh(cr.ones(2), -1.0, w),
    "eps": lambda w: functional.layer_norm(cr.ones(2, 2), (2,), eps=w),
    "order": lambda w: functional.pairwise_distance(cr.ones(2, 2), cr.ones(2, 2), p=w),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_plain_number_says_so(name):
    with pytest.raises(TypeError, match=r"plain number here.*would be lost: pass its value, item"):
        REFUSED[name](cr.Parameter(1.0))
