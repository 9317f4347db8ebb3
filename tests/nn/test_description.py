"""Descriptions: models that are built again, and files that nobody should trust."""

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn.description import LAYERS

EXAMPLES = {
    "Linear": nn.Linear(3, 2, bias=False, dtype="float64"),
    "Conv1d": nn.Conv1d(2, 4, 3, padding="same", padding_mode="circular", groups=2),
    "Conv2d": nn.Conv2d(2, 3, (1, 2), stride=(2, 1), padding=1, dtype="float64"),
    "ConvTranspose1d": nn.ConvTranspose1d(2, 3, 4, stride=2, output_padding=1, bias=False),
    "ConvTranspose2d": nn.ConvTranspose2d(4, 2, 3, padding=1, groups=2, dilation=2),
    "Embedding": nn.Embedding(5, 2, padding_idx=-1, max_norm=1.5, scale_grad_by_freq=True),
    "EmbeddingBag": nn.EmbeddingBag(4, 3, mode="max", include_last_offset=True, dtype="float64"),
    "MultiheadAttention": nn.MultiheadAttention(4, 2, kdim=3, add_bias_kv=True, dropout=0.2),
    "GPT": nn.GPT(5, 3, 2, 1, 4, 0.1, bias=True),
    "PositionalEncoding": nn.PositionalEncoding(3, 0.2, 7, batch_first=True),
    "LearnedPositionalEncoding": nn.LearnedPositionalEncoding(3, 7),
    "RotaryPositionalEmbeddings": nn.RotaryPositionalEmbeddings(4, 9, 100.0),
    "TransformerEncoderLayer": nn.TransformerEncoderLayer(4, 2, 3, 0.3, "gelu", norm_first=True),
    "TransformerDecoderLayer": nn.TransformerDecoderLayer(4, 2, 3, bias=False, dtype="float64"),
    "TransformerEncoder": nn.TransformerEncoder(
        nn.TransformerEncoderLayer(4, 2, 3), 2, nn.LayerNorm(4)
    ),
    "TransformerDecoder": nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 3), 2),
    "Transformer": nn.Transformer(4, 2, 1, 2, 3, custom_encoder=nn.Identity()),
    "MaxPool1d": nn.MaxPool1d(3, 2, dilation=2),
    "MaxPool2d": nn.MaxPool2d((3, 2), ceil_mode=True),
    "AvgPool1d": nn.AvgPool1d(3, padding=1, count_include_pad=False),
    "AvgPool2d": nn.AvgPool2d((2, 3), divisor_override=4),
    "AdaptiveAvgPool1d": nn.AdaptiveAvgPool1d(3),
    "AdaptiveAvgPool2d": nn.AdaptiveAvgPool2d((2, None)),
    "AdaptiveMaxPool1d": nn.AdaptiveMaxPool1d(3),
    "AdaptiveMaxPool2d": nn.AdaptiveMaxPool2d(1),
    "RNN": nn.RNN(3, 2, 2, "relu", batch_first=True, bias=False),
    "LSTM": nn.LSTM(3, 4, 2, dropout=0.25, bidirectional=True, proj_size=2),
    "GRU": nn.GRU(3, 2, dtype="float64"),
    "RNNCell": nn.RNNCell(3, 2, nonlinearity="relu"),
    "LSTMCell": nn.LSTMCell(3, 2),
    "GRUCell": nn.GRUCell(3, 2, bias=False),
    "Bilinear": nn.Bilinear(3, 2, 4, bias=False),
    "Softmin": nn.Softmin(1),
    "Threshold": nn.Threshold(0.5, 2.0),
    "Unflatten": nn.Unflatten(1, (2, -1)),
    "LeakyReLU": nn.LeakyReLU(0.2),
    "ELU": nn.ELU(2),
    "GELU": nn.GELU("tanh"),
    "Softplus": nn.Softplus(2.0, 5.0),
    "Softmax": nn.Softmax(-1),
    "LogSoftmax": nn.LogSoftmax(0),
    "Flatten": nn.Flatten(0, 2),
    "BatchNorm1d": nn.BatchNorm1d(3, momentum=None, affine=False),
    "BatchNorm2d": nn.BatchNorm2d(3, eps=0.5, dtype="float64"),
    "InstanceNorm1d": nn.InstanceNorm1d(3, momentum=None, track_running_stats=True),
    "InstanceNorm2d": nn.InstanceNorm2d(3, affine=True, bias=False),
    "LocalResponseNorm": nn.LocalResponseNorm(2, 1, k=2.5),
    "Upsample": nn.Upsample(scale_factor=(2, 1.5), mode="bicubic", align_corners=True),
    "UpsamplingNearest2d": nn.UpsamplingNearest2d((3, 4)),
    "UpsamplingBilinear2d": nn.UpsamplingBilinear2d(scale_factor=2),
    "PixelShuffle": nn.PixelShuffle(2),
    "PixelUnshuffle": nn.PixelUnshuffle(2),
    "ChannelShuffle": nn.ChannelShuffle(3),
    "Unfold": nn.Unfold((2, 3), padding=1),
    "Fold": nn.Fold((5, 4), 2, stride=2),
    "ZeroPad1d": nn.ZeroPad1d(1),
    "ZeroPad2d": nn.ZeroPad2d((1, 2, 3, -1)),
    "ConstantPad1d": nn.ConstantPad1d((0, 1), 2.5),
    "ConstantPad2d": nn.ConstantPad2d(2, -1),
    "ReflectionPad1d": nn.ReflectionPad1d(2),
    "ReflectionPad2d": nn.ReflectionPad2d((0, 1, 2, 3)),
    "ReplicationPad1d": nn.ReplicationPad1d((2, 0)),
    "ReplicationPad2d": nn.ReplicationPad2d(1),
    "CircularPad1d": nn.CircularPad1d(1),
    "CircularPad2d": nn.CircularPad2d(1),
    "RandomCrop": nn.RandomCrop(28, padding=(1, 2), padding_mode="edge"),
    "RandomErasing": nn.RandomErasing(0.25, ratio=(1, 1), value=0.5),
    "RandomRotation": nn.RandomRotation(10, "bilinear", fill=0.5),
    "RandomAffine": nn.RandomAffine((-5, 10), (0.1, 0.2), (0.9, 1), (1, 2, 3, 4)),
    "MixUp": nn.MixUp(0.2, 10),
    "LayerNorm": nn.LayerNorm((2, 3), bias=False),
    "GroupNorm": nn.GroupNorm(2, 4, dtype="float64"),
    "RMSNorm": nn.RMSNorm(3, eps=0.5),
    "Dropout": nn.Dropout(0.25),
    "GaussianNoise": nn.GaussianNoise(2),
    "PReLU": nn.PReLU(3, 0.5),
    "Hardtanh": nn.Hardtanh(-2, 3.0),
    "GLU": nn.GLU(1),
    "Scale": nn.Scale(3),
    "PeriodicEmbedding": nn.PeriodicEmbedding(3, 5, 2, 0.3, dtype="float64"),
    "RealMLP": nn.RealMLP(2, 1, 2, 9, 3, (4, 5), "mish", 0.2),
    "ParametricActivation": nn.ParametricActivation(nn.Softplus(2.0), 3),
    "Residual": nn.Residual(nn.Sequential(nn.Linear(2, 3)), nn.Linear(2, 3, bias=False)),
    "DenseConnection": nn.DenseConnection(nn.Residual(nn.ReLU())),
    "Standardize": nn.Standardize(4),
    "Unstandardize": nn.Unstandardize(4),
    "Center": nn.Center(4, "float64"),
    "MinMaxScale": nn.MinMaxScale(4),
    "RobustScale": nn.RobustScale(4),
    "InverseRobustScale": nn.InverseRobustScale(4),
    "FixedLinear": nn.FixedLinear(4, 3),
    "PCA": nn.PCA(4, 2, "float64"),
    "Whiten": nn.Whiten(4, "zca", eps=0.1),
    "Sequential": nn.Sequential(nn.Linear(2, 3), nn.Sequential({"act": nn.ReLU()})),
}


def through_json(module):
    return json.loads(json.dumps(nn.to_description(module)))


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_is_built_again(name):
    layer = EXAMPLES[name] if name in EXAMPLES else LAYERS[name]()
    again = nn.from_description(through_json(layer))
    assert type(again) is type(layer)
    assert repr(again) == repr(layer)
    assert nn.to_description(again) == nn.to_description(layer)
    again.load_state_dict(layer.state_dict())


@pytest.mark.parametrize("name", LAYERS)
def test_reset_parameters_of_every_module_starts_a_layer_anew(name):
    """The loop that begins each fold of a cross-validation."""
    layer = nn.from_description(
        through_json(EXAMPLES[name] if name in EXAMPLES else LAYERS[name]())
    )
    running = [b for n, b in layer.named_buffers() if "running" in n or "num_batches" in n]
    states = [*layer.parameters(), *running]
    for state in states:
        nn.init.constant_(state, 9)
    for module in layer.modules():
        if hasattr(module, "reset_parameters"):
            module.reset_parameters()
    assert not any((state.numpy() == 9).any() for state in states)


def test_a_model_predicts_the_same_after_json():
    model = nn.Sequential(nn.Standardize(3), nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 2))
    model[0].fit(np.random.default_rng(0).standard_normal((9, 3)))
    again = nn.from_description(through_json(model))
    again.load_state_dict(model.state_dict())
    x = np.random.default_rng(1).standard_normal((5, 3)).astype("f")
    assert np.array_equal(again(x).numpy(), model(x).numpy())


def test_building_draws_no_random_numbers():
    description = nn.to_description(nn.Linear(3, 3))
    cr.manual_seed(4)
    wanted = cr.uniform().item()
    cr.manual_seed(4)
    nn.from_description(description)
    assert cr.uniform().item() == wanted


def test_a_shared_layer_is_shared_again():
    layer = nn.Linear(2, 2)
    model = nn.Sequential(layer, nn.ReLU(), nn.Sequential(layer))
    assert nn.to_description(model)["children"]["2"]["children"]["0"] == {"same_as": "0"}
    again = nn.from_description(through_json(model))
    assert again[2][0] is again[0]


def test_layers_in_a_block_that_stands_twice_are_shared_again():
    """Of a container itself each place has its own."""
    block = nn.Residual(nn.Linear(2, 2))
    description = nn.to_description(nn.Sequential(block, nn.ReLU(), block))
    assert description["children"]["2"]["children"]["block"] == {"same_as": "0.block"}
    again = nn.from_description(description)
    assert again[2] is not again[0] and again[2].block is again[0].block


class Linear(nn.Module):
    """A user's class that has the name of a layer."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)


class Special(nn.ReLU):
    pass


@pytest.mark.parametrize("kind", [Linear, Special])
def test_a_users_class_is_named_but_not_built(kind):
    description = through_json(nn.Sequential(kind()))
    assert description["children"]["0"]["class"] == f"{__name__}.{kind.__name__}"
    with pytest.raises(ValueError, match=rf"0: .*{kind.__name__}.* not a layer.*by your own code"):
        nn.from_description(description)


def linear(**arguments):
    return {"class": "Linear", "arguments": {"in_features": 2, "out_features": 2, **arguments}}


def sequential(**children):
    return {"class": "Sequential", "children": children}


def residual(**children):
    return {"class": "Residual", "children": children}


def nested(depth):
    description = {"class": "ReLU"}
    for _ in range(depth):
        description = sequential(a=description)
    return description


@pytest.mark.parametrize(
    ("description", "words"),
    [
        (None, "is a dict"),
        ([], "is a dict"),
        ({}, "not a layer"),
        ({"class": "os.system"}, "not a layer"),
        ({"class": "Module"}, "not a layer"),
        ({"class": "__init__"}, "not a layer"),
        ({"class": ["Linear"]}, "not a layer"),
        ({"class": "ReLU", "code": "x"}, "unknown or malformed"),
        ({"class": "ReLU", "frozen": "x"}, "unknown or malformed"),
        ({"class": "ReLU", "frozen": ["x"]}, "no parameter 'x' to freeze"),
        ({"class": "ReLU", "frozen": [[]]}, r"no parameter \[\] to freeze"),
        (sequential(a={"class": "ReLU", "frozen": []}), "unknown or malformed"),
        ({"class": "ReLU", "arguments": []}, "unknown or malformed"),
        ({"class": "Sequential", "children": {1: {"class": "ReLU"}}}, "unknown or malformed"),
        ({"class": "ReLU", "children": {"a": {"class": "ReLU"}}}, "has no children"),
        ({"class": "ReLU", "arguments": {"x": 1}}, "has no argument 'x'"),
        ({"class": "Linear"}, "missing"),
        (linear(self=1), "has no argument 'self'"),
        (linear(in_features="2"), "whole number"),
        (linear(in_features=-1), "at least 1"),
        (linear(in_features=True), "whole number"),
        (linear(in_features={}), "can't be"),
        (linear(in_features=[2]), "whole number"),
        (linear(dtype="O"), "float32"),
        (linear(dtype="(1000,1000)f4"), "float32"),
        (linear(dtype="nonsense"), "Linear"),
        (linear(in_features=10**9), "numbers; if you trust"),
        (linear(in_features=10**30), "numbers; if you trust"),
        (
            sequential(**{str(i): linear(in_features=2**26) for i in range(3)}),
            "numbers; if you trust",
        ),
        (sequential(forward={"class": "ReLU"}), "already"),
        (sequential(__class__={"class": "ReLU"}), "already"),
        (sequential(**{"a.b": {"class": "ReLU"}}), "dot"),
        (sequential(a={"class": "Evil"}), "a: 'Evil' is not a layer"),
        ({"same_as": "0"}, "same_as must name"),
        ({"same_as": "0", "class": "ReLU"}, "unknown or malformed"),
        (sequential(a={"same_as": "b"}), "same_as must name"),
        (sequential(a={"same_as": ""}), "same_as must name"),
        (sequential(a=sequential(), b={"same_as": "a"}), "same_as must name"),
        (nested(60), "nested more than 50 deep"),
        (residual(), "Residual.*missing"),
        (residual(block={"class": "ReLU"}, other={"class": "ReLU"}), "has no child 'other'"),
        (residual(block={"class": "Evil"}), "block: 'Evil' is not a layer"),
        (residual(block={"same_as": ""}), "same_as must name"),
        (sequential(a=residual(block={"class": "ReLU"}), b={"same_as": "a"}), "same_as must name"),
        ({"class": "Residual", "arguments": {"block": "ReLU"}}, "has no argument 'block'"),
        ({"class": "Dropout", "arguments": {"p": 2}}, "p is a probability"),
        ({"class": "ELU", "arguments": {"alpha": 10**400}}, "alpha is finite"),
        ({"class": "LayerNorm", "arguments": {"normalized_shape": [10**6, 10**6]}}, "if you trust"),
        ({"class": "GroupNorm", "arguments": {"num_groups": 0, "num_channels": 4}}, "at least 1"),
    ],
)
def test_a_hostile_description_is_refused(description, words):
    with pytest.raises(ValueError, match=words):
        nn.from_description(description)


def test_the_limit_can_be_set():
    nn.from_description(linear(), max_elements=4)
    with pytest.raises(ValueError, match="max_elements"):
        nn.from_description(linear(), max_elements=3)


@pytest.mark.parametrize("name", ["PCA", "Whiten"])
def test_a_length_that_is_not_given_counts_as_the_largest(name):
    for arguments in ({"num_features": 4}, {"num_features": 4, "num_components": None}):
        nn.from_description({"class": name, "arguments": arguments}, max_elements=16)
        with pytest.raises(ValueError, match="max_elements"):
            nn.from_description({"class": name, "arguments": arguments}, max_elements=15)


@pytest.mark.parametrize(
    "layer",
    [nn.Hardtanh(-(10**9), 10**9), nn.PReLU(3, init=10**9), nn.Softplus(1, 10**9)],
    ids=repr,
)
def test_a_whole_number_that_is_no_length_does_not_count(layer):
    assert repr(nn.from_description(nn.to_description(layer), max_elements=3)) == repr(layer)


@pytest.mark.parametrize("name", LAYERS)
def test_every_layer_says_how_much_it_holds(name):
    """Exactly: with a limit of one less its description is refused."""
    layer = EXAMPLES[name] if name in EXAMPLES else LAYERS[name]()
    if layer.makes_children:
        total = sum(s.size for s in (*layer.parameters(), *layer.buffers()))
        nn.from_description(through_json(layer), max_elements=8 * total + 1000)
        with pytest.raises(ValueError, match="if you trust the file"):
            nn.from_description(through_json(layer), max_elements=total - 1)
        return
    for module in layer.modules():
        own = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
        holds = module.max_elements(module.constructor_arguments())
        sizes = [state.size for state in own]
        several = isinstance(module, (nn.RNN, nn.GRU, nn.LSTM))  # num_layers says how many
        assert holds == (sum(sizes) if several else max(sizes, default=0))
    largest = sum(m.max_elements(m.constructor_arguments()) for m in layer.modules())
    nn.from_description(through_json(layer), max_elements=largest)
    if largest:
        with pytest.raises(ValueError, match="if you trust the file"):
            nn.from_description(through_json(layer), max_elements=largest - 1)


class Half(nn.Linear):
    def __init__(self, features):
        super().__init__(features, features // 2)


class Kept(nn.Linear):
    def __init__(self, out_features, note="x"):
        super().__init__(2, out_features)
        self.note = note


class Passing(nn.Linear):
    def __init__(self, *args, scale=2.0, **keywords):
        super().__init__(*args, **keywords)
        self.scale = scale


class Fixed(nn.Linear):
    def __init__(self):
        super().__init__(4, 2)


class Texts(nn.ReLU):
    def __init__(self, block, units: "the number of units" = 3, other: "nn.Nothing" = None):  # noqa: F722
        super().__init__()
        self.block, self.units, self.other = block, units, other


@pytest.mark.parametrize("layer", [Passing(4, 2, bias=False), Fixed()])
def test_a_subclass_prints_what_it_passes_on(layer):
    bias = layer.bias is not None
    printed = f"{type(layer).__name__}(in_features=4, out_features=2, bias={bias})"
    assert repr(layer) == printed


def test_a_layer_of_ones_own_may_have_any_annotations():
    assert repr(Texts(nn.Tanh())) == "Texts(\n  units=3, other=None\n  (block): Tanh()\n)"


def test_a_shared_layer_of_ones_own_is_described_once():
    layer = Passing(4, 4)
    children = nn.to_description(nn.Sequential(layer, layer))["children"]
    assert children["1"] == {"same_as": "0"}


def test_a_subclass_prints_the_arguments_that_it_keeps():
    assert repr(Half(4)) == "Half(in_features=4, out_features=2, bias=True)"
    assert repr(Kept(4)) == "Kept(out_features=4, note='x')"
    assert repr(Special()) == "Special()"


def test_lines_of_a_network_for_tables_are_short():
    lines = repr(nn.RealMLP(9, 5, 3, 40, 10, (64, 64), "mish")).splitlines()
    assert lines[1] == "  numeric=9, plain=5, codes=3, num_codes=40, outputs=10,"
    assert lines[2].startswith("  hidden=(64, 64), activation='mish', dropout=0.15, simple=False")
    assert max(map(len, lines)) <= 90


def test_a_module_of_ones_own_prints_its_children_alone():
    class Own(nn.Module):
        def __init__(self, width):
            super().__init__()
            self.width = width
            self.layer = nn.ReLU()

    assert repr(Own(3)) == "Own(\n  (layer): ReLU()\n)"


def test_a_transformer_with_another_layer_in_it_is_not_built_again():
    model = nn.Sequential(nn.TransformerEncoderLayer(4, 2, 3))
    model[0].norm1 = nn.RMSNorm(4)
    description = through_json(model)
    with pytest.raises(ValueError, match=r"0 is a .*changed children, which a file can't hold"):
        nn.from_description(description)


def test_a_weight_shared_with_a_part_of_a_transformer_is_shared_again():
    model = nn.Sequential(nn.Linear(4, 3), nn.TransformerEncoderLayer(4, 2, 3))
    model[1].linear1.weight = model[0].weight
    again = nn.from_description(through_json(model))
    assert again[1].linear1.weight is again[0].weight


@pytest.mark.parametrize(
    "freeze",
    [
        lambda model: model[0].weight,
        lambda model: model[1].layers[1].linear1.bias,
        lambda model: model[2].block.bias,
        lambda model: model[3].weight,  # is that of model[4], too
    ],
)
def test_a_frozen_parameter_is_frozen_again(freeze):
    layer = nn.TransformerEncoderLayer(4, 2, 3)
    tied = [nn.Linear(4, 4), nn.Linear(4, 4)]
    tied[1].weight = tied[0].weight
    parts = [nn.Embedding(5, 4), nn.TransformerEncoder(layer, 2), nn.Residual(nn.Linear(4, 4))]
    model = nn.Sequential(*parts, *tied)
    assert "frozen" not in through_json(model)
    freeze(model).requires_grad = False
    model[1].norm = layer.norm1  # is part of the encoder
    description = through_json(model)
    flags = {n: p.requires_grad for n, p in model.named_parameters()}
    again = nn.from_description(description)
    assert {n: p.requires_grad for n, p in again.named_parameters()} == flags
    assert sum(not flag for flag in flags.values()) == 1
    del description["frozen"]  # as files had it before
    assert all(p.requires_grad for p in nn.from_description(description).parameters())


def test_a_frozen_layer_that_is_copied_is_frozen_in_all_copies():
    model = nn.TransformerDecoder(nn.TransformerDecoderLayer(4, 2, 3).requires_grad_(False), 2)
    model.layers[1].linear1.bias.requires_grad = True
    again = nn.from_description(through_json(model))
    assert [n for n, p in again.named_parameters() if p.requires_grad] == ["layers.1.linear1.bias"]


ACTIVATED = {
    "encoder layer": lambda act: nn.TransformerEncoderLayer(4, 2, 3, activation=act),
    "decoder layer": lambda act: nn.Sequential(nn.TransformerDecoderLayer(4, 2, 3, activation=act)),
    "encoder": lambda act: nn.TransformerEncoder(ACTIVATED["encoder layer"](act), 2),
    "whole": lambda act: nn.Transformer(4, 2, 1, 2, 3, activation=act),
}


@pytest.mark.parametrize("kind", ACTIVATED)
@pytest.mark.parametrize("activation", [nn.GELU("tanh"), nn.PReLU(3), nn.functional.gelu])
def test_a_transformer_with_a_module_as_activation_is_built_again(kind, activation):
    model = ACTIVATED[kind](activation)
    again = nn.from_description(through_json(model))
    assert repr(again) == repr(model) and nn.to_description(again) == nn.to_description(model)
    assert list(again.state_dict()) == list(model.state_dict())
    again.load_state_dict(model.state_dict())
    twice = nn.Sequential(model, model)
    again = nn.from_description(through_json(twice))
    assert set(again.state_dict()) == set(twice.state_dict())
    assert len(list(again.parameters())) == len(list(model.parameters()))


@pytest.mark.parametrize("kind", ACTIVATED)
def test_a_function_as_activation_is_named_as_what_a_file_lacks(kind):
    description = through_json(ACTIVATED[kind](nn.functional.silu))
    with pytest.raises(ValueError, match=r"with the function activation, which a file can't hold"):
        nn.from_description(description)


def test_an_activation_that_is_a_class_is_refused():
    with pytest.raises(ValueError, match=r"give an object of it, GELU\(...\)"):
        nn.Transformer(4, 2, 1, 1, 3, activation=nn.GELU)


def test_a_hostile_activation_counts():
    act = {"class": "PReLU", "arguments": {"num_parameters": 10**6}}
    whole = {"class": "Transformer", "arguments": {"d_model": 4, "nhead": 2, "dim_feedforward": 3}}
    with pytest.raises(ValueError, match="if you trust the file"):
        nn.from_description({**whole, "children": {"activation": act}}, max_elements=10**7)
    both = {**whole, "children": {"activation": act}}
    both["arguments"] = {**whole["arguments"], "activation": "relu"}
    with pytest.raises(ValueError, match="activation"):
        nn.from_description(both)
