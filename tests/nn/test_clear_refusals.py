"""What layers say of what does not fit: tuples of other layers, numbers of another dtype."""

import copy

import numpy as np
import pytest
from scipy import stats

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn.layers.mixing import beta_quantiles


class First(nn.Module):
    def forward(self, x):
        return x[0]


@pytest.mark.parametrize("rnn", [nn.GRU, nn.LSTM, nn.RNN])
@pytest.mark.parametrize(
    "layer",
    [nn.Linear(4, 2), nn.ReLU(), nn.Sequential(nn.Identity()), nn.Residual(nn.Linear(4, 4))],
)
def test_a_tuple_of_a_layer_before_is_not_stacked(rnn, layer):
    x, layer = np.ones((1, 1, 3), "f"), copy.deepcopy(layer)
    model = nn.Sequential(rnn(3, 4), layer)
    with pytest.raises(TypeError, match="layer before returns a tuple of 2 Tensors, as a recurr"):
        model(x)
    with pytest.raises(TypeError, match=r"take its first, y = layer\(x\)\[0\]"):
        layer(model[0](x))
    assert nn.Sequential(model[0], First(), layer)(x).shape[:2] == (1, 1)
    layer.register_forward_pre_hook(lambda module, inputs: inputs[0][0])
    if not isinstance(layer, nn.Sequential):
        model(x)
    assert nn.Linear(2, 2)(([1.0, 2.0], [3.0, 4.0])).shape == (2, 2)  # numbers are data
    assert nn.Linear(1, 2)([cr.ones(1), cr.ones(1)]).shape == (2, 2)


def test_constant_borders_may_be_infinite(tmp_path):
    layer = nn.ConstantPad2d(1, -np.inf)
    assert np.isneginf(layer(np.zeros((1, 1, 1), "f")).numpy()).sum() == 8
    cr.save(layer, tmp_path / "m.safetensors")
    assert repr(cr.load(tmp_path / "m.safetensors")) == repr(layer)
    assert np.isnan(nn.ConstantPad1d(1, np.float32(np.nan))(np.zeros((1, 1), "f")).numpy()[0, 0])


@pytest.mark.parametrize("value", [300, -1, 0.5, np.inf])
def test_a_number_that_does_not_fit_the_dtype_is_refused(value):
    x = np.ones((2, 1, 4, 4), np.uint8)
    with pytest.raises(cr.DTypeError, match=r"constant_values = .* does not fit dtype uint8, of"):
        cr.pad(x, 1, constant_values=value)
    with pytest.raises(cr.DTypeError, match="does not fit dtype uint8, of whole numbers 0 to 255"):
        nn.functional.pad(x, (1, 1), value=value)
    if np.isfinite(value):
        with pytest.raises(cr.DTypeError, match=r"fill = .* does not fit dtype uint8"):
            nn.RandomCrop(5, padding=1, fill=value)(x)
        with pytest.raises(cr.DTypeError, match=r"value = .* does not fit dtype uint8"):
            nn.RandomErasing(1.0, value=value)(x)
    assert nn.RandomCrop(6, padding=1, fill=255)(x).numpy().max() == 255
    assert cr.pad(x, 1, constant_values=255.0).numpy().max() == 255
    assert cr.pad(np.ones(1, bool), 1, constant_values=True).numpy().all()


def test_widths_of_a_border_come_in_pairs():
    with pytest.raises(TypeError, match=r"pad=\(1, 1\)"):
        nn.functional.pad(np.ones(3), 1)


@pytest.mark.parametrize("alpha", [9e3, 1.1e4, 1e9, 1e300])
def test_the_shares_of_large_alpha_are_those_of_beta(alpha):
    found = beta_quantiles(alpha)
    share = np.arange(1, 4096) / 4096
    want = stats.beta(alpha, alpha).ppf(share) if alpha < 1e6 else 0.5
    want = stats.norm(0.5, 0.5 / np.sqrt(2 * alpha + 1)).ppf(share) if alpha >= 1e6 else want
    np.testing.assert_allclose(found[1:-1], want, rtol=0, atol=1e-4 if alpha < 1e4 else 2e-6)
    _, y = nn.MixUp(alpha, 2)(cr.tensor([[0.0], [1.0]]), cr.tensor([0, 1]))
    np.testing.assert_allclose(y.numpy(), 0.5, atol=0.02)


@pytest.mark.parametrize(
    "given", [nn.RandomHorizontalFlip(), nn.RandomErasing(), lambda x: x, nn.ReLU().forward]
)
def test_an_augmentation_takes_inputs_and_targets(given):
    layer = nn.Linear(2, 2)
    loss, sgd = nn.MSELoss(), optim.SGD(layer.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"does not take two.* head of the model: nn.Sequential"):
        cr.Trainer(layer, loss, sgd, augmentation=given)
    for fine in (nn.MixUp(), lambda x, y: (x, y), lambda *both: both, nn.CutMix().forward):
        cr.Trainer(layer, loss, sgd, augmentation=fine)


@pytest.mark.parametrize("shape", [(5, 2), (2, 4), (1, 2, 5), (2,)])
def test_positions_have_the_shape_of_the_sequences(shape):
    rotary, x = nn.RotaryPositionalEmbeddings(4, 9), np.ones((2, 5, 3, 4), "f")
    with pytest.raises(cr.ShapeError, match=r"input_pos has shape \(N, L\), here \(2, 5\), got"):
        rotary(x, input_pos=np.zeros(shape, int))
    for fine in (np.arange(5), np.arange(5)[None], np.arange(5)[None] + np.zeros((2, 1), int)):
        np.testing.assert_array_equal(rotary(x, input_pos=fine).numpy(), rotary(x).numpy())


@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (nn.Linear(3, 2), (4, 3)),
        (nn.Conv1d(3, 2, 1), (4, 3, 2)),
        (nn.LayerNorm(3), (4, 3)),
        (nn.RMSNorm(3), (4, 3)),
        (nn.GroupNorm(1, 3), (4, 3, 2)),
        (nn.BatchNorm1d(3), (4, 3)),
        (nn.PReLU(), (4, 3)),
        (nn.Scale(3), (4, 3)),
        (nn.GRU(3, 2), (4, 3)),
        (nn.LSTMCell(3, 2), (4, 3)),
        (nn.FixedLinear(3, 2), (4, 3)),
        (nn.PositionalEncoding(3), (4, 3)),
        (nn.LearnedPositionalEncoding(3, 9), (4, 3)),
        (nn.TransformerEncoderLayer(4, 2, 3), (5, 4)),
        (nn.MultiheadAttention(4, 2), (5, 4)),
    ],
    ids=lambda v: type(v).__name__,
)
def test_data_of_another_dtype_are_cast(layer, shape):
    x = np.ones(shape)
    again = [x] * (3 if isinstance(layer, nn.MultiheadAttention) else 1)
    found = layer(*again)
    assert (found[0] if isinstance(found, tuple) else found).dtype == np.float32


@pytest.mark.parametrize("name", ["Softmax", "LogSoftmax", "Softmin"])
def test_a_softmax_without_its_axis_says_which_to_give(name):
    with pytest.raises(TypeError, match=rf"^{name} takes the axis .* dim=-1, the last"):
        getattr(nn, name)()
    function = {"LogSoftmax": "log_softmax"}.get(name, name.lower())
    with pytest.raises(TypeError, match=rf"^{function} takes the axis .* dim=-1, the last"):
        getattr(nn.functional, function)(np.ones((2, 2)))
    assert repr(getattr(nn, name)(dim=1)) == f"{name}(dim=1)"


@pytest.mark.parametrize(
    "call",
    [
        lambda name: nn.init.calculate_gain(name),
        lambda name: nn.TransformerEncoderLayer(4, 2, activation=name),
        lambda name: nn.EmbeddingBag(3, 2, mode=name),
        lambda name: nn.utils.rnn.pad_sequence([cr.ones(2)], padding_side=name),
        lambda name: nn.RandomAffine(0, interpolation=name),
    ],
)
def test_the_names_that_an_argument_may_have_are_listed(call):
    for name in ("fast", ["fast"], None):
        with pytest.raises(ValueError, match=r"is (one of |')\w+.*; got|is '.*' or '.*', got"):
            call(name)


IN_PLACE = [
    "dirac_", "eye_", "kaiming_normal_", "kaiming_uniform_", "lecun_normal_", "lecun_uniform_",
    "normal_", "ones_", "orthogonal_", "scaled_normal_", "trunc_normal_", "uniform_",
    "xavier_normal_", "xavier_uniform_", "zeros_",
]  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_starting_values_are_those_of_parameters(name):
    fill = getattr(nn.init, name)
    with pytest.raises(TypeError, match="a layer made with bias=False has None as its bias"):
        fill(nn.Linear(2, 2, bias=False).bias)
    for given in (nn.Linear(2, 2), np.ones((2, 2, 2)), 3):
        with pytest.raises(TypeError, match="gives new values to a Parameter or a Buffer"):
            fill(given)


@pytest.mark.parametrize(
    "call",
    [
        nn.utils.weight_norm,
        nn.utils.remove_weight_norm,
        nn.utils.spectral_norm,
        nn.utils.remove_spectral_norm,
        nn.to_description,
        lambda module: nn.utils.functional_call(module, {}, np.ones(2)),
    ],
)
def test_what_is_no_module_is_refused(call):
    for given in (None, 3, "linear", nn.Linear):
        with pytest.raises(TypeError, match=r"^module is a Module, got "):
            call(given)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nn.ModuleDict([nn.ReLU()]), r"list of \(name, value\) pairs, not of ReLU"),
        (lambda: nn.ModuleDict(3), r"ModuleDict is a list of \(name, value\) pairs, got 3"),
        (lambda: nn.ParameterDict(["ab"]), r"list of \(name, value\) pairs, not of 'ab'"),
        (
            lambda: nn.utils.functional_call(nn.ReLU(), [np.ones(2)], np.ones(2)),
            "takes a dict of Tensors by their names, or a tuple of such dicts, got",
        ),
        (
            lambda: nn.utils.functional_call(nn.ReLU(), None, np.ones(2)),
            "takes a dict of Tensors by their names, or a tuple of such dicts, got None",
        ),
        (
            lambda: optim.lr_scheduler.LambdaLR(optim.SGD([cr.Parameter(1.0)], lr=0.1), None),
            "lr_lambda is a list of functions t -> factor, or one of them, got None",
        ),
        (
            lambda: nn.functional.affine_grid(np.ones((1, 2, 3)), None),
            "size is a list of lengths, got None",
        ),
        (lambda: nn.functional.elu(np.ones(2), [1.0, 2.0]), r"alpha is a number, got \[1.0, 2.0\]"),
        (lambda: nn.functional.elu(np.ones(2), cr.ones(2)), "alpha is a number, got tensor"),
        (lambda: nn.PairwiseDistance(None), "p is a number, got None"),
        (lambda: nn.functional.cosine_similarity([1.0], [1.0], None), "dim is a whole number"),
    ],
)
def test_unfit_arguments_are_named(call, message):
    with pytest.raises(TypeError, match=message):
        call()
