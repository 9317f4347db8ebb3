"""The documentation: the code of its pages runs, its links exist, its reference is complete.

The pages run here unchanged, without Sphinx and Jupyter; plots only if matplotlib is installed.
"""

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
import chainrule.testing
from chainrule import data, nn, optim

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the documentation is missing")

CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None


def pages(pattern="**/*.md"):
    return sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob(pattern))


def read(page):
    return (DOCS / page).read_text(encoding="utf-8")


def cells(page):
    """(number of lines before, code) of each code cell; the line of its tags is not code."""
    text = read(page)
    for found in CELL.finditer(text):
        before = text.count("\n", 0, found.start(1))
        tags = re.match(r"(:[^\n]*\n)*\n*", found[1]).group()
        yield before + tags.count("\n"), found[1].removeprefix(tags)


def plots(code):
    return "plt." in code or "matplotlib" in code


def run(page):
    """Run the cells of a page in their order; returns the names that they define.

    A page finds the files that lie beside it, as Sphinx runs it in its folder.
    """
    namespace = {"__name__": "page"}
    for line, code in cells(page):
        if HAS_MATPLOTLIB or not plots(code):
            exec(compile("\n" * line + code, str(DOCS / page), "exec"), namespace)
    return namespace


@pytest.fixture(autouse=True)
def unseen(monkeypatch):
    """Draw plots as the site does, but show none; start every page with the same random seed."""
    cr.manual_seed(0)
    if not HAS_MATPLOTLIB:
        yield
        return
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    monkeypatch.setattr(plt, "show", lambda: plt.gcf().canvas.draw())
    with mpl.rc_context(fname=DOCS / "matplotlibrc"):
        yield
    plt.close("all")


def test_what_to_try_next_has_answers():
    for page in pages("course/*.md"):
        _, _, section = read(page).partition("\n## Try next\n")
        if section:
            answers = section.count("<details><summary>Answer</summary>")
            assert section.count("\n- ") == answers == section.count("</details>") >= 3, page


# Claims of a page's prose about its numbers: text that it prints, relations between its results.

PRINTED = {
    "course/forward.md": [
        "z1 [1.16 0.42 0.62]",
        "a1 [0.7613 0.6035 0.6502]",
        "[[0.7263 0.7086 0.7781]",
        "668,672 edges, 669,706 parameters",
        "[0.5 0.5 0.5]",
    ],
    "course/chain_rule.md": [
        "df/dx = 12",
        "df/dr = 24\ndf/ds = 36",
        "601 nodes, 4.1e+180 paths",
        "1,152,921,504,606,846,976 paths, 120 edges",
    ],
    "course/graph.md": [
        "tensor: ndim 3, shape (2, 3, 2), 12 elements",
        "-0.229989",
        "add_n(%19, %20, %21)",
        "matmul(%0, %18, transpose_a=True)",
        "constant 0.1",
    ],
    "course/backward.md": [
        "delta2 [ 0.13849856 -0.03809824]",
        "delta1 [0.00877135 0.00995425]",
        "before 0.29837110876000",
        "after 1 step 0.29102777369359",
        "2.4e-06",
        "the factor g'(z1) is missing",
    ],
    "course/momentum.md": ["G = 3.980   W = 0.062", "update W <- %12"],
    "course/step_size.md": ["lr 2.1: [ 1.    -1.1    1.21  -1.331  1.464 -1.611]"],
    "course/losses.md": [
        "HalfSquaredErrorLoss, sum   7.00, gradient [ 1. -2.  0.]",
        "MSELoss, sum               14.00, gradient [ 2. -4.  0.]",
        "cross-entropy 1.040191",
        "delta of squared error -0.000335, of cross-entropy -0.9997",
    ],
    "course/one_network.md": [
        "delta2 [-0.104119  0.138579]",
        "delta1        [-0.025069  0.009246  0.010375]",
        "delta1_2 = 0.009246",
        "L 0.249362 -> 0.221136",
        "output  [0.7263 0.7086 0.7781]",
        "delta1_2 = 0.006721",
        "the loss was 0.249362, with the new weights it is 0.221136",
        "by the graph [-0.425843  0.563366]",
        "output 1 passes [-0.0163 -0.0381 -0.0272]   in parts of [0.2  0.47 0.33]",
    ],
    "course/trees_and_graphs.md": [
        "df/dx =   9.0",
        "u: 54 = 6·3 from s + 18·1 from r + 18·1 from r",
        "df/dr =  18.0",
        "df/ds =   6.0",
        "df/du =  54.0",
        "df/du = 1728.0000   54 u^5 = 1728.0000",
        "computed again: dz/dw = 0.2645082704, f was called 3 times more",
        "104.0",
        "dz/dw = 0.2059352060, 6 calls",
        "dL/dw2 = 0.0000",
        "dL/dw2  by hand",
    ],
    "course/exploding.md": ["clip_grad_norm_(6.5)   [ 1.5 -2. ] [6.]", "length 13.0"],
    "course/not_learning.md": [
        "training became non-finite",
        "the optimizer has none of the model's parameters",
        "Use target.reshape(64, 1).",
        "the least loss of such outputs: 1.461",
    ],
    "course/piecewise_linear.md": [
        "output weights [-0.5     2.     -4.      7.     -5.3333 -0.6667]",
        "6 pieces",
        "[0.5 1.  0. ] [[ 0.  2. -4.]]",  # the tent's own formula
    ],
    "course/optimisers.md": [
        "SGD      [-10.0, -0.01]",
        "Adam     [-0.01, -0.01]",
        "weights as before: True",
    ],
    "course/normalisation.md": ["length of the gradient 0.064", "LayerNorm"],
    "course/residual.md": ["Residual  [[1.10462213 1.10462213]]", "(5, 32)"],
    "course/dense.md": ["tensor([[-1.,  2.,  0.,  2.]])"],
    "course/dropout.md": ["evaluation [[1. 2. 3. 4.]]", "samples, images, classes: (100, 355, 10)"],
    "course/convolution.md": [
        "[[3. 7.]",
        "w <- conv_weight_grad",
        "(1, 8, 59, 59)",
        "[2.5 2.5 5.  5. ]",
    ],
    "course/weight_sharing.md": ["19,668,992", "shared weights: [ 0. -1.  5.]", "3,890 weights"],
    "course/recurrent.md": [
        "weight_hh_l0  -0.529550975799",
        "1.2: after 20 steps 3.7e+01",
        "w       -9.612   loss    9.293e+58",
        "w       0.9772",
    ],
    "course/attention.md": [
        "[0.14   0.284  0.576 ]",
        "[[0.572  0.86  ]",
        "o_12 = 0.8599",
        "[[ 0.2    -0.4465  0.2465]",
        "ds_13 = 0.2465",
        "W_V True",
        "after token 2: m 1.4142, sum 1.4931, a / sum [-0.0093  0.6698]",
        "after token 3: m 2.1213, sum 1.7362, a / sum [0.572 0.86 ]",
        "weights (1, 2, 5, 5)",
    ],
    "course/transformer.md": [
        "1,115,394 characters, 65 different",
        "'Firs' -> 't'",
        "804,096 parameters",
        "before it 0.0   at it True",
    ],
    "course/words.md": [
        "[101. 202.]",
        "p - t    [-0.5     0.8808  0.1192]",
        "dL/du_2 = 1.5116",
        "dL/du [-1.5     1.5116]",
        "7,222 speeches, 194,413 words, 12,611 different",
        "about 46% of the words are left",
        "volsces  0.0349 columns   its own column: 0.0349, and you",
        "3260 words",
    ],
    "course/preprocessing.md": ["turned (PCA)  mean [0. 0.]", "(2): Unstandardize"],
    "course/initialisation.md": ["zeros           1 different hidden neurons of 32"],
    "course/regularisation.md": [
        "L2Penalty          1.025   gradient [ 0.6 -0.2]",
        "weights  [(3, 2), (1, 3)]",
        "SGD,   penalty 0.1        [0.6472 0.9383]",
        "SGD,   weight_decay 0.2   [0.6472 0.9383]",
    ],
    "course/models.md": ["delta by hand -0.14628", "XOR [0.5 0.5 0.5 0.5]", "XOR [0. 1. 1. 0.]"],
    "course/counting.md": ["669,706", "668,672", "1,034 neurons"],
    "course/backprop_in_150_lines.md": ["[-4.0, -4.0, 3.0]", "0.070650824853"],
    "course/algorithms.md": ["6 gradients agree", "x         0.9182"],
    "from_pytorch.md": [
        "here it is x.reshape(...)",
        "tensor(1.7078) tensor(1.8708)",
        "(2, 3) (3, 2)",
        "clone         x, which keeps its value; of a Parameter or Buffer",
    ],
    "from_keras.md": ["epoch 1: loss"],
    "quickstart.md": ["frozen weights as before: True"],
    "from_scikit_learn.md": ["['odd' 'even'"],
    "reference/cli.md": ["Usage: chainrule train [OPTIONS]"],
}


def check_backward(page):
    assert page["errors"][-1] == pytest.approx(3.51e-5, rel=1e-3)
    for by_hand, by_graph in zip(page["by_hand"], page["by_graph"], strict=True):
        assert by_graph.numpy() == pytest.approx(by_hand, rel=1e-12)


def check_sgd(page):
    least_squares = np.polyfit(page["x"][:, 0], page["y"][:, 0], 1)
    for way, steps in (("descent", 60), ("stochastic", 80)):
        assert len(page[way]) == steps + 1
        assert np.abs(page[way][-1] - least_squares).max() < 0.3
    assert np.mean(page["single"]) == pytest.approx(page["whole"], rel=1e-5)


def check_momentum(page):
    plain, heavy = ((page["curvature"] * page[way][-1] ** 2).sum() for way in ("plain", "heavy"))
    assert heavy < plain / 1000


def check_step_size(page):
    last = {lr: losses[-1] for lr, losses in page["losses"].items()}
    assert last[1.0] < last[0.1] < last[0.01] < 2.2 < last[0.001] < np.log(10) < last[10.0]
    assert page["active"] == 0  # with the largest rate
    distances = {name: distance[-1] for name, distance in page["distances"].items()}
    constant = distances.pop("constant")
    assert constant == pytest.approx(np.sqrt(0.5 / 1.5), abs=0.09)  # three deviations of 200 runs
    assert max(distances.values()) < constant / 2


def check_convolution(page):
    assert page["trainer"].evaluate(page["digits"].x_test, page["digits"].y_test)["accuracy"] > 0.96


def check_weight_sharing(page):
    linear, convolutional = page["accuracies"].values()
    assert min(linear[0], convolutional[0]) > 0.95
    assert convolutional[3] > linear[3] + 0.5
    assert convolutional[3] > convolutional[1] > convolutional[2]  # an even shift; one odd; two odd


def check_recurrent(page):
    assert page["accuracies"]["RNN"] < 0.6
    assert page["accuracies"]["LSTM"] > 0.95


def check_attention(page):
    assert page["S"][0].argmax() == 2
    for leaf, by_hand in page["by_hand"].items():
        assert page["found_grads"][leaf].numpy() == pytest.approx(by_hand, abs=1e-12)
    assert page["dS"].sum(axis=1) == pytest.approx(0, abs=1e-12)
    assert max(page["errors"]) < 1e-12
    similar = page["encoding"] @ page["encoding"].T
    assert np.allclose(np.diag(similar, 5), similar[0, 5])  # by the distance alone
    assert page["found"]["Sequential"] < 0.4
    assert page["found"]["Attention"] > 0.99
    mlp, attention = (sum(p.size for p in page[m].parameters()) for m in ("mlp", "model"))
    assert mlp == pytest.approx(40 * attention, rel=0.05)


def check_transformer(page):
    assert page["difference"][:-1].max() == 0 < page["difference"][-1]
    assert page["gap"] < 1e-5
    assert 1.9 < page["loss"] < 2.2
    assert page["write"](page["model"], "ROMEO:\n", 100) == page["write"](
        page["model"], "ROMEO:\n", 100
    )


def check_words(page):
    near = {word: dict(page["model"].wv.most_similar(word, topn=10)) for word in page["shown"]}
    assert {"henry", "vi"} <= set(near["king"])
    assert {"morning", "morrow"} & set(near["night"])
    assert {"aufidius", "volsces"} & set(near["rome"])
    analogies = list(page["analogies"].values())
    assert "queen" in analogies[0][:3]
    assert analogies[1][0] == "her"
    assert {"wife", "widow", "children"} & set(analogies[2])
    kept = [page["kept"](word) for word in ("the", "king", "sword", "volsces")]
    assert kept == sorted(kept)
    occur = [page["counts"][word] for word in page["model"].wv.vocabulary]
    assert np.median(occur) < 15
    places = page["places"]
    centres = [np.mean([places[word] for word in group], axis=0) for group in page["groups"]]
    for number, group in enumerate(page["groups"]):
        for word in set(group) - {"enemies"}:
            assert np.argmin([np.linalg.norm(places[word] - c) for c in centres]) == number
    between = sorted(places[word][0] for word in ("king", "enemies", "rome"))
    assert between[1] == places["enemies"][0]


def check_minibatch(page):
    expected = page["noise"][0] / np.sqrt(page["sizes"])
    assert page["noise"] == pytest.approx(expected, rel=0.2)
    last = [losses[-1] for losses in page["curves"].values()]
    assert last == sorted(last)
    whole, parts = page["losses"]
    assert whole == pytest.approx(parts, rel=1e-4)
    assert list(page["weights"].values()) == [0.75, 1, 1, 0.75, 0.5, 0.5]


def check_stopping(page):
    full, best = page["full"], page["best"]
    assert 5 < best < 30
    assert full["validation_loss"][-1] > 1.1 * full["validation_loss"][best]
    assert full["loss"][-1] < full["loss"][best] / 40
    assert len(page["history"]) == best + 1 + 11  # the best epoch, and the patience of 10
    assert page["stopping"].best == full["validation_loss"][best]


def check_losses(page):
    assert page["J"].T @ [0, 0, -1 / page["p"][2]] == pytest.approx(page["p"] - [0, 0, 1])
    assert page["steps"]["squared error"] > 100 * page["steps"]["cross-entropy"]
    lines = page["lines"]
    assert lines["MSELoss"][1] == pytest.approx(1.6, abs=0.1)
    assert all(lines[name][1] == pytest.approx(1, abs=0.2) for name in lines if name != "MSELoss")


def check_optimisers(page):
    last = {name: losses[-1] for name, losses in page["curves"].items()}
    assert np.median(list(last.values())) < last["SGD"] < 0.2
    whole = {name: losses[-1] for name, losses in page["whole"].items()}
    assert whole["L-BFGS"] < min(whole["momentum"], whole["Adam"]) / 100
    assert 0.03 < page["found"].suggestion < 0.3


def check_normalisation(page):
    for (activation, _, normalised), losses in page["losses"].items():
        limit = 1.7 if activation is nn.Sigmoid else 0.6
        assert losses[-1] < limit if normalised else losses[-1] > 2.29
    assert page["distance"]() < 1e-5
    rough, smooth = page["walks"][False], page["walks"][True]
    assert rough[-1, 0] > 10 > 2 > smooth[-1, 0]
    assert rough[-1, 1] > 5 * smooth[-1, 1]
    assert page["shifts"][False][0] > 5 > 0.5 > page["shifts"][True][0]
    assert 0.1 < page["noise"] < 1


def check_exploding(page):
    small, right, large = (np.mean(page["found"][scale][:14]) for scale in (0.5, 1.0, 2.0))
    assert large / right == pytest.approx(2**14, rel=0.05)
    assert small / right == pytest.approx(2**-14, rel=0.05)
    last = {settings: losses[-1:] for settings, (losses, _) in page["curves"].items()}
    assert last[2.0, None] == []
    assert last[1.0, 1.0] < last[1.0, None]
    assert last[1.0, 1.0] < last[2.0, 1.0]
    assert page["by_value"][-1] < 1


def check_not_learning(page):
    seen, lost = page["seen"], page["lost"]
    assert lost["healthy"][-1] < 0.3
    for broken in ("sigmoid", "dead", "softmax", "zeros"):
        assert lost[broken][-1] > 2.25
    assert lost["sigmoid, mended"][-1] < 0.4
    assert seen["sigmoid"]["gradient"][0] < 1e-6 * seen["sigmoid"]["gradient"][-1]
    assert max(seen["sigmoid, mended"]["gradient"]) < 10 * min(seen["sigmoid, mended"]["gradient"])
    assert seen["dead"]["dead"][1] == 1.0
    assert max(seen["softmax"]["gradient"]) < min(seen["healthy"]["gradient"]) / 5
    assert max(seen["zeros"]["gradient"]) == 0
    (kept, low), (grown, high) = page["kept"], page["grown"]
    assert kept[0] == grown[0]
    assert grown[9] > 4 * kept[9]
    assert np.mean(high[-20:]) > 2 * np.mean(low[-20:])
    assert min(seen["tanh"]["saturated"]) > 0.9 > 0.2 > max(seen["tanh, mended"]["saturated"])
    assert lost["tanh"][-1] > 0.6 * page["prices"].var()
    assert lost["tanh, mended"][-1] < 0.2
    assert page["few"][-1] < 0.1
    assert isinstance(page["leaky"], cr.NonFiniteError)
    assert page["normalised"][-1] < 1


def check_piecewise_linear(page):
    assert np.abs(page["output"] - page["wanted"]).max() < 1e-12
    assert page["pieces"].count == 6
    assert all(0 < error < 1.001 * (np.pi / n) ** 2 / 8 for n, error in page["errors"].items())
    assert min(page["trained"].values()) > 0.01
    assert page["after"] < 0.1 < page["before"]


def check_residual(page):
    plain, residual = page["norms"]["plain"], page["norms"]["residual"]
    assert plain[0] < 1e-17 < 1e-3 < plain[-1]
    assert min(residual) > 1
    assert max(residual) < 100
    assert all(plain > 0.15 > 20 * residual for plain, residual in page["identity"].values())
    assert page["losses"]["plain"][-1] > 2.29
    assert page["losses"]["residual"][-1] < 0.2


def check_dense(page):
    assert page["norms"]["plain"][0] < 1e-7
    assert max(page["norms"]["dense"]) < 100 * min(page["norms"]["dense"])
    assert page["losses"]["plain"][-1] > 2.29
    assert max(page["losses"][name][-1] for name in ("residual", "dense")) < 0.3
    edges = {name: cr.summary(model, (1, 8, 8)).edges for name, model in page["models"].items()}
    assert edges["dense"] < edges["plain"] / 2


def check_dropout(page):
    last = {p: losses[-1] for p, losses in page["curves"].items()}
    assert last[0.0] == max(last.values())
    assert page["many"].mean(axis=0) == pytest.approx([1, 2, 3, 4], rel=0.05)
    spread, right = page["spread"], page["right"]
    assert spread[~right].mean() > 2 * spread[right].mean()
    at = {x: page["spread_of_curve"][np.abs(page["grid"][:, 0] - x).argmin()] for x in (0, 0.7, 2)}
    assert at[0.7] < at[0] < at[2]


def check_preprocessing(page):
    assert page["same"]["raw"] > 390
    assert 160 < page["same"]["whitened"] < 240
    assert page["signs"]["all inputs positive"] == 1
    assert 0.3 < page["signs"]["centred"] < 0.7
    steps = page["counts"]
    assert steps["whitened"] == 1
    assert steps["centred"] == pytest.approx(steps["turned (PCA)"], rel=0.01)
    assert steps["standardised"] < steps["centred"] / 2 < steps["raw"] / 10
    loss = page["losses"]
    assert max(loss["standardised"], loss["whitened, 40 axes"]) < loss["[0, 1]"] < loss["raw"] / 2
    assert loss["centred"] < loss["raw"] / 2


def check_initialisation(page):
    assert [different for different, _ in page["found"].values()] == [1, 1, 32]
    relu, tanh = (page["measured"][activation] for activation in (nn.ReLU, nn.Tanh))
    near_1 = {name for name, values in relu.items() if 0.1 < values[-1] < 10}
    assert near_1 == {"Kaiming", "LSUV"}
    assert relu["normal, 0.3"][-1] > 1e6
    assert tanh["normal, 0.3"][-1] > 0.5  # saturated
    last = {name: losses[-1] for name, losses in page["losses"].items()}
    assert {name for name in last if last[name] < 2} == {"Kaiming", "LSUV"}


def check_regularisation(page):
    informative, empty = np.abs(page["model"][0].weight.numpy()).max(axis=0)
    assert empty < 0.1 < 1 < informative
    found = page["found"]
    without = found.pop("nothing")
    assert all(row[0] < without[0] for name, row in found.items() if "smoothing" not in name)
    assert found["max-norm, 1.5"][2] <= 1.5001
    assert found["L1, 1e-4"][3] > found["L2, 1e-4"][3] > 0.1 > without[3]
    assert 0 < int(np.argmin(page["losses"])) < 4


def check_models(page):
    answers = page["answers"]
    assert answers["AND"] == pytest.approx([0, 0, 0, 1], abs=0.05)
    assert answers["XOR"] == pytest.approx([0.5] * 4, abs=0.01)
    assert answers["XOR, hidden layer"] == pytest.approx([0, 1, 1, 0], abs=0.05)
    assert page["gap"] < 1e-10
    (one, _), (other, _) = page["objectives"].values()
    assert one == pytest.approx(other, abs=1e-7)  # scikit-learn's: tests/examples
    linear, hidden = page["accuracies"].values()
    assert 0.94 < linear < hidden


def check_counting(page):
    assert page["counts"] == {depth: 2**depth for depth in (1, 2, 4, 6, 8)}
    assert all(5 < count < 60 for pair in page["found"].values() for count in pair)
    assert page["sizes"][-1] / page["sizes"][0] > 60
    assert page["seconds"][-1] > 10 * page["seconds"][0]
    assert page["least"][0.9] < 0.7 * page["least"][0]


def check_backprop_in_150_lines(page):
    assert np.sign(page["network"](page["X"], page["ones"], page["parameters"]).value).tolist() == (
        page["T"].tolist()
    )
    assert page["worst"] < 1e-9


def check_from_pytorch(page):
    assert page["correct"] / len(page["loader"]) / 64 > 0.9
    assert page["history"]["validation_accuracy"][-1] > 0.93


def check_from_keras(page):
    assert page["history"].stop_reason == "the loss is small enough"


def check_from_scikit_learn(page):
    found = page["trainer"].evaluate(page["columns"][300:], page["price"][300:])
    assert found["r2"] > 0.9


def check_estimators(page):
    ours, theirs = page["ours"], page["theirs"]
    np.testing.assert_allclose(ours.loss_curve_, theirs.loss_curve_, rtol=1e-9)
    assert page["deep"].score(page["x_test"], page["y_test"]) > 0.9
    assert min(page["stopped"].validation_loss_curve_) < 0.1
    inside = (page["low"] < page["target"]) & (page["target"] < page["high"])
    assert 0.8 < inside.mean() < 0.98


def check_index(page):
    found = page["trainer"].evaluate(page["digits"].x_test, page["digits"].y_test)
    assert found["accuracy"] > 0.95
    if not HAS_MATPLOTLIB:  # the networks are drawn
        return
    rows = {}  # of the README's table
    for line in (DOCS.parent / "README.md").read_text(encoding="utf-8").splitlines():
        network, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 4 and all(cell.endswith("x") for cell in cells[1:]):
            rows[network] = tuple(float(cell[:-1]) for cell in cells[1:])
    assert page["networks"] == rows and len(rows) == 5


CHECKS = {
    "course/backward.md": check_backward,
    "course/sgd.md": check_sgd,
    "course/momentum.md": check_momentum,
    "course/step_size.md": check_step_size,
    "course/convolution.md": check_convolution,
    "course/weight_sharing.md": check_weight_sharing,
    "course/recurrent.md": check_recurrent,
    "course/attention.md": check_attention,
    "course/transformer.md": check_transformer,
    "course/words.md": check_words,
    "course/minibatch.md": check_minibatch,
    "course/stopping.md": check_stopping,
    "course/losses.md": check_losses,
    "course/optimisers.md": check_optimisers,
    "course/normalisation.md": check_normalisation,
    "course/residual.md": check_residual,
    "course/exploding.md": check_exploding,
    "course/not_learning.md": check_not_learning,
    "course/piecewise_linear.md": check_piecewise_linear,
    "course/dense.md": check_dense,
    "course/dropout.md": check_dropout,
    "course/preprocessing.md": check_preprocessing,
    "course/initialisation.md": check_initialisation,
    "course/regularisation.md": check_regularisation,
    "course/models.md": check_models,
    "course/counting.md": check_counting,
    "course/backprop_in_150_lines.md": check_backprop_in_150_lines,
    "from_pytorch.md": check_from_pytorch,
    "from_keras.md": check_from_keras,
    "from_scikit_learn.md": check_from_scikit_learn,
    "index.md": check_index,
    "estimators.md": check_estimators,
}


@pytest.mark.parametrize("page", [page for page in pages() if "{code-cell}" in read(page)])
def test_page_runs(page, capsys, monkeypatch):
    monkeypatch.chdir((DOCS / page).parent)
    with np.printoptions():  # a page may set them for itself
        namespace = run(page)
    output = capsys.readouterr().out
    for text in PRINTED.get(page, []):
        assert text in output
    if page in CHECKS:
        CHECKS[page](namespace)


def test_what_is_checked_exists():
    assert {*PRINTED, *CHECKS} <= set(pages())


def test_backprop_takes_at_most_150_lines_of_its_own():
    page = "course/backprop_in_150_lines.md"
    answers = read(page)[: read(page).index("\n## Try next\n")].count("\n")
    code = "".join(code for line, code in cells(page) if line < answers)
    assert 100 < len(code.splitlines()) <= 150
    assert "chainrule" not in code


def test_code_fits_the_width_of_a_page():
    for page in pages():
        for before, code in cells(page):
            for number, line in enumerate(code.splitlines(), before + 1):
                assert len(line) <= 92, f"{page}, line {number}"


def test_every_plot_has_words_for_those_who_do_not_see_it():
    for page in pages():
        for found in CELL.finditer(read(page)):
            assert ("plt.show()" in found[1]) == (":    alt: >-\n" in found[1]), page


def test_toctrees_and_links_lead_to_pages():
    listed = {"index.md"}
    for page in pages():
        text, folder = read(page), (DOCS / page).parent
        links = re.findall(r"\{doc\}`(?:[^`<]*<)?([^`>]+)>?`", text)
        for tree in re.findall(r"```\{toctree\}\n(.*?)```", text, re.DOTALL):
            lines = [line for line in tree.splitlines() if line and not line.startswith(":")]
            entries = [line for line in lines if line != "Home <self>"]
            listed |= {(folder / f"{entry}.md").relative_to(DOCS).as_posix() for entry in entries}
            links += entries
        for link in links:
            assert (folder / f"{link}.md").resolve().exists(), f"{page}: {link}"
    assert listed == set(pages())


def resolve(name):
    """The object of a dotted name that begins with `chainrule`."""
    parts = name.split(".")
    found, module = cr, parts[0]
    for part in parts[1:]:
        module += f".{part}"
        if not hasattr(found, part):
            importlib.import_module(module)
        found = getattr(found, part)
    return found


def test_names_exist():
    """Every link to a function or class, and every full name, exists."""
    for page in pages():
        text = read(page)
        names = re.findall(r"\{(?:func|class|meth|data)\}`~?([\w.]+)`", text)
        names += re.findall(r"`(chainrule(?:\.\w+)+)`", text)
        names += re.findall(r"^\.\. auto\w+:: ([\w.]+)", text, re.MULTILINE)
        if page == "course/algorithms.md":
            assert len(names) > 40
        for name in names:
            if not name.endswith(".safetensors"):
                resolve(name)


@pytest.fixture
def conf(monkeypatch):
    """The configuration of Sphinx."""
    pytest.importorskip("myst_nb")
    monkeypatch.setenv("MATPLOTLIBRC", "")  # which it sets
    spec = importlib.util.spec_from_file_location("docs_conf", DOCS / "conf.py")
    conf = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(conf)
    return conf


@pytest.mark.parametrize(
    "module",
    [
        cr,
        cr.graph,
        cr.linalg,
        nn,
        nn.init,
        nn.functional,
        nn.utils,
        nn.utils.rnn,
        optim,
        data,
        cr.inspect,
        cr.sklearn,
        cr.tabular,
        cr.text,
        chainrule.testing,
        cr.exercises,
    ],
)
def test_reference_is_complete(module, conf):
    """Every public name is in the reference: a new one needs a line in a page of docs/reference."""
    entries = re.findall(
        r"^(?:\.\. (?:auto\w+|data)::|  ) (chainrule[\w.]*)$",
        conf.list_operations("\n".join(map(read, pages("reference/*.md")))),
        re.MULTILINE,
    )
    documented = [resolve(name) for name in entries]
    public = getattr(module, "__all__", None) or [
        name
        for name, value in vars(module).items()
        if callable(value) and value.__module__ == module.__name__ and not name.startswith("_")
    ]
    missing = [
        name
        for name in public
        if not any(getattr(module, name) is found for found in documented)
        and not str(getattr(module, name)).startswith("<module")
    ]
    assert not missing
    assert len(entries) == len(set(entries))


@pytest.mark.parametrize(
    ("plain", "marked_up"),
    [
        ("|x - y|, where x > 0", r"\|x - y\|, where x > 0"),
        ("(*inputs, **attributes) -> a * b", r"(\*inputs, \*\*attributes) -> a \* b"),
        ("*Deep Learning*, see `a | b` and ``*c``", "*Deep Learning*, see `a | b` and ``*c``"),
        ("W <- W - lr G", ".. code-block:: text\n\n    W <- W - lr G"),
        (">>> x * y | z", ">>> x * y | z"),
        ("Raises:\n    As `fit`.", "Raises what `fit` raises."),
    ],
)
def test_docstrings_formulas_are_not_taken_for_markup(plain, marked_up, conf):
    lines = plain.splitlines()
    conf.mark_up(None, "function", "f", None, None, lines)
    assert "\n".join(lines) == marked_up


def test_a_page_can_be_had_as_a_notebook(conf):
    """Its code cells are the page's, but the hidden ones; no role of Sphinx is left in its text."""
    for page in pages():
        if "{code-cell}" not in (text := read(page)):
            continue
        made = conf.make_notebook(text, (DOCS / page).parent)["cells"]
        code = ["".join(cell["source"]) for cell in made if cell["cell_type"] == "code"]
        shown = [found[1] for found in CELL.finditer(text) if "remove-cell" not in found[1]]
        assert code == [re.sub(r"\A(:[^\n]*\n)+", "", cell).strip() for cell in shown]
        words = "\n".join("".join(cell["source"]) for cell in made if cell["cell_type"] != "code")
        assert words.startswith("# ")
        assert not re.search(r"\{\w+\}`|^\(\w+\)=|^```\{", words, re.MULTILINE), page
        included = re.findall(r"\{literalinclude\} (\S+)", text)
        assert all(
            (DOCS / page).parent.joinpath(name).read_text()[-80:] in words for name in included
        )


def test_a_notebook_has_the_files_that_it_reads_beside_it(conf, tmp_path):
    class App:
        outdir = tmp_path

    number = 0
    for page in pages():
        files = re.findall(r"open\(\"([\w.]+)\"", "".join(code for _, code in cells(page)))
        if files:
            context = {"body": "<h1>Page</h1>"}
            conf.offer_notebook(App, page.removesuffix(".md"), "page", context, None)
            for name in files:
                assert (tmp_path / page).parent.joinpath(name).is_file()
                assert f'<a href="{name}" download>' in context["body"]
                number += 1
    assert number


def test_the_played_step_is_written_where_pages_link_to(conf, tmp_path):
    class Builder:
        format = "html"

    class App:
        builder, outdir = Builder, tmp_path

    conf.play_step(App)
    assert "<!doctype html>" in (tmp_path / conf.PLAYED).read_text(encoding="utf-8")
    assert f'href="{conf.PLAYED}"' in read("index.md")
    assert f'href="{Path(conf.PLAYED).name}"' in read("course/one_network.md")
