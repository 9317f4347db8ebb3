"""Recurrent layers against PyTorch: derivatives of two orders, packed lengths, training."""

import copy

import numpy as np
import pytest
from nn_parity import TOLERANCE, check_module, copy_state, torch

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn.utils import rnn

torch_rnn = torch.nn.utils.rnn
CLOSE = {"rtol": 1e-10, "atol": 1e-12}
KINDS = ["RNN", "GRU", "LSTM"]


def pair(name, *arguments, **keywords):
    """A float64 layer and PyTorch's with the same parameters."""
    ours = getattr(nn, name)(*arguments, **keywords, dtype="float64")
    return ours, copy_state(ours, getattr(torch.nn, name)(*arguments, **keywords))


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape)


class Flat(nn.Module):
    """All that a layer returns, in one Tensor."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, *inputs):
        y, state = self.layer(*inputs)
        parts = [y, *(state if isinstance(state, tuple) else [state])]
        return cr.concatenate([p.reshape(-1) for p in parts])


class TorchFlat(torch.nn.Module):
    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, *inputs):
        y, state = self.layer(*inputs)
        parts = [y, *(state if isinstance(state, tuple) else [state])]
        return torch.cat([p.reshape(-1) for p in parts])


@pytest.mark.parametrize(
    ("name", "shape", "keywords"),
    [
        ("RNN", (4, 2, 3), {"nonlinearity": "relu", "num_layers": 2}),
        ("RNN", (1, 1, 3), {"bias": False}),
        ("GRU", (2, 4, 3), {"batch_first": True, "bidirectional": True}),
        ("GRU", (5, 0, 3), {}),
        ("LSTM", (3, 2, 3), {"proj_size": 2, "bidirectional": True, "num_layers": 2}),
        ("LSTM", (4, 3), {"batch_first": True}),
    ],
)
def test_derivatives_of_two_orders(name, shape, keywords):
    ours, theirs = pair(name, 3, 5, **keywords)
    check_module(Flat(ours), TorchFlat(theirs), normal(*shape))


@pytest.mark.parametrize("keywords", [{}, {"bidirectional": True, "num_layers": 2}])
@pytest.mark.parametrize("name", KINDS)
def test_packed_sequences(name, keywords):
    """Outputs, last states of each true length, gradients: lengths as numbers or as an input."""
    ours, theirs = pair(name, 3, 4, **keywords)
    x, lengths = normal(6, 4, 3), np.array([2, 5, 1, 3])
    packed = torch_rnn.pack_padded_sequence(
        torch.as_tensor(x), torch.as_tensor(lengths), enforce_sorted=False
    )
    y, state = theirs(packed)
    y, found_lengths = torch_rnn.pad_packed_sequence(y, total_length=6)
    wanted = [y, *(state if isinstance(state, tuple) else [state])]
    weights = [normal(*w.shape, seed=1) for w in wanted]
    sum((w * torch.as_tensor(p)).sum() for w, p in zip(wanted, weights, strict=True)).backward()
    grads = [p.grad.numpy() for p in theirs.parameters()]

    def run(x, lengths):
        packed = rnn.pack_padded_sequence(x, lengths, enforce_sorted=False)
        y, state = ours(packed)
        y, n = rnn.pad_packed_sequence(y, total_length=6)
        found = [y, *(state if isinstance(state, tuple) else [state])]
        loss = sum((f * w).sum() for f, w in zip(found, weights, strict=True))
        return found, cr.grad(loss, list(ours.parameters())), n

    compiled = cr.compile(run)
    for way in (run, compiled):
        found, ours_grads, n = way(cr.tensor(x), cr.tensor(lengths))
        assert n.tolist() == found_lengths.tolist()
        for a, b in zip([*found, *ours_grads], [*wanted, *grads], strict=True):
            np.testing.assert_allclose(a.numpy(), torch.as_tensor(b).detach().numpy(), **CLOSE)
        assert not found[0].numpy()[5].any() and not found[0].numpy()[1:, 2].any()


def test_sequences_of_unequal_lengths_are_padded_and_cut_as_in_pytorch():
    parts = [normal(n, 2) for n in (4, 3, 1)]
    tensors = [torch.as_tensor(p) for p in parts]
    for keywords in ({}, {"batch_first": True, "padding_value": 7.0}, {"padding_side": "left"}):
        found, wanted = (
            rnn.pad_sequence(parts, **keywords),
            torch_rnn.pad_sequence(tensors, **keywords),
        )
        np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    packed = rnn.pack_sequence(parts)
    for a, b in zip(rnn.unpack_sequence(packed), parts, strict=True):
        np.testing.assert_array_equal(a.numpy(), b)
    theirs = torch_rnn.pack_sequence(tensors)
    keywords = {"batch_first": True, "padding_value": -1.0, "total_length": 6}
    found, n = rnn.pad_packed_sequence(packed, **keywords)
    wanted, m = torch_rnn.pad_packed_sequence(theirs, **keywords)
    np.testing.assert_array_equal(found.numpy(), wanted.numpy())
    assert n.tolist() == m.tolist()
    # What is longer than all lengths is cut off.
    short = rnn.pack_padded_sequence(np.ones((5, 2, 1)), [3, 1])
    assert rnn.pad_packed_sequence(short)[0].shape == (3, 2, 1)


@pytest.mark.parametrize("name", ["RNNCell", "GRUCell", "LSTMCell"])
def test_a_cell_without_a_state_begins_at_zeros(name):
    ours, theirs = pair(name, 3, 4)
    x = normal(2, 3)
    h, wanted = ours(x), theirs(torch.as_tensor(x))
    for a, b in zip(*[h if isinstance(h, tuple) else (h,) for h in (h, wanted)], strict=True):
        np.testing.assert_allclose(a.numpy(), b.detach().numpy(), **TOLERANCE)


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(3, 6, batch_first=True, dtype="float64")
        self.head = nn.Linear(6, 2, dtype="float64")

    def forward(self, x):
        _y, (h, _c) = self.lstm(x)
        return self.head(h[-1])


class TorchClassifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = torch.nn.LSTM(3, 6, batch_first=True)
        self.head = torch.nn.Linear(6, 2)

    def forward(self, x):
        _y, (h, _c) = self.lstm(x)
        return self.head(h[-1])


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_training_steps_are_pytorchs(backend):
    model = Classifier()
    theirs = copy_state(model, TorchClassifier())
    x, y = normal(20, 7, 3), np.arange(20) % 2
    optimizer = torch.optim.Adam(theirs.parameters(), lr=0.01)
    for _ in range(2):
        for at in range(0, 20, 8):
            loss = torch.nn.functional.cross_entropy(
                theirs(torch.as_tensor(x[at : at + 8])), torch.as_tensor(y[at : at + 8])
            )
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    trainer = cr.Trainer(
        model, nn.CrossEntropyLoss(), optim.Adam(model.parameters(), lr=0.01), backend=backend
    )
    trainer.fit(x, y, epochs=2, batch_size=8, shuffle=False)
    for ours, wanted in zip(model.parameters(), theirs.parameters(), strict=True):
        np.testing.assert_allclose(ours.numpy(), wanted.detach().numpy(), rtol=1e-7, atol=1e-9)


def test_dropout_is_between_layers_in_training_alone():
    x = cr.tensor(normal(4, 3, 2))
    one = nn.GRU(2, 5, dropout=1.0, dtype="float64")
    two = nn.GRU(2, 5, num_layers=2, dropout=1.0, dtype="float64")
    assert not one.is_stochastic and two.is_stochastic
    changed = two(x)[0].numpy()
    zeros = nn.GRU(5, 5, dtype="float64")
    zeros.load_state_dict(
        {k.replace("l1", "l0"): v for k, v in two.state_dict().items() if k.endswith("l1")}
    )
    np.testing.assert_array_equal(changed, zeros(cr.zeros((4, 3, 5), "float64"))[0].numpy())
    assert not np.array_equal(two.eval()(x)[0].numpy(), changed)
    again = copy.deepcopy(two)
    np.testing.assert_array_equal(again(x)[0].numpy(), two(x)[0].numpy())


def test_bad_arguments_are_refused():
    with pytest.raises(ValueError, match="proj_size is smaller"):
        nn.LSTM(3, 4, proj_size=4)
    with pytest.raises(ValueError, match="nonlinearity is 'tanh' or 'relu'"):
        nn.RNN(3, 4, nonlinearity="sigmoid")
    with pytest.raises(TypeError, match="bias is True or False"):
        nn.GRU(3, 4, 1, 1)
    layer = nn.LSTM(3, 4, num_layers=2)
    with pytest.raises(cr.ShapeError, match="at least one step"):
        layer(np.ones((0, 2, 3)))
    with pytest.raises(cr.ShapeError, match="last axis must have length 3"):
        layer(np.ones((5, 2, 4)))
    with pytest.raises(cr.ShapeError, match=r"shape \(2, 5, 4\) for this input, got \(1, 5, 4\)"):
        layer(np.ones((6, 5, 3)), (np.ones((1, 5, 4)), np.ones((2, 5, 4))))
    with pytest.raises(TypeError, match="pair"):
        layer(np.ones((6, 5, 3)), np.ones((2, 5, 4)))
    with pytest.raises(cr.ShapeError, match="state of this cell"):
        nn.GRUCell(3, 4)(np.ones((2, 3)), np.ones((3, 4)))
    for one_state in (nn.GRU(3, 4, 2), nn.RNN(3, 4, 2)):
        x, pair = np.ones((6, 5, 3), "f"), layer(np.ones((6, 5, 3), "f"))[1]
        with pytest.raises(
            cr.ShapeError, match=r"only an LSTM has a pair \(h, c\). Of a pair give"
        ):
            one_state(x, pair)
        assert one_state(x, pair[0])[0].shape == (6, 5, 4)
        assert one_state(x, [pair[0][0], pair[0][1]])[0].shape == (6, 5, 4)  # by layers
    for cell in (nn.GRUCell(3, 4), nn.RNNCell(3, 4)):
        pair = nn.LSTMCell(3, 4)(np.ones((5, 3), "f"))
        with pytest.raises(cr.ShapeError, match="only an LSTM has a pair"):
            cell(np.ones((5, 3), "f"), pair)
        assert cell(np.ones((5, 3), "f"), pair[0]).shape == (5, 4)
    with pytest.raises(ValueError, match="enforce_sorted=False"):
        rnn.pack_padded_sequence(np.ones((3, 2, 1)), [1, 2])
    with pytest.raises(ValueError, match=r"in 1 \.\.\. 3; they run from 1 to 4"):
        rnn.pack_padded_sequence(np.ones((3, 2, 1)), [4, 1])
    with pytest.raises(AttributeError, match="pad_packed_sequence"):
        _ = rnn.pack_sequence([np.ones(2)]).batch_sizes


@pytest.mark.parametrize("way", ["eager", "native"])
@pytest.mark.parametrize("name", KINDS)
def test_what_lies_beyond_a_length_does_not_count(name, way):
    """Not even NaN, which times 0 is NaN: derivatives are those over zeros."""
    layer = getattr(nn, name)(3, 4, 2, bidirectional=True, dtype="float64")
    states = list(layer.parameters())
    clean, n = normal(5, 3, 3), np.array([2, 5, 3])
    clean[np.arange(5)[:, None] >= n] = 0.0

    def step(x, n):
        packed = rnn.pack_padded_sequence(x, n, enforce_sorted=False)
        loss = (rnn.pad_packed_sequence(layer(packed)[0])[0] ** 2).sum()
        return cr.grad(loss, [x, *states])

    call = cr.compile(step) if way == "native" else step
    found = []
    for filler in (0.0, np.nan, np.inf):
        given = np.where(np.arange(5)[:, None, None] >= n[:, None], filler, clean)
        found.append(call(cr.tensor(given, requires_grad=True), cr.tensor(n)))
    for wanted, *others in zip(*found, strict=True):
        assert np.isfinite(wanted.numpy()).all()
        for other in others:
            np.testing.assert_array_equal(other.numpy(), wanted.numpy())


@pytest.mark.parametrize("options", [{}, {"bias": False, "bidirectional": True}, {"proj_size": 2}])
def test_all_weights_are_in_pytorchs_order(options):
    torch = pytest.importorskip("torch")
    ours, theirs = (m.LSTM(3, 4, num_layers=2, **options) for m in (nn, torch.nn))
    assert [[tuple(p.shape) for p in place] for place in theirs.all_weights] == [
        [p.shape for p in place] for place in ours.all_weights
    ]
    flat = [parameter for place in ours.all_weights for parameter in place]
    assert all(a is b for a, b in zip(flat, ours.parameters(), strict=True))
