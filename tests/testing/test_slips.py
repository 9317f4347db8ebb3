"""The whole sentences in which `compare` says what the slip is."""

import numpy as np
import pytest
from derivations import CASES, PENALTY, judged, with_slip

from chainrule import nn, optim
from chainrule.testing import compare

SENTENCES = [
    (
        "equal sizes",
        "delta",
        1,
        lambda s: s.W[2].T @ s.delta[3] * s.case.slope(1, s.z[1]),
        "delta3 is taken for delta2",
    ),
    (
        "equal sizes",
        "delta",
        1,
        lambda s: s.W[3].T @ s.delta[2] * s.case.slope(1, s.z[1]),
        "W3 is taken for W2",
    ),
    (
        "equal sizes",
        "z",
        2,
        lambda s: s.W[2] @ s.a[0] + s.b[2][:, None],
        "x is taken for a1",
    ),
    (
        "equal sizes",
        "z",
        2,
        lambda s: s.W[2] @ s.z[1] + s.b[2][:, None],
        "z1 is taken for a1; the activation of layer 1 is missing",
    ),
    (
        "deep",
        "dW",
        2,
        lambda s: np.outer(s.delta[2][:, 0], s.a[1][:, 0]) + 2 * PENALTY * s.W[2],
        "only the first example is counted",
    ),
    (
        "2-3-2",
        "delta",
        2,
        lambda s: 8 * s.delta_ours(2),
        "yours is 8 times ours: the sum over batch and outputs for the mean",
    ),
    (
        "2-3-2",
        "delta",
        2,
        lambda s: s.delta_ours(2) / 8,
        "yours is 0.125 times ours: the mean over batch and outputs for the sum",
    ),
    (
        "classes",
        "delta",
        2,
        lambda s: -s.Y / s.a[2] / s.B,
        "the derivative of the softmax is forgotten: yours is dL/dp",
    ),
    (
        "classes",
        "delta",
        2,
        lambda s: -s.Y / s.a[2],
        "the derivative of the softmax is forgotten: yours is dL/dp, and so is the 1/B of the mean",
    ),
]


@pytest.mark.parametrize(
    ("name", "kind", "layer", "slip", "sentence"),
    SENTENCES,
    ids=[sentence.replace(" ", "_") for *_, sentence in SENTENCES],
)
def test_the_sentence_of_a_slip(name, kind, layer, slip, sentence):
    assert judged(name, with_slip(name, kind, layer, slip)).slip == sentence


@pytest.mark.parametrize(
    ("letters", "sentence"),
    [
        ("boulder", "W1 is transposed: weight w_jk leads from input k to neuron j"),
        ("row", "w1 is transposed: weight w_jk leads from input j to neuron k"),
    ],
)
def test_which_way_a_weight_leads(letters, sentence):
    mine = with_slip("equal sizes", "z", 1, lambda s: s.W[1].T @ s.a[0] + s.b[1][:, None])
    assert judged("equal sizes", mine, letters=letters).slip == sentence


@pytest.mark.parametrize("name", ["2-3-2", "3-3-3"])
@pytest.mark.parametrize("lr", [0.3, -0.3])
def test_updated_weights_whose_rate_is_not_known(name, lr):
    case = CASES[name]

    def slip(s):
        updated = s.W[2] - lr * s.delta[2] @ s.a[1].T
        return updated.T @ s.delta[2] * s.case.slope(1, s.z[1])

    mine = with_slip(name, "delta", 1, slip)
    model = case.model()
    given = {k: mine[k] for k in ("delta2", "delta1")}
    result = compare(given, model, case.x, case.y, case.criterion(model))
    assert result.first == "delta1"
    if lr > 0:
        assert result.slip == "the updated W2 is used in the backward pass, with lr 0.3"
    else:  # no one steps uphill
        assert result.slip is None


def test_updates_that_are_no_multiple_of_the_gradient():
    case = CASES["3-3-3"]
    model = case.model()
    step = model, case.x, case.y, case.criterion(model), optim.Adam(model.parameters(), lr=0.1)
    assert compare({"new_W1": case.W[0]}, *step).slip == "W1 is not updated"


def test_targets_of_another_shape_than_the_outputs():
    case = CASES["3-3-3"]
    wrong = {"delta2": case.by_hand()["delta2"] + 1}
    result = compare(
        wrong, case.model(), case.x, case.y.sum(1), lambda a, y: ((a.sum(1) - y) ** 2).mean()
    )
    assert (result.first, result.slip) == ("delta2", None)


def test_an_activation_of_several_operations_is_named_by_all():
    layers = (
        nn.Linear(3, 2, dtype="float64"),
        nn.Sigmoid(),
        nn.Tanh(),
        nn.Linear(2, 1, dtype="float64"),
    )
    model = nn.Sequential(*layers)
    x = np.arange(6.0).reshape(2, 3) / 5
    mine = {"a1": 1 / (1 + np.exp(-model[0](x).numpy()))}
    sentence = "another activation: yours is sigmoid(z1), the model's is sigmoid, tanh"
    assert compare(mine, model, x, np.ones((2, 1)), nn.MSELoss()).slip == sentence
