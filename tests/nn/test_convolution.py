"""Convolutions against PyTorch, in values, gradients of two orders, and training."""

import tracemalloc

import numpy as np
import pytest
from nn_parity import check_module, copy_state, torch
from nn_training import check_training, data

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional
from chainrule.ops import conv as operations

CASES = {
    "1d": ("Conv1d", (3, 4, 3), {}, (2, 3, 9)),
    "1d strided, dilated, same mode": (
        "Conv1d",
        (2, 4, 3),
        {"padding": "same", "dilation": 2, "padding_mode": "reflect"},
        (2, 2, 7),
    ),
    "causal by hand": ("Conv1d", (2, 2, 2), {"padding": 1, "bias": False}, (1, 2, 5)),
    "2d": ("Conv2d", (2, 3, 3), {}, (2, 2, 6, 5)),
    "2d of everything": (
        "Conv2d",
        (4, 6, (3, 2)),
        {"stride": (2, 1), "padding": (1, 2), "dilation": (1, 2), "groups": 2},
        (2, 4, 7, 6),
    ),
    "depthwise": ("Conv2d", (3, 6, 3), {"padding": 1, "groups": 3}, (2, 3, 5, 4)),
    "1 x 1": ("Conv2d", (3, 2, 1), {"stride": 2}, (2, 3, 5, 5)),
    "even, same": ("Conv2d", (1, 2, 4), {"padding": "same"}, (1, 1, 6, 5)),
    "circular": ("Conv2d", (1, 2, 3), {"padding": 1, "padding_mode": "circular"}, (1, 1, 4, 5)),
    "replicate": ("Conv2d", (1, 2, 3), {"padding": 2, "padding_mode": "replicate"}, (1, 1, 4, 3)),
    "as large as the image": ("Conv2d", (2, 3, (4, 5)), {}, (3, 2, 4, 5)),
    "one image": ("Conv2d", (2, 3, 3), {}, (2, 6, 5)),
    "transposed 1d": ("ConvTranspose1d", (3, 4, 3), {}, (2, 3, 4)),
    "transposed 2d": (
        "ConvTranspose2d",
        (4, 6, 3),
        {"stride": 2, "padding": 1, "output_padding": 1, "groups": 2},
        (2, 4, 3, 4),
    ),
    "transposed, dilated": (
        "ConvTranspose2d",
        (2, 3, (2, 3)),
        {"stride": (1, 3), "dilation": (3, 1), "output_padding": (0, 2), "bias": False},
        (1, 2, 3, 2),
    ),
}


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")  # PyTorch's
@pytest.mark.parametrize("case", CASES)
def test_convolutions_are_pytorchs_to_the_second_order(case):
    name, arguments, more, shape = CASES[case]
    cr.manual_seed(0)
    ours = getattr(nn, name)(*arguments, **more, dtype="float64")
    theirs = copy_state(ours, getattr(torch.nn, name)(*arguments, **more))
    check_module(ours, theirs, np.random.default_rng(1).standard_normal(shape))
    assert repr(ours).replace(", dtype=float64", "") == repr(theirs)


@pytest.mark.parametrize("case", CASES)
def test_convolutions_are_saved_and_built_again(case):
    name, arguments, more, shape = CASES[case]
    model = nn.Sequential(getattr(nn, name)(*arguments, **more))
    again = nn.from_description(nn.to_description(model))
    again.load_state_dict(model.state_dict())
    x = np.random.default_rng(1).standard_normal(shape).astype("float32")
    np.testing.assert_array_equal(again(x).numpy(), model(x).numpy())


# Images, filters, arguments: long sums and short, few and many filters, each channel for itself.
SIZES = {
    "more terms than stay in cache": ((2, 72, 5, 6), (20, 72, 3, 3), {}),
    "one vector of filters": ((2, 80, 5, 6), (5, 80, 3, 3), {}),
    "one channel": ((3, 1, 30, 13), (6, 1, 5, 5), {"padding": 2}),
    "few channels": ((2, 3, 17, 16), (33, 3, 3, 3), {"padding": 1}),
    "one place": ((3, 7, 3, 3), (9, 7, 3, 3), {}),
    "groups": ((2, 12, 9, 8), (15, 4, 3, 2), {"groups": 3, "stride": (1, 2)}),
    "depthwise": ((2, 19, 9, 8), (19, 1, 3, 3), {"groups": 19, "padding": 1}),
    "depthwise with a multiplier": ((3, 21, 9, 8), (63, 1, 3, 2), {"groups": 21, "stride": 2}),
    "depthwise, strided": ((3, 21, 9, 8), (21, 1, 3, 3), {"groups": 21, "stride": 2, "padding": 1}),
    "1 x 1": ((2, 16, 9, 9), (32, 16, 1, 1), {"stride": 2}),
    "strided": ((2, 8, 11, 12), (10, 8, 3, 3), {"stride": (2, 3), "padding": 1, "dilation": 2}),
    "longer strides than the kernel": ((2, 3, 11, 12), (4, 3, 2, 2), {"stride": 4}),
    "far apart": ((2, 3, 16, 12), (4, 3, 6, 5), {"stride": 5, "padding": 2}),
    "tiles of many channels": ((3, 40, 8, 8), (33, 40, 3, 3), {"padding": 1}),
    "tiles over the edge": ((2, 17, 17, 11), (16, 17, 3, 3), {}),
    "tiles in a wide border": ((2, 16, 9, 21), (20, 16, 3, 3), {"padding": (2, 3)}),
    "tiles of every second place": ((2, 16, 20, 21), (18, 16, 6, 5), {"stride": 2, "padding": 2}),
    "tiles of large images": ((1, 16, 70, 66), (16, 16, 3, 3), {"padding": 1}),
    "1d": ((2, 5, 700), (8, 5, 9), {"dilation": 3}),
}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", SIZES)
def test_compiled_convolutions_are_the_eager_ones_and_pytorchs(case, dtype):
    of_x, of_w, more = SIZES[case]
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(of_x).astype(dtype), rng.standard_normal(of_w).astype(dtype)
    name = f"conv{x.ndim - 2}d"
    g = rng.standard_normal(getattr(functional, name)(x, w, **more).shape).astype(dtype)

    def gradients(x, w, g):
        y = getattr(functional, name)(x, w, **more)
        return y, *cr.grad((y * g).sum(), [x, w])

    def tensors():
        return [cr.tensor(x, requires_grad=True), cr.tensor(w, requires_grad=True), cr.tensor(g)]

    theirs = [torch.tensor(a, dtype=torch.float64, requires_grad=True) for a in (x, w)]
    y = getattr(torch.nn.functional, name)(*theirs, **more)
    y.backward(torch.tensor(g, dtype=torch.float64))
    wanted = [y.detach(), theirs[0].grad, theirs[1].grad]
    limit = 2e-5 if dtype == "float32" else 2e-13
    for function in (gradients, cr.compile(gradients)):
        for found, right in zip(function(*tensors()), wanted, strict=True):
            error = np.abs(found.numpy() - right.numpy()).max()
            assert error <= limit * max(1.0, np.abs(right.numpy()).max())


def network(lib, **more):
    return lib.Sequential(
        lib.Conv2d(1, 4, 3, padding=1, **more),
        lib.ReLU(),
        lib.Conv2d(4, 6, 3, stride=2, groups=2, bias=False, **more),
        lib.Tanh(),
        lib.ConvTranspose2d(6, 2, 2, stride=2, **more),
        lib.Flatten(),
        lib.Linear(2 * 6 * 4, 3, **more),
    )


def test_a_network_trains_as_in_pytorch():
    cr.manual_seed(0)
    x, y = data((1, 8, 6))
    check_training(network(nn, dtype="float64"), network(torch.nn), x, y)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_training_has_the_same_bits_for_any_number_of_threads(threads):
    def trained():
        cr.manual_seed(0)
        model = nn.Sequential(
            nn.Conv2d(3, 4, 1),
            nn.Conv2d(4, 20, 5, padding=2),
            nn.ReLU(),
            nn.Conv2d(20, 33, 3),  # by Winograd's transforms
            nn.BatchNorm2d(33),
            nn.Conv2d(33, 33, 3, groups=33, padding=1),
        )
        optimizer = cr.optim.SGD(model.parameters(), lr=0.01)
        trainer = cr.Trainer(model, nn.MSELoss(), optimizer, seed=0)
        rng = np.random.default_rng(2)
        x = rng.standard_normal((40, 3, 15, 14)).astype("float32")
        y = rng.standard_normal((40, 33, 13, 12)).astype("float32")
        trainer.fit(x, y, epochs=1, batch_size=18, progress=False)
        return model.state_dict()

    before = cr.get_num_threads()
    try:
        cr.set_num_threads(1)
        wanted = trained()
        cr.set_num_threads(threads)
        found = trained()
    finally:
        cr.set_num_threads(before)
    for name in wanted:
        np.testing.assert_array_equal(found[name], wanted[name])


# Winograd's transforms, whose tiles reach over the edge of most of these images; images of few
# channels, whose gradients are added up element by element of what comes from above.
@pytest.mark.parametrize(("dtype", "error"), [("float64", 1.5e-14), ("float32", 9e-6)])
@pytest.mark.parametrize(
    ("x", "w", "more"),
    [
        ((3, 16, 6, 13), (33, 16, 3, 3), {}),
        ((9, 19, 4, 4), (16, 19, 3, 3), {"padding": 1}),
        ((1, 64, 26, 11), (64, 64, 3, 3), {"padding": 2}),
        ((19, 3, 9, 12), (20, 3, 4, 5), {"padding": (1, 3), "dilation": (2, 1)}),
        ((16, 5, 7, 6), (16, 5, 5, 5), {}),
    ],
)
def test_native_convolutions_round_little(x, w, more, dtype, error):
    def run(x, w, g):
        y = functional.conv2d(x, w, **more)
        return y, *cr.grad((y * g).sum(), [x, w])

    rng = np.random.default_rng(4)
    x, w = [cr.tensor(rng.standard_normal(s).astype(dtype), requires_grad=True) for s in (x, w)]
    exact = [torch.tensor(t.numpy(), dtype=torch.float64, requires_grad=True) for t in (x, w)]
    y = torch.nn.functional.conv2d(*exact, **more)
    g = rng.standard_normal(tuple(y.shape)).astype(dtype)
    wanted = y, *torch.autograd.grad((y * torch.tensor(g)).sum(), exact)
    for found, expected in zip(cr.compile(run)(x, w, cr.tensor(g)), wanted, strict=True):
        expected = expected.detach().numpy()
        off = np.abs(found.numpy() - expected).max() / np.sqrt(np.mean(expected**2))
        assert off < error, off


def test_a_gradient_of_ones_counts_the_places_that_take_an_element():
    x = cr.tensor(np.zeros((1, 1, 4, 4)), requires_grad=True)
    functional.conv2d(x, np.ones((1, 1, 3, 3))).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[0, 0], np.outer([1, 2, 2, 1], [1, 2, 2, 1]))


def test_the_kernel_that_is_turned_round_is_a_convolution():
    x, w = np.random.default_rng(0).standard_normal((2, 9))
    y = functional.conv1d(x[None], w[None, None, 3::-1], padding=3)
    np.testing.assert_allclose(y.numpy()[0], np.convolve(x, w[:4]), rtol=1e-13)


def test_an_empty_batch_has_empty_outputs():
    layer = nn.Conv2d(2, 3, 3)
    assert layer(np.zeros((0, 2, 5, 5), "float32")).shape == (0, 3, 3, 3)


@pytest.mark.parametrize(
    ("make", "shape", "error", "message"),
    [
        (lambda: nn.Conv2d(2, 3, 5), (1, 2, 4, 9), cr.ShapeError, r"reaches over \(5, 5\), .*4, 9"),
        (lambda: nn.Conv2d(2, 3, 2, dilation=4), (1, 2, 4, 9), cr.ShapeError, "reaches over"),
        (lambda: nn.Conv2d(3, 3, 3), (1, 9, 9, 3), cr.ShapeError, r"moveaxis\(x, -1, -3\)"),
        (lambda: nn.Conv2d(3, 3, 3), (9, 9, 3), cr.ShapeError, r"moveaxis\(x, -1, -3\)"),
        (lambda: nn.Conv1d(3, 3, 3), (9, 3), cr.ShapeError, r"moveaxis\(x, -1, -2\)"),
        (lambda: nn.Conv2d(1, 3, 3), (5, 9, 9), cr.ShapeError, r"expand_dims\(x, -3\)"),
        (lambda: nn.Conv2d(1, 3, 3), (9, 9), cr.ShapeError, r"expand_dims\(x, -3\)"),
        (lambda: nn.Conv2d(1, 3, 3), (2, 3, 9, 9), cr.ShapeError, r"The channels are axis -3\.$"),
        (lambda: nn.ConvTranspose2d(3, 3, 3), (9, 9, 3), cr.ShapeError, r"\(x, -1, -3\)"),
        (lambda: nn.Conv1d(1, 3, 3), (9,), cr.ShapeError, r"\(N, 1, L\) or \(1, L\)"),
        (
            lambda: nn.ConvTranspose1d(1, 1, 2, padding=3),
            (1, 1, 2),
            cr.ShapeError,
            "leaves nothing",
        ),
    ],
)
def test_inputs_that_do_not_fit_are_refused(make, shape, error, message):
    with pytest.raises(error, match=message):
        make()(np.zeros(shape, "float32"))


@pytest.mark.parametrize(
    ("x", "w", "groups"),
    [((2, 3, 5), (1, 2, 3), 1), ((2, 1, 5), (3, 2, 3), 1), ((3, 5), (3, 2, 3), 2)],
)
def test_channels_of_a_transposed_convolution_are_those_of_its_weight(x, w, groups):
    with pytest.raises(RuntimeError):
        torch.nn.functional.conv_transpose1d(torch.ones(x), torch.ones(w), groups=groups)
    message = f"takes {w[0]} channels in {groups} groups of equal size; the input has {x[-2]}"
    for given in (cr.tensor(np.ones(x)), cr.placeholder(x, "float64")):
        with pytest.raises(cr.ShapeError, match=message):
            nn.functional.conv_transpose1d(given, np.ones(w), groups=groups)


@pytest.mark.parametrize("name", ["conv1d", "conv_transpose1d"])
def test_convolutions_of_integers_are_refused(name):
    x = np.ones((1, 3, 5), "int64")
    for given in (cr.tensor(x), cr.placeholder(x.shape, "int64")):
        with pytest.raises(cr.DTypeError, match=f"{name} takes floating Tensors, not int64"):
            getattr(nn.functional, name)(given, np.ones((3, 3, 2), "int64"))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv2d(3, 4, 3, groups=2), "multiples of groups"),
        (lambda: nn.Conv2d(3, 4, (3, 3, 3)), "kernel_size is one number or 2"),
        (lambda: nn.Conv2d(3, 4, 3, padding="full"), "'valid' or 'same'"),
        (lambda: nn.Conv2d(3, 4, 3, padding="same", stride=2), "goes with stride 1"),
        (lambda: nn.Conv2d(3, 4, 3, stride=0), "stride is at least 1"),
        (lambda: nn.Conv2d(3, 4, 3, padding_mode="mirror"), "padding_mode is 'reflect'"),
        (
            lambda: nn.ConvTranspose2d(3, 4, 3, output_padding=1),
            "smaller than the stride or the dilation",
        ),
    ],
)
def test_arguments_that_do_not_fit_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        layer = make()
        layer(np.zeros((1, 3, 5, 5), "float32"))


@pytest.mark.parametrize(
    ("x", "w", "over"),
    [
        ((3, 2, 30, 31), (4, 2, 3, 3), {"padding": 1}),
        ((3, 2, 31, 29), (4, 2, 5, 3), {"padding": (2, 0), "stride": (2, 1)}),
        ((33, 4, 9, 9), (4, 2, 3, 3), {"padding": 2, "dilation": 2, "groups": 2}),
        ((2, 3, 700), (5, 3, 4), {"padding": 3, "stride": 3}),
        ((2, 2, 9, 11, 12), (3, 2, 3, 1, 3), {"padding": (1, 0, 2)}),
        ((1, 1, 1, 400), (2, 1, 1, 3), {"padding": (0, 1)}),
        ((300, 2, 1, 1), (3, 2, 1, 1), {}),
        ((2, 2, 3, 250), (3, 2, 3, 2), {"stride": (1, 2), "padding": (1, 0)}),
        ((5, 12, 24, 24), (4, 6, 5, 3), {"padding": (2, 1), "groups": 2}),
    ],
)
def test_images_that_are_computed_in_parts(x, w, over):
    """Many lines, many images, borders: natively as by NumPy, with the same bits by two threads."""
    axes = len(x) - 2
    names = ("stride", "padding", "dilation")
    numbers = {n: over.get(n, int(n != "padding")) for n in names}
    each = {n: (v if isinstance(v, tuple) else (v,) * axes) for n, v in numbers.items()}
    each["padding"] = tuple((p, p) for p in each["padding"])

    def with_gradients(x, w):
        y = operations.conv(x, w, **each, groups=over.get("groups", 1))
        return y, cr.grad((y * y).sum(), [x, w])

    rng = np.random.default_rng(0)
    given = [cr.Parameter(rng.standard_normal(shape)) for shape in (x, w)]
    y, gradients = with_gradients(*given)
    found = []
    for threads in (1, 2):
        cr.set_num_threads(threads)
        try:
            native, (of_x, of_w) = cr.compile(with_gradients)(*given)
        finally:
            cr.set_num_threads(None)
        found.append([t.numpy() for t in (native, of_x, of_w)])
    for one, other, expected in zip(*found, [y, *gradients], strict=True):
        assert one.tobytes() == other.tobytes()
        np.testing.assert_allclose(one, expected.numpy(), 1e-9, 1e-9)


def test_a_long_line_is_computed_in_parts():
    """Eagerly: what lies under all windows at once would take 80 MB."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal(100_000), rng.standard_normal(101)
    given = cr.tensor(x.reshape(1, 1, -1)), cr.tensor(w.reshape(1, 1, -1), requires_grad=True)
    g = rng.standard_normal(100_000 - 100)
    tracemalloc.start()
    y = functional.conv1d(*given)
    y.backward(g.reshape(1, 1, -1))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 16_000_000
    np.testing.assert_allclose(y.numpy()[0, 0], np.convolve(x, w[::-1], "valid"), 1e-9, 1e-9)
    expected = np.convolve(x, g[::-1], "valid")
    np.testing.assert_allclose(given[1].grad.numpy()[0, 0], expected, 1e-9, 1e-9)


@pytest.mark.parametrize(
    ("stride", "expected", "phases"), [(1, [1, 1, 2], 0), (2, [1, 0, 0, 0, 0, 0], 4)]
)
def test_sums_over_images_are_taken_in_the_epilogue_of_a_convolution(stride, expected, phases):
    """The means of batch normalisation and its gradients: as by NumPy, without their own pass.

    The gradient of a strided one is computed by four, none of which has all of it for an epilogue.
    """
    rng = np.random.default_rng(0)
    x = rng.standard_normal((5, 3, 9, 8))
    y = rng.integers(0, 2, 5)

    def trained(backend):
        cr.manual_seed(0)
        more = {"dtype": "float64"}
        model = nn.Sequential(
            *(nn.Conv2d(3, 16, 3, bias=False, **more), nn.BatchNorm2d(16, **more), nn.ReLU()),
            nn.Conv2d(16, 16, 3, stride, padding=1, bias=False, **more),
            nn.BatchNorm2d(16, **more),
            *(nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 2, **more)),
        )
        optimizer = cr.optim.SGD(model.parameters(), lr=0.1)
        trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer, backend=backend, seed=0)
        trainer.fit(x, y, epochs=2, batch_size=3, progress=False)
        return model.state_dict(), trainer

    found, trainer = trained("native")
    wanted, _ = trained("reference")
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], 1e-9, 1e-9)
    calls = trainer.backend.last_step.plan.calls
    sums = [len(c.fields.get("epilogue", {}).get("sums", ())) for c in calls if c.kind == "conv"]
    assert sums == expected
    assert sum("y_frame" in call.fields for call in calls) == phases


@pytest.mark.parametrize(
    "more", [{"stride": 2, "padding": 1}, {"stride": (3, 2), "padding": 1, "dilation": 2}]
)
def test_output_size_of_a_transposed_convolution(more):
    theirs, ours = torch.nn.ConvTranspose2d(2, 3, 3, **more), nn.ConvTranspose2d(2, 3, 3, **more)
    ours.load_state_dict(dict(theirs.named_parameters()))
    x = np.random.default_rng(0).standard_normal((2, 2, 5, 4)).astype("f")
    height, width = theirs(torch.tensor(x)).shape[2:]
    for size in ((height, width), [height + 1, width + 1], (2, 3, height + 1, width)):
        found, wanted = ours(x, output_size=size), theirs(torch.tensor(x), output_size=list(size))
        np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    for size in ((height - 1, width), (height, width + 3)):
        with pytest.raises(cr.ShapeError, match="output_size is at least"):
            ours(x, output_size=size)
    assert nn.ConvTranspose1d(1, 1, 3, stride=2)(cr.ones((1, 4)), 10).shape == (1, 10)


@pytest.mark.parametrize("more", [
    {"dilation": 2, "output_padding": 1},
    {"dilation": 3, "output_padding": 2, "padding": 1},
    {"stride": 2, "dilation": 5, "output_padding": 3, "padding": 2},
    {"stride": 2, "dilation": 5, "output_padding": 4, "padding": 5},
])  # fmt: skip
def test_an_output_padding_of_whole_strides(more):
    """PyTorch wants it smaller than the stride or the dilation."""
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((2, 3, 5)), rng.standard_normal((3, 2, 3))
    tx, tw = (torch.tensor(a, requires_grad=True) for a in (x, w))
    wanted = torch.nn.functional.conv_transpose1d(tx, tw, **more)
    ox, ow = (cr.tensor(a, requires_grad=True) for a in (x, w))
    found = nn.functional.conv_transpose1d(ox, ow, **more)
    np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), atol=1e-12)
    (wanted**2).sum().backward()
    (found**2).sum().backward()
    np.testing.assert_allclose(ox.grad.numpy(), tx.grad.numpy(), atol=1e-10)
    np.testing.assert_allclose(ow.grad.numpy(), tw.grad.numpy(), atol=1e-10)
