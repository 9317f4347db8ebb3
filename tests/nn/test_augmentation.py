"""Random changes of images: what is drawn, what becomes of it, and that all ways agree."""

import copy

import numpy as np
import pytest
from nn_parity import torch

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.native import NativeStep
from chainrule.execute.reference import Interpreter
from chainrule.execute.state_block import StateBlock
from chainrule.testing import check_gradient

N, C, H, W = 40, 2, 6, 5
IMAGES = np.random.default_rng(0).standard_normal((N, C, H, W))
LAYERS = [
    nn.RandomHorizontalFlip(0.4),
    nn.RandomVerticalFlip(0.6),
    nn.RandomCrop((H, W), (1, 2), fill=0.5),
    nn.RandomCrop((4, 3)),
    nn.RandomErasing(0.7, value=-1),
    nn.RandomRotation(20, "bilinear"),
    nn.RandomAffine(5, (0.2, 0.1), (0.8, 1.2), 10, "bilinear", fill=0.25),
]


@pytest.fixture(autouse=True)
def all_threads_afterwards():
    yield
    cr.set_num_threads(None)


def draws(count, seed=3, dtype="float64"):
    """What a layer draws: `count` numbers for each image."""
    return cr.Generator(seed).uniform((count, N, 1), dtype).numpy()[..., 0]


def called(layer, x=IMAGES, seed=3):
    with cr.use_generator(cr.Generator(seed)):
        return layer(x).numpy()


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_evaluation_draws_nothing(layer):
    layer = copy.deepcopy(layer).eval()
    with cr.use_generator(cr.Generator(1)) as generator:
        y = layer(IMAGES).numpy()
        assert generator.state.tolist() == [1, 0]
    assert y.tolist() == (IMAGES[:, :, 1:5, 1:4] if y.shape[2] == 4 else IMAGES).tolist()


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_a_batch_may_be_empty(layer):
    shape = (0, *called(layer).shape[1:])
    for call in (layer, cr.compile(layer)):
        assert call(cr.zeros((0, C, H, W))).shape == shape


@pytest.mark.parametrize(("layer", "axis"), [(LAYERS[0], 3), (LAYERS[1], 2)])
def test_flips(layer, axis):
    flipped = draws(1)[0] < layer.p
    assert 0 < flipped.sum() < N
    wanted = np.where(flipped[:, None, None, None], np.flip(IMAGES, axis), IMAGES)
    assert called(layer).tolist() == wanted.tolist()


def test_crops():
    found = set()
    framed = np.pad(IMAGES, [(0, 0), (0, 0), (2, 2), (1, 1)], constant_values=0.5)
    for seed in range(2):
        top, left = np.floor(draws(2, seed) * [[5], [3]]).astype(int)
        found |= set(zip(top.tolist(), left.tolist(), strict=True))
        y = called(LAYERS[2], seed=seed)
        for i, (t, k) in enumerate(zip(top, left, strict=True)):
            assert y[i].tolist() == framed[i, :, t : t + H, k : k + W].tolist()
    assert len(found) == 15  # each place, up to both ends
    small = called(LAYERS[3])
    top, left = np.floor(draws(2) * [[3], [3]]).astype(int)
    assert small[7].tolist() == IMAGES[7, :, top[7] : top[7] + 4, left[7] : left[7] + 3].tolist()
    mirrored = nn.RandomCrop((H, W), (0, 0, 2, 1), padding_mode="reflect")
    framed = np.pad(IMAGES, [(0, 0), (0, 0), (0, 1), (0, 2)], "reflect")
    top, left = np.floor(draws(2) * [[2], [3]]).astype(int)
    y = called(mirrored)
    for i, (t, k) in enumerate(zip(top, left, strict=True)):
        assert y[i].tolist() == framed[i, :, t : t + H, k : k + W].tolist()
    as_bytes = called(nn.RandomCrop((H, W), 1), np.arange(N * C * H * W).reshape(N, C, H, W))
    assert as_bytes.dtype == np.int64
    assert nn.RandomCrop((H, W))(IMAGES).tolist() == IMAGES.tolist()


def test_erased_rectangles():
    layer = nn.RandomErasing(0.5, (0.1, 0.4), (0.5, 2.0), value=7)
    x = np.zeros((400, 2, 20, 30))
    erased = called(layer, x) == 7
    assert (erased[:, 0] == erased[:, 1]).all()
    shares = erased[:, 0].mean(axis=(1, 2))
    assert 0.4 < (shares > 0).mean() < 0.6
    for one in erased[shares > 0, 0]:
        rows, columns = one.any(axis=1), one.any(axis=0)
        assert (np.outer(rows, columns) == one).all() and one.any()
        assert np.ptp(np.flatnonzero(rows)) + 1 == rows.sum()
        assert np.ptp(np.flatnonzero(columns)) + 1 == columns.sum()
        assert 0.06 < one.mean() < 0.44
        assert 0.4 < rows.sum() / columns.sum() < 2.3 or rows.sum() == 20
    assert (called(nn.RandomErasing(1, (1, 1), (0.3, 0.3)), x + 1) == 0).any(axis=(1, 2, 3)).all()


def torchvision_inverse(rot, scale, sx, sy):
    """`_get_inverse_affine_matrix` of torchvision, whose `rotate` calls it with -angle."""
    a = np.cos(rot - sy) / np.cos(sy)
    b = -np.cos(rot - sy) * np.tan(sx) / np.cos(sy) - np.sin(rot)
    c = np.sin(rot - sy) / np.cos(sy)
    d = -np.sin(rot - sy) * np.tan(sx) / np.cos(sy) + np.cos(rot)
    return np.array([[d, -b], [-c, a]]).transpose(2, 0, 1) / scale[:, None, None]


def mapped(layer, mode, fill):
    """The images by PyTorch's grid, from the drawn numbers and torchvision's formula."""
    turn, size, u, v, right, down = draws(6)
    between = lambda t, low, high: low + t * (high - low)  # noqa: E731
    a = np.radians(between(turn, *layer.degrees))
    s = between(size, *(layer.scale or (1, 1)))
    angles = layer.shear or (0,) * 4
    u, v = (np.radians(between(t, *ends)) for t, ends in ((u, angles[:2]), (v, angles[2:])))
    most = layer.translate or (0, 0)
    t = np.rint((2 * np.stack([right, down]) - 1) * [[most[0] * W], [most[1] * H]])
    inverse = torchvision_inverse(a if type(layer) is nn.RandomAffine else -a, s, u, v)
    places = np.stack(np.meshgrid(np.arange(W), np.arange(H)), -1) - [(W - 1) / 2, (H - 1) / 2]
    q = np.einsum("nij,nhwj->nhwi", inverse, places - t.T[:, None, None])
    grid = torch.tensor(2 * q / [W, H])
    sampled = torch.nn.functional.grid_sample(
        torch.tensor(IMAGES) - fill, grid, mode, align_corners=False
    )
    return sampled.numpy() + fill


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    "layer",
    [
        nn.RandomRotation((10, 70)),
        nn.RandomAffine(0, translate=(0.5, 0.3)),
        nn.RandomAffine(0, scale=(0.5, 2)),
        nn.RandomAffine(0, shear=20),
        nn.RandomAffine(0, shear=(10, 30)),
        nn.RandomAffine((20, 60), shear=(10, 30, 5, 20)),
        nn.RandomAffine(30, (0.2, 0.2), (0.7, 1.3), (-10, 10, 5, 20), fill=0.5),
    ],
    ids=repr,
)
def test_affine_maps_are_the_formulas(layer, interpolation):
    layer = copy.deepcopy(layer)
    layer.interpolation = interpolation
    wanted = mapped(layer, interpolation, layer.fill)
    np.testing.assert_allclose(called(layer), wanted, rtol=1e-9, atol=1e-11)


def test_the_directions_of_turns_and_shears():
    """Upright, y downwards: the image as it is seen."""
    x = cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
    assert nn.RandomRotation((90, 90))(x).tolist() == [[[[2.0, 4.0], [1.0, 3.0]]]]
    assert nn.RandomAffine((90, 90))(x).tolist() == [[[[3.0, 1.0], [4.0, 2.0]]]]
    cross = np.zeros((1, 1, 3, 3))
    cross[..., 1] = cross[:, :, 1] = 1
    left_below = nn.RandomAffine(0, shear=(45, 45))(cross)[0, 0]
    assert left_below.tolist() == [[0, 0, 1], [1, 1, 1], [1, 0, 0]]
    up_at_the_right = nn.RandomAffine(0, shear=(0, 0, 45, 45))(cross)[0, 0]
    assert up_at_the_right.tolist() == [[0, 1, 1], [0, 1, 0], [1, 1, 0]]


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_all_ways_and_numbers_of_threads_give_the_same(layer):
    """Bit for bit natively; NumPy's sine and the core's may differ in the last one."""
    x = np.random.default_rng(1).standard_normal((96, 3, H, W)).astype("f")
    generator = cr.Generator(9)

    def changed():
        with cr.use_generator(generator):
            return [layer(x), layer(x)]

    eager = [y.numpy() for y in changed()]
    assert not np.array_equal(*eager) and eager[0].dtype == np.float32
    generator.manual_seed(9)
    graph = cr.capture(changed)
    for found, value in zip(Interpreter(graph)(), eager, strict=True):
        np.testing.assert_array_equal(found, value)
    first = None
    for threads in (1, 2, 3):
        cr.set_num_threads(threads)
        generator.manual_seed(9)
        step = NativeStep(graph, StateBlock([*graph.reads, *graph.updates]))
        step.run(None, 0, 1)
        first = first or step.outputs()
        for found, same, value in zip(step.outputs(), first, eager, strict=True):
            np.testing.assert_array_equal(found, same)
            np.testing.assert_allclose(found, value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("layer", LAYERS, ids=repr)
def test_gradients_by_finite_differences(layer):
    def call(x):
        with cr.use_generator(cr.Generator(4)):
            return cr.tanh(layer(x))

    check_gradient(call, IMAGES[:2])


def test_a_network_trains_alike_on_both_backends_and_twice():
    x = np.random.default_rng(1).standard_normal((30, 1, H, W)).astype("f")
    y = np.arange(30) % 3
    found = []
    for backend in ("native", "native", "reference"):
        cr.manual_seed(0)
        model = nn.Sequential(
            nn.RandomCrop((H, W), 1),
            nn.RandomHorizontalFlip(),
            nn.RandomErasing(),
            nn.Conv2d(1, 4, 3),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(48, 3),
        )
        trainer = cr.Trainer(
            model,
            nn.CrossEntropyLoss(),
            optim.SGD(model.parameters(), lr=0.1),
            seed=5,
            backend=backend,
        )
        trainer.fit(x, y, epochs=2, batch_size=8, progress=False)
        found.append(([r["loss"] for r in trainer.history], trainer.predict(x)))
    assert found[0][0] == found[1][0] and (found[0][1] == found[1][1]).all()
    np.testing.assert_allclose(found[0][1], found[2][1], rtol=1e-4, atol=1e-5)


# Mixtures


@pytest.mark.parametrize("kind", [nn.MixUp, nn.CutMix])
def test_mixtures(kind):
    x = np.ones((6, 2, 8, 10)) * np.arange(6).reshape(-1, 1, 1, 1)
    layer, shares = kind(0.7, num_classes=6), set()
    for seed in range(20):
        with cr.use_generator(cr.Generator(seed)):
            mixed, y = (t.numpy() for t in layer(x, np.arange(6)))
        own = y[0, 0]
        np.testing.assert_allclose(
            y, own * np.eye(6) + (1 - own) * np.eye(6)[np.arange(6) - 1], rtol=1e-12
        )
        np.testing.assert_allclose(mixed.mean(axis=(1, 2, 3)), y @ np.arange(6), rtol=1e-9)
        if kind is nn.CutMix:
            assert set(np.unique(mixed[3])) <= {2, 3}
            taken = mixed[3, 0] == 2
            assert (np.outer(taken.any(axis=1), taken.any(axis=0)) == taken).all()
        shares.add(own)
    assert len(shares) > 10 and min(shares) < 0.5 and max(shares) > 0.7
    with cr.use_generator(cr.Generator(0)) as generator:
        same, labels = layer.eval()(x, np.arange(6))
        assert generator.state.tolist() == [0, 0]
    assert same.tolist() == x.tolist() and labels.tolist() == list(range(6))
    floats = kind().train()(x, np.ones((6, 3)))[1]
    np.testing.assert_allclose(floats.numpy(), np.ones((6, 3)), rtol=1e-12)


@pytest.mark.parametrize(
    ("alpha", "quantile"),
    [(1.0, lambda u: u), (0.5, lambda u: np.sin(np.pi * u / 2) ** 2)],
)
def test_shares_have_the_beta_distribution(alpha, quantile):
    x = np.stack([np.zeros((1, 1, 1)), np.ones((1, 1, 1))])
    for seed in range(30):
        with cr.use_generator(cr.Generator(seed)):
            share = nn.MixUp(alpha)(x, x)[1].numpy()[1].item()
        drawn = cr.Generator(seed).uniform((), "float64").item()
        assert share == pytest.approx(quantile(drawn), abs=2e-6)


def test_mixtures_of_large_alpha_are_halves():
    x = np.stack([np.zeros((1, 1, 1)), np.ones((1, 1, 1))])
    shares = [nn.MixUp(50)(x, x)[1].numpy()[1].item() for _ in range(400)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.015)
    assert np.std(shares) == pytest.approx(np.sqrt(1 / (4 * 101)), rel=0.15)


GREY = np.ones((2, 8, 8), "f")


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.RandomHorizontalFlip(1.5), ValueError, "probability"),
        (lambda: nn.RandomHorizontalFlip()(GREY), cr.ShapeError, r"nn\.Unflatten\(1, \(1, H\)\)"),
        (lambda: nn.RandomCrop(0), ValueError, "at least 1"),
        (lambda: nn.RandomCrop((1, 2, 3)), ValueError, "height, width"),
        (lambda: nn.RandomCrop(3, (1, 2, 3)), ValueError, "one number, two or four"),
        (
            lambda: nn.RandomCrop(3, padding_mode="wrap"),
            ValueError,
            "padding_mode is 'constant', 'edge'",
        ),
        (lambda: nn.RandomCrop(11, 1)(GREY[None]), cr.ShapeError, "more padding"),
        (lambda: nn.RandomCrop(11, 1).eval()(GREY[None]), cr.ShapeError, "smaller than the part"),
        (lambda: nn.RandomErasing(scale=(0.5, 0.1)), ValueError, "least, largest"),
        (lambda: nn.RandomErasing(scale=(0.5, 1.1)), ValueError, "at most 1"),
        (lambda: nn.RandomErasing(ratio=(0, 1)), ValueError, "ratio is positive"),
        (lambda: nn.RandomRotation(-3), ValueError, "not negative"),
        (lambda: nn.RandomRotation((1, 2, 3)), ValueError, "pair"),
        (lambda: nn.RandomRotation(3, "bicubic"), ValueError, "'nearest' or 'bilinear'"),
        (lambda: nn.RandomRotation(3)(np.ones((1, 1, 2, 2), int)), TypeError, "floating"),
        (lambda: nn.RandomAffine(3, translate=2), ValueError, "pair of shares"),
        (lambda: nn.RandomAffine(3, translate=(0.1, 2)), ValueError, "probability"),
        (lambda: nn.RandomAffine(3, scale=(0, 2)), ValueError, "positive"),
        (lambda: nn.MixUp(0), ValueError, "positive"),
        (lambda: nn.MixUp()(GREY, np.arange(2)), ValueError, "give num_classes"),
        (lambda: nn.MixUp()(GREY, np.ones(3)), cr.ShapeError, "as many targets"),
        (lambda: nn.CutMix()(GREY, np.ones(2)), cr.ShapeError, r"\(N, C, H, W\)"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()
