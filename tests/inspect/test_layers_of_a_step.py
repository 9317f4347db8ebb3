"""What explain takes for a layer, its weights and its activation: true for each model's numbers."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn
from chainrule.nn import functional
from chainrule.nn.utils import spectral_norm, weight_norm


class Net(nn.Module):
    """z = fc(x), then what `rest(net, z)` makes of it."""

    def __init__(self, rest, fc=None, activation=None):
        super().__init__()
        self.fc = fc or nn.Linear(2, 3)
        self.act = activation or nn.Sigmoid()
        self.out = nn.Linear(3, 1)
        self.rest = rest

    def forward(self, x):
        return self.rest(self, self.fc(x))


class Scaled(nn.Linear):
    def forward(self, x):
        return super().forward(x) * 0.5


class Doubled(nn.Linear):
    def forward(self, x):
        return super().forward(x + x)


class ConvexLinear(nn.Linear):
    def forward(self, x):
        self.seen = x.shape
        return super().forward(x)


class Kernel(nn.Conv2d):
    pass


class LowRank(nn.Linear):
    def __init__(self, size, out):
        super().__init__(size, out)
        self.up = nn.Linear(size, 1, bias=False)

    def forward(self, x):
        return super().forward(x) + (x * self.up.weight).sum(axis=-1, keepdims=True)


class Swish(nn.Module):
    def forward(self, x):
        return x * cr.sigmoid(x)


class Noise(nn.Module):
    def forward(self, x):
        return x * cr.tensor([[1.0, 0.0, 2.0]], dtype="float32")


def called(function):
    return lambda net, z: net.out(function(z))


def through(module):
    return Net(lambda net, z: net.out(net.act(z)), activation=module)


DELTA = "delta1 = (W2^T delta2) * g'(z1)"
FIRST = "z1 = W1 a0 + b1"
CASES = {
    "module": (through(nn.Tanh()), ["Linear Tanh", "Linear"], [FIRST, DELTA]),
    "gelu module": (through(nn.GELU()), ["Linear GELU", "Linear"], [DELTA]),
    "silu module": (through(nn.SiLU()), ["Linear SiLU", "Linear"], [DELTA]),
    "own module": (through(Swish()), ["Linear Swish", "Linear"], [DELTA]),
    "module of another kind": (through(Noise()), ["Linear", "Noise", "Linear"], [FIRST]),
    "z taken twice": (
        Net(lambda net, z: net.out(z * net.act(z))), ["Linear", "Sigmoid", "Linear"],
        ["delta1 = dL/dsigmoid1 dsigmoid1/dz1 + dL/d%n d%n/dz1"],
    ),
    "z in the output": (
        Net(lambda net, z: net.out(net.act(z)) + z.sum()), ["Linear", "Sigmoid", "Linear"], [FIRST],
    ),
    "gelu taken twice": (
        Net(lambda net, z: net.out(functional.gelu(z)) + z.sum()), ["Linear", "Linear"], [FIRST],
    ),
    "scaled": (
        Net(called(cr.tanh), Scaled(2, 3)), ["Scaled", "Linear"], ["scaled1 = %n * 0.5"],
    ),
    "doubled": (Net(called(cr.tanh), Doubled(2, 3)), ["Doubled", "Linear"], []),
    "low rank": (Net(called(cr.tanh), LowRank(2, 3)), ["LowRank", "Linear"], []),
    "same map": (
        Net(called(cr.tanh), ConvexLinear(2, 3)), ["ConvexLinear Tanh", "Linear"],
        [FIRST, DELTA, "dL/dW1 = delta1 a0^T"],
    ),
    "weight norm": (
        Net(called(cr.tanh), weight_norm(nn.Linear(2, 3))), ["Linear Tanh", "Linear"],
        [FIRST, "W1 = fc.weight_v * %n", "dL/dW1 = delta1 a0^T", DELTA],
    ),
    "spectral norm": (
        Net(called(cr.tanh), spectral_norm(nn.Linear(2, 3))), ["Linear Tanh", "Linear"],
        [FIRST, "W1 = fc.weight_orig / %n", DELTA],
    ),
    "kernels": (
        nn.Sequential(nn.Unflatten(1, (1, 1, 2)), nn.ConvTranspose2d(1, 1, 2), nn.ReLU(),
                      Kernel(1, 2, 2), nn.Flatten(), nn.Linear(4, 1)),
        ["Unflatten", "ConvTranspose2d ReLU", "Kernel", "Flatten", "Linear"],
        ["z1 = conv^T(W1, unflatten1) + b1", "z2 = conv(W2, a1) + b2",
         "dL/da1 = conv^T(W2, delta2)",
         "dL/dW1 = conv(delta1, unflatten1)", "dL/dW2 = conv(a1, delta2)"],
    ),
}  # fmt: skip
FUNCTIONS = {
    "ReLU": cr.relu, "Softplus": cr.softplus, "GELU": functional.gelu,
    "SiLU": functional.silu, "Mish": functional.mish, "SELU": functional.selu,
    "ELU": functional.elu, "CELU": functional.celu, "Softsign": functional.softsign,
    "LeakyReLU": lambda z: functional.leaky_relu(z, 0.2), "LogSigmoid": functional.logsigmoid,
    "Tanhshrink": functional.tanhshrink,
}  # fmt: skip
for name, function in FUNCTIONS.items():
    CASES[f"function {name}"] = (Net(called(function)), [f"Linear {name}", "Linear"], [DELTA])
CASES["function tanh gelu"] = (
    Net(called(lambda z: functional.gelu(z, "tanh"))), ["Linear GELU", "Linear"], [DELTA],
)  # fmt: skip
CASES["function with a mask"] = (
    Net(called(lambda z: cr.where(z < 0.0, z, 0.5 * z))), ["Linear", "Linear"], [FIRST],
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_formulas_hold_for_the_numbers(case):
    model, kinds, formulas = CASES[case]
    step = cr.explain(model, [0.7, -0.3], [0.5], nn.MSELoss())
    trace = step.trace()
    found = [" ".join(filter(None, (n["kind"], n["activation"]))) for n in trace["layers"]]
    assert found == kinds
    said = {n[key]["text"] for n in trace["nodes"] for key in KEYS if n[key] is not None}
    said = {re.sub("%[0-9]+", "%n", text) for text in said}
    for formula in formulas:
        assert any(text == formula or text.startswith(f"{formula} = ") for text in said)
    check_layers(trace)
    assert step.to_text() and step.to_latex()


KEYS = ("formula", "gradient_formula")


def check_layers(trace):
    """delta = dL/da g'(z), and z = a W^T + b where a layer has sizes."""

    def values(held):
        return np.array(held["values"])

    for layer in trace["layers"]:
        if layer["derivative"] is not None:
            product = values(layer["output_gradient"]) * values(layer["derivative"])
            np.testing.assert_allclose(values(layer["delta"]), product, rtol=1e-4, atol=1e-7)
        if layer["sizes"] is not None:
            W, b = (values(p["old"]) for p in layer["parameters"])
            z = values(trace["nodes"][layer["input"]]["value"]) @ W.T + b
            seen = values(trace["nodes"][layer["preactivation"]]["value"])
            np.testing.assert_allclose(z, seen, rtol=1e-4, atol=1e-6)


def test_the_weights_that_a_layer_computes_are_in_its_tables():
    model = nn.Sequential(weight_norm(nn.Linear(2, 2)), nn.Tanh(), nn.Linear(2, 1))
    step = cr.explain(model, [1.0, 2.0], [1.0], nn.MSELoss())
    first, second = (layer["sizes"] for layer in step.trace()["layers"])
    assert first is None and second == [2, 1]  # W1 is no parameter of the layer
    text = step.to_text(width=120)
    assert "Layer 1: Linear, Tanh (0)" in text and "W1 " in text and "∂L/∂W1 " in text
    assert step.to_html()


class Own(nn.Module):
    """A network as a student writes it, with parameters of its own."""

    def __init__(self):
        super().__init__()
        self.W = nn.Parameter([[0.5, -0.2], [0.1, 0.3]], dtype="float64")
        self.b = nn.Parameter([0.0, 0.1], dtype="float64")
        self.v = nn.Parameter([[0.4], [0.7]], dtype="float64")

    def forward(self, x):
        mask = cr.tensor([[1.0, 2.0]], dtype="float64")
        return (cr.sigmoid(x @ self.W + self.b) * mask) @ self.v


def shown_numbers(explained):
    """The numbers %7 that formulas name, and those of them that have rows."""
    text = explained.to_text(width=120)
    return set(re.findall(r"%\d+", text)), set(re.findall(r"^%\d+", text, re.MULTILINE))


def test_the_operations_of_a_class_of_ones_own_are_shown():
    explained = cr.explain(Own(), [1.0, 2.0], [1.0], nn.MSELoss())
    named, shown = shown_numbers(explained)
    assert named == shown and len(named) >= 5
    backward = explained.to_text(width=120).partition("BACKWARD")[2]
    assert "∂L/∂%" in backward
    assert re.search(r"own1 +matmul\(%\d+, v\)", explained.to_text(width=120))


@pytest.mark.parametrize(
    "layer", [nn.BatchNorm1d(2), nn.LayerNorm(2), nn.PReLU(), nn.Softmax(-1)], ids=repr
)
def test_gradients_through_a_layer_name_what_it_gives(layer):
    model = nn.Sequential(nn.Linear(2, 2), nn.Identity(), layer, nn.Linear(2, 1))
    x, y = [[1.0, 2.0], [3.0, 1.0]], [[1.0], [2.0]]
    named, shown = shown_numbers(cr.explain(model, x, y, nn.MSELoss()))
    assert named == shown == set()


class TwiceUsed(nn.Module):
    """Uses a layer twice, and changes it or freezes it for one of them."""

    def __init__(self, is_frozen):
        super().__init__()
        self.fc = nn.Linear(2, 2, dtype="float64")
        self.is_frozen = is_frozen

    def forward(self, x):
        y = cr.tanh(self.fc(x))
        if self.is_frozen:
            self.fc.requires_grad_(False)
        else:
            with cr.no_grad():
                self.fc.weight.assign(self.fc.weight * 0.5)
        z = self.fc(y)
        self.fc.requires_grad_(True)
        return z


@pytest.mark.parametrize("is_frozen", [False, True])
def test_the_gradient_of_a_parameter_is_that_of_all_uses_which_were_not_frozen(is_frozen):
    model, loss = TwiceUsed(is_frozen), nn.MSELoss()
    x, y = np.array([[1.0, 2.0]]), np.array([[1.0, -1.0]])
    explained = cr.explain(model, x, y, loss)
    assert explained.to_text(width=120) and explained.to_html()
    loss(model(x), y).backward()
    for layer in explained.trace()["layers"]:
        for shown in layer["parameters"]:
            grad = model.get_parameter(shown["path"]).grad
            found = np.array(shown["gradient"]["values"])
            np.testing.assert_allclose(found, grad.numpy(), rtol=1e-12)
