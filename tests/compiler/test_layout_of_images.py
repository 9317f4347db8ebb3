"""Images lie with the channels last between convolutions, and every number stays what it was."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn import functional

SHAPES = [(2, 3, 7, 6), (1, 1, 5, 5), (3, 1, 6, 4), (1, 4, 5, 5), (0, 3, 6, 6)]


def weights(rng, *shape):
    return cr.tensor(rng.standard_normal(shape))


def between_two_convolutions(middle, channels=5):
    """A function of images with something between two convolutions, and of the weights."""

    def function(x, v, w):
        return functional.conv2d(middle(functional.conv2d(x, v, padding=1)), w)

    def arguments(rng, shape):
        v = weights(rng, 5, shape[1], 3, 3)
        return (weights(rng, *shape), v, weights(rng, 4, channels, 2, 2))

    return function, arguments


def normalized(x):
    if not x.size:
        return x
    mean = x.mean(axis=(0, 2, 3), keepdims=True)
    variance = ((x - mean) * (x - mean)).mean(axis=(0, 2, 3), keepdims=True)
    return (x - mean) / cr.sqrt(variance + 1e-5)


def weighted_channels(x):
    pooled = functional.adaptive_avg_pool2d(x, 1)
    return x * cr.sigmoid(functional.conv2d(pooled, cr.ones((5, 5, 1, 1), dtype="float64")))


MIDDLES = {
    "relu": cr.relu,
    "bias": lambda x: x + cr.arange(5.0, dtype="float64").reshape(5, 1, 1),
    "a number of each row": lambda x: x * cr.arange(float(x.shape[3]), dtype="float64"),
    "a mask of the places": lambda x: x * (cr.arange(float(x.shape[2])).reshape(-1, 1) > 1),
    "a constant image": lambda x: (
        x + cr.tensor(np.arange(math.prod(x.shape[1:]), dtype="float64").reshape(x.shape[1:]))
    ),
    "normalized": normalized,
    "weighted channels": weighted_channels,
    "softmax over channels": lambda x: cr.softmax(x, axis=1) + cr.log_softmax(x, axis=1),
    "sum over channels": lambda x: x - x.sum(axis=1, keepdims=True) + x.max(axis=1)[:, None],
    "norm of each image": lambda x: x / (1.0 + (x * x).sum(axis=(1, 2, 3), keepdims=True)),
    "maximum of each image": lambda x: x - x.max(axis=(2, 3), keepdims=True),
    "slices": lambda x: x[:, ::-1, 1:, ::2],
    "padding": lambda x: cr.pad(x, ((0, 0), (0, 0), (1, 0), (2, 1)), constant_values=0.5),
    "pools": lambda x: functional.max_pool2d(x, 2) - functional.avg_pool2d(x, 2),
    "pool of positive ones": lambda x: functional.max_pool2d(cr.relu(x), 2, 1, padding=1),
    "running sums": lambda x: cr.cumsum(x, axis=1) - cr.cumsum(x, axis=3),
    "turned": lambda x: x.transpose(0, 1, 3, 2),
    "there and back": lambda x: cr.relu(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "groups": lambda x: x.reshape(*x.shape[:2], math.prod(x.shape[2:])).reshape(x.shape),
    "shuffled": lambda x: x.reshape(x.shape[0], x.shape[2], x.shape[1], x.shape[3]).transpose(
        0, 2, 1, 3
    ),
    "a product": lambda x: x @ cr.ones((x.shape[3], x.shape[3]), dtype="float64"),
}


@pytest.mark.parametrize("name", MIDDLES)
def test_native_is_eager_whatever_stands_between_convolutions(name):
    rng = np.random.default_rng(0)
    function, arguments = between_two_convolutions(MIDDLES[name])

    def with_gradients(x, v, w):
        y = function(x, v, w)
        return y, cr.grad((y * y).sum() + y.sum(), [x, v, w])

    for shape in SHAPES:
        given = [cr.Parameter(t.numpy()) for t in arguments(rng, shape)]
        y, gradients = with_gradients(*given)
        native, native_gradients = cr.compile(with_gradients)(*given)
        np.testing.assert_allclose(native.numpy(), y.numpy(), 1e-9, 1e-9)
        for found, expected in zip(native_gradients, gradients, strict=True):
            np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-9, 1e-9)


@pytest.mark.parametrize("copies", [1, 2, 3])
def test_an_image_that_is_used_several_times_sums_its_gradients(copies):
    """Two copies of an image of two places: as many as the convolution's epilogue could sum."""
    rng = np.random.default_rng(0)
    x = cr.tensor(rng.standard_normal((8, 2)), requires_grad=True)
    w = weights(rng, 2, 8, 2)

    def gradient(x, w):
        y = functional.conv1d(cr.broadcast_to(x, (copies, 8, 2)), w, padding=2)
        return cr.grad((y * y).sum(), [x])[0]

    found, expected = cr.compile(gradient)(x, w), gradient(x, w)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), 1e-12, 1e-12)


def plan_of_training(model, images):
    """The lines of the plan of a training step."""
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))
    labels = np.zeros(len(images), dtype="int64")
    trainer.fit(images, labels, batch_size=len(images), progress=False)
    return trainer.describe_plan().splitlines()


def residual(channels):
    """Two normalised convolutions, and what goes around them."""

    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = nn.Conv2d(channels, channels, 3, padding=1)
            self.second = nn.Conv2d(channels, channels, 1)
            self.scale = nn.Parameter(np.ones(channels, "float32"))

        def forward(self, x):
            y = functional.batch_norm(self.first(x), None, None, self.scale, None, True)
            return cr.relu(cr.concat([self.second(cr.relu(y)), x], axis=1))

    return Residual()


@pytest.mark.parametrize(
    ("last", "transposes"),
    [
        # The features for the first Linear, and their gradient.
        ([nn.Flatten(), nn.Linear(6 * 8 * 8, 3)], 2),
        # Where a mask lies as the user has it, the image is brought there, not the mask here.
        ([nn.Dropout(0.5), nn.Flatten(), nn.Linear(6 * 8 * 8, 3)], 2),
        # Means over the places are vectors, which lie alike in both layouts.
        ([nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)], 0),
    ],
)
def test_only_what_needs_the_users_layout_is_copied(last, transposes):
    model = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), residual(3), *last)
    lines = plan_of_training(model, np.zeros((4, 1, 8, 8), "float32"))
    assert sum(" transpose" in line for line in lines) == transposes


def test_a_convolution_does_what_follows_on_its_tiles():
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.Tanh(), nn.Flatten()
    )
    lines = plan_of_training(model, np.zeros((4, 1, 6, 6), "float32"))
    convolutions = [line.split(" (")[0].split("  ")[-1] for line in lines if "  conv  " in line]
    assert convolutions == [
        "conv + add relu",
        "conv + add tanh",
        "conv_input_grad + heaviside multiply",
    ]


def test_relus_derivative_is_taken_where_the_pool_has_fewer_elements():
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16, 2)
    )
    lines = plan_of_training(model, np.zeros((4, 1, 6, 6), "float32"))
    (derivative,) = [n for n, line in enumerate(lines) if "heaviside" in line]
    (put,) = [n for n, line in enumerate(lines) if "put_taps" in line]
    assert derivative < put
