"""summary against formulas worked out by hand, and its errors."""

import subprocess
import sys

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.graph.operation import operations


class NeuralNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(
            nn.Linear(28 * 28, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)
        )

    def forward(self, x):
        return self.linear_relu_stack(self.flatten(x))


WEIGHTS = [784 * 512, 512 * 512, 512 * 10]


def test_the_lectures_network():
    found = cr.summary(NeuralNetwork(), (28, 28), batch_size=64)
    assert found.parameters == found.trainable_parameters == 669_706
    assert found.edges == sum(WEIGHTS) and found.nodes == 512 + 512 + 10
    # Products, biases, ReLU.
    assert found.forward_flops == 2 * sum(WEIGHTS) + 1034 + 1024
    # dW and dX, but none of the first layer; sums of the biases' gradients; g * relu'(z).
    assert found.backward_flops == 2 * (2 * sum(WEIGHTS) - WEIGHTS[0]) + 1034 + 2 * 1024
    assert found.parameter_bytes == 4 * 669_706
    # x, and a of both hidden layers: for the next dW and for relu', which is 1 where a > 0.
    assert found.activation_bytes == 4 * 64 * (784 + 2 * 512)
    layers = found.layers
    assert [(row.path, row.layer) for row in layers] == [
        ("flatten", "Flatten"),
        ("linear_relu_stack.0", "Linear"),
        ("linear_relu_stack.1", "ReLU"),
        ("linear_relu_stack.2", "Linear"),
        ("linear_relu_stack.3", "ReLU"),
        ("linear_relu_stack.4", "Linear"),
    ]
    assert [row.edges for row in layers] == [0, WEIGHTS[0], 0, WEIGHTS[1], 0, WEIGHTS[2]]
    assert layers[1].parameters == WEIGHTS[0] + 512
    assert layers[1].output_shape == (64, 512) and layers[0].output_shape == (64, 784)
    assert layers[1].backward_flops == 2 * WEIGHTS[0] + 512  # no dX
    assert layers[3].backward_flops == 4 * WEIGHTS[1] + 512
    assert layers[2].forward_flops == 512 and layers[2].backward_flops == 1024


def test_numbers_of_a_row_do_not_depend_on_the_batch():
    few, many = (cr.summary(NeuralNetwork(), (28, 28), batch_size=n) for n in (16, 32))
    assert few.forward_flops == many.forward_flops
    assert few.backward_flops == many.backward_flops
    assert few.edges == many.edges and few.activation_bytes * 2 == many.activation_bytes


def test_frozen_layers_cost_no_backward_products():
    model = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 4))
    model[0].requires_grad_(False)
    found = cr.summary(model, (6,))
    assert found.parameters == 59 and found.trainable_parameters == 24
    assert found.layers[0].backward_flops == found.layers[1].backward_flops == 0
    assert found.layers[2].backward_flops == 2 * 20 + 4
    assert "35 parameters are frozen" in str(found)


def test_ones_own_layers_and_shared_ones():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(4, 4)
            self.gain = nn.Parameter(np.ones(4, "f"))
            self.unused = nn.Linear(2, 2)

        def forward(self, x):
            return x + self.gain * self.layer(self.layer(x))

    model = nn.Sequential(Residual())
    found = cr.summary(model, (4,))
    rows = {row.path: row for row in found.layers}
    assert list(rows) == ["0", "0.layer", "0.unused"]
    assert rows["0"].parameters == 4 and rows["0"].forward_flops == 8
    assert rows["0.layer"].parameters == 20
    assert rows["0.layer"].edges == 32 and rows["0.layer"].forward_flops == 2 * 32 + 8
    assert rows["0.unused"].output_shape is None and rows["0.unused"].parameters == 6
    assert found.parameters == 30
    assert all("forward" not in vars(module) for module in model.modules())


def test_reshaped_values_are_kept_once():
    model = nn.Sequential(nn.Linear(3, 5), nn.Sigmoid(), nn.Flatten(), nn.Linear(35, 2))
    found = cr.summary(model, (7, 3), batch_size=4)
    # x, and a: its derivative a (1 - a) and the next layer's dW read it, in two shapes.
    assert found.activation_bytes == 4 * 4 * (21 + 35)


def test_gradients_of_several_consumers_are_added():
    class Residual(nn.Module):
        def forward(self, x):
            return x + x.tanh()

    found = cr.summary(nn.Sequential(nn.Linear(3, 4), Residual()), (3,))
    assert found.layers[0].backward_flops == 2 * 12 + 4 + 4  # dW, db, the sum of two gradients


def test_tied_weights_count_once():
    first, second = nn.Linear(3, 3), nn.Linear(3, 3)
    second.weight = first.weight
    found = cr.summary(nn.Sequential(first, second), (3,))
    assert [row.parameters for row in found.layers] == [12, 3]
    assert found.parameters == 15 and found.edges == 18


def test_the_step_is_that_of_training():
    class Noisy(nn.Module):
        def forward(self, x):
            return x * 2.0 if self.training else x

    assert cr.summary(nn.Sequential(Noisy()).eval(), (3,)).forward_flops == 3


def test_running_statistics_follow_in_the_forward_pass():
    tracking, other = (
        cr.summary(nn.BatchNorm1d(3, track_running_stats=tracks), (3,)) for tracks in (True, False)
    )
    assert tracking.forward_flops > other.forward_flops
    assert tracking.backward_flops == other.backward_flops
    assert tracking.activation_bytes == other.activation_bytes


def test_a_layer_in_two_places_has_one_path():
    shared = nn.Linear(3, 3)
    model = nn.Sequential(nn.Sequential(shared), nn.ReLU(), shared)
    found = cr.summary(model, (3,))
    assert [row.path for row in found.layers] == ["0.0", "1"]
    assert found.layers[0].edges == 18 and found.parameters == 12


def test_sequences_preprocessing_and_float64():
    x = np.random.default_rng(0).standard_normal((20, 3))
    model = nn.Sequential(nn.PCA(3, 2, "float64").fit(x), nn.Linear(2, 5, dtype="float64"))
    found = cr.summary(model, (7, 3), batch_size=4)
    assert found.layers[0].output_shape == (4, 7, 2) and found.layers[1].output_shape == (4, 7, 5)
    assert found.edges == 7 * (6 + 10)
    assert found.layers[0].backward_flops == 0
    assert found.layers[0].forward_flops == 7 * (3 + 12)
    assert found.parameter_bytes == 8 * (15 + 3 + 6 + 2)


def test_a_model_without_parameters():
    found = cr.summary(nn.Sequential(nn.Softmax(1)), (10,), dtype="float64")
    assert found.parameters == found.backward_flops == 0 and found.forward_flops == 40
    assert found.layers[0].output_shape == (64, 10)


def test_the_model_is_left_as_it_was():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU()).eval()
    before = model.state_dict()
    cr.manual_seed(3)
    wanted = cr.uniform().item()
    cr.manual_seed(3)
    cr.summary(model, (2,))
    assert cr.uniform().item() == wanted
    assert not any(module.training for module in model.modules())
    assert all(np.array_equal(before[key], value) for key, value in model.state_dict().items())


def test_a_model_holds_no_tensors_of_a_graph_afterwards():
    class Echo(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer, self.last = nn.Linear(3, 2), cr.zeros(3)

        def forward(self, x):
            self.last = 0.5 * self.last + x
            self.out = self.layer(self.last)
            return self.out

    model = Echo()
    last = model.last
    for show in (
        lambda: cr.summary(model, (3,)),
        lambda: cr.draw(model, (3,)),
        lambda: cr.draw(model, np.ones((2, 3), np.float32)),
        lambda: cr.inspect.linear_pieces(model, np.ones(3), np.zeros(3)),
    ):
        show()
        assert model.last is last and not hasattr(model, "out")


def test_flops_are_those_that_the_operations_state(monkeypatch):
    model = nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1))
    assert cr.summary(model, (4,)).forward_flops == 24 + 3 + 12
    monkeypatch.setattr(operations["log_softmax"], "flops", lambda y, x, axis: 7 * y.size)
    assert cr.summary(model, (4,)).forward_flops == 24 + 3 + 21


@pytest.mark.parametrize("columns", [80, 100])
def test_the_printed_table(columns, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(columns))
    text = str(cr.summary(NeuralNetwork(), (28, 28)))
    assert max(map(len, text.splitlines())) <= columns
    assert "669,706" in text and "1,339,402" in text and "2.68 MB" in text
    assert "\x1b" not in text and repr(cr.summary(NeuralNetwork(), (28, 28))) == text
    if columns == 100:
        (row,) = [line for line in text.splitlines() if "linear_relu_stack.2" in line]
        wanted = "linear_relu_stack.2 Linear 64 × 512 262,656 262,144 524,800 1,049,088"
        assert " ".join(row.split()) == wanted


def test_a_notebook_prints_the_same_table(monkeypatch):
    plain = str(cr.summary(nn.Linear(2, 3), (2,)))
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    assert str(cr.summary(nn.Linear(2, 3), (2,))) == plain


@pytest.mark.parametrize("shape", [784, (0,), (-1,), (3.5,), (True,), "ab"])
def test_a_shape_that_is_none_is_refused(shape):
    with pytest.raises(cr.ShapeError, match="shape of one row"):
        cr.summary(NeuralNetwork(), shape)


def test_what_does_not_fit_is_refused_with_the_layers_path():
    model = NeuralNetwork()
    with pytest.raises(cr.ShapeError, match=r"^linear_relu_stack\.0 \(Linear\): .*\(64, 756\)"):
        cr.summary(model, (28, 27))
    with pytest.raises(ValueError, match="batch_size"):
        cr.summary(model, (28, 28), batch_size=0)
    embedding = nn.Embedding(5, 2)
    with pytest.raises(cr.DTypeError, match="pass its dtype="):
        cr.summary(embedding, (3,))
    assert cr.summary(embedding, (3,), dtype="int64").parameters == 10
    assert model.training and all("forward" not in vars(module) for module in model.modules())


class Two(nn.Module):
    """Two inputs, and as many outputs as it is told."""

    def __init__(self, outputs):
        super().__init__()
        self.first, self.second, self.outputs = nn.Linear(2, 3), nn.Linear(4, 3), outputs

    def forward(self, u, v):
        a, b = self.first(u), self.second(v)
        return {"both": {"a": a, "b": b, "n": 3}, "pair": (a, b), "a": a}[self.outputs]


def test_several_inputs_and_outputs():
    one, other = cr.summary(nn.Linear(2, 3), (2,)), cr.summary(nn.Linear(4, 3), (4,))
    for outputs in ("both", "pair"):
        found = cr.summary(Two(outputs), ((2,), (4,)))
        assert found.input_shape == ((64, 2), (64, 4))
        assert "input 64 × 2 and 64 × 4, 6 neurons" in str(found)
        for name in ("parameters", "edges", "nodes", "forward_flops", "backward_flops"):
            assert getattr(found, name) == getattr(one, name) + getattr(other, name)
        assert found.activation_bytes == one.activation_bytes + other.activation_bytes
    alone = cr.summary(Two("a"), [[2], [4]], dtype=("float32", "float32"))
    assert alone.backward_flops == one.backward_flops and alone.parameters == 9 + 15
    lstm = cr.summary(nn.LSTM(3, 4), (5, 3), batch_size=7)  # (output, (h, c))
    assert lstm.parameters == 4 * 4 * (3 + 4 + 2) and lstm.layers[0].output_shape == (7, 5, 4)
    assert lstm.edges == 5 * 4 * 4 * (3 + 4)
    attention = nn.MultiheadAttention(4, 2, batch_first=True)
    assert cr.summary(attention, [(5, 4)] * 3).parameters == 4 * (4 * 4 + 4)


def test_inputs_and_outputs_that_do_not_fit_are_refused():
    class Counts(nn.Module):
        def forward(self, x):
            return (x > 0, None)

    with pytest.raises(
        TypeError, match=r"Two does not take 1 input: missing .*'v'; give the shape"
    ):
        cr.summary(Two("a"), (2,))
    with pytest.raises(TypeError, match="Linear does not take 2 inputs: too many"):
        cr.summary(nn.Linear(2, 3), ((2,), (2,)))
    with pytest.raises(TypeError, match="returns a floating Tensor, or several"):
        cr.summary(Counts(), (3,))
    with pytest.raises(ValueError, match="2 inputs have one dtype, or one each"):
        cr.summary(Two("a"), ((2,), (4,)), dtype=["float32"])
    with pytest.raises(cr.ShapeError, match="a tuple of several inputs' shapes"):
        cr.summary(Two("a"), ((2,), 4))


def test_signs_of_rich_in_names_are_printed_as_they_are():
    model = nn.Sequential()
    model.add_module("x:a:b", nn.Linear(2, 2))
    model.add_module("[bold]", nn.Linear(2, 1))
    text = str(cr.summary(model, (2,)))
    assert "x:a:b " in text and "[bold] " in text


def test_rich_is_imported_only_to_print():
    code = (
        "import sys, chainrule as cr; s = cr.summary(cr.nn.Linear(2, 1), (2,));"
        "assert 'rich' not in sys.modules; print(s); assert 'rich' in sys.modules"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
