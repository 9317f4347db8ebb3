"""The formulas of activations in explanations, evaluated with the numbers of the trace."""

import math
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

LETTERS = ("boulder", "cs3780", "4al3", "cornell", "row", "deep-learning")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def normal(z):
    return np.array([[(1 + math.erf(x / math.sqrt(2))) / 2 for x in row] for row in z])


def density(z):
    return np.exp(-z * z / 2) / math.sqrt(2 * math.pi)


FUNCTIONS = {
    "exp": np.exp, "log": np.log, "tanh": np.tanh, "sin": np.sin, "cos": np.cos, "abs": np.abs,
    "max": np.maximum, "min": np.minimum, "sigmoid": sigmoid, "Phi": normal, "density": density,
}  # fmt: skip


def evaluated(text, names):
    """What a formula comes to; [z > 0] is 1 or 0."""
    text = text.replace("Phi'", "density").replace("^", "**").replace("[", "1.0*(")
    text = re.sub(r"(0\.\d+|\d) (?=1\.0\*|min|\()", r"\1 * ", text.replace("]", ")"))
    return eval(text, FUNCTIONS | names)


def explained(activation, letters="boulder"):
    model = nn.Sequential(
        nn.Linear(2, 3, dtype="float64"), activation, nn.Linear(3, 1, dtype="float64")
    )
    first, last = model[0], model[2]
    first.weight.assign(np.array([[1.5, -2.0], [0.5, 1.0], [-3.0, 0.1]]))
    first.bias.assign(np.array([0.1, 0.2, -0.3]))
    last.weight.assign(np.array([[0.4, -0.7, 0.9]]))
    return cr.explain(
        model, [[0.5, 1.0], [-1.0, 0.25]], [[1.0], [0.0]], nn.MSELoss(), letters=letters
    )


@pytest.mark.parametrize("letters", LETTERS)
@pytest.mark.parametrize(
    ("activation", "g", "slope"),
    [
        (nn.Sigmoid(), "1 / (1 + exp(-z))", "a * (1 - a)"),
        (nn.Tanh(), "tanh(z)", "1 - a^2"),
        (nn.ReLU(), "max(0, z)", "[z > 0]"),
        (nn.LeakyReLU(0.2), "max(0, z) + 0.2 min(0, z)", "[z > 0] + 0.2 [z <= 0]"),
        (nn.ELU(0.5), "max(0, z) + 0.5 (exp(min(0, z)) - 1)", "[z > 0] + [z <= 0] * (a + 0.5)"),
        (nn.Softplus(), "log(1 + exp(z))", "sigmoid(z)"),
        (nn.SiLU(), "z * sigmoid(z)", "sigmoid(z) * (1 + z * (1 - sigmoid(z)))"),
        (nn.GELU(), "z * Phi(z)", "Phi(z) + z * Phi'(z)"),
        (nn.LogSigmoid(), "-log(1 + exp(-z))", "1 - exp(a)"),
        (nn.Softsign(), "z / (1 + abs(z))", "(1 - abs(a))^2"),
    ],
)
def test_a_derivative_comes_to_its_numbers(activation, g, slope, letters):
    trace = explained(activation, letters).trace()
    layer, nodes = trace["layers"][0], trace["nodes"]
    z, a = nodes[layer["preactivation"]], nodes[layer["output"]]
    put = {"z": z["name"], "a": a["name"]}

    def in_letters(text):
        return re.sub(r"\b[za]\b", lambda found: put[found[0]], text)

    assert a["formula"]["text"].split(" = ")[2] == in_letters(g)
    assert layer["derivative_formula"]["text"].split(" = ")[1] == in_letters(slope)
    names = {node["name"]: np.array(node["value"]["values"]) for node in (z, a)}
    np.testing.assert_allclose(evaluated(in_letters(g), names), names[a["name"]], rtol=1e-9)
    derivative = np.array(layer["derivative"]["values"])
    np.testing.assert_allclose(evaluated(in_letters(slope), names), derivative, rtol=1e-9)
    # delta is a chain: what comes from above times g'(z), and then with what g' is.
    _, short, whole = z["gradient_formula"]["text"].split(" = ")
    above = short.rpartition(" * ")[0]
    factor = whole.removeprefix(f"{above} * ")
    assert factor.strip("()") == in_letters(slope).strip("()")
    np.testing.assert_allclose(evaluated(f"2 * {factor}", names), 2 * derivative, rtol=1e-9)


@pytest.mark.parametrize(
    ("activation", "name"),
    [(nn.Mish(), "Mish"), (nn.GELU("tanh"), "GELU"), (nn.Softplus(beta=2.0), "Softplus")],
)
def test_an_activation_without_a_short_formula_has_its_name(activation, name):
    trace = explained(activation).trace()
    layer = trace["layers"][0]
    assert trace["nodes"][layer["output"]]["formula"]["text"] == f"a1 = g(z1) = {name}(z1)"
    assert layer["derivative_formula"] == {
        "text": f"g'(z1) = {name}'(z1)", "latex": rf"g'(z^{{1}}) = \mathrm{{{name}}}'(z^{{1}})"
    }  # fmt: skip


def test_a_softmax_has_no_derivative_of_each_neuron():
    for activation, value in (
        (nn.Softmax(-1), "softmax(z1) = exp(z1) / sum(exp(z1))"),
        (nn.LogSoftmax(-1), "logsoftmax(z1) = z1 - log(sum(exp(z1)))"),
    ):
        trace = explained(activation).trace()
        layer, nodes = trace["layers"][0], trace["nodes"]
        assert nodes[layer["output"]]["formula"]["text"] == f"a1 = {value}"
        assert layer["derivative_formula"] is None
        if value.startswith("softmax"):
            formula = nodes[layer["preactivation"]]["gradient_formula"]
            back = "(W2^T delta2)"
            assert formula["text"] == f"delta1 = a1 * ({back} - sum(a1 * {back}))"
            assert r"\odot" in formula["latex"]
    delta = nodes[layer["preactivation"]]
    above, a = (np.array(nodes[layer["output"]][key]["values"]) for key in ("gradient", "value"))
    text = "(W2^T delta2) - exp(a1) * sum((W2^T delta2))"
    assert delta["gradient_formula"]["text"] == f"delta1 = {text}"
    np.testing.assert_allclose(
        delta["gradient"]["values"], above - np.exp(a) * above.sum(axis=1, keepdims=True)
    )


def test_the_numbers_of_a_derivative_stand_in_its_row():
    model = nn.Sequential(nn.Linear(1, 2), nn.LeakyReLU(), nn.Linear(2, 1))
    model.load_state_dict(
        {"0.weight": [[0.5], [-0.5]], "0.bias": [0.0, 0.0], "2.weight": [[1.0, 2.0]],
         "2.bias": [0.0]}
    )  # fmt: skip
    text = cr.explain(model, [1.0], [0.0], nn.MSELoss()).to_text(width=90)
    assert re.search(r"g'\(z1\) +\[z1 > 0\] \+ 0.01 \[z1 ≤ 0\]\n", text)
    assert re.search(r"  \[0.5 > 0\] \+ 0.01 \[0.5 ≤ 0\] +1.00\n", text)
    assert re.search(r"  \[-0.5 > 0\] \+ 0.01 \[-0.5 ≤ 0\] +0.01\n", text)
