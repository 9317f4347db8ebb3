"""The recursion through what is no layer, and losses with penalties, as formulas."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = (nn.Linear(2, 2) for _ in range(3))

    def forward(self, x):
        h = cr.tanh(self.a(x))
        h = h + cr.tanh(self.b(h))
        return h + self.c(h)


def formulas(model, loss, y=(0.01, 0.99)):
    """The right sides of the gradients' formulas by the left ones, the loss, and the text."""
    explained = cr.explain(model, [0.05, 0.1], list(y), loss)
    nodes = explained.trace()["nodes"]
    equations = [n["gradient_formula"]["text"] for n in nodes if n["gradient_formula"]]
    found = dict(equation.split(" = ", 1) for equation in equations)
    return found, nodes[-1]["formula"]["text"], explained.to_text(width=100)


def test_a_residual_network_and_a_penalty():
    model = Residual()
    found, loss, text = formulas(
        model, lambda o, t: ((o - t) ** 4).sum() + 0.1 * (model.a.weight**2).sum()
    )
    assert loss == "L = sum((a1 + a2 + z3 - y)^4) + 0.1 sum(W1 * W1)"
    assert found["dL/da1"] == "W2^T delta2 + dL/d%16"
    assert found["dL/d%16"] == "W3^T delta3 + dL/d%20"
    assert (found["dL/d%20"], found["dL/d%21"]) == ("dL/d%21", "4 %21^3")
    assert found["dL/dW1"] == "delta1 a0^T + 0.2 W1"
    backward = text.partition("BACKWARD")[2]
    for name in ("%16", "%20", "%21"):  # what a formula names stands in a table
        assert f"\n∂L/∂{name} " in backward and f"\n{name} " in text


def test_dropout_between_layers():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout(0.5), nn.Linear(2, 2))
    found, _, _ = formulas(model, nn.HalfSquaredErrorLoss())
    assert found["dL/ddropout1"] == "W2^T delta2"


def test_a_shared_layer_has_the_sum_of_its_parts():
    layer = nn.Linear(2, 2)
    found, _, _ = formulas(nn.Sequential(layer, nn.Tanh(), layer), nn.MSELoss())
    assert found["dL/dW1"] == "delta1 a0^T + delta2 a1^T"
    assert found["dL/db1"] == "delta1 + delta2"


@pytest.mark.parametrize(
    ("loss", "value", "delta"),
    [
        (nn.L1Loss(), "L = 1/4 sum(abs(z1 - y))", "sign(z1 - y) / 4"),
        (nn.HalfSquaredErrorLoss(), "L = 1/4 sum((z1 - y)^2)", "(z1 - y) / 2"),
        (nn.HalfSquaredErrorLoss(reduction="sum"), "L = 1/2 sum((z1 - y)^2)", "z1 - y"),
    ],
)
def test_losses_of_two_rows(loss, value, delta):
    trace = cr.explain(
        nn.Linear(2, 2), np.ones((2, 2)), np.array([[0.0, 5.0], [1.0, -5.0]]), loss
    ).trace()
    assert trace["nodes"][-1]["formula"]["text"] == value
    node = next(node for node in trace["nodes"] if node["name"] == "z1")
    assert node["gradient_formula"]["text"] == f"delta1 = {delta}"


@pytest.mark.parametrize("loss", [nn.MSELoss(), nn.MSELoss(reduction="sum")])
def test_a_loss_of_one_number_or_a_sum_divides_by_nothing(loss):
    rows = 1 if loss.reduction == "mean" else 3
    trace = cr.explain(nn.Linear(2, 1), np.ones((rows, 2)), np.ones((rows, 1)), loss).trace()
    assert trace["nodes"][-1]["formula"]["text"] == "L = sum((z1 - y)^2)"


def long(o, y):
    return sum(((o - y) ** 2).sum() * k for k in (1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5))


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (lambda o, y: (o / (y / o)).sum(), "sum(z1 / (y / z1))"),
        (lambda o, y: (o / (y * o)).sum(), "sum(z1 / (y * z1))"),
        (lambda o, y: (o / y * o).sum(), "sum(z1 / y * z1)"),
        (lambda o, y: (o - (y - o)).sum(), "sum(z1 - (y - z1))"),
        (lambda o, y: (2.0 ** (o + y)).sum(), "sum(2^(z1 + y))"),
        (lambda o, y: ((o * y) ** 4.0).sum(), "sum((z1 * y)^4)"),
        (lambda o, y: (o + o.sum()).sum(), "sum(z1 + sum(z1))"),
        (
            lambda o, y: cr.broadcast_to(o.sum(), (3,)).sum(),
            "sum(broadcast_to(sum(z1), (3,)))",
        ),
        (
            lambda o, y: (cr.broadcast_to(o.sum(), (3,)) * cr.ones(3)).sum(),
            "sum(broadcast_to(sum(z1), (3,)) * 1)",
        ),
        (lambda o, y: (o * np.array([2.0, 3.0])).sum(), None),
        (lambda o, y: (o.sum(axis=1, keepdims=True) * y).sum(), "sum(sum(z1) * y)"),
        (lambda o, y: 0.5 * long(o, y), None),
    ],
)
def test_the_formula_of_an_own_loss_gives_its_value(loss, formula):
    cr.manual_seed(3)
    trace = cr.explain(nn.Linear(2, 2, dtype="float64"), [0.5, 0.1], [0.25, 0.75], loss).trace()
    nodes = {node["name"]: np.array(node["value"]["values"]) for node in trace["nodes"]}
    written = trace["nodes"][-1]["formula"]["text"].removeprefix("L = ")
    if formula is None:
        assert "%" in written
        return
    assert written == formula
    names = {"sum": np.sum, "broadcast_to": np.broadcast_to, "z1": nodes["z1"], "y": nodes["y"]}
    assert eval(written.replace("^", "**"), names) == pytest.approx(trace["loss"], rel=1e-12)


@pytest.mark.parametrize(
    "loss",
    [
        nn.CrossEntropyLoss(weight=[1.0, 2.0]),
        nn.CrossEntropyLoss(ignore_index=-100),
        nn.CrossEntropyLoss(label_smoothing=0.1),
        nn.NLLLoss(),
        nn.NLLLoss(weight=[1.0, 2.0]),
        nn.HuberLoss(),
        nn.KLDivLoss(reduction="batchmean"),
        lambda o, y: (o / (y * y)).sum(),
        lambda o, y: ((o - y) ** 2).sum() ** 0.5,
    ],
)
def test_each_number_that_formulas_of_the_loss_name_is_shown(loss):
    y = 1 if isinstance(loss, (nn.CrossEntropyLoss, nn.NLLLoss)) else [0.25, 0.75]
    explained = cr.explain(nn.Linear(2, 2), [0.5, 0.1], y, loss)
    text = explained.to_text(width=120).partition("Loss")[2]
    shown = set(re.findall(r"^(?:%\d+|y|L)(?= )", text, flags=re.MULTILINE))
    assert set(re.findall(r"%\d+", text)) <= shown
    assert {"y", "L"} <= shown
    assert "∂L/∂L" not in text
    assert explained.trace()["nodes"][-1]["formula"]["text"] != "L = 1"


class Steps(nn.Module):
    """A map that is done many times, as by an implicit layer or a recurrence."""

    def __init__(self, step):
        super().__init__()
        self.linear, self.step = nn.Linear(1, 1, bias=False, dtype="float64"), step

    def forward(self, x):
        h = self.linear(x)
        for _ in range(1000):
            h = self.step(h)
        return h


@pytest.mark.parametrize(
    ("step", "slope"),
    [
        (lambda h: h * 1.001, lambda h: 1.001),
        (cr.sin, np.cos),
        (lambda h: h.reshape(1, 1, 1).reshape(1, 1), lambda h: 1.0),
    ],
)
def test_a_chain_of_many_operations_is_explained(step, slope):
    model = Steps(step)
    explained = cr.explain(model, [0.5], [0.25], lambda o, y: ((o - y) ** 2.0).sum())
    w = next(node for node in explained.trace()["nodes"] if node["name"] == "linear.weight")
    h, product = model.linear.weight.item() * 0.5, 0.5
    for _ in range(1000):
        product *= slope(h)
        h = step(cr.tensor([[h]], dtype="float64")).item()
    (gradient,) = w["gradient"]["values"][0]
    assert gradient == pytest.approx(2.0 * (h - 0.25) * product, rel=1e-9)
    assert "%1" in explained.to_text(width=100)
