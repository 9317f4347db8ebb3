"""The normalisations against PyTorch, and in what they add to it."""

import numpy as np
import pytest
from nn_parity import check_module, torch
from nn_training import FEATURES, assert_states_close, check_training, data, linear, train

import chainrule as cr
from chainrule import nn, optim
from chainrule.data.arrays import as_data
from chainrule.testing import check_gradient


def values(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape) * 2 + 0.7


def pair(name, *arguments, **keywords):
    """Our layer and PyTorch's, with the same random parameters and statistics, in float64."""
    ours = getattr(nn, name)(*arguments, **keywords, dtype="float64")
    theirs = getattr(torch.nn, name)(*arguments, **keywords).double()
    rng = np.random.default_rng(3)
    for state in (*ours.parameters(), *ours.buffers()):
        if state.dtype == np.float64:
            state.assign(rng.uniform(0.5, 1.5, state.shape))
    theirs.load_state_dict({k: torch.tensor(v) for k, v in ours.state_dict().items()})
    return ours, theirs


LAYERS = [
    ("BatchNorm1d", (5,), {}, (7, 5)),
    ("BatchNorm1d", (5,), {"eps": 0.1, "affine": False}, (7, 5)),
    ("BatchNorm1d", (3,), {}, (4, 3, 6)),
    ("BatchNorm1d", (3,), {}, (1, 3, 6)),
    ("BatchNorm1d", (3,), {"track_running_stats": False}, (4, 3)),
    ("BatchNorm2d", (3,), {}, (4, 3, 2, 5)),
    ("BatchNorm2d", (3,), {"affine": False, "eps": 0.1}, (1, 3, 2, 2)),
    ("BatchNorm2d", (2,), {"track_running_stats": False}, (2, 2, 1, 3)),
    ("InstanceNorm1d", (3,), {}, (4, 3, 6)),
    ("InstanceNorm1d", (3,), {}, (4, 3, 2)),
    ("InstanceNorm1d", (3,), {"affine": True, "track_running_stats": True}, (3, 6)),
    ("InstanceNorm2d", (3,), {"affine": True, "track_running_stats": True}, (2, 3, 2, 4)),
    ("InstanceNorm2d", (3,), {"eps": 0.1}, (3, 2, 4)),
    ("LayerNorm", (5,), {}, (7, 5)),
    ("LayerNorm", (5,), {}, (5,)),
    ("LayerNorm", (5,), {"bias": False, "eps": 0.1}, (2, 3, 5)),
    ("LayerNorm", ((3, 5),), {}, (2, 3, 5)),
    ("LayerNorm", ([3, 5],), {"elementwise_affine": False}, (2, 3, 5)),
    ("LayerNorm", (5,), {}, (0, 5)),
    ("GroupNorm", (2, 6), {}, (4, 6)),
    ("GroupNorm", (2, 8), {"affine": False}, (4, 8)),
    ("GroupNorm", (2, 4), {"eps": 0.1}, (3, 4, 5)),
    ("GroupNorm", (1, 4), {}, (3, 4, 2, 5)),
    ("RMSNorm", (5,), {}, (7, 5)),
    ("RMSNorm", (5,), {"eps": 0.1}, (2, 3, 5)),
    ("RMSNorm", ((3, 5),), {"elementwise_affine": False}, (2, 3, 5)),
]


@pytest.mark.parametrize(("name", "arguments", "keywords", "shape"), LAYERS)
def test_layer_is_pytorchs(name, arguments, keywords, shape):
    ours, theirs = pair(name, *arguments, **keywords)
    check_module(ours, theirs, values(*shape))
    check_module(ours.eval(), theirs.eval(), values(*shape, seed=1))


@pytest.mark.parametrize(
    ("name", "arguments", "keywords", "shape"),
    [LAYERS[i] for i in (0, 2, 5, 9, 12, 14, 18, 20, 22)],
)
@pytest.mark.parametrize("mode", [True, False])
def test_gradients_by_finite_differences(name, arguments, keywords, shape, mode):
    layer = getattr(nn, name)(*arguments, **keywords, dtype="float64").train(mode)
    check_gradient(layer, values(*shape), parameters=layer.parameters())


@pytest.mark.parametrize("momentum", [0.1, 0.3, 1.0, 0.0, None])
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("BatchNorm1d", (7, 5)),
        ("BatchNorm1d", (4, 5, 3)),
        ("BatchNorm2d", (4, 5, 3, 2)),
        ("InstanceNorm1d", (4, 5, 3)),
        ("InstanceNorm2d", (5, 2, 3)),
    ],
)
def test_running_statistics_are_pytorchs(momentum, name, shape):
    ours, theirs = pair(name, 5, momentum=momentum, track_running_stats=True)
    for seed in range(4):
        x = values(*shape, seed=seed)
        ours(x), theirs(torch.tensor(x))
    assert_states_close(
        ours.state_dict(), {k: v.numpy() for k, v in theirs.state_dict().items()}, 1e-13
    )
    ours.eval(), theirs.eval()
    before = ours.state_dict()
    x = values(*shape, seed=9)
    np.testing.assert_allclose(ours(x).numpy(), theirs(torch.tensor(x)).detach(), rtol=1e-12)
    assert_states_close(ours.state_dict(), before, 0)


def test_state_has_pytorchs_names_and_dtypes():
    wanted = {k: v.numpy() for k, v in torch.nn.BatchNorm1d(3).state_dict().items()}
    assert_states_close(nn.BatchNorm1d(3).state_dict(), wanted, 0)
    assert list(nn.BatchNorm1d(3, affine=False, track_running_stats=False).state_dict()) == []
    assert nn.BatchNorm1d(3)(np.ones((2, 3), "f")).dtype == np.float32


def test_normalisers_print_their_arguments():
    printed = "BatchNorm1d(4, eps=1e-05, momentum=0.1, affine=True, track_running_stats=True)"
    assert repr(nn.BatchNorm1d(4)) == printed
    assert repr(nn.GroupNorm(2, 4)) == "GroupNorm(2, 4, eps=1e-05, affine=True)"
    assert repr(nn.GroupNorm(2, 4, bias=False)).endswith("affine=True, bias=False)")
    assert repr(nn.BatchNorm1d(4, affine=False)) == printed.replace("affine=True", "affine=False")
    assert repr(nn.RMSNorm((2, 3))) == repr(torch.nn.RMSNorm((2, 3)))
    assert repr(nn.LocalResponseNorm(2)) == repr(torch.nn.LocalResponseNorm(2))
    assert repr(nn.BatchNorm2d(4)) == printed.replace("1d", "2d")
    printed = "InstanceNorm1d(4, eps=1e-05, momentum=0.1, affine=False, track_running_stats=False)"
    assert repr(nn.InstanceNorm1d(4)) == printed


# Training


@pytest.mark.parametrize(
    "layer",
    [
        lambda n: n.BatchNorm1d(6),
        lambda n: n.BatchNorm1d(6, momentum=None),
        lambda n: n.BatchNorm1d(6, affine=False),
        lambda n: n.LayerNorm(6),
        lambda n: n.GroupNorm(2, 6),
        lambda n: n.RMSNorm(6),
    ],
    ids=["batch", "cumulative", "plain", "layer", "group", "rms"],
)
def test_ten_native_steps_are_pytorchs(layer):
    ours = nn.Sequential(
        linear(FEATURES, 6), _in_float64(layer(nn)), nn.Tanh(), linear(6, 3, seed=2)
    )
    theirs = torch.nn.Sequential(
        torch.nn.Linear(FEATURES, 6), layer(torch.nn), torch.nn.Tanh(), torch.nn.Linear(6, 3)
    )
    check_training(ours, theirs, *data())


def test_ten_native_steps_over_three_axes_are_pytorchs():
    ours = nn.Sequential(
        nn.BatchNorm1d(2, dtype="float64"),
        nn.GroupNorm(2, 2, dtype="float64"),
        nn.LayerNorm((2, 5), dtype="float64"),
        nn.Flatten(),
        linear(10, 3),
    )
    theirs = torch.nn.Sequential(
        torch.nn.BatchNorm1d(2),
        torch.nn.GroupNorm(2, 2),
        torch.nn.LayerNorm((2, 5)),
        torch.nn.Flatten(),
        torch.nn.Linear(10, 3),
    )
    check_training(ours, theirs, *data((2, 5)))


def test_ten_native_steps_on_images_are_pytorchs():
    def model(lib, **more):
        return lib.Sequential(
            lib.Conv2d(1, 4, 3, padding=1, **more),
            lib.BatchNorm2d(4, **more),
            lib.ReLU(),
            lib.InstanceNorm2d(4, affine=True, track_running_stats=True, **more),
            lib.LocalResponseNorm(2, alpha=1.0),
            lib.Flatten(),
            lib.Linear(4 * 6, 3, **more),
        )

    check_training(model(nn, dtype="float64"), model(torch.nn), *data((1, 2, 3)))


def _in_float64(layer):
    return type(layer)(**{**layer.constructor_arguments(), "dtype": "float64"})


def test_batch_norm_adds_few_nodes_to_a_step():
    def nodes(*between):
        model = nn.Sequential(nn.Linear(4, 6), *between, nn.Linear(6, 3))
        trainer = cr.Trainer(
            model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1), metrics=()
        )
        form = as_data(trainer.graphs.dtype, np.ones((8, 4), "f"), np.zeros(8, np.int64)).form
        graph = trainer.graphs.capture("training", form, 8)
        return [n for n in graph.nodes if n.operation is not None and n.shape == (8, 6)]

    computed = [n for n in nodes(nn.BatchNorm1d(6)) if n.operation.name != "broadcast_to"]
    plain = [n for n in nodes() if n.operation.name != "broadcast_to"]
    assert len(computed) - len(plain) <= 11  # 4 of them forward


@pytest.mark.parametrize(
    "layer", [nn.LayerNorm((3, 4)), nn.RMSNorm(4), nn.GroupNorm(1, 3), nn.GroupNorm(3, 3)], ids=repr
)
def test_no_examples_give_no_outputs(layer):
    assert layer(np.ones((0, 3, 4), "f")).shape == (0, 3, 4)


def test_functions_take_numpys_lengths_and_whole_numbers():
    x = np.array([[1, 3], [10, 30]])
    for norm in (nn.functional.layer_norm, nn.functional.rms_norm):
        assert np.array_equal(norm(x, np.int64(2)).numpy(), norm(x.astype("f"), 2).numpy())


# Refused inputs and arguments


@pytest.mark.parametrize("name", ["batch_norm", "instance_norm"])
def test_a_variance_that_is_refused_leaves_the_mean(name):
    mean = cr.Buffer(np.zeros(3, "f"))
    with pytest.raises(TypeError, match=f"{name}: .*running statistics are Buffers"):
        options = {"training": True} if name == "batch_norm" else {}
        getattr(nn.functional, name)(values(4, 3, 5).astype("f"), mean, np.ones(3, "f"), **options)
    assert not mean.numpy().any()


def test_one_row_in_training_is_refused_as_in_pytorch():
    layer = nn.BatchNorm1d(3)
    before = layer.state_dict()
    for x in (np.ones((1, 3), "f"), np.ones((1, 3, 1), "f"), np.ones((0, 3), "f")):
        with pytest.raises(
            ValueError, match=r"BatchNorm1d: .*more than one element for each feature"
        ):
            layer(x)
    assert layer.eval()(np.ones((1, 3), "f")).shape == (1, 3)
    assert layer(np.ones((0, 3), "f")).shape == (0, 3)
    assert_states_close(layer.state_dict(), before, 0)


def test_a_last_batch_of_one_row_is_refused_before_training():
    model = nn.Sequential(linear(FEATURES, 3), nn.BatchNorm1d(3, dtype="float64"))
    x, y = data()
    before = model.state_dict()
    with pytest.raises(
        ValueError, match=r"^1 \(BatchNorm1d\): .*batch_size that leaves no last batch of one row"
    ):
        train(model, x[:9], y[:9])
    assert_states_close(model.state_dict(), before, 0)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.BatchNorm1d(0), ValueError, "at least 1"),
        (lambda: nn.BatchNorm1d(3, eps=-1.0), ValueError, "not negative"),
        (lambda: nn.BatchNorm1d(3, momentum=1.5), ValueError, "probability"),
        (lambda: nn.BatchNorm1d(3, dtype="int64"), TypeError, "float32"),
        (lambda: nn.BatchNorm2d(3)(np.ones((2, 3, 4))), cr.ShapeError, r"\(N, 3, H, W\).*, 3, 4"),
        (lambda: nn.BatchNorm2d(3)(np.ones((1, 3, 1, 1))), ValueError, "more than one element"),
        (lambda: nn.InstanceNorm2d(3)(np.ones((2, 2, 4, 4))), cr.ShapeError, r"\(3, H, W\)"),
        (lambda: nn.InstanceNorm2d(3)(np.ones((2, 3, 1, 1))), ValueError, "before the pooling"),
        (lambda: nn.LocalResponseNorm(0), ValueError, "at least 1"),
        (lambda: nn.LocalResponseNorm(2)(np.ones((2, 3))), cr.ShapeError, r"\(N, C, L, ...\)"),
        (lambda: nn.functional.instance_norm(np.ones((2, 3))), cr.ShapeError, r"\(N, C, L, ...\)"),
        (lambda: nn.LayerNorm(()), ValueError, "at least one"),
        (lambda: nn.LayerNorm((3, 0)), ValueError, "at least 1"),
        (lambda: nn.LayerNorm("3"), TypeError, "whole number"),
        (lambda: nn.GroupNorm(3, 4), ValueError, "can't be divided into 3 groups"),
        (lambda: nn.BatchNorm1d(3)(np.ones((2, 4), "f")), cr.ShapeError, r"\(N, 3\).*\(2, 4\)"),
        (lambda: nn.BatchNorm1d(3)(np.ones(3, "f")), cr.ShapeError, r"\(3,\)"),
        (lambda: nn.LayerNorm(3)(np.ones((2, 4), "f")), cr.ShapeError, r"\(\.\.\., 3\).*\(2, 4\)"),
        (
            lambda: nn.LayerNorm(3)(cr.tensor(np.ones((2, 3)), requires_grad=True)),
            cr.DTypeError,
            "float64",
        ),
        (lambda: nn.RMSNorm((2, 3))(np.ones(3, "f")), cr.ShapeError, "2, 3"),
        (lambda: nn.GroupNorm(2, 4)(np.ones((2, 3), "f")), cr.ShapeError, r"\(N, 4, \.\.\.\)"),
        (lambda: nn.functional.group_norm(np.ones((2, 3)), 2), cr.ShapeError, "2 groups"),
        (
            lambda: nn.functional.group_norm(np.ones((2, 3)), 0),
            ValueError,
            "num_groups is at least",
        ),
        (lambda: nn.functional.layer_norm(np.ones(3), ()), ValueError, "at least one length"),
        (
            lambda: nn.BatchNorm1d(3, track_running_stats=False).eval()(np.ones((1, 3), "f")),
            cr.ShapeError,
            "without running statistics .*keep running statistics",
        ),
        (lambda: nn.functional.layer_norm([[1.0]], 1, [1.0, 2.0]), cr.ShapeError, "weight"),
        (lambda: nn.functional.group_norm([[1.0]], 1, None, [1.0, 2.0]), cr.ShapeError, "bias"),
    ],
)
def test_what_does_not_fit_is_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


# Recomputed statistics


def test_recomputed_statistics_of_a_layer_are_exact():
    x = values(50, 3)
    layer = nn.BatchNorm1d(3, dtype="float64").recompute_batch_statistics(x)
    np.testing.assert_allclose(layer.running_mean.numpy(), x.mean(axis=0), rtol=1e-14)
    np.testing.assert_allclose(layer.running_var.numpy(), x.var(axis=0), rtol=1e-14)
    assert layer.training and layer.num_batches_tracked.item() == 0
    for kind, x in ((nn.BatchNorm1d, values(5, 3, 7)), (nn.BatchNorm2d, values(5, 3, 7, 2))):
        axes = (0, *range(2, x.ndim))
        for layer in (kind(3, dtype="float64"), nn.Sequential(kind(3, dtype="float64"))):
            nn.recompute_batch_statistics(layer, x, batch_size=2)
            mean, variance, _ = (t.numpy() for t in layer.buffers())
            np.testing.assert_allclose(mean, x.mean(axis=axes), rtol=1e-14)
            np.testing.assert_allclose(variance, x.var(axis=axes), rtol=1e-14)


def test_recomputing_sums_in_float64_over_blocks(tmp_path):
    x = (np.arange(10_000) % 2 + 16_000_000).astype("f").reshape(-1, 1)
    assert nn.BatchNorm1d(1).recompute_batch_statistics(x).running_var.tolist() == [0.25]
    mapped = np.lib.format.open_memmap(tmp_path / "x.npy", "w+", "f4", x.shape)
    mapped[:] = x
    assert nn.recompute_batch_statistics(nn.BatchNorm1d(1), mapped).running_var.tolist() == [0.25]


class Branches(nn.Module):
    """Two normalised ways, of which the one that is declared first is called second."""

    def __init__(self):
        super().__init__()
        self.second = nn.BatchNorm1d(4, dtype="float64")
        self.layer = linear(FEATURES, 4)
        self.drop = nn.Dropout(0.5)
        self.first = nn.BatchNorm1d(4, dtype="float64")
        self.unused = nn.BatchNorm1d(2, dtype="float64")

    def forward(self, x):
        h = cr.tanh(self.first(self.drop(self.layer(x))))
        return self.second(h * h) + h


def test_recomputing_goes_in_the_order_of_calls():
    x, y = data()
    model = Branches()
    train(model, x, y)
    model.second.eval()
    assert nn.recompute_batch_statistics(model, x, batch_size=7) is model
    assert model.training and not model.second.training and model.first.training
    z = model.layer(x).numpy()
    np.testing.assert_allclose(model.first.running_mean.numpy(), z.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(model.first.running_var.numpy(), z.var(axis=0), rtol=1e-13)
    h = np.tanh(model.first.eval()(z).numpy()) ** 2
    np.testing.assert_allclose(model.second.running_mean.numpy(), h.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(model.second.running_var.numpy(), h.var(axis=0), rtol=1e-13)
    assert model.unused.running_mean.tolist() == [0, 0]


def test_evaluation_with_recomputed_statistics_is_the_step_over_all_rows():
    x, y = data()
    model = nn.Sequential(
        linear(FEATURES, 6),
        nn.BatchNorm1d(6, dtype="float64"),
        nn.ReLU(),
        linear(6, 3, seed=2),
        nn.BatchNorm1d(3, dtype="float64"),
    )
    trainer = train(model, x, y)
    nn.recompute_batch_statistics(model, x)
    np.testing.assert_allclose(trainer.predict(x), model.train()(x).numpy(), rtol=1e-11, atol=1e-11)


def test_recomputing_takes_several_inputs_and_casts_them():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(2)

        def forward(self, a, b):
            return self.norm(a + b)

    a, b = np.arange(6, dtype=np.uint8).reshape(3, 2), values(3, 2)
    mean = (a + b.astype("f")).mean(axis=0)
    for x in ((a, b), {"a": a, "b": b}):
        found = nn.recompute_batch_statistics(Sum(), x).norm.running_mean
        np.testing.assert_allclose(found.numpy(), mean, rtol=1e-6)


def test_recomputing_refuses_and_keeps_what_it_had():
    layer = nn.BatchNorm1d(2, dtype="float64")
    later = nn.BatchNorm1d(2, dtype="float64")
    model = nn.Sequential(layer, nn.Linear(2, 2, dtype="float64"), later)
    before = model.state_dict()
    bad = np.array([[1.0, 2.0], [3.0, 1e200], [0.0, 0.0]])
    with pytest.raises(ValueError, match="feature 1"):
        nn.recompute_batch_statistics(model, bad)
    model[1].weight.assign(np.array([[1.0, 0.0], [np.nan, 0.0]]))
    with pytest.raises(ValueError, match="feature 1"):
        nn.recompute_batch_statistics(model, values(5, 2))
    model[1].weight.assign(before["1.weight"])
    masked = np.ma.masked_less(np.ones((3, 2)).cumsum(axis=0), 2.0)
    with pytest.raises(ValueError, match="x has masked values"):
        nn.recompute_batch_statistics(model, masked)
    with pytest.raises(ValueError, match="x has masked values"):
        layer.recompute_batch_statistics(masked)
    for x in (np.ones((0, 2)), np.float64(1), (np.ones((2, 2)), np.ones((3, 2))), np.ones((4, 3))):
        with pytest.raises(cr.ShapeError):
            nn.recompute_batch_statistics(model, x)
    with pytest.raises(ValueError, match="batch_size"):
        nn.recompute_batch_statistics(model, values(5, 2), batch_size=0)
    with pytest.raises(TypeError, match="batch_size is a whole number"):
        nn.recompute_batch_statistics(model, values(5, 2), batch_size=2.5)
    with pytest.raises(ValueError, match="several places"):
        nn.recompute_batch_statistics(nn.Sequential(layer, layer), values(5, 2))
    with pytest.raises(ValueError, match="no batch normalisation"):
        nn.recompute_batch_statistics(
            nn.Sequential(nn.BatchNorm1d(2, track_running_stats=False)), values(5, 2)
        )
    with pytest.raises(ValueError, match="track_running_stats"):
        nn.BatchNorm1d(2, track_running_stats=False).recompute_batch_statistics(values(5, 2))
    with pytest.raises(cr.ShapeError, match=r"\(N, 2\)"):
        layer.recompute_batch_statistics(np.ones(2))
    with pytest.raises(cr.ShapeError, match="no rows"):
        layer.recompute_batch_statistics(np.ones((0, 2)))
    assert_states_close(model.state_dict(), before, 0)
    assert model.training and "forward" not in vars(layer)


# Files


def test_a_saved_training_goes_on_with_its_statistics(tmp_path):
    x, y = data()

    def model():
        return nn.Sequential(
            linear(FEATURES, 6), nn.BatchNorm1d(6, dtype="float64"), linear(6, 3, seed=2)
        )

    whole, half, other = model(), model(), model()
    train(whole, x, y, epochs=2)
    path = tmp_path / "half.safetensors"
    train(half, x, y, epochs=1).save(path)
    optimizer = optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    trainer = cr.Trainer(other, nn.CrossEntropyLoss(), optimizer)
    trainer.load(path)
    trainer.fit(x, y, epochs=1, batch_size=8, shuffle=False, progress=False)
    assert_states_close(other.state_dict(), whole.state_dict(), 0)
    assert other[1].num_batches_tracked.item() == 10
    assert_states_close(cr.load(path).state_dict(), half.state_dict(), 0)


def test_reset_parameters_and_reset_running_stats_are_pytorchs():
    torch = pytest.importorskip("torch")
    for ours, theirs in (
        (nn.BatchNorm1d(3), torch.nn.BatchNorm1d(3)),
        (nn.InstanceNorm1d(3, affine=True, track_running_stats=True), None),
        (nn.GroupNorm(1, 3), torch.nn.GroupNorm(1, 3)),
        (nn.LayerNorm(3), torch.nn.LayerNorm(3)),
        (nn.RMSNorm(3), torch.nn.RMSNorm(3)),
    ):
        theirs = theirs or torch.nn.InstanceNorm1d(3, affine=True, track_running_stats=True)
        for name, state in ours._named_state().items():
            nn.init.constant_(state, 5)
            theirs.state_dict()[name].fill_(5)
        for method in ("reset_running_stats", "reset_parameters"):
            if hasattr(theirs, method):
                getattr(ours, method)()
                getattr(theirs, method)()
                for name, value in ours.state_dict().items():
                    assert np.array_equal(value, theirs.state_dict()[name].numpy()), (method, name)


@pytest.mark.parametrize(
    ("name", "arguments", "keywords"),
    [
        ("LayerNorm", (6,), {"elementwise_affine": False}),
        ("RMSNorm", (6,), {"elementwise_affine": False}),
        ("GroupNorm", (2, 4), {"affine": False}),
        ("InstanceNorm1d", (4,), {}),
        ("BatchNorm1d", (4,), {"affine": False, "track_running_stats": False}),
    ],
)
def test_a_layer_that_holds_nothing_keeps_the_digits_of_its_input(name, arguments, keywords):
    data = np.random.default_rng(0).standard_normal((2, 4, 6))
    layer = getattr(nn, name)(*arguments, **keywords)
    expected = getattr(torch.nn, name)(*arguments, **keywords)(torch.tensor(data)).numpy()
    for x in (cr.tensor(data), cr.tensor(data, requires_grad=True)):
        y = layer(x)
        assert y.dtype == np.float64
        np.testing.assert_allclose(y.numpy(), expected, rtol=1e-12, atol=1e-12)
    assert layer(data.astype(np.float32)).dtype == np.float32
    assert layer(data.astype(np.int64)).dtype == np.float32


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("length", [1, 3, 5, 7, 33, 300, 1000])
def test_rows_of_one_number_are_zeros(length, dtype):
    numbers = np.array([1e5, 99999.9, -123456.7, 1e6 + 0.1, 1 / 3, 7.7e7, 1e30], dtype)
    x = np.repeat(numbers[:, None], length, axis=1)
    groups = np.repeat(x[:, None], 4, axis=1)

    def rows(x):
        return nn.functional.layer_norm(x, length)

    def halves(x):
        return nn.functional.group_norm(x, 2)

    channels = nn.functional.instance_norm, np.repeat(groups, 3, axis=2)
    for function, given in ((rows, x), (halves, groups), channels):
        for found in (function(cr.tensor(given)), cr.compile(function)(given)):
            assert not found.numpy().any()
