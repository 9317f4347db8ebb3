"""The formulas of updates in explanations, evaluated with the numbers of the trace."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

CASES = [
    (optim.SGD, {"lr": 0.5}, ["W1 <- W1 - 0.5 dL/dW1"]),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.01},
     ["G <- 0.9 G + dL/dW1 + 0.01 W1", "W1 <- W1 - 0.1 G"]),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True},
     ["G <- 0.9 G + dL/dW1", "W1 <- W1 - 0.1 (dL/dW1 + 0.9 G)"]),
    (optim.SGD, {"lr": 0.1, "momentum": 0.9, "dampening": 0.5, "maximize": True},
     ["G <- 0.9 G + 0.5 (-dL/dW1)", "W1 <- W1 - 0.1 G"]),
    (optim.Adam, {"lr": 0.1, "weight_decay": 0.1},
     ["m <- 0.9 m + 0.1 (dL/dW1 + 0.1 W1)", "v <- 0.999 v + 0.001 (dL/dW1 + 0.1 W1)^2",
      "W1 <- W1 - 0.1 (m / (1 - 0.9^2)) / (sqrt(v / (1 - 0.999^2)) + 1e-08)"]),
    (optim.AdamW, {"lr": 0.1, "weight_decay": 0.1, "amsgrad": True},
     ["m <- 0.9 m + 0.1 dL/dW1", "v <- 0.999 v + 0.001 (dL/dW1)^2", "u <- max(u, v)",
      "W1 <- 0.99 W1 - 0.1 (m / (1 - 0.9^2)) / (sqrt(u / (1 - 0.999^2)) + 1e-08)"]),
    (optim.RMSprop, {},
     ["v <- 0.99 v + (1 - 0.99) (dL/dW1)^2", "W1 <- W1 - 0.01 dL/dW1 / (sqrt(v) + 1e-08)"]),
    (optim.Adagrad, {"lr": 0.1},
     ["s <- s + (dL/dW1)^2", "W1 <- W1 - 0.1 dL/dW1 / (sqrt(s) + 1e-10)"]),
    (optim.Adadelta, {"lr": 0.5},
     ["v <- 0.9 v + (1 - 0.9) (dL/dW1)^2", "D = dL/dW1 sqrt(u + 1e-06) / sqrt(v + 1e-06)",
      "u <- 0.9 u + (1 - 0.9) D^2", "W1 <- W1 - 0.5 D"]),
    (optim.Adamax, {"lr": 0.1},
     ["m <- 0.9 m + (1 - 0.9) dL/dW1", "u <- max(0.999 u, |dL/dW1| + 1e-08)",
      "W1 <- W1 - 0.1 / (1 - 0.9^2) m / u"]),
    (optim.Lion, {},
     ["c = 0.9 m + (1 - 0.9) dL/dW1", "m <- 0.99 m + (1 - 0.99) dL/dW1",
      "W1 <- W1 - 0.0001 sign(c)"]),
    (optim.Lion, {"weight_decay": 0.5},
     ["c = 0.9 m + (1 - 0.9) dL/dW1", "m <- 0.99 m + (1 - 0.99) dL/dW1",
      "W1 <- W1 - 0.0001 (sign(c) + 0.5 W1)"]),
]  # fmt: skip


def after_one_step(kind, options):
    """A model and an optimizer that has taken a step."""
    model = nn.Linear(2, 1, dtype="float64")
    model.weight.assign(np.array([[0.5, -0.25]]))
    optimizer = kind(model.parameters(), **options)
    nn.MSELoss()(model(np.array([[1.0, 2.0]])), np.array([[1.5]])).backward()
    optimizer.step()
    optimizer.zero_grad()
    return model, optimizer


@pytest.mark.parametrize(("kind", "options", "formulas"), CASES)
def test_the_formulas_of_an_update_come_to_the_new_weights(kind, options, formulas):
    model, optimizer = after_one_step(kind, options)
    trace = cr.explain(model, [0.3, -0.7], [2.0], nn.MSELoss(), optimizer).trace()
    weight = trace["layers"][0]["parameters"][0]
    update = weight["update"]
    assert [formula["text"] for formula in update["formulas"]] == formulas
    names = {state["name"]: np.array(state["before"]["values"]) for state in update["state"]}
    assert all(np.abs(value).max() > 0 for value in names.values())
    names |= {
        "W1": np.array(weight["old"]["values"]), "dW1": np.array(weight["gradient"]["values"]),
        "max": np.maximum, "sqrt": np.sqrt, "sign": np.sign,
    }  # fmt: skip
    for formula in formulas:
        formula = formula.replace("dL/dW1", "dW1").replace("^", "**")
        left, right = re.split(" <- | = ", formula)
        right = re.sub(r"\|(.*?)\|", r"abs(\1)", right)
        right = re.sub(r"([\w)]) (?=[A-Za-z(])", r"\1 * ", right)
        names[left] = eval(right, dict(names))
    np.testing.assert_allclose(names["W1"], weight["new"]["values"], rtol=1e-9)
    for formula in update["formulas"]:
        assert formula["latex"].count(r"\leftarrow") == formula["text"].count("<-")
        assert not re.search(r"\de[-+]?\d|mathrm\{sqrt\}", formula["latex"])


@pytest.mark.parametrize(
    ("kind", "options", "formulas"),
    [
        (optim.RMSprop, {"centered": True}, ["W1 <- RMSprop(W1, dL/dW1)"]),
        (optim.Rprop, {}, ["W1 <- Rprop(W1, dL/dW1)"]),
    ],
)  # fmt: skip
def test_other_optimizers_and_options_have_their_name(kind, options, formulas):
    model, optimizer = after_one_step(kind, options)
    explained = cr.explain(model, [0.3, -0.7], [2.0], nn.MSELoss(), optimizer)
    update = explained.trace()["layers"][0]["parameters"][0]["update"]
    assert [formula["text"] for formula in update["formulas"]] == formulas
    assert update["state"] == []


def test_the_tables_have_the_rule_once_and_the_moments_of_each_parameter():
    model, optimizer = after_one_step(optim.SGD, {"lr": 0.1, "momentum": 0.9})
    text = cr.explain(model, [0.3, -0.7], [2.0], nn.MSELoss(), optimizer).to_text(width=100)
    rule = text[text.index("The rule of the update") : text.index("Update: the loss")]
    assert re.search(r"\nG +← 0.9 G \+ ∂L/∂W\nW +← W - 0.1 G\nG of W1 +-", rule)
    assert rule.count("G of") == 2 and rule.count("←") == 2


def test_the_sum_of_momentum_has_the_readers_letter_and_brackets_stay_at_weights():
    model, optimizer = after_one_step(optim.SGD, {"lr": 0.1, "momentum": 0.9})
    step = ([0.3, -0.7], [2.0], nn.MSELoss(), optimizer)
    explained = cr.explain(model, *step, letters="4al3")
    update = explained.trace()["layers"][0]["parameters"][0]["update"]
    assert [f["text"] for f in update["formulas"]] == ["v <- 0.9 v + dL/dW1", "W1 <- W1 - 0.1 v"]
    assert [state["name"] for state in update["state"]] == ["v"]
    latex = cr.explain(model, *step, letters="cs3780").to_latex()
    assert r"u^{1} &= W^{[1]} z^{0} + b^{1}" in latex
