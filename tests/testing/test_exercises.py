"""Exercise sheets: round numbers by a seed, and answers that NumPy finds as well."""

import json
import re

import numpy as np
import pytest

import chainrule as cr
from chainrule import exercises

G = {
    "sigmoid": (lambda z: 1 / (1 + np.exp(-z)), lambda a: a * (1 - a)),
    "tanh": (np.tanh, lambda a: 1 - a * a),
    "relu": (lambda z: np.maximum(z, 0), lambda a: 1.0 * (a > 0)),
}
LETTERS = {  # z, a, delta and W of each source
    "row": ("z", "a", "delta", "w"),
    "cs3780": ("u", "z", "delta", "W"),
    "cornell": ("a", "z", "delta", "W"),
    "4al3": ("a", "h", "g", "W"),
}
SHEETS = [
    ((2, 2, 2), {}),
    ((2, 3, 1), {"activation": "tanh", "letters": "row", "lr": 0.1}),
    ((3, 2, 2, 2), {"activation": "relu", "loss": "mean squares", "letters": "cs3780"}),
    ((2, 2, 3), {"activation": "relu", "loss": "cross-entropy", "form": "row"}),
    ((2, 2, 2), {"letters": "row"}),
    ((2, 2, 2), {"letters": "4al3"}),
    ((2, 3, 2), {"letters": "cornell"}),
]


def renamed(mine, letters="boulder"):
    """The quantities by the names of a source; weights of rows are (in, out)."""
    if letters == "boulder":
        return dict(mine)
    theirs = dict(zip(("z", "a", "delta", "W"), LETTERS[letters], strict=True))
    found = {}
    for name, value in mine.items():
        before, letter, number = re.fullmatch(r"(new_|d(?!elta))?([a-zA-Z]+)(\d*)", name).groups()
        is_turned = letters == "row" and letter == "W"
        name = f"{before or ''}{theirs.get(letter, letter)}{number}"
        found[name] = value.T if is_turned else value
    return found


def by_hand(sheet, activation, loss, lr):
    """All quantities by NumPy, from the numbers of the sheet alone."""
    g, slope = G[activation]
    layers = [layer for layer in sheet.model if hasattr(layer, "weight")]
    W, b = [m.weight.numpy() for m in layers], [m.bias.numpy() for m in layers]
    a, found = [sheet.x[0]], {}
    for i in range(len(W)):
        found[f"z{i + 1}"] = z = W[i] @ a[i] + b[i]
        last = i == len(W) - 1
        if last and loss == "cross-entropy":
            a.append(np.exp(z) / np.exp(z).sum())
        else:
            a.append(z if last and activation == "relu" else g(z))
        found[f"a{i + 1}"] = a[-1]
    if loss == "cross-entropy":
        delta = a[-1] - np.eye(len(a[-1]))[sheet.y[0]]
        found["loss"] = -np.log(a[-1][sheet.y[0]])
    else:
        error = a[-1] - sheet.y[0]
        n = 2 / len(error) if loss == "mean squares" else 1
        found["loss"] = n / 2 * (error**2).sum()
        delta = n * error * (1 if activation == "relu" else slope(a[-1]))
    for i in range(len(W), 0, -1):
        found |= {f"delta{i}": delta, f"dW{i}": np.outer(delta, a[i - 1]), f"db{i}": delta}
        found |= {f"new_W{i}": W[i - 1] - lr * found[f"dW{i}"], f"new_b{i}": b[i - 1] - lr * delta}
        if i > 1:
            delta = W[i - 1].T @ delta * slope(a[i - 1])
    return found


@pytest.mark.parametrize(("sizes", "options"), SHEETS)
@pytest.mark.parametrize("seed", [0, 7])
def test_the_answers_are_right(sizes, options, seed):
    sheet = exercises.backprop(sizes, seed, **options)
    activation, loss = options.get("activation", "sigmoid"), options.get("loss", "half squares")
    mine = by_hand(sheet, activation, loss, options.get("lr", 0.5))
    letters = options.get("letters", "boulder")
    found = sheet.check(renamed(mine, letters))
    assert found.correct
    assert {f.name for f in found.findings} == set(renamed(mine, letters))
    trace = sheet.explanation.trace()
    for i, layer in enumerate(trace["layers"], start=1):
        assert np.ravel(layer["delta"]["values"]) == pytest.approx(mine[f"delta{i}"], abs=1e-12)
        new = layer["parameters"][0]["new"]["values"]
        np.testing.assert_allclose(new, mine[f"new_W{i}"], atol=1e-12)
    assert trace["loss"] == pytest.approx(mine["loss"], abs=1e-12)


@pytest.mark.parametrize(("sizes", "options"), SHEETS)
def test_numbers_are_round_and_the_same_for_a_seed(sizes, options):
    sheet, again = (exercises.backprop(sizes, 5, **options) for _ in range(2))
    assert sheet.to_html() == again.to_html()
    assert sheet.to_markdown() == again.to_markdown()
    assert sheet.to_notebook() == again.to_notebook()
    for parameter in sheet.model.parameters():
        assert np.array_equal(parameter.numpy() * 4, np.round(parameter.numpy() * 4))
        assert parameter.numpy().all()
    assert str(sheet) != str(exercises.backprop(sizes, 6, **options))


def test_a_hidden_relu_is_never_dead_altogether():
    for seed in range(30):
        sheet = exercises.backprop((2, 2, 1), seed, activation="relu")
        assert sheet.model[1](sheet.model[0](sheet.x)).numpy().max() > 0


def test_the_forms_of_a_sheet(tmp_path):
    sheet = exercises.backprop((2, 2, 1), seed=3, letters="boulder")
    questions, answers = sheet.to_markdown(answers="none"), sheet.to_markdown(answers="only")
    assert r"$$W^{1} = \begin{pmatrix}" in questions
    assert r"$z^{1}$, $a^{1}$" in questions
    delta = f"{sheet.explanation.trace()['layers'][1]['delta']['values'][0][0]:.6g}"
    assert delta in answers
    assert delta not in questions
    hidden = sheet.to_markdown()
    assert hidden.startswith(questions)
    assert "<details>" in hidden
    assert delta in hidden.split("<details>")[1]
    for name in ("sheet.md", "sheet.html", "sheet.ipynb"):
        sheet.save(tmp_path / name)
    page = (tmp_path / "sheet.html").read_text("utf-8")
    assert page.count("<details>") == page.count("</details>") == 1
    assert "http" not in page.replace("http://www.w3.org", "")
    with pytest.raises(ValueError, match=r"\.md, \.html or \.ipynb"):
        sheet.save(tmp_path / "sheet.pdf")


def test_a_matrix_keeps_its_rows_in_a_notebook_that_has_no_style_sheet_for_it():
    sheet = exercises.backprop((2, 3, 2), seed=1)
    kept = re.findall(r"<pre[^>]*>(.*?)</pre>", sheet._repr_html_(), re.DOTALL)
    matrices = [np.array([row.split() for row in text.splitlines()], float) for text in kept]
    assert [m.shape for m in matrices] == [(2, 1), (2, 1), (3, 2), (3, 1), (2, 3), (2, 1)]
    np.testing.assert_array_equal(matrices[2], sheet.model[0].weight.numpy())


def test_the_notebook_runs_and_checks(capsys):
    sheet = exercises.backprop((2, 2, 1), seed=3)
    cells = json.loads(sheet.to_notebook())["cells"]
    given, mine, check = ("".join(c["source"]) for c in cells if c["cell_type"] == "code")
    names = {}
    exec(given, names)
    assert names["a0"].shape == (2, 1)
    exec(mine, names)
    exec(check, names)
    assert capsys.readouterr().out == ""
    names["mine"] = {"z1": names["W1"] @ names["a0"]}
    exec(check, names)
    assert "the bias b1 is missing" in capsys.readouterr().out


def test_slips_are_named_in_the_letters_of_the_sheet():
    sheet = exercises.backprop((2, 2, 2), seed=1, letters="4al3")
    mine = by_hand(sheet, "sigmoid", "half squares", 0.5)
    assert "h1 is wrong: " in sheet.check({"h1": mine["z1"]}).sentence
    assert "layer 1 is missing: yours is a1" in sheet.check({"h1": mine["z1"]}).slip
    by_a = mine["delta1"] / (mine["a1"] * (1 - mine["a1"]))
    found = sheet.check({"a1": mine["z1"], "g1": by_a})
    assert found.sentence.startswith("g1 is wrong, a1 is right: yours is ours / f'(a1);")
    with pytest.raises(ValueError, match="write a1, h1, loss, g1, dW1"):
        sheet.check({"z1": mine["z1"]})
    cell = json.loads(sheet.to_notebook())["cells"][2]["source"][0]
    assert "name them: a1, h1, loss, g1, dW1, db1, new_W1, new_b1." in cell


def test_the_outer_product_of_a_square_matrix_lies_as_the_letters_have_it():
    row, column = (
        exercises.backprop((2, 2, 2), seed=1, letters=name) for name in ("row", "boulder")
    )
    mine = by_hand(row, "sigmoid", "half squares", 0.5)
    assert row.check({"dW2": mine["dW2"].T}).correct
    turned = row.check({"dW2": mine["dW2"]})
    assert turned.slip.endswith("the wrong way round: dL/dw = a^T delta, one column a neuron")
    turned = column.check({"dW2": mine["dW2"].T, "new_W2": mine["new_W2"]})
    assert turned.slip.endswith("the wrong way round: dL/dW = delta a^T, one row a neuron")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"sizes": (2,)}, "sizes has those of the inputs and of one layer"),
        ({"sizes": (2, 0)}, "size"),
        ({"seed": -1}, "seed"),
        ({"activation": "gelu"}, "'sigmoid', 'tanh' or 'relu'"),
        ({"activation": ["relu"]}, "'sigmoid', 'tanh' or 'relu', got .'relu'"),
        ({"loss": "hinge"}, "'half squares'"),
        ({"sizes": (2, 1), "loss": "cross-entropy"}, "two classes"),
        ({"letters": "greek"}, "letters is 'boulder'"),
        ({"sizes": (2, 200, 2), "activation": "relu"}, r"of \(2, 200, 2\).*take fewer layers"),
        ({"sizes": (2, *[1] * 12, 2), "activation": "relu"}, "take fewer layers"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        cr.exercises.backprop(**arguments)
    with pytest.raises(ValueError, match="answers is 'hidden', 'none' or 'only'"):
        cr.exercises.backprop((1, 1)).to_markdown(answers="some")


def test_a_large_sheet_gives_every_number():
    sheet = exercises.backprop((24, 12))  # 288 weights
    cells = json.loads(sheet.to_notebook())["cells"]
    held = {}
    exec("".join(cells[1]["source"]), held)
    assert np.array_equal(held["W1"], sheet.model[0].weight.numpy())
    assert "nan" not in sheet.to_markdown(answers="none") + sheet.to_html(answers="none")
