"""Layers that pad, resize and rearrange images, against PyTorch, to the second order."""

import numpy as np
import pytest
from nn_parity import check_module, torch
from nn_training import check_training, data

import chainrule as cr
from chainrule import nn
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.nn import functional

LAYERS = [
    ("Upsample", (), {"scale_factor": 2}, (2, 3, 4)),
    ("Upsample", (), {"size": 5}, (2, 3, 4, 3)),
    ("Upsample", (), {"size": (3, 9), "mode": "bilinear"}, (2, 1, 4, 5)),
    ("UpsamplingNearest2d", (), {"scale_factor": (2, 3)}, (1, 2, 2, 3)),
    ("UpsamplingBilinear2d", ((5, 4),), {}, (2, 2, 3, 4)),
    ("PixelShuffle", (2,), {}, (2, 8, 2, 3)),
    ("PixelShuffle", (3,), {}, (9, 1, 2)),
    ("PixelUnshuffle", (2,), {}, (2, 2, 4, 6)),
    ("ChannelShuffle", (3,), {}, (2, 6, 2, 2)),
    ("Unfold", (2,), {}, (2, 3, 4, 5)),
    ("Unfold", ((2, 3),), {"dilation": (2, 1), "padding": 1, "stride": (1, 2)}, (2, 4, 5)),
    ("Fold", ((4, 5), 2), {}, (2, 12, 12)),
    ("Fold", (5, (2, 3)), {"dilation": (2, 1), "padding": 1, "stride": (1, 2)}, (12, 15)),
    ("ZeroPad1d", (2,), {}, (2, 3, 4)),
    ("ZeroPad2d", ((1, -1, 2, 0),), {}, (2, 3, 4)),
    ("ConstantPad1d", ((0, 2), 1.5), {}, (2, 3, 4)),
    ("ConstantPad2d", ((-1, 3, 1, -2), 2.5), {}, (1, 2, 3, 4)),
    ("ReflectionPad1d", (3,), {}, (3, 4)),
    ("ReflectionPad2d", ((1, 2, 3, 0),), {}, (2, 1, 4, 3)),
    ("ReplicationPad1d", ((5, 1),), {}, (2, 1, 3)),
    ("ReplicationPad2d", ((1, 2, 0, 3),), {}, (2, 2, 3)),
    ("CircularPad1d", ((3, 1),), {}, (1, 2, 3)),
    ("CircularPad2d", ((1, 2, 2, 1),), {}, (2, 3, 2)),
    ("Softmax2d", (), {}, (2, 3, 2, 2)),
    ("Unfold", (2,), {"stride": 2}, (0, 3, 4, 4)),
]


@pytest.mark.parametrize(("name", "arguments", "more", "shape"), LAYERS)
def test_layers_are_pytorchs_to_the_second_order(name, arguments, more, shape):
    ours, theirs = (getattr(lib, name)(*arguments, **more) for lib in (nn, torch.nn))
    check_module(ours, theirs, np.random.default_rng(1).standard_normal(shape))
    assert repr(ours) == repr(theirs)


def call(x, size, factor, mode, align, recompute):
    more = {} if align is None else {"align_corners": align}
    lib = functional if isinstance(x, cr.Tensor) else torch.nn.functional
    return lib.interpolate(x, size, factor, mode, recompute_scale_factor=recompute or None, **more)


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "bicubic", "area"])
def test_interpolation_is_pytorchs(mode):
    rng = np.random.default_rng(2)
    checked = 0
    for _ in range(60):
        axes = int(rng.integers(1, 3))
        if mode == "bicubic":
            axes = 2
        kind = "bilinear" if mode == "linear" and axes == 2 else mode
        x = rng.standard_normal((2, 1, *rng.integers(1, 8, axes)))
        align = [None, False, True][rng.integers(3)] if mode in ("linear", "bicubic") else None
        goal = ([int(n) for n in rng.integers(1, 12, axes)], None)
        if rng.random() < 0.6:
            goal = (None, [float(f) for f in rng.choice([0.5, 0.7, 1, 1.05, 4 / 3, 2, 3.3], axes)])
            if any(int(n * f) < 1 for n, f in zip(x.shape[2:], goal[1], strict=True)):
                continue
        recompute = goal[0] is None and rng.random() < 0.3
        wanted = call(torch.tensor(x), *goal, kind, align, recompute)
        found = call(cr.tensor(x), *goal, kind, align, recompute)
        np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-6, atol=1e-6)
        checked += 1
    assert checked > 30


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_padding_is_pytorchs_with_widths_that_cut(mode):
    rng = np.random.default_rng(3)
    checked = 0
    for _ in range(80):
        axes = int(rng.integers(1, 3))
        x = rng.standard_normal((2, 2, *rng.integers(2, 6, axes)))
        widths = rng.integers(-2, 4, 2 * axes).tolist()
        try:
            wanted = torch.nn.functional.pad(torch.tensor(x), widths, mode).numpy()
            found = functional.pad(x, widths, mode).numpy()
        except (RuntimeError, cr.ShapeError):  # PyTorch wraps what it has cut off, unwritten
            continue
        if not wanted.size:
            continue
        np.testing.assert_array_equal(found, wanted)
        checked += 1
    assert checked > 30
    x = np.arange(3)
    assert functional.pad(x, (1, -1), value=7).tolist() == [7, 0, 1]
    assert functional.pad(x, ()).tolist() == [0, 1, 2]


def test_a_convolution_is_a_product_with_the_unfolded_input():
    rng = np.random.default_rng(4)
    x, w = rng.standard_normal((2, 3, 5, 6)), rng.standard_normal((4, 3, 2, 3))
    columns = functional.unfold(x, (2, 3), padding=1)
    product = (w.reshape(4, -1) @ columns.numpy()).reshape(2, 4, 6, 6)
    np.testing.assert_allclose(product, functional.conv2d(x, w, padding=1).numpy(), rtol=1e-12)


@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
@pytest.mark.parametrize("align", [True, False])
@pytest.mark.parametrize("shape", [(2, 3, 4, 5), (1, 1, 5, 1)])
def test_grids_are_pytorchs(mode, padding_mode, align, shape):
    """Values and gradients; natively, too. Points lie inside and far outside."""
    rng = np.random.default_rng(5)
    x, theta = rng.standard_normal(shape), rng.standard_normal((shape[0], 2, 3))
    projection = rng.standard_normal((*shape[:2], 3, 6))

    def ours(x, theta):
        y = functional.grid_sample(
            x, functional.affine_grid(theta, projection.shape, align), mode, padding_mode, align
        )
        return [y, *cr.grad((y * y * projection).sum(), [x, theta])]

    lib = torch.nn.functional
    leaves = [torch.tensor(a, requires_grad=True) for a in (x, theta)]
    grid = lib.affine_grid(leaves[1], projection.shape, align)
    y = lib.grid_sample(leaves[0], grid, mode, padding_mode, align)
    loss = (y * y * torch.tensor(projection)).sum()
    wanted = [y, *torch.autograd.grad(loss, leaves, materialize_grads=True, allow_unused=True)]
    states = [cr.Parameter(x), cr.Parameter(theta)]
    graph = cr.capture(lambda: ours(*states))
    step = NativeStep(graph, StateBlock([*states, *graph.reads]))
    step.run(None, 0, 1)
    for found in (ours(*(cr.tensor(a, requires_grad=True) for a in (x, theta))), step.outputs()):
        for a, b in zip(found, wanted, strict=True):
            np.testing.assert_allclose(np.asarray(a), b.detach(), rtol=1e-9, atol=1e-11)
    assert functional.grid_sample(x[:0], np.zeros((0, 2, 3, 2))).shape == (0, shape[1], 2, 3)


def test_a_network_of_all_of_them_trains_as_in_pytorch():
    def model(lib, **more):
        return lib.Sequential(
            lib.ReflectionPad2d(1),
            lib.Conv2d(1, 4, 3, **more),
            lib.PixelShuffle(2),
            lib.Upsample(scale_factor=1.5, mode="bilinear"),
            lib.CircularPad2d((1, 0, 0, 1)),
            lib.Unfold(3, stride=2),
            lib.Tanh(),
            lib.Fold((9, 7), 3, stride=2),
            lib.Upsample((4, 4)),
            lib.ConstantPad2d((-1, 0, 0, 1), 0.5),
            lib.Softmax2d(),
            lib.Flatten(),
            lib.Linear(15, 3, **more),
        )

    x, y = data((1, 3, 2))
    check_training(model(nn, dtype="float64"), model(torch.nn), x, y)


IMAGE = np.ones((1, 2, 3, 4), "f")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.Upsample(), ValueError, "size or scale_factor, one"),
        (lambda: nn.Upsample(2, 2), ValueError, "size or scale_factor, one"),
        (lambda: nn.Upsample(scale_factor=-1), ValueError, "positive"),
        (lambda: nn.Upsample(scale_factor=0.2)(IMAGE), cr.ShapeError, "leaves nothing"),
        (lambda: nn.Upsample(2, mode="linear")(IMAGE), cr.ShapeError, r"\(N, C, L\), got"),
        (lambda: nn.Upsample(2, mode="cubic")(IMAGE), ValueError, "mode is 'nearest'"),
        (lambda: nn.Upsample(2, align_corners=True)(IMAGE), ValueError, "means nothing"),
        (lambda: nn.Upsample((2, 3, 4))(IMAGE), ValueError, "one number or 2"),
        (lambda: nn.Upsample(2)(IMAGE[0, 0]), cr.ShapeError, r"\(N, C, L\) or \(N, C, H, W\)"),
        (lambda: nn.Upsample(2)(IMAGE[:, :, :0]), cr.ShapeError, "no elements"),
        (lambda: nn.Upsample(2)(IMAGE.astype(int)), TypeError, "floating"),
        (lambda: functional.interpolate(IMAGE, 2, antialias=True), ValueError, "mode='area'"),
        (lambda: nn.PixelShuffle(2)(IMAGE), cr.ShapeError, r"C 4, H, W"),
        (lambda: nn.PixelUnshuffle(2)(IMAGE), cr.ShapeError, "2 H, 2 W"),
        (lambda: nn.ChannelShuffle(3)(IMAGE), cr.ShapeError, "a multiple of 3"),
        (lambda: nn.Unfold(4)(IMAGE), cr.ShapeError, r"over \(4, 4\), .* over \(3, 4\)"),
        (lambda: nn.Unfold(2)(IMAGE[0, 0]), cr.ShapeError, r"\(N, C, H, W\) or"),
        (lambda: nn.Fold((4, 4), 2)(IMAGE[0]), cr.ShapeError, r"\(N, C 4, 9\) or without N"),
        (lambda: nn.ZeroPad2d((1, 2)), ValueError, "one number or 4"),
        (lambda: nn.ZeroPad1d(1.5), TypeError, "whole number"),
        (lambda: nn.ZeroPad2d(-2)(IMAGE), cr.ShapeError, "cuts more off"),
        (lambda: nn.ReflectionPad2d(3)(IMAGE), cr.ShapeError, "at most 2 wide"),
        (lambda: nn.CircularPad2d(4)(IMAGE), cr.ShapeError, "at most 3 wide"),
        (lambda: nn.ReplicationPad1d(1)(IMAGE), cr.ShapeError, r"\(N, C, L\) or \(C, L\)"),
        (lambda: functional.pad(IMAGE, (1, 1), "edge"), ValueError, "mode is 'reflect'"),
        (lambda: functional.pad(IMAGE, (1, 1), "reflect", 1), ValueError, "no value"),
        (lambda: functional.pad(IMAGE, (1, 1, 1)), cr.ShapeError, "two widths"),
        (lambda: functional.affine_grid(np.ones((1, 3)), (1, 1, 2, 2)), cr.ShapeError, "2, 3"),
        (lambda: functional.grid_sample(IMAGE, IMAGE), cr.ShapeError, r"\(N, H', W', 2\)"),
        (lambda: functional.grid_sample(IMAGE, IMAGE, "bicubic"), ValueError, "mode is"),
        (
            lambda: functional.grid_sample(IMAGE, IMAGE, padding_mode="reflection"),
            ValueError,
            "put nn.functional.pad before",
        ),
        (lambda: nn.Softmax2d()(IMAGE[0, 0]), cr.ShapeError, r"\(N, C, H, W\)"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
