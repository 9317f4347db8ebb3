"""Muon against its formula on singular values, and against PyTorch's as far as bfloat16 goes."""

import numpy as np
import pytest
from optimizer_peers import COEFFICIENTS, orthogonal

import chainrule as cr
from chainrule import optim

SHAPES = [(6, 3), (3, 6), (4, 4), (1, 5), (5, 1)]


def arrays(seed):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for shape in SHAPES]


def run_numpy(
    steps, lr=1e-3, weight_decay=0.1, momentum=0.95, nesterov=True, ns_coefficients=COEFFICIENTS,
    eps=1e-7, ns_steps=5, adjust_lr_fn=None,
):  # fmt: skip
    weights, means = arrays(0), [np.zeros(shape) for shape in SHAPES]
    for grads in steps:
        for i, grad in enumerate(grads):
            means[i] = momentum * means[i] + (1 - momentum) * grad
            U = momentum * means[i] + (1 - momentum) * grad if nesterov else means[i]
            n, k = SHAPES[i]
            ratio = np.sqrt(max(1, n / k))
            if adjust_lr_fn == "match_rms_adamw":
                ratio = 0.2 * np.sqrt(max(n, k))
            step = ratio * orthogonal(U, ns_coefficients, ns_steps, eps)
            weights[i] = weights[i] * (1 - lr * weight_decay) - lr * step
    return weights


def run(steps, captured=False, dtype="float64", **options):
    params = [cr.Parameter(value.astype(dtype)) for value in arrays(0)]
    optimizer = optim.Muon(params, **options)
    for grads in steps:
        tensors = [cr.as_tensor(grad.astype(dtype)) for grad in grads]
        if captured:
            for parameter, tensor in zip(params, tensors, strict=True):
                parameter.grad = tensor
            optimizer.step()
        else:
            optimizer.update(tensors)
    return [parameter.numpy() for parameter in params]


GRADIENTS = [arrays(seed) for seed in range(1, 13)]


@pytest.mark.parametrize("captured", [False, True])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"lr": 0.1, "weight_decay": 0, "nesterov": False},
        {"lr": 0.1, "momentum": 0},
        {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw"},
        {"lr": 0.1, "adjust_lr_fn": "original", "ns_steps": 2, "ns_coefficients": (2, -1.5, 0.5)},
        {"lr": 0.1, "eps": 1e3},
    ],
    ids=str,
)
def test_equals_its_formula(options, captured):
    for ours, expected in zip(
        run(GRADIENTS, captured, **options), run_numpy(GRADIENTS, **options), strict=True
    ):
        np.testing.assert_allclose(ours, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize(
    "options", [{"lr": 0.1}, {"lr": 0.1, "adjust_lr_fn": "match_rms_adamw", "nesterov": False}]
)
def test_is_pytorchs_but_for_bfloat16(options):
    torch = pytest.importorskip("torch")
    params = [torch.tensor(value, requires_grad=True) for value in arrays(0)]
    optimizer = torch.optim.Muon(params, **options)
    for grads in GRADIENTS:
        for param, grad in zip(params, grads, strict=True):
            param.grad = torch.tensor(grad)
        optimizer.step()
    for ours, theirs, start in zip(run(GRADIENTS, **options), params, arrays(0), strict=True):
        way = np.linalg.norm(ours - start)
        assert np.linalg.norm(ours - theirs.detach().numpy()) < 0.02 * way


def test_defaults_are_pytorchs():
    torch = pytest.importorskip("torch")
    theirs = torch.optim.Muon([torch.zeros(1, 1)]).defaults
    assert optim.Muon([cr.Parameter([[1.0]])]).defaults == {**theirs, "maximize": False}


def test_the_step_is_nearly_orthogonal():
    for step in (orthogonal(value) for value in arrays(3)):
        singular = np.linalg.svd(step, compute_uv=False)
        assert singular.min() > 0.6
        assert singular.max() < 1.3
    start, end = arrays(0), run(GRADIENTS[:1], lr=1.0, weight_decay=0)
    for before, after, shape in zip(start, end, SHAPES, strict=True):
        singular = np.linalg.svd(before - after, compute_uv=False)
        ratio = np.sqrt(max(1, shape[0] / shape[1]))
        assert (singular > 0.6 * ratio).all()
        assert (singular < 1.3 * ratio).all()


def test_float32_stays_float32():
    ours = run(GRADIENTS, dtype="float32", lr=0.1)
    for got, expected in zip(ours, run_numpy(GRADIENTS, lr=0.1), strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, expected, rtol=1e-3, atol=1e-3)


def test_coefficients_can_change_between_steps():
    first = cr.Parameter(arrays(0)[0])
    optimizer = optim.Muon([first], lr=0.1, weight_decay=0, momentum=0)
    optimizer.param_groups[0]["ns_coefficients"] = (2, -1.5, 0.5)
    grad = arrays(1)[0]
    optimizer.update([cr.as_tensor(grad)])
    expected = arrays(0)[0] - 0.1 * np.sqrt(2) * orthogonal(grad, (2, -1.5, 0.5))
    np.testing.assert_allclose(first.numpy(), expected, rtol=1e-12)
    assert optimizer.param_groups[0]["ns_coefficients"] == (2.0, -1.5, 0.5)


@pytest.mark.parametrize(
    ("params", "options", "message"),
    [
        ([cr.Parameter([1.0], name="bias")], {}, r"bias has shape \(1,\): give it to .* AdamW"),
        ([cr.Parameter(np.ones((2, 2, 2)))], {}, r"Muon trains matrices; .* has shape \(2, 2, 2\)"),
        (None, {"lr": -1}, "lr must be >= 0"),
        (None, {"momentum": -1}, "momentum must be >= 0"),
        (None, {"weight_decay": -1}, "weight_decay must be >= 0"),
        (None, {"nesterov": 1}, "nesterov is True or False"),
        (None, {"ns_coefficients": (1, 2)}, r"ns_coefficients are three numbers, not \(1, 2\)"),
        (None, {"ns_coefficients": (1, 2, float("-inf"))}, "ns_coefficients is finite"),
        (None, {"eps": -1}, "eps must be >= 0"),
        (None, {"ns_steps": 0}, "ns_steps is at least 1"),
        (None, {"adjust_lr_fn": "kimi"}, "adjust_lr_fn is None or 'original' or 'match_rms_adamw'"),
        ([], {}, "got no parameters"),
    ],
)
def test_arguments_are_checked(params, options, message):
    params = [cr.Parameter([[1.0]])] if params is None else params
    with pytest.raises((TypeError, ValueError), match=message):
        optim.Muon(params, **options)
