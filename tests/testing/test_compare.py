"""`compare` finds the first wrong quantity of a derivation by hand, and names the slip."""

import numpy as np
import pytest
from derivations import CASES, PENALTY, Case, G, judged, softmax, with_slip

import chainrule as cr
from chainrule import nn, optim
from chainrule.testing import compare

SLIPS = [
    # network, kind, layer, what is done, first wrong quantity, words of the slip
    ("2-3-2", "delta", 1, lambda s: s.W[2].T @ s.delta[2], "delta1", "factor g'(z1) is missing"),
    (
        "2-3-2",
        "delta",
        2,
        lambda s: s.factor * (s.a[2] - s.Y) * s.case.slope(2, s.a[2]),
        "delta2",
        "taken at a2 instead of z2",
    ),
    (
        "mazur",
        "delta",
        1,
        lambda s: s.W[2] @ s.delta[2] * s.case.slope(1, s.z[1]),
        "delta1",
        "W2 is not transposed",
    ),
    ("3-3-3", "z", 1, lambda s: s.W[1].T @ s.a[0] + s.b[1][:, None], "z1", "W1 is transposed"),
    ("deep", "delta", 3, lambda s: -s.delta_ours(3), "delta3", "y - a for a - y"),
    ("mazur", "delta", 2, lambda s: 2 * s.delta_ours(2), "delta2", "factor 2"),
    ("3-3-3", "delta", 2, lambda s: 0.5 * s.delta_ours(2), "delta2", "factor 1/2"),
    ("classes", "delta", 2, lambda s: s.a[2] - s.Y, "delta2", "1/B is missing"),
    ("deep", "db", 2, lambda s: s.delta[2].mean(axis=1), "db2", "1/B is applied twice"),
    ("2-3-2", "dW", 1, lambda s: s.a[0] @ s.delta[1].T, "dW1", "outer product is the wrong way"),
    (
        "deep",
        "delta",
        2,
        lambda s: (
            (s.W[3] - s.lr * (s.delta[3] @ s.a[2].T + 2 * PENALTY * s.W[3])).T
            @ s.delta[3]
            * s.case.slope(2, s.z[2])
        ),
        "delta2",
        "updated W3",
    ),
    (
        "deep",
        "dW",
        2,
        lambda s: s.delta[1] @ s.a[1].T + 2 * PENALTY * s.W[2],
        "dW2",
        "delta1 is taken for delta2",
    ),
    ("2-3-2", "delta", 2, lambda s: s.delta_ours(2) * 2, "delta2", "sum over the outputs"),
    ("float32", "db", 2, lambda s: s.delta[2], "db2", "not summed over the batch"),
    ("2-3-2", "a", 2, lambda s: s.z[2], "a2", "activation of layer 2 is missing"),
    (
        "classes",
        "delta",
        2,
        lambda s: -s.Y / s.a[2] / s.B,
        "delta2",
        "derivative of the softmax is forgotten",
    ),
    ("deep", "dW", 3, lambda s: s.delta[3] @ s.a[2].T, "dW3", "penalty's gradient is missing"),
    (
        "deep",
        "delta",
        1,
        lambda s: s.W[2].T @ s.delta[2] * G["sigmoid"][1](s.z[1]),
        "delta1",
        "derivative: that of sigmoid",
    ),
    ("float32", "dW", 2, lambda s: s.delta[2] @ s.z[1].T, "dW2", "z1 is taken for a1"),
    ("mazur", "new", 1, lambda s: s.W[1] + s.lr * s.dW[1], "new_W1", "the step is added"),
    ("classes", "z", 2, lambda s: s.W[2] @ s.a[1], "z2", "bias b2 is missing"),
    ("saturated", "delta", 1, lambda s: s.W[2].T @ s.delta[2], "delta1", "g'(z1) is missing"),
]


@pytest.mark.parametrize(
    ("name", "kind", "layer", "slip", "first", "words"),
    SLIPS,
    ids=[f"{first}-{words}".replace(" ", "_") for *_, first, words in SLIPS],
)
def test_a_planted_slip_is_found(name, kind, layer, slip, first, words):
    result = judged(name, with_slip(name, kind, layer, slip))
    assert (result.correct, result.first) == (False, first)
    assert words in str(result.slip)
    assert str(result).startswith(f"{first} is wrong")
    later = [f.verdict for f in result.findings][[f.name for f in result.findings].index(first) :]
    assert later.count("wrong") == 1  # what comes after follows from it


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("form", ["column", "rows", "row", "float32"])
def test_a_right_derivation_is_right(name, form):
    mine = CASES[name].by_hand()
    if form in ("rows", "row"):
        mine = {k: v if "W" in k or v.ndim < 2 else v.T for k, v in mine.items()}
    if form == "row" and len(set(CASES[name].sizes)) > 1:
        mine = {k: v.T if "W" in k else v for k, v in mine.items()}
    if form == "float32":
        mine = {k: v.astype("float32") for k, v in mine.items()}
    result = judged(name, mine)
    assert result.correct, result
    assert str(result).startswith(f"All {len(mine)} quantities are right.")


@pytest.mark.parametrize("name", ["3-3-3", "classes", "mazur", "2-3-2"])
@pytest.mark.parametrize("decimals", [3, 4])
def test_numbers_rounded_as_on_paper_are_no_slip(name, decimals):
    case = CASES[name]
    right = case.by_hand()
    result = judged(name, {k: np.round(v, decimals) for k, v in right.items()})
    assert (result.correct, result.first, result.slip) == (False, "z1", None)
    assert "z1 and 11 more are right" in str(result)
    if result.rounded is None:
        assert "as far as the decimals go; give more of them" in str(result)
    else:
        digits = {1e-2: 2, 1e-3: 3}[result.rounded]
        assert f"to {digits} digits; rtol={result.rounded:g} accepts that" in str(result)
        given = {k: np.round(v, decimals) for k, v in right.items()}
        model = case.model()
        optimizer = optim.SGD(model.parameters(), lr=0.5)
        step = (model, case.x, case.y, case.criterion(model), optimizer)
        assert compare(given, *step, rtol=result.rounded).correct


def test_a_slip_is_found_in_rounded_numbers():
    slipped = CASES["2-3-2"].by_hand(("delta", 1, lambda s: s.W[2].T @ s.delta[2]))
    result = judged("2-3-2", {k: np.round(v, 3) for k, v in slipped.items()})
    assert (result.first, "g'(z1) is missing" in result.slip) == ("delta1", True)
    verdicts = {f.name: f.verdict for f in result.findings}
    assert (verdicts["z1"], verdicts["dW1"]) == ("rounded", "follows")
    assert judged("2-3-2", {"z1": CASES["2-3-2"].by_hand()["z1"] * 1.02}).rounded is None


def turn(*order):
    return lambda m: m[list(order)]


def add(*place):
    def change(m):
        m = m.copy()
        m[place] += 0.5
        return m

    return change


@pytest.mark.parametrize(
    ("quantity", "change", "words"),
    [  # of the case 2-3-2, with the four examples as columns
        ("z1", add(2, 0), "only column 1, neuron 3 differs (yours 0.586913, ours 0.0869131)"),
        ("z1", add(1), "only neuron 2 differs"),
        ("z1", turn(1, 0, 2), "neurons 1 and 2 are swapped"),
        ("z1", turn(1, 2, 0), "neurons 1, 2, 3 stand in the order 2, 3, 1"),
        ("z1", lambda m: m[:, [0, 3, 2, 1]], "columns 2 and 4 are swapped"),
        ("dW1", add(2, 1), "only neuron 3, input 2 differs"),
        ("db1", turn(0, 2, 1), "neurons 2 and 3 are swapped"),
        (
            "delta1",
            lambda m: m + 0.1 * np.sin(np.arange(12.0).reshape(3, 4)),
            "no usual slip explains it",
        ),
    ],
)
def test_the_place_of_wrong_elements_is_told(quantity, change, words):
    mine = CASES["2-3-2"].by_hand()
    assert words.split(" (")[0] in str(judged("2-3-2", mine | {quantity: change(mine[quantity])}))


def test_further_slips_and_plain_sentences():
    case = CASES["2-3-2"]
    of_tanh = case.by_hand(
        ("delta", 1, lambda s: s.W[2].T @ s.delta[2] * (1 - s.a[1] ** 2)),
    )
    assert "1 - a^2 is tanh', the model's is sigmoid" in judged("2-3-2", of_tanh).slip
    classes = CASES["classes"]
    p = softmax(classes.by_hand()["z2"])
    loss = -(p * classes.Y).sum() / classes.rows
    assert "the logarithm is missing: -p for -log p" in judged("classes", {"loss": loss}).slip
    mazur = CASES["mazur"].by_hand()
    doubled = judged("mazur", mazur | {"delta2": 2 * mazur["delta2"]})
    assert "factor 2" in doubled.slip
    assert "batch" not in doubled.slip  # there is one row
    assert str(judged("mazur", {"z1": mazur["z1"]})).startswith("z1 is right.")
    broken = judged("mazur", {"z1": mazur["z1"] * np.nan})
    assert "z1        wrong    not finite" in str(broken)


@pytest.mark.parametrize("seed", range(6))
def test_float32_rounding_raises_no_alarm(seed):
    """Wide layers, saturated ones, outputs close to their targets."""
    cr.manual_seed(seed)
    random = np.random.default_rng(seed)
    scale = 4.0 ** (seed - 2)
    model = nn.Sequential(nn.Linear(30, 40), nn.Tanh(), nn.Linear(40, 5), nn.Sigmoid())
    x = (scale * random.normal(size=(16, 30))).astype("float32")
    W1, b1, W2, b2 = (p.numpy() for p in model.parameters())
    z1 = x @ W1.T + b1
    a1 = np.tanh(z1)
    a2 = 1 / (1 + np.exp(-(a1 @ W2.T + b2)))
    y = (a2 + random.normal(size=a2.shape) * 10.0**-seed / 4).astype("float32")
    delta2 = (a2 - y) / 40 * a2 * (1 - a2)
    delta1 = delta2 @ W2 * (1 - a1**2)
    mine = {"a1": a1, "a2": a2, "delta2": delta2, "delta1": delta1, "dW1": delta1.T @ x}
    result = compare(mine, model, x, y, nn.MSELoss())
    assert result.correct, result


def test_a_slip_before_what_is_given_is_found():
    case = CASES["2-3-2"]
    slipped = case.by_hand(("delta", 1, lambda s: s.W[2].T @ s.delta[2]))
    result = judged("2-3-2", {"dW1": slipped["dW1"]})
    assert (result.first, "g'(z1) is missing" in result.slip) == ("dW1", True)
    slipped = case.by_hand(("a", 1, lambda s: s.z[1]))
    result = judged("2-3-2", {"dw2": slipped["dW2"]})
    assert result.first == "dW2"
    assert "z1 is taken for a1" in result.slip or "a1, which is not given" in result.slip


def test_the_mean_may_stand_in_the_deltas_or_after_them():
    mine = CASES["classes"].by_hand()
    rows = CASES["classes"].rows
    deltas = {k: v * rows for k, v in mine.items() if k.startswith("delta")}
    assert judged("classes", mine | deltas).correct
    assert not judged("classes", deltas).correct


def test_activations_are_found_in_the_graph():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc1, self.fc2 = nn.Linear(4, 3, dtype="float64"), nn.Linear(3, 1, dtype="float64")

        def forward(self, x):
            return self.fc2(nn.functional.gelu(self.fc1(x.flatten(1)))).squeeze(1)

    model, x, y = Model(), np.arange(8.0).reshape(2, 2, 2) / 4, np.array([0.0, 1.0])
    values = {}
    loss = nn.BCEWithLogitsLoss()
    hidden = model.fc1(cr.tensor(x.reshape(2, 4)))
    a1 = nn.functional.gelu(hidden)
    z2 = model.fc2(a1)
    grad_table = cr.backprop(loss(z2.squeeze(1), y))
    values |= {"z1": hidden, "A1": a1, "z_2": z2, "a2": 1 / (1 + np.exp(-z2.numpy()))}
    values |= {"δ₁": grad_table[hidden], "∂L/∂W1": grad_table[hidden].numpy().T @ x.reshape(2, 4)}
    assert compare(values, model, x, y, loss).correct
    back = (values["a2"] - y[:, None]) / 2 @ model.fc2.weight.numpy()
    result = compare({"dz1": back}, model, x, y, loss)
    assert "g'(z1) is missing" in result.slip


def test_models_and_losses_that_do_not_fit_are_refused():
    case = CASES["2-3-2"]
    with pytest.raises(ValueError, match=r"calls no nn\.Linear"):
        compare({"z1": 0.0}, nn.Sequential(nn.PReLU()), case.x[:, :2], case.y, nn.MSELoss())
    with pytest.raises(ValueError, match="the loss must be a scalar"):
        compare({"z1": 0.0}, case.model(), case.x, case.y, nn.MSELoss(reduction="none"))


def test_wrong_shapes_and_unknown_slips_are_told():
    mine = CASES["2-3-2"].by_hand()
    result = judged("2-3-2", {"z1": mine["z1"][:2]})
    assert "its shape is (2, 4), ours (4, 3)" in str(result)
    result = judged("2-3-2", mine | {"delta1": mine["delta1"] + 0.1})
    assert (result.first, result.slip) == ("delta1", None)
    assert "no usual slip explains it" in str(result)
    result = judged("2-3-2", {"z1": mine["z1"] * np.nan})
    assert "not finite" in str(result)


class Counting(nn.Module):
    """Counts its calls, draws random numbers, and has frozen and normed weights."""

    def __init__(self):
        super().__init__()
        self.calls = 0
        self.first, self.normed = nn.Linear(3, 4), nn.utils.weight_norm(nn.Linear(4, 2))
        self.dropout, self.norm = nn.Dropout(0.5), nn.BatchNorm1d(4)
        self.first.weight.requires_grad = False

    def forward(self, x):
        self.calls += 1
        return self.normed(self.dropout(nn.functional.sigmoid(self.norm(self.first(x)))))


def test_the_numbers_are_those_of_a_step_and_nothing_is_changed():
    cr.manual_seed(0)
    model, case = Counting(), CASES["deep"]
    x, y = case.x.astype("float32"), case.y.astype("float32")
    state = {k: v.copy() for k, v in model.state_dict().items()}
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    cr.manual_seed(3)
    layers = cr.explain(model, x, y, nn.MSELoss(), optimizer, seed=5).trace()["layers"]
    first, normed = (next(a for a in layers if a["path"] == p) for p in ("first", "normed"))
    mine = {"delta1": first["delta"]["values"], "delta2": normed["delta"]["values"]}
    mine["dW1"] = np.transpose(mine["delta1"]) @ x  # frozen, and yet there is a derivative
    mine["new_b1"] = next(p for p in first["parameters"] if p["path"] == "first.bias")["new"][
        "values"
    ]
    assert compare(mine, model, x, y, nn.MSELoss(), optimizer, seed=5, rtol=1e-3).correct
    with pytest.raises(ZeroDivisionError):
        compare(mine, model, x, y, lambda a, y: 1 / 0)
    drawn = nn.functional.dropout(cr.tensor(np.ones(50)), 0.5).numpy()
    cr.manual_seed(3)
    np.testing.assert_array_equal(nn.functional.dropout(cr.tensor(np.ones(50)), 0.5), drawn)
    assert model.calls == 0
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, state[key])
    with pytest.raises(ValueError, match="no new_W2"):
        compare({"new_W2": 0.0}, model, x, y, nn.MSELoss(), optimizer)


def test_the_optimizer_and_the_buffers_are_left_as_they_were():
    case = CASES["deep"]
    model = nn.Sequential(nn.BatchNorm1d(3, dtype="float64"), *case.model())
    optimizer = optim.Adam(model.parameters(), lr=0.1)
    before = {k: v.copy() for k, v in model.state_dict().items()}
    compare({"loss": 0.0}, model, case.x, case.y, nn.MSELoss(), optimizer)
    fresh = optim.Adam(model.parameters(), lr=0.1)
    np.testing.assert_equal(optimizer.state_dict(), fresh.state_dict())
    for key, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[key])
    assert all(p.grad is None for p in model.parameters())


def test_a_slip_that_makes_no_difference_is_not_named():
    random = np.random.default_rng(0)
    layers = nn.Linear(3, 3, dtype="float64"), nn.Tanh(), nn.Linear(3, 3, dtype="float64")
    model = nn.Sequential(*layers)
    x, y = random.normal(size=(2, 2, 3))
    a, weight = np.tanh(model[0](x).numpy()), model[2].weight.numpy()
    delta = (model(x).numpy() - y) * 2 / y.size
    dW, db = delta.T @ a, delta.sum(0)
    step = model, x, y, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1)
    assert compare({"dW2": dW, "db2": db, "new_W2": weight - 0.1 * dW}, *step).correct
    mine = {"dW2": dW.T, "db2": db, "new_W2": weight - 0.1 * dW}
    for given in (mine, {"dW2": -dW.T, "db2": db}):
        result = compare(given, *step)
        assert "outer product is the wrong way round" in result.slip


@pytest.mark.parametrize("letters", ["boulder", "row"])
@pytest.mark.parametrize("form", ["(out, in)", "(in, out)"])
def test_a_matrix_of_one_row_tells_the_form_of_square_ones(letters, form):
    case = Case((4, 1, 3, 3), ["tanh"] * 3, "half squares", 2)
    right = {k: v for k, v in case.by_hand().items() if k.startswith("dW")}
    mine = {k: v if form == "(out, in)" else v.T for k, v in right.items()}
    model = case.model()
    step = model, case.x, case.y, case.criterion(model)
    assert compare(mine, *step, letters=letters).correct
    usual = {k: v.T if letters == "row" else v for k, v in right.items()}
    odd = usual | {"dW1": usual["dW1"].T, "dW2": usual["dW2"].reshape(-1)}  # one as a column
    assert compare(odd, *step, letters=letters).correct
    wrong = compare(mine | {"dW3": mine["dW3"] * -1}, *step, letters=letters)
    assert "the sign is wrong" in wrong.slip


@pytest.mark.parametrize("form", ["usual", "dW2 as a column", "(in, out)"])
def test_a_slip_before_all_matrices_leaves_their_form_to_what_follows(form):
    case = Case((2, 2, 1), ["tanh", "sigmoid"], "half squares", 3)
    mine = case.by_hand(("delta", 2, lambda s: s.factor * (s.a[2] - s.Y)))
    matrices = ["dW1", "dW2", "new_W1", "new_W2"]
    for name in {"usual": [], "dW2 as a column": ["dW2", "new_W2"]}.get(form, matrices):
        mine[name] = mine[name].T
    model = case.model()
    step = model, case.x, case.y, case.criterion(model)
    result = compare(mine, *step, optim.SGD(model.parameters(), lr=0.5))
    assert [f.name for f in result.findings if f.verdict == "wrong"] == ["delta2"]
    assert {f.verdict for f in result.findings if f.name in matrices} == {"follows"}
