"""The printed forms of an explanation, and the walk back."""

import io
import re
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.graph.printing import formatted, grid
from chainrule.inspect import Explanation


def mazur():
    model = nn.Sequential(
        nn.Linear(2, 2, dtype="float64"), nn.Sigmoid(),
        nn.Linear(2, 2, dtype="float64"), nn.Sigmoid(),
    )  # fmt: skip
    for layer, weight, bias in [
        (model[0], [[0.15, 0.20], [0.25, 0.30]], 0.35),
        (model[2], [[0.40, 0.45], [0.50, 0.55]], 0.60),
    ]:
        layer.weight.assign(np.array(weight))
        layer.bias.assign(np.full(2, bias))
    return model


def step(**keywords):
    model = mazur()
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    return cr.explain(
        model, [0.05, 0.10], [0.01, 0.99], nn.HalfSquaredErrorLoss(), optimizer, **keywords
    )


LAYER_1_FORWARD = """\
Layer 1: Linear 2 → 2, Sigmoid (0)
     formula                      value
────────────────────────────────────────────
W1                                0.15  0.20
                                  0.25  0.30
b1                                0.35
                                  0.35
z1   W1 a0 + b1
     0.15·0.05 + 0.2·0.1 + 0.35   0.3775
     0.25·0.05 + 0.3·0.1 + 0.35   0.3925
a1   g(z1) = 1 / (1 + exp(-z1))   0.593270
                                  0.596884
"""
DELTA_1 = """\
g'(z1)   a1 ⊙ (1 - a1)
         0.59327·(1 - 0.59327)                          0.241301
         0.596884·(1 - 0.596884)                        0.240613
δ1       (W2ᵀ δ2) ⊙ g'(z1)
         (0.4·0.138499 + 0.5·(-0.0380982))·0.241301     0.00877135
         (0.45·0.138499 + 0.55·(-0.0380982))·0.240613   0.00995425
"""
UPDATE = """\
Update: the loss was 0.298371, with the new weights it is 0.280471
     old          gradient                   new
───────────────────────────────────────────────────────────────
W1   0.15  0.20   0.000438568  0.000877135   0.149781  0.199561
     0.25  0.30   0.000497713  0.000995425   0.249751  0.299502
"""


def test_the_tables_of_mazurs_network():
    text = step().to_text(width=100)
    assert text.startswith("Sequential, one step of SGD\nHalfSquaredErrorLoss, SGD(lr=0.5), 1 row")
    for part in (LAYER_1_FORWARD, DELTA_1, UPDATE):
        assert part in text
    again = Explanation.from_json(step().to_json())
    assert again.to_text(width=100) == text and str(again) == again.to_text()
    assert "0.5932699921" in step().to_text(precision=10)


def test_the_update_as_a_table_of_markdown():
    _, _, update = step().to_markdown().partition("## Update: ")
    lines = update.splitlines()[2:]
    assert lines[:2] == ["| | old | gradient | new |", "|---|---|---|---|"]
    assert lines[2].startswith(r"| $W^{1}$ | 0.15  0.20<br>0.25  0.30 | 0.000438568 ")


def test_rows_and_the_transposed_weights_of_row_letters():
    text = step(letters="row").to_text(width=100)
    assert re.search(r"z0 +0.05  0.10\n", text) and re.search(r"w1 +0.15  0.25\n", text)
    assert "δ1       (δ2 w2ᵀ) ⊙ σ'(z1)" in text
    assert "0.15·0.05 + 0.2·0.1 + 0.35 = 0.3775" in text
    text = step(letters="deep-learning", form="row").to_text(width=100)
    assert re.search(r"W1 +0.15  0.20\n", text) and "h0 W1ᵀ + b1" in text


def test_letters_of_print_are_no_part_of_a_path():
    model = nn.Module()
    model.l = nn.Linear(1, 1)
    model.delta = nn.PReLU()
    model.forward = lambda x: model.delta(model.l(x))
    text = cr.explain(model, [2.0], [1.0], nn.MSELoss(), letters="cs3780").to_text(width=100)
    assert "∂ℓ/∂delta.weight" in text and "∂ℓ/∂u1" not in text and "δ1" in text


def models():
    random = np.random.default_rng(0)
    large = nn.Sequential(nn.Linear(20, 30), nn.ReLU(), nn.Dropout(0.5), nn.Linear(30, 6))
    yield large, random.normal(size=(4, 20)), random.integers(0, 6, 4), nn.CrossEntropyLoss()
    block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
    words = nn.Sequential(nn.Embedding(9, 8), block, nn.Flatten(), nn.Linear(24, 3))
    yield words, random.integers(0, 9, (2, 3)), np.array([0, 2]), nn.CrossEntropyLoss()
    images = nn.Sequential(
        nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.ReLU(), nn.Flatten(), nn.Linear(8, 1)
    )
    yield (
        images,
        random.normal(size=(2, 1, 4, 4)),
        np.array([0.5, 1.0]),
        lambda a, y: (a - y).abs().sum(),
    )
    yield nn.Linear(5, 4), random.normal(size=5), random.normal(size=4), nn.L1Loss()


@pytest.mark.parametrize(
    ("number", "letters"), [(0, "boulder"), (1, "boulder"), (2, "row"), (3, "row")]
)
def test_every_form_of_any_model(number, letters):
    model, x, y, loss = list(models())[number]
    found = cr.explain(model, x, y, loss, optim.Adam(model.parameters()), letters=letters)
    for width in (80, 120):
        lines = found.to_text(width=width).splitlines()
        assert max(map(len, lines)) <= width
        assert not any(line.endswith(("norm", " to")) for line in lines)  # nothing is broken
    for row in found.to_markdown().splitlines():
        assert not row.startswith("|") or row.count("|") in (4, 5)
    latex = found.to_latex()
    assert latex.count(r"\begin{align*}") == latex.count(r"\end{align*}") > 2
    assert latex.count("{") == latex.count("}")
    root = ET.fromstring(found.to_html_tables())
    paths = {name for name, _ in model.named_parameters()}
    assert len(root.findall("div")[-1].findall("table/tbody/tr")) == len(paths)
    assert found._repr_html_() == found.to_html_tables()


def test_the_equations_of_mazurs_network():
    latex = step().to_latex()
    assert r"z^{1} &= W^{1} a^{0} + b^{1} = \begin{pmatrix} 0.3775 \\ 0.3925 \end{pmatrix}" in latex
    assert r"\delta^{1} &= (W^{2}^{T} \delta^{2})" not in latex  # no two superscripts on a letter
    assert r"\delta^{1} &= ((W^{2})^{T} \delta^{2}) \odot g'(z^{1}) = " in latex
    row = (
        r"| $\frac{\partial \mathcal{L}}{\partial a^{2}}$ | $a^{2} - y$ |  0.741365<br>-0.217072 |"
    )
    assert row in step().to_markdown()


@pytest.mark.parametrize(
    ("numbers", "texts"),
    [
        ([0.15, -2.0], ["0.15", "-2.00"]),
        ([1e-9, 1.0], ["1.00000e-09", "1.00000e+00"]),
        ([0.0, -0.0, 3.0], ["0", "0", "3"]),
        ([np.nan, 0.25, np.inf], ["nan", "0.25", "inf"]),
        ([123456.789], ["123457"]),
        ([2.5e7, 0.0], ["2.50000e+07", "0"]),
        ([100.0, 200.0], ["100", "200"]),
        ([0.0001234567, 0.12345678], ["0.0001235", "0.1234568"]),
    ],
)
def test_numbers_of_an_array_have_one_form(numbers, texts):
    assert formatted(np.array(numbers)) == texts
    assert [text.strip() for text in grid(np.array(numbers))[0]] == texts


def test_a_walk_back_shows_each_part_and_the_sum():
    r, s = (cr.tensor(v, requires_grad=True, name=n) for v, n in ((2.0, "r"), (3.0, "s")))
    x, y, z = 1.0 * r, r * s, 1.0 * s  # the lecture's f = x y z: 12, 6 and 24, 24
    for node, name in ((x, "x"), (y, "y"), (z, "z")):
        node.name = name
    f = x * y * z
    visits = {visit.name: visit for visit in cr.walk(f)}
    assert [visits[name].gradient.item() for name in ("x", "y", "z")] == [18, 6, 12]
    assert str(visits["s"]) == "s: 24 = 12·1 from z + 6·2 from y"
    assert str(visits["r"]) == "r: 36 = 6·3 from y + 18·1 from x"
    assert visits["r"].variable is r and visits["r"].gradient == cr.grad(f, r).numpy()
    assert str(cr.walk(f)).splitlines() == list(map(str, visits.values()))


def test_a_walk_shows_local_derivatives_where_gradients_are_infinite_tiny_or_zero():
    def walked(f):
        x = cr.tensor(2.0, requires_grad=True, name="x")
        return str(cr.walk(f(x))).splitlines()

    with np.errstate(divide="ignore"):
        assert walked(lambda x: cr.sqrt(x - 2.0))[-1] == "x: inf = inf·1 from %2"
    tiny = walked(lambda x: 3 * x * 1e-12 * 1e-32)
    assert [line.split("·")[1] for line in tiny[1:]] == [
        "1e-32 from %6", "1e-12 from %4", "3 from %2",
    ]  # fmt: skip
    assert walked(lambda x: cr.relu(x - 5.0) * x) == [
        "%4 (multiply): 1", "%3 (relu): 2 = 1·2 from %4", "%2 (subtract): 0 = 2·0 from %3",
        "x: 0 = 1·0 from %4 + 0·1 from %2",
    ]  # fmt: skip
    model = nn.Sequential(nn.Linear(1, 1), nn.ReLU())
    model[0].weight.assign([[-1.0]])
    model[0].bias.assign([0.0])
    told = cr.walk(cr.explain(model, [[2.0]], [[1.0]], nn.HalfSquaredErrorLoss()))
    lines = {visit.name: str(visit) for visit in told}
    assert lines["z1"] == "z1 (add): 0 = -1·0 from a1" and lines["0.bias"].startswith("0.bias: 0 =")


def test_a_walk_through_a_network_is_that_of_its_explanation():
    model = mazur()
    x, y = cr.tensor([[0.05, 0.10]], dtype="float64"), cr.tensor([[0.01, 0.99]], dtype="float64")
    loss = nn.HalfSquaredErrorLoss()(model(x), y)
    table = cr.backprop(loss)
    live, told = list(cr.walk(loss)), list(cr.walk(step()))
    for visit in live:
        np.testing.assert_array_equal(visit.gradient, table[visit.variable].numpy())
        total = sum(part.value for part in visit.parts) if visit.parts else 1.0
        np.testing.assert_allclose(total, visit.gradient)
    assert len(live) == len(told) == len(table)
    for visit in told:
        if "." in visit.name:
            np.testing.assert_allclose(visit.gradient, table[visit.name].numpy(), rtol=1e-12)
    text = next(str(visit) for visit in told if visit.name == "0.weight")
    assert text.splitlines()[1].split()[-2:] == ["0.000438568", "0.000877135"]


@pytest.mark.parametrize(
    ("what", "error", "said"),
    [
        (3.0, TypeError, "a scalar Tensor or an Explanation, got 3.0"),
        (cr.placeholder(()), ValueError, "has no value yet"),
        (cr.tensor(1.0), ValueError, "depends on no leaf that requires a gradient"),
        (cr.tensor([1.0, 2.0], requires_grad=True) * 2.0, cr.ShapeError, "only of one element"),
    ],
)
def test_what_can_not_be_walked_is_refused(what, error, said):
    with pytest.raises(error, match=said):
        cr.walk(what)


def test_the_loss_of_a_lambda_is_called_loss():
    model = nn.Linear(1, 1)
    text = cr.explain(model, [2.0], [1.0], lambda a, y: (a - y).sum()).to_text()
    assert text.splitlines()[1] == "loss, 1 row, float32" and "lambda" not in text


def test_names_with_signs_are_no_commands_of_latex():
    names = {"a_b": r"a\_b", "a b$#{&}%": r"a b\$\#\{\&\}\%", "^~\\": r"\text{\textasciicircum}"}
    for name, escaped in names.items():
        model = nn.Module()
        model.add_module(name, nn.PReLU(2))
        model.forward = lambda x, module=model._modules[name]: module(x)
        found = cr.explain(model, [2.0, 1.0], [1.0, 0.0], lambda output, y: (output - y).sum())
        latex = found.to_latex()
        assert rf"\mathtt{{{escaped}" in latex and rf"({escaped}" in latex
        plain = re.sub(r"\\[\\{}$#&%_]", "", latex)
        assert plain.count("{") == plain.count("}") and "#" not in plain


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_letters_of_ascii_where_standard_output_lacks_our_signs(monkeypatch, encoding):
    """The names and numbers are the same; a program that prints does not end with an error."""
    output = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    w = cr.Parameter([2.0, 3.0], name="w")
    z = (w * w).sum()
    shown = [
        *(step(letters=letters) for letters in ("boulder", "cs3780", "row")),
        cr.explain(nn.Linear(100, 9), np.ones((5, 100)), np.ones((5, 9)), nn.MSELoss()),
        cr.walk(step()),
        cr.summary(mazur(), (2,)),
        cr.backprop(z, [w]),
    ]
    texts = [str(thing) for thing in shown]
    monkeypatch.setattr(sys, "stdout", output)
    for thing, text in zip(shown, texts, strict=True):
        print(thing)
        str(thing).encode(encoding)
        assert not text.isascii()
        assert re.findall(r"\d+", str(thing).replace("^2", "²")) == re.findall(r"\d+", text)
    assert "delta2" in str(shown[0]) and "2 -> 2" in str(shown[0])


DELTA_1_IN_ASCII = """\
delta1       (W2^T delta2) * sigma'(u1)
             (0.4*0.138499 + 0.5*(-0.0380982))*0.241301     0.00877135
             (0.45*0.138499 + 0.55*(-0.0380982))*0.240613   0.00995425
dl/dW1       delta1 z0^T                                    0.000438568  0.000877135
                                                            0.000497713  0.000995425
"""
DELTA_1_IN_40_COLUMNS = """\
dl/dW1       delta1 z0^T
             0.000438568  0.000877135
             0.000497713  0.000995425
"""
GRADIENTS_IN_ASCII = """name           operation   value    gradient
--------------------------------------------
               sum         54       1
               multiply     4   9   1  1
                           16  25   1  1
sigmadelta^T               2  3     4   6
                           4  5     8  10"""
WALK_IN_ASCII = """sigmadelta^T
  from %1 (multiply):  2  3
                       4  5
  from %1 (multiply):  2  3
                       4  5
  sum:  4   6
        8  10"""


def test_columns_in_ascii_are_columns(monkeypatch):
    """delta1 is wider than δ1, and the numbers of a matrix still stand below one another."""
    explanation = step(letters="cs3780")
    w = cr.Parameter([[2.0, 3.0], [4.0, 5.0]], name="σδᵀ")
    loss = (w * w).sum()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    assert str(cr.backprop(loss)) == GRADIENTS_IN_ASCII
    assert str(cr.walk(loss)).endswith(WALK_IN_ASCII)
    assert DELTA_1_IN_ASCII in explanation.to_text(width=100)
    assert DELTA_1_IN_40_COLUMNS in explanation.to_text(width=40)


@pytest.mark.parametrize("encoding", ["no-such-encoding", None])
def test_a_stream_without_a_known_encoding_is_printed_to(monkeypatch, encoding):
    class Stream(io.StringIO):
        pass

    Stream.encoding = encoding
    monkeypatch.setattr(sys, "stdout", Stream())
    assert str(cr.summary(mazur(), (2,))).isascii() == (encoding is not None)
