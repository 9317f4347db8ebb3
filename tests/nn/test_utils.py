"""nn.utils: clipping and vectors, beside PyTorch's; norms of large and of not finite gradients."""

import math

import numpy as np
import pytest
from nn_parity import torch

import chainrule as cr
from chainrule import nn, optim

SHAPES = [(3, 4), (5,), (), (0, 2)]


def both(scale=1.0, dtype="float64"):
    """Parameters with gradients, and one without, in both libraries."""
    random = np.random.default_rng(0)
    ours, theirs = [], []
    for shape in SHAPES:
        value, grad = random.standard_normal((2, *shape))
        ours.append(cr.Parameter(value.astype(dtype)))
        theirs.append(torch.nn.Parameter(torch.tensor(value.astype(dtype))))
        ours[-1].grad = cr.tensor((scale * grad).astype(dtype))
        theirs[-1].grad = torch.tensor((scale * grad).astype(dtype))
    ours.append(cr.Parameter(np.ones(2)))
    theirs.append(torch.nn.Parameter(torch.ones(2)))
    return ours, theirs


def check_same(ours, theirs, rtol=1e-12):
    for a, b in zip(ours, theirs, strict=True):
        assert (a.grad is None) == (b.grad is None)
        if a.grad is not None:
            assert str(a.grad.dtype) == str(b.grad.dtype).removeprefix("torch.")
            np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=rtol)


@pytest.mark.parametrize("order", [2.0, 1, 3.5, math.inf])
@pytest.mark.parametrize("max_norm", [0.5, 100.0, 0])
def test_clip_grad_norm_is_pytorchs(order, max_norm):
    ours, theirs = both()
    found = nn.utils.clip_grad_norm_(ours, max_norm, order)
    expected = torch.nn.utils.clip_grad_norm_([*theirs[:3], theirs[4]], max_norm, order)
    assert found.item() == pytest.approx(expected.item(), rel=1e-12)
    check_same(ours, theirs)


def test_one_parameter_and_clipping_by_value():
    ours, theirs = both()
    nn.utils.clip_grad_norm_(ours[0], 0.1)
    torch.nn.utils.clip_grad_norm_(theirs[0], 0.1)
    nn.utils.clip_grad_value_(iter(ours), 0.3)
    torch.nn.utils.clip_grad_value_(theirs, 0.3)
    check_same(ours, theirs)


def test_norm_and_clipping_apart():
    ours, theirs = both()
    norm = nn.utils.get_total_norm([p.grad for p in ours[:3]])
    expected = torch.nn.utils.get_total_norm([p.grad for p in theirs[:3]])
    assert norm.item() == pytest.approx(expected.item(), rel=1e-12)
    nn.utils.clip_grads_with_norm_(ours, 0.5, norm)
    torch.nn.utils.clip_grads_with_norm_(theirs, 0.5, expected)
    check_same(ours, theirs)
    assert nn.utils.clip_grad_norm_([], 1.0).item() == 0.0


def test_short_gradients_stay_as_they_are():
    ours, _ = both()
    grads = [p.grad for p in ours]
    nn.utils.clip_grad_norm_(ours, 1e3)
    assert all(p.grad is grad for p, grad in zip(ours, grads, strict=True))


def test_gradients_of_two_dtypes_are_scaled_each_in_its_own():
    ours = [cr.Parameter([3.0], "float32"), cr.Parameter([4.0], "float64")]
    for parameter in ours:
        parameter.grad = cr.tensor(parameter.numpy())
    assert nn.utils.clip_grad_norm_(ours, 1.0).item() == 5.0
    assert [p.grad.dtype for p in ours] == ["float32", "float64"]
    assert [p.grad.item() for p in ours] == pytest.approx([0.6, 0.8], rel=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_norm_has_the_gradients_dtype(dtype):
    ours, theirs = both(dtype=dtype)
    ours, theirs = ours[:3], theirs[:3]
    norm = nn.utils.get_total_norm([p.grad for p in ours])
    found = nn.utils.clip_grad_norm_(ours, 100.0)
    expected = torch.nn.utils.clip_grad_norm_(theirs, 100.0)
    assert str(expected.dtype) == f"torch.{dtype}" and found.item() == norm.item()
    assert norm.dtype == found.dtype == dtype
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for p in ours:  # a gradient of length 1, by hand
        p.grad = p.grad / found
    assert nn.utils.get_total_norm([p.grad for p in ours]).item() == pytest.approx(1.0)
    step = cr.compile(lambda: nn.utils.get_total_norm([p * 1 for p in ours]))
    assert step().dtype == dtype


def test_a_norm_that_float32_does_not_hold_clips():
    weight = cr.Parameter(np.zeros(4, "f"))
    weight.grad = cr.tensor(np.full(4, 3e38, "f"))
    norm = nn.utils.clip_grad_norm_(weight, 1.0, error_if_nonfinite=True)
    assert norm.dtype == "float32" and norm.item() == math.inf
    with pytest.raises(cr.NonFiniteError):
        nn.utils.get_total_norm([cr.tensor(np.full(4, 3e38, "f"))], error_if_nonfinite=True)
    np.testing.assert_allclose(weight.grad.numpy(), 0.5, rtol=1e-6)


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e25), ("float64", 1e200)])
@pytest.mark.parametrize("order", [2.0, 3.0])
def test_norms_do_not_overflow(dtype, scale, order):
    ours, _ = both(scale, dtype)
    flat = np.concatenate([p.grad.numpy().ravel() for p in ours[:3]]).astype(np.float64) / scale
    expected = scale * (np.abs(flat) ** order).sum() ** (1 / order)
    found = nn.utils.clip_grad_norm_(ours, scale / 10, order)
    assert found.item() == pytest.approx(expected, rel=1e-6)
    after = np.concatenate([p.grad.numpy().ravel() for p in ours[:3]]).astype(np.float64) / scale
    wanted = flat * min(scale / 10 / (expected + 1e-6), 1.0)
    np.testing.assert_allclose(after, wanted, rtol=1e-5)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_said(value):
    ours, _ = both()
    ours[0].grad = cr.tensor(np.full((3, 4), value))
    before = ours[1].grad.tolist()
    with pytest.raises(cr.NonFiniteError, match=f"the norm of order 2 of the gradients is {value}"):
        nn.utils.clip_grad_norm_(ours, 1.0, error_if_nonfinite=True)
    assert ours[1].grad.tolist() == before
    nn.utils.clip_grad_norm_(ours, 1.0)
    assert np.isnan(ours[1].grad.numpy()).all()


def test_what_is_refused():
    ours, _ = both()
    for wrong in (
        lambda: nn.utils.clip_grad_norm_(ours, -1.0),
        lambda: nn.utils.clip_grad_value_(ours, -1.0),
        lambda: nn.utils.clip_grad_norm_(ours, 1.0, 0),
        lambda: nn.utils.parameters_to_vector([]),
    ):
        with pytest.raises(ValueError):
            wrong()
    with pytest.raises(TypeError, match=r"model\.parameters\(\)"):
        nn.utils.clip_grad_norm_([1.0], 1.0)
    with pytest.raises(cr.ShapeError, match=r"\(19,\), not \(3,\)"):
        nn.utils.vector_to_parameters(np.ones(3), ours[:2] + ours[4:])


@pytest.mark.parametrize("given", [nn.Linear(1, 1), nn.Sequential(nn.ReLU()), {"a": 1.0}, 3])
def test_a_model_in_place_of_its_parameters(given):
    name = type(given).__name__
    for take in (
        lambda: nn.utils.clip_grad_norm_(given, 1.0),
        lambda: nn.utils.clip_grad_value_(given, 1.0),
        lambda: nn.utils.clip_grads_with_norm_(given, 1.0, 2.0),
        lambda: nn.utils.get_total_norm(given),
        lambda: nn.utils.parameters_to_vector(given),
        lambda: nn.utils.vector_to_parameters(np.ones(2), given),
    ):
        with pytest.raises(TypeError, match=rf"such as model\.parameters\(\),.* {name}$"):
            take()


@pytest.mark.parametrize("given", [np.ones((2, 2)), "abc", [1.0], [np.ones(2)]])
def test_what_is_no_tensors(given):
    for take in (nn.utils.get_total_norm, nn.utils.parameters_to_vector):
        with pytest.raises(TypeError, match=r"Tensors, such as model\.parameters\(\), got "):
            take(given)


def test_a_parameter_list_is_a_list_of_parameters():
    parameters, tensors = both()
    ours, theirs = nn.ParameterList(parameters), torch.nn.ParameterList(tensors)
    for utils, given in ((nn.utils, ours), (torch.nn.utils, theirs)):
        vector = utils.parameters_to_vector(given)
        utils.vector_to_parameters(vector * 2.0, given)
        utils.clip_grad_norm_(given, 3.0)
        utils.clip_grad_value_(given, 0.5)
    optim.SGD(ours, 0.1).step()
    torch.optim.SGD(theirs, 0.1).step()
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), rtol=1e-6)


def test_vectors_are_pytorchs():
    ours, theirs = both()
    vector = nn.utils.parameters_to_vector(ours)
    expected = torch.nn.utils.parameters_to_vector(theirs)
    np.testing.assert_array_equal(vector.numpy(), expected.detach().numpy())
    nn.utils.vector_to_parameters(vector * 2.0, ours)
    torch.nn.utils.vector_to_parameters(expected * 2.0, theirs)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.detach().numpy())
    grad = cr.grad((nn.utils.parameters_to_vector(ours) ** 2).sum(), ours[1])
    np.testing.assert_allclose(grad.numpy(), 2 * ours[1].numpy())


def trained(backend, dtype, scale, **options):
    model = nn.Linear(3, 1, dtype=dtype)
    model.weight.assign(np.zeros((1, 3), dtype))
    optimizer = optim.SGD(model.parameters(), 1.0)
    trainer = cr.Trainer(
        model, lambda output, y: (output * y).mean(), optimizer, backend=backend, **options
    )
    x = np.array([[3.0, 0.0, 4.0]] * 2, dtype)
    trainer.fit(x, np.full((2, 1), scale, dtype), epochs=1, batch_size=2)
    return model.weight.numpy()


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(
    ("dtype", "scale"), [("float32", 1e20), ("float32", 1e37), ("float32", 1.0), ("float64", 1e200)]
)
def test_clipping_a_large_gradient_trains_on(backend, dtype, scale):
    """The gradient is scale (3, 0, 4) and, of the bias, scale: its norm is scale sqrt(26)."""
    found = trained(backend, dtype, scale, clip_norm=1.0)
    np.testing.assert_allclose(found, -np.array([[3.0, 0.0, 4.0]]) / np.sqrt(26), rtol=1e-6)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_gradient_that_is_infinite_stops_the_fit(backend):
    """The loss is finite, the gradient is not: sqrt has an infinite slope at 0."""
    model = nn.Linear(2, 1)
    before = model.weight.tolist()
    trainer = cr.Trainer(
        model,
        lambda output, y: cr.sqrt(output - cr.stop_gradient(output)).mean(),
        optim.SGD(model.parameters(), 1.0),
        backend=backend,
        clip_norm=1.0,
    )
    with pytest.raises(cr.NonFiniteError):
        trainer.fit(np.ones((2, 2), "f"), np.ones((2, 1), "f"), epochs=1, batch_size=2)
    assert model.weight.tolist() == before


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(("dtype", "scale"), [("float32", 1e25), ("float64", 1e200)])
def test_a_largest_norm_of_large_weights(backend, dtype, scale):
    weight = cr.Parameter(np.array([[3.0, 4.0], [0.3, 0.4]], dtype) * scale)
    constraint = optim.MaxNorm([weight], max_norm=1.0)
    if backend == "native":
        cr.capture(constraint.apply)()
    else:
        constraint.apply()
    np.testing.assert_allclose(weight.numpy(), [[0.6, 0.8]] * 2, rtol=1e-6)


def test_norms_of_vectors_do_not_overflow():
    x = cr.tensor(np.array([[3e30, 4e30], [0.0, 0.0]], "f"), requires_grad=True)
    y = nn.functional.normalize(x)
    np.testing.assert_allclose(y.numpy(), [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    cosines = nn.functional.cosine_similarity(x, [[1.0, 0.0], [1.0, 0.0]])
    np.testing.assert_allclose(cosines.numpy(), [0.6, 0.0], rtol=1e-6)
    assert np.isfinite(cr.grad(y.sum() + cosines.sum(), x).numpy()).all()


@pytest.mark.parametrize("backend", ["native", "reference", "eager"])
def test_a_factor_smaller_than_float32_has_normal_numbers(backend):
    """max_norm / norm is below 1.2e-38: taken at once it would be 0, or lose its digits."""
    scale = np.float32(6e37)
    wanted = -1e-3 * np.array([[3.0, 0.0, 4.0]]) / np.sqrt(26)
    if backend != "eager":
        found = trained(backend, "float32", scale, clip_norm=1e-3)
    else:
        weight, bias = cr.Parameter(np.zeros((1, 3), "f")), cr.Parameter(np.zeros(1, "f"))
        weight.grad, bias.grad = scale * np.float32([[3, 0, 4]]), np.full(1, scale)
        nn.utils.clip_grad_norm_([weight, bias], 1e-3)
        found = -weight.grad.numpy()
    np.testing.assert_allclose(found, wanted, rtol=1e-5)
