"""Pooling against PyTorch, in values and gradients of two orders; and where its gradients go."""

import numpy as np
import pytest
from nn_parity import check_module, copy_state, torch
from nn_training import check_training, data

import chainrule as cr
from chainrule import nn
from chainrule.ops.pooling import max_pool, sum_pool

CASES = [
    ("MaxPool1d", (2,), {}, (2, 3, 7)),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1, "dilation": 2}, (2, 3, 9)),
    ("MaxPool1d", (3,), {"stride": 3, "ceil_mode": True}, (3, 8)),
    ("MaxPool2d", (2,), {}, (2, 3, 6, 5)),
    ("MaxPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 0)}, (1, 2, 7, 6)),
    ("MaxPool2d", (3,), {"stride": 2, "padding": 1, "ceil_mode": True}, (2, 2, 6, 7)),
    ("MaxPool2d", (2,), {"dilation": (2, 1)}, (2, 5, 4)),
    ("MaxPool2d", (4,), {"stride": 3, "padding": 2}, (1, 2, 9, 8)),
    ("AvgPool1d", (2,), {}, (2, 3, 7)),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1, "count_include_pad": False}, (2, 3, 8)),
    ("AvgPool2d", (2,), {}, (2, 3, 6, 5)),
    ("AvgPool2d", ((3, 2),), {"stride": 2, "padding": 1, "ceil_mode": True}, (1, 2, 6, 7)),
    (
        "AvgPool2d",
        (3,),
        {"stride": 2, "padding": 1, "ceil_mode": True, "count_include_pad": False},
        (1, 2, 6, 7),
    ),
    ("AvgPool2d", (2,), {"divisor_override": 3}, (2, 4, 4)),
    ("AvgPool2d", ((4, 5),), {}, (2, 3, 8, 10)),
    ("AdaptiveAvgPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveAvgPool2d", (1,), {}, (2, 3, 4, 5)),
    ("AdaptiveAvgPool2d", ((None, 2),), {}, (2, 3, 4, 5)),
    ("AdaptiveMaxPool1d", (3,), {}, (2, 3, 7)),
    ("AdaptiveMaxPool2d", ((2, 3),), {}, (2, 3, 5, 7)),
    ("AdaptiveMaxPool2d", (5,), {}, (3, 4, 3)),
    ("AdaptiveMaxPool2d", (1,), {}, (2, 3, 4, 5)),
    ("AdaptiveMaxPool2d", ((3, 1),), {}, (2, 2, 10, 4)),
    ("AdaptiveMaxPool2d", ((None, 10),), {}, (2, 3, 13)),
]


@pytest.mark.parametrize(("name", "arguments", "more", "shape"), CASES)
def test_pooling_is_pytorchs_to_the_second_order(name, arguments, more, shape):
    ours, theirs = (getattr(lib, name)(*arguments, **more) for lib in (nn, torch.nn))
    check_module(ours, copy_state(ours, theirs), np.random.default_rng(1).standard_normal(shape))
    assert repr(ours) == repr(theirs)
    assert repr(nn.from_description(nn.to_description(ours))) == repr(theirs)


@pytest.mark.parametrize("shape", [(0, 3, 8, 8), (2, 0, 8, 8)])
@pytest.mark.parametrize("size", [2, 4])
@pytest.mark.parametrize("name", ["MaxPool2d", "AvgPool2d"])
def test_no_images_give_no_windows_and_no_gradient(name, size, shape):
    layer, x = getattr(nn, name)(size), cr.zeros(shape, requires_grad=True)
    y = layer(x)
    y.sum().backward()
    assert y.shape == (*shape[:2], 8 // size, 8 // size) and x.grad.shape == shape


def lenet(lib, **more):
    return lib.Sequential(
        lib.Conv2d(1, 3, 3, padding=1, **more),
        lib.ReLU(),
        lib.MaxPool2d(2),
        lib.Conv2d(3, 4, 2, **more),
        lib.Tanh(),
        lib.AvgPool2d(2, 1),
        lib.AdaptiveMaxPool2d((2, 1)),
        lib.Flatten(),
        lib.Linear(8, 3, **more),
    )


def test_a_network_with_pooling_trains_as_in_pytorch():
    cr.manual_seed(0)
    x, y = data((1, 10, 8))
    check_training(lenet(nn, dtype="float64"), lenet(torch.nn), x, y)


@pytest.mark.parametrize("pool", [nn.MaxPool2d(2), nn.AdaptiveMaxPool2d(1)])
def test_of_equal_elements_the_first_gets_the_gradient(pool):
    x = cr.tensor(np.ones((1, 1, 2, 2)), requires_grad=True)
    pool(x).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], [[1, 0], [0, 0]])


@pytest.mark.parametrize("length", [1, 2, 3])
def test_adaptive_maxima_of_more_parts_than_elements(length):
    x = np.random.default_rng(0).normal(size=(1, 2, length, length)).astype("float32")
    for size in (4, (7, 1), (1, 7)):
        theirs = torch.nn.functional.adaptive_max_pool2d(torch.tensor(x), size).numpy()
        found = nn.functional.adaptive_max_pool2d(x, size).numpy()
        np.testing.assert_array_equal(found, theirs)


@pytest.mark.parametrize(
    "size", [1, 2, 3, 5, 10, 28, 30, (5, 1), (1, 5), (5, 7), (7, 5), (10, 5), (5, 10), (None, 5)]
)
def test_adaptive_maxima_of_equal_elements_are_pytorchs(size):
    """Of equal ones the first in the order of rows takes the gradient, whatever finds it."""
    x = np.random.default_rng(0).integers(0, 4, (2, 3, 28, 28)).astype("float32")
    a = torch.tensor(x, requires_grad=True)
    theirs = torch.nn.functional.adaptive_max_pool2d(a, size)
    g = np.random.default_rng(1).integers(-9, 9, theirs.shape).astype("float32")
    theirs.backward(torch.tensor(g))

    def both(x):
        y = nn.functional.adaptive_max_pool2d(x, size)
        return y, cr.grad((y * g).sum(), [x])[0]

    for function in (both, cr.compile(both)):
        y, gradient = function(cr.tensor(x, requires_grad=True))
        np.testing.assert_array_equal(y.numpy(), theirs.detach())
        np.testing.assert_array_equal(gradient.numpy(), a.grad)


def test_nan_is_the_largest():
    x = np.zeros((1, 1, 4))
    x[0, 0, 1] = np.nan
    for pool in (nn.MaxPool1d(2), cr.compile(nn.MaxPool1d(2))):
        np.testing.assert_array_equal(pool(cr.tensor(x)).numpy(), [[[np.nan, 0]]])


OVER = [
    {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 0))},
    {"kernel": (2, 2), "stride": (2, 2), "padding": ((0, 0), (0, 1))},
    {"kernel": (3, 3), "stride": (2, 1), "padding": ((1, 1), (1, 0))},
    {"kernel": (3, 2), "stride": (4, 3), "padding": ((1, 2), (0, 0))},
]


@pytest.mark.parametrize("channels", [1, 3, 16, 37])
@pytest.mark.parametrize("over", OVER)
def test_channels_may_lie_before_the_spatial_axes_or_after(over, channels):
    x = np.random.default_rng(0).integers(-2, 3, (2, channels, 8, 21)).astype("float32")

    @cr.compile
    def gradients(x, axis):
        maximum = max_pool(x, axis=axis, dilation=(1, 1), **over)
        total = sum_pool(x, axis=axis, **over)
        (first,) = cr.grad((maximum * total).sum(), [x])
        (second,) = cr.grad((first * first).sum(), [x])
        return maximum, total, first, second

    def compiled(x, axis):
        return [y.numpy() for y in gradients(cr.tensor(x, requires_grad=True), axis)]

    before = compiled(x, 2)
    after = compiled(np.moveaxis(x, 1, 3).copy(), 1)
    with cr.no_grad():
        eager = [max_pool(cr.tensor(x), 2, dilation=(1, 1), **over).numpy()]
        eager.append(sum_pool(cr.tensor(x), 2, **over).numpy())
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(np.moveaxis(other, 3, 1), one)
    for one, other in zip(before, eager, strict=False):
        np.testing.assert_array_equal(one, other)


def test_of_equal_elements_the_compiled_gradient_goes_to_pytorchs():
    x = np.random.default_rng(0).integers(0, 3, (2, 3, 9, 37)).astype("float32")
    for pool in (nn.MaxPool2d(3, 2, padding=1), nn.MaxPool2d(2), nn.MaxPool2d(3, 1)):
        compiled = cr.compile(lambda x, pool=pool: cr.grad(pool(x).sum(), [x])[0])
        theirs = torch.tensor(x, requires_grad=True)
        of_theirs = torch.nn.MaxPool2d(pool.kernel_size, pool.stride, pool.padding)
        of_theirs(theirs).sum().backward()
        found = compiled(cr.tensor(x, requires_grad=True))
        np.testing.assert_array_equal(found.numpy(), theirs.grad.numpy())


def test_a_window_in_the_border_alone_has_no_maximum_and_no_gradient():
    x = np.zeros((1, 1, 3), "float32")
    pool = nn.MaxPool1d(2, 1, padding=1, dilation=4)

    def gradient(x):
        y = pool(x)
        return y, cr.grad(y.sum(), [x])[0]

    for function in (gradient, cr.compile(gradient)):
        y, grad = function(cr.tensor(x, requires_grad=True))
        np.testing.assert_array_equal(y.numpy(), [[[-np.inf]]])
        np.testing.assert_array_equal(grad.numpy(), [[[0, 0, 0]]])
    assert of_pytorch(x) == -np.inf


def of_pytorch(x):
    return torch.nn.MaxPool1d(2, 1, padding=1, dilation=4)(torch.tensor(x)).item()


@pytest.mark.parametrize(
    ("layer", "shape", "error", "message"),
    [
        (nn.MaxPool2d(5), (1, 1, 4, 9), cr.ShapeError, "reaches over 5, .* over 4"),
        (nn.AvgPool1d(3), (9,), cr.ShapeError, r"\(N, C, L\)"),
        (nn.MaxPool1d(2, padding=2), (1, 1, 8), ValueError, "at most half"),
        (nn.AdaptiveAvgPool2d((1, 2, 3)), (1, 1, 8, 8), ValueError, "one number or 2"),
        (nn.AdaptiveMaxPool2d(1), (1, 1, 0, 8), cr.ShapeError, "no elements"),
    ],
)
def test_what_does_not_fit_is_refused(layer, shape, error, message):
    with pytest.raises(error, match=message):
        layer(np.zeros(shape, "float32"))


@pytest.mark.parametrize(
    "layer", [nn.MaxPool1d, nn.MaxPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d]
)
def test_indices_are_refused_with_the_reason(layer):
    with pytest.raises(ValueError, match="the gradient finds the places"):
        layer(2, return_indices=True)
