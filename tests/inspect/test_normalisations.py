"""The formulas of layers that normalise: as lectures write them, and with the layer's numbers."""

import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

X = np.random.default_rng(0).normal(size=(4, 3))


def explained(layer, letters="boulder"):
    model = nn.Sequential(
        nn.Linear(3, 3, dtype="float64"), layer, nn.Tanh(), nn.Linear(3, 1, dtype="float64")
    )
    return model, cr.explain(model, X, np.ones((4, 1)), nn.MSELoss(), letters=letters)


def with_numbers(formula, numbers, axis):
    """A formula of the trace, computed by NumPy."""

    def mean(x):
        return np.mean(x, axis, keepdims=True)

    def var(x):
        return np.var(x, axis, keepdims=True)

    names = {"mean": mean, "var": var, "sqrt": np.sqrt, **numbers}
    return eval(formula.replace("^", "**"), names)


@pytest.mark.parametrize(
    ("layer", "axis", "formula"),
    [
        (nn.BatchNorm1d(3, eps=0.1, dtype="float64"), 0,
         "gamma1 * (z1 - mean(z1)) / sqrt(var(z1) + eps) + beta1"),
        (nn.BatchNorm1d(3, affine=False, eps=0.1, dtype="float64"), 0,
         "(z1 - mean(z1)) / sqrt(var(z1) + eps)"),
        (nn.LayerNorm(3, eps=0.1, dtype="float64"), 1,
         "gamma1 * (z1 - mean(z1)) / sqrt(var(z1) + eps) + beta1"),
        (nn.LayerNorm(3, eps=0.1, bias=False, dtype="float64"), 1,
         "gamma1 * (z1 - mean(z1)) / sqrt(var(z1) + eps)"),
        (nn.GroupNorm(1, 3, eps=0.1, dtype="float64"), 1,
         "gamma1 * (z1 - mean(z1)) / sqrt(var(z1) + eps) + beta1"),
        (nn.RMSNorm(3, eps=0.1, dtype="float64"), 1, "gamma1 * z1 / sqrt(mean(z1^2) + eps)"),
    ],
)  # fmt: skip
def test_the_formula_gives_the_numbers(layer, axis, formula):
    random = np.random.default_rng(1)
    for parameter in layer.parameters():
        parameter.assign(random.normal(size=3))
    _, found = explained(layer)
    nodes = found.trace()["nodes"]
    kind = type(layer).__name__.lower()
    (output,) = (n for n in nodes if n["name"] == f"{kind}1")
    assert output["formula"]["text"] == f"{kind}1 = {formula}"
    (z,) = (n for n in nodes if n["name"] == "z1")
    numbers = {"z1": np.array(z["value"]["values"]), "eps": 0.1}
    for name, letter in (("weight", "gamma1"), ("bias", "beta1")):
        parameter = getattr(layer, name, None)
        numbers[letter] = None if parameter is None else parameter.numpy()
    ours = with_numbers(formula, numbers, axis)
    np.testing.assert_allclose(output["value"]["values"], ours, rtol=1e-12, atol=1e-12)


def test_the_signs_of_print_and_of_latex():
    _, found = explained(nn.BatchNorm1d(3, dtype="float64"), "cs3780")
    text = found.to_text(width=120)
    assert "γ1 ⊙ (u1 - mean(u1)) / sqrt(var(u1) + eps) + β1" in text
    assert re.search(r"∂ℓ/∂γ1 +∂ℓ/∂batchnorm1d1 ∂batchnorm1d1/∂γ1", text)
    assert (
        r"\gamma^{1} \odot \frac{u^{1} - \mathrm{mean}(u^{1})}"
        r"{\sqrt{\mathrm{var}(u^{1}) + \epsilon}} + \beta^{1}"
    ) in found.to_latex()


def test_each_layer_has_its_own_letters():
    model = nn.Sequential(
        nn.LayerNorm(3), nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 1)
    )  # fmt: skip
    trace = cr.explain(model, X.astype("f"), np.ones((4, 1), "f"), nn.MSELoss()).trace()
    letters = {p["path"]: p["letter"] for layer in trace["layers"] for p in layer["parameters"]}
    assert letters["0.weight"] == "gamma1" and letters["0.bias"] == "beta1"
    assert letters["2.weight"] == "gamma2" and letters["2.bias"] == "beta2"


def test_a_layer_that_is_called_again_keeps_its_letters():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.norm, self.other = nn.Linear(3, 3), nn.LayerNorm(3), nn.RMSNorm(3)
            self.last = nn.Linear(3, 1)

        def forward(self, x):
            return self.last(self.other(self.norm(self.norm(self.first(x)))))

    trace = cr.explain(Twice(), X.astype("f"), np.ones((4, 1), "f"), nn.MSELoss()).trace()
    letters = {p["path"]: p["letter"] for layer in trace["layers"] for p in layer["parameters"]}
    assert letters["norm.weight"] == "gamma1" and letters["other.weight"] == "gamma2"


def test_running_statistics_are_not_those_of_the_batch():
    class Frozen(nn.BatchNorm1d):
        def train(self, mode=True):
            return super().train(False)

    frozen = Frozen(3, dtype="float64").eval()
    _, found = explained(frozen)
    assert "γ1" not in str(found) and "mean(z1)" not in str(found)
    kept = nn.BatchNorm1d(3, dtype="float64")
    model = nn.Sequential(nn.Linear(3, 3, dtype="float64"), kept, nn.Linear(3, 1, dtype="float64"))
    model.train = lambda mode=True: model
    kept.eval()
    found = cr.explain(model, X, np.ones((4, 1)), nn.MSELoss())
    assert "BatchNorm1d(z1)" in str(found) and "γ1" not in str(found)


def test_a_class_of_that_name_is_not_taken_for_the_layer():
    class LayerNorm(nn.LayerNorm):
        def forward(self, input):
            return super().forward(input) * 2

    _, found = explained(LayerNorm(3, dtype="float64"))
    assert "γ1" not in str(found) and "mean(z1)" not in str(found)
