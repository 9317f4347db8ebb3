"""Every layer against PyTorch, eager and captured; and what layers refuse."""

import inspect

import numpy as np
import pytest
from nn_parity import check_module, copy_state, torch

import chainrule as cr
from chainrule import nn

POINTS = np.array([[-30.0, -2.5, -1.0, -0.3, -1e-9], [0.0, 1e-9, 0.7, 1.5, 25.0]])

ACTIVATIONS = [
    ("ReLU", {}),
    ("LeakyReLU", {}),
    ("LeakyReLU", {"negative_slope": 0.2}),
    ("ELU", {}),
    ("ELU", {"alpha": 0.3}),
    ("SELU", {}),
    ("GELU", {}),
    ("GELU", {"approximate": "tanh"}),
    ("SiLU", {}),
    ("Mish", {}),
    ("Sigmoid", {}),
    ("Tanh", {}),
    ("Softplus", {}),
    ("Softplus", {"beta": 2.0, "threshold": 1.0}),
    ("Softmax", {"dim": 1}),
    ("Softmax", {"dim": 0}),
    ("LogSoftmax", {"dim": -1}),
    ("Identity", {}),
    ("Hardtanh", {}),
    ("Hardtanh", {"min_val": -2.5, "max_val": 0.7}),
    ("ReLU6", {}),
    ("Hardswish", {}),
    ("Softsign", {}),
    ("LogSigmoid", {}),
    ("GLU", {"dim": 0}),
    ("CELU", {}),
    ("CELU", {"alpha": 0.25}),  # PyTorch rounds 1 / alpha to float32
    ("Hardshrink", {}),
    ("Hardshrink", {"lambd": 0.3}),
    ("Softshrink", {}),
    ("Softshrink", {"lambd": 0.3}),
    ("Tanhshrink", {}),
    ("Threshold", {"threshold": 0.7, "value": 3.0}),
    ("Softmin", {"dim": 1}),
]


PIECES = ["ReLU", "ReLU6", "SELU", "SiLU", "Mish", "Hardswish", "Hardsigmoid", "CELU", "ELU"]


@pytest.mark.parametrize("name", [*PIECES, "Hardtanh", "LeakyReLU", "RReLU", "Dropout"])
def test_inplace_is_accepted_and_means_nothing(name):
    x = cr.tensor(POINTS)
    layer = getattr(nn, name)(inplace=True).eval()
    np.testing.assert_array_equal(layer(x).numpy(), getattr(nn, name)().eval()(x).numpy())
    np.testing.assert_array_equal(x.numpy(), POINTS)
    functional = {"LeakyReLU": "leaky_relu"}.get(name, name.lower())
    getattr(nn.functional, functional)(x, inplace=True)


def build_activation(name, arguments):
    return getattr(nn, name)(**arguments), getattr(torch.nn, name)(**arguments)


@pytest.mark.parametrize(("name", "arguments"), ACTIVATIONS)
def test_activation_is_pytorchs(name, arguments):
    ours, theirs = build_activation(name, arguments)
    check_module(ours, theirs, POINTS)
    assert repr(ours) == repr(theirs)


@pytest.mark.parametrize(("name", "arguments"), ACTIVATIONS)
def test_activation_keeps_float32_and_is_finite_far_out(name, arguments):
    ours, _ = build_activation(name, arguments)
    x = cr.tensor(np.array([[-1e4, -100.0], [100.0, 1e4]], np.float32), requires_grad=True)
    y = ours(x)
    assert y.dtype == np.float32
    grad = cr.grad(y.sum(), x)
    assert np.isfinite(y.numpy()).all() and np.isfinite(grad.numpy()).all()
    assert np.isfinite(cr.grad(grad.sum(), x).numpy()).all()


def test_hardsigmoid_is_pytorchs():
    """PyTorch has no second derivative of it, and rounds 1/6 to float32."""
    points = np.array([-4.0, -3.0, -1.5, 0.0, 2.0, 3.0, 4.0])
    x, wanted = cr.tensor(points, requires_grad=True), torch.tensor(points, requires_grad=True)
    y, expected = nn.Hardsigmoid()(x), torch.nn.Hardsigmoid()(wanted)
    np.testing.assert_allclose(y.numpy(), expected.detach().numpy(), rtol=1e-15)
    y.sum().backward()
    expected.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), wanted.grad.numpy(), rtol=1e-7)


@pytest.mark.parametrize(
    ("name", "at_zero"),
    [
        ("ReLU", 0.0),
        ("LeakyReLU", 0.01),
        ("ELU", 1.0),
        ("SELU", 1.0507009873554805 * 1.6732632423543772),
    ],
)
def test_derivative_at_the_kink(name, at_zero):
    x = cr.tensor(0.0, "float64", requires_grad=True)
    assert cr.grad(getattr(nn, name)()(x), x).item() == pytest.approx(at_zero, rel=1e-15)


def test_activation_takes_an_array():
    assert nn.ReLU()(np.array([-1.0, 1.0])).tolist() == [0.0, 1.0]
    assert nn.GELU()([0.0]).tolist() == [0.0]


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda: nn.LeakyReLU("0.1"), TypeError),
        (lambda: nn.ELU(float("nan")), ValueError),
        (lambda: nn.GELU("sigmoid"), ValueError),
        (lambda: nn.Softplus(beta=0), ValueError),
        (lambda: nn.Softmax(1.0), TypeError),
        (lambda: nn.Linear(0, 3), ValueError),
        (lambda: nn.Linear(3, 2.0), TypeError),
        (lambda: nn.Linear(3, True), TypeError),
        (lambda: nn.Linear(3, 2, dtype="float16"), TypeError),
        (lambda: nn.Flatten("1"), TypeError),
        (lambda: nn.functional.gelu([1.0], "other"), ValueError),
        (lambda: nn.Hardtanh(1.0, 1.0), ValueError),
        (lambda: nn.CELU(0.0), ValueError),
        (lambda: nn.functional.celu([1.0], -1.0), ValueError),
        (lambda: nn.Softshrink(-1.0), ValueError),
        (lambda: nn.functional.softshrink([1.0], -1.0), ValueError),
        (lambda: nn.RReLU(0.5, 0.25), ValueError),
        (lambda: nn.functional.rrelu([1.0], 0.5, 0.25), ValueError),
        (lambda: nn.Threshold("0", 1.0), TypeError),
        (lambda: nn.Unflatten(1, 3), TypeError),
        (lambda: nn.Unflatten(1, (2, 2))(np.ones((1, 5))), cr.ShapeError),
        (lambda: nn.Unflatten(1, (2, -1))(np.ones((1, 5))), cr.ShapeError),
        (lambda: nn.Unflatten(2, (1, 1))(np.ones((1, 5))), cr.ShapeError),
        (lambda: nn.Bilinear(2, 3, 1)(np.ones((1, 2), "f"), np.ones((2, 3), "f")), cr.ShapeError),
        (lambda: nn.Bilinear(2, 3, 1)(np.ones((1, 3), "f"), np.ones((1, 3), "f")), cr.ShapeError),
        (lambda: nn.Linear(2, 1, device="cuda"), TypeError),
        (lambda: nn.PairwiseDistance(p=0), ValueError),
        (lambda: nn.CosineSimilarity(dim=3)([1.0], [1.0]), cr.ShapeError),
        (lambda: nn.functional.one_hot(cr.placeholder((2,), "int64")), cr.SymbolicError),
        (lambda: nn.functional.batch_norm(np.ones((2, 3)), None, None), ValueError),
        (lambda: nn.functional.batch_norm(np.ones(3), None, None, training=True), cr.ShapeError),
        (
            lambda: nn.functional.batch_norm(np.eye(3), np.ones(3), np.ones(3), training=True),
            TypeError,
        ),
        (lambda: nn.FeatureAlphaDropout()(np.ones(3, "f")), cr.ShapeError),
        (lambda: nn.GLU("0"), TypeError),
        (lambda: nn.GLU()([1.0, 2.0, 3.0]), cr.ShapeError),
        (lambda: nn.GLU(2)([1.0, 2.0]), cr.ShapeError),
        (lambda: nn.PReLU(0), ValueError),
        (lambda: nn.PReLU(3)(np.ones((2, 4), "f")), cr.ShapeError),
        (lambda: nn.ParametricActivation("selu", 3), TypeError),
        (lambda: nn.Scale(0), ValueError),
        (lambda: nn.Residual(nn.ReLU), TypeError),
    ],
)
def test_bad_arguments_are_refused(make, error):
    with pytest.raises(error):
        make()


@pytest.mark.parametrize(
    ("name", "kinks"), [("Hardtanh", [-1, 1]), ("ReLU6", [0, 6]), ("Hardswish", [-3, 3])]
)
def test_derivatives_at_the_kinks_are_pytorchs(name, kinks):
    check_module(getattr(nn, name)(), getattr(torch.nn, name)(), np.array(kinks, float))


@pytest.mark.parametrize(
    ("slopes", "shape"), [(1, (2, 5)), (5, (2, 5)), (1, (2, 5, 3)), (5, (2, 5, 3)), (1, (4,))]
)
def test_prelu_is_pytorchs(slopes, shape):
    ours = nn.PReLU(slopes, dtype="float64")
    ours.weight.assign(np.linspace(0.1, -0.5, slopes))
    x = np.random.default_rng(0).standard_normal(shape)
    check_module(ours, copy_state(ours, torch.nn.PReLU(slopes)), x)
    zeros = cr.tensor(np.zeros(shape), requires_grad=True)
    assert cr.grad(ours(zeros).sum(), zeros).numpy().flat[0] == 0.1  # the kink takes the slope
    assert repr(nn.PReLU(slopes)) == repr(torch.nn.PReLU(slopes))
    assert nn.PReLU(slopes).weight.tolist() == torch.nn.PReLU(slopes).weight.tolist()


def test_slopes_of_prelu_are_not_rounded_to_whole_numbers():
    assert nn.functional.prelu(np.array([-1, 2]), [0.5]).tolist() == [-0.5, 2.0]


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 0)])
def test_prelu_takes_a_slope_without_axes(shape):
    x = np.random.default_rng(0).standard_normal(shape)
    ours, theirs = cr.tensor(0.25, "float64", requires_grad=True), torch.tensor(0.25).double()
    expected = torch.nn.functional.prelu(torch.as_tensor(x), theirs.requires_grad_())
    found = nn.functional.prelu(x, ours)
    np.testing.assert_allclose(found.numpy(), expected.detach().numpy(), strict=True)
    expected.sum().backward(), found.sum().backward()
    assert ours.grad.item() == pytest.approx(theirs.grad.item())


def test_the_bounds_of_hardtanh_are_in_order():
    with pytest.raises(ValueError, match=r"min_val 0\.5 is greater than max_val -0\.5"):
        nn.functional.hardtanh([1.0], 0.5, -0.5)


@pytest.mark.parametrize(("shape", "dim"), [((4, 6), -1), ((4, 6), 0), ((2, 4, 3), 1), ((8,), 0)])
def test_glu_is_pytorchs(shape, dim):
    x = np.random.default_rng(0).standard_normal(shape)
    check_module(nn.GLU(dim), torch.nn.GLU(dim), x)


# Linear


@pytest.mark.parametrize("shape", [(4,), (3, 4), (1, 4), (2, 3, 4), (2, 0, 4), (2, 3, 5, 4)])
@pytest.mark.parametrize("bias", [True, False])
def test_linear_is_pytorchs(shape, bias):
    ours = nn.Linear(4, 3, bias, dtype="float64")
    theirs = copy_state(ours, torch.nn.Linear(4, 3, bias))
    check_module(ours, theirs, np.random.default_rng(0).standard_normal(shape))
    assert repr(nn.Linear(4, 3, bias)) == repr(theirs)


def test_linear_draws_pytorchs_distribution():
    cr.manual_seed(3)
    layer = nn.Linear(100, 400)
    weight, bias = layer.weight.numpy(), layer.bias.numpy()
    assert weight.dtype == bias.dtype == np.float32
    assert weight.shape == (400, 100) and bias.shape == (400,)
    for drawn in (weight, bias):
        assert 0.095 < np.abs(drawn).max() <= 0.1
        assert drawn.std() == pytest.approx(0.1 / np.sqrt(3), rel=0.06)
    cr.manual_seed(3)
    assert np.array_equal(nn.Linear(100, 400).weight.numpy(), weight)


@pytest.mark.parametrize(
    ("x", "error", "words"),
    [
        (np.zeros((3, 5), "f"), cr.ShapeError, ["Linear: ", "length 4", "(3, 5)"]),
        (np.zeros((), "f"), cr.ShapeError, ["()"]),
        (np.zeros((3, 2, 2), "f"), cr.ShapeError, ["Flatten()"]),
    ],
)
def test_linear_refuses(x, error, words):
    layer = nn.Linear(4, 2)
    for argument in (x, cr.placeholder(x.shape, x.dtype)):
        with pytest.raises(error) as caught:
            layer(argument)
        assert all(word in str(caught.value) for word in words)


# Flatten


@pytest.mark.parametrize("dims", [(), (0,), (1, 2), (0, -1), (-2, -1), (2, 2)])
def test_flatten_is_pytorchs(dims):
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5))
    check_module(nn.Flatten(*dims), torch.nn.Flatten(*dims), x)
    assert repr(nn.Flatten(*dims)) == repr(torch.nn.Flatten(*dims))


def test_flatten_of_few_axes_and_no_rows():
    assert nn.Flatten()(np.zeros((0, 2, 3))).shape == (0, 6)
    assert nn.Flatten(0)(np.zeros(())).shape == (1,)
    with pytest.raises(cr.ShapeError, match=r"Flatten: .*\(3,\) has no axes 1 to -1"):
        nn.Flatten()(np.zeros(3))


# Sequential


def test_sequential_is_pytorchs():
    ours = nn.Sequential(
        nn.Linear(4, 5, dtype="float64"), nn.Tanh(), nn.Linear(5, 3, dtype="float64")
    )
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 3))
    copy_state(ours, theirs)
    check_module(ours, theirs, np.random.default_rng(0).standard_normal((6, 4)))


def test_sequential_is_a_sequence():
    a, b, c = nn.ReLU(), nn.Tanh(), nn.Identity()
    model = nn.Sequential(a, b)
    assert model.append(c) is model
    assert list(model) == [a, b, c] and len(model) == 3
    assert model[0] is a and model[-1] is c
    assert list(model[1:]) == [b, c] and list(model[::2]) == [a, c]
    assert len(nn.Sequential()) == 0
    with pytest.raises(IndexError, match="index 3 is out of range for 3 parts"):
        model[3]


def test_sequential_of_names():
    model = nn.Sequential({"first": nn.Linear(2, 2), "then": nn.ReLU()})
    assert model.first is model[0]
    assert list(model.state_dict()) == ["first.weight", "first.bias"]
    with pytest.raises(TypeError, match="None"):
        nn.Sequential(None)
    with pytest.raises(TypeError, match="Module"):
        nn.Sequential("ReLU")
    for name in ("forward", "training", "a.b", ""):
        with pytest.raises(ValueError, match="name"):
            nn.Sequential({name: nn.ReLU()})


def test_slice_keeps_names_and_append_finds_a_free_one():
    model = nn.Sequential(nn.ReLU(), nn.Tanh(), nn.ReLU())[1:]
    model.append(nn.Sigmoid())
    assert [name for name, _ in model.named_children()] == ["1", "2", "3"]


# Standardize


def test_standardize_gives_mean_0_and_variance_1():
    x = np.random.default_rng(0).normal([5.0, -3.0, 0.1], [2.0, 0.5, 0.0], (50, 3))
    assert nn.Standardize(3, "float64")(x).tolist() == x.tolist()
    layer = nn.Standardize(3, "float64").fit(x)
    y = layer(x).numpy()
    np.testing.assert_allclose(y.mean(axis=0), 0, atol=1e-14)
    np.testing.assert_allclose(y.std(axis=0), [1, 1, 0], atol=1e-14)
    assert layer.scale.tolist()[2] == 1.0
    assert list(layer.state_dict()) == ["mean", "scale"]
    assert repr(nn.Standardize(3)) == "Standardize(num_features=3)"


def test_standardize_computes_in_float64():
    x = (np.arange(1000, dtype=np.float32) % 2 + 16_000_000).reshape(-1, 1)
    assert nn.Standardize(1).fit(x).scale.tolist() == [0.5]


def test_standardize_refuses_and_keeps_its_state():
    layer = nn.Standardize(2).fit([[0.0, 1.0], [2.0, 5.0]])
    before = layer.state_dict()
    with pytest.raises(ValueError, match="column 1"):
        layer.fit([[0.0, np.nan], [1.0, 2.0]])
    for x in (np.zeros((3, 3)), np.zeros((0, 2)), np.zeros(2)):
        with pytest.raises(cr.ShapeError, match=r"\(rows, 2\)"):
            layer.fit(x)
    with pytest.raises(cr.ShapeError, match="length 2"):
        layer(np.zeros((3, 3), "f"))
    assert all(np.array_equal(before[k], v) for k, v in layer.state_dict().items())


def test_unstandardize_is_the_way_back():
    y = np.random.default_rng(0).normal([5.0, -3.0], [2.0, 0.0], (9, 2))
    there, back = nn.Standardize(2, "float64").fit(y), nn.Unstandardize(2, "float64").fit(y)
    np.testing.assert_allclose(back(there(y)).numpy(), y, rtol=1e-14)


def positional(layer):
    kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
    _, *arguments = inspect.signature(layer.__init__).parameters.values()
    return [argument.name for argument in arguments if argument.kind in kinds]


@pytest.mark.parametrize("name", ["Linear", "Bilinear", "Conv2d", "LayerNorm", "BatchNorm1d"])
def test_device_and_dtype_have_pytorchs_places(name):
    theirs = positional(getattr(torch.nn, name))
    assert theirs[-2:] == ["device", "dtype"] and positional(getattr(nn, name)) == theirs


def test_a_subclass_passes_device_and_dtype_on_by_their_places():
    class Own(nn.Linear):
        def __init__(self, in_features, out_features, bias=True, device=None, dtype=None):
            super().__init__(in_features, out_features, bias, device, dtype)

    assert Own(2, 3, True, "cpu", "float64").weight.dtype == np.float64
    assert Own(2, 3, False).bias is None
    with pytest.raises(TypeError, match="no device 'cuda' here"):
        Own(2, 3, True, "cuda")
