"""`cr.draw`: sound SVG whose boxes stand for the graph's nodes and show backprop's numbers."""

import importlib
import itertools
import json
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from drawings import (
    SVG,
    Residual,
    arrows,
    boxes,
    check,
    explained,
    half_squares,
    mazur,
    named,
    parsed,
)

import chainrule as cr
from chainrule import nn, optim
from chainrule.drawing import picture
from chainrule.graph.operation import operations
from chainrule.inspect.pictures.families import family
from chainrule.inspect.pictures.numbers import number_text


def test_a_scalar_graph_with_values_and_gradients():
    x, y, z = named(-2.0, "x"), named(5.0, "y"), named(-4.0, "z")
    root = check(cr.draw((x + y) * z, values=True, gradients=True))
    texts = sorted(map(tuple, (lines for lines, _ in boxes(root).values())))
    assert texts == [
        ("add", "3", "∂ -4"),
        ("multiply", "-12", "∂ 1"),
        ("x", "-2", "∂ -4"),
        ("y", "5", "∂ -4"),
        ("z", "-4", "∂ 3"),
    ]
    assert [(a, b) for a, b, _ in arrows(root)] == [("0", "3"), ("1", "3"), ("3", "4"), ("2", "4")]


def test_the_derivatives_beside_the_arrows_multiply_to_the_gradient():
    # f = x y z with x = r, y = r s, z = s: df/dr = 2 r s^2, df/ds = 2 r^2 s
    r, s = named(2.0, "r"), named(3.0, "s")
    y = r * s
    y.name = "y"
    f = r * y * s
    root = check(cr.draw(f, derivatives=True, direction="up"))
    local = {}
    for source, target, group in arrows(root):
        label = float(group.find(f"{SVG}text").text)
        local[source, target] = local.get((source, target), 0.0) + label
    order = sorted(boxes(root), key=int)
    total = dict.fromkeys(order, 0.0) | {order[-1]: 1.0}
    for node in reversed(order):
        for (source, target), d in local.items():
            if target == node:
                total[source] += d * total[node]
    assert total["0"] == pytest.approx(2 * 2 * 9) and total["1"] == pytest.approx(2 * 4 * 3)


@pytest.mark.parametrize("direction", ["down", "up", "right"])
def test_a_gradient_lies_beside_the_forward_pass(direction):
    w = named(0.5, "w")
    z = cr.tanh(cr.tanh(cr.tanh(w)))
    gradient = cr.grad(z, w)
    drawing = cr.draw([z, gradient], values=True, direction=direction)
    root = check(drawing, direction == "right")
    found = boxes(root)
    classes = {g.get("data-node"): g.get("class") for g in root.iter(f"{SVG}g")}
    across = 1 if direction == "right" else 0
    backward = [box for key, (_, box) in found.items() if "cr-gradient" in classes[key]]
    forward = [box for key, (_, box) in found.items() if "cr-gradient" not in classes[key]]
    assert max(b[across + 2] for b in forward) < min(b[across] for b in backward)
    assert number_text(gradient.item()) in [t for lines, _ in found.values() for t in lines]
    order = [
        t for lines, _ in sorted(found.values(), key=lambda v: v[1][1 - across]) for t in lines
    ]
    forward_order = [t for t in order if t in ("w", number_text(z.item()))]
    assert forward_order == (["w", "0.4068"] if direction != "up" else ["0.4068", "w"])


def test_a_gradient_of_a_gradient_is_one_more_column():
    a = cr.Parameter(np.ones((2, 2)), name="a")

    def second(x, y):
        gradient = cr.grad(((x @ a - y) ** 2).mean(), a)
        return cr.grad((gradient**2).sum(), a)

    graph = cr.capture(second, *(cr.placeholder((3, 2), "float64", name=n) for n in "xy"))
    for level in ("operations", "layers"):
        root = check(cr.draw(graph, level=level))
        ends = {}
        for group in root.iter(f"{SVG}g"):
            if group.get("data-node") is not None:
                kind = "cr-gradient" in group.get("class")
                ends.setdefault(kind, []).append(float(group.find(f"{SVG}rect").get("x")))
        assert max(ends[False]) < min(ends[True])
        assert not any("update" in g.get("class", "") for g in root.iter(f"{SVG}g"))


def test_a_step_of_training_shows_what_is_updated():
    model, x, y = mazur()
    optimizer = optim.SGD(model.parameters(), lr=0.5)

    def step(x, y):
        loss = half_squares(model(x), y)
        optimizer.update(cr.grad(loss, list(model.parameters())))
        return loss

    graph = cr.capture(step, cr.tensor(x, name="x"), cr.tensor(y, name="y"))
    root = check(cr.draw(graph, (x, y), values=True))
    found = boxes(root)
    updates = {lines[0] for key, (lines, _) in found.items() if key.startswith("update")}
    assert updates == {f"{i}.{name} ←" for i in (0, 2) for name in ("weight", "bias")}
    texts = [line for lines, _ in found.values() for line in lines]
    assert "0.2984" in texts  # E
    assert any("0.1498" in t for t in texts) and any("0.3589" in t for t in texts)  # w1, w5 after
    assert model[0].weight.tolist()[0][0] == 0.15  # drawing updates nothing
    folded = check(cr.draw(graph, level="layers"))
    keys = [key for key in boxes(folded) if key.startswith(("layer-", "update"))]
    assert len(keys) == 4 + 4 + 1  # four layers, their gradients, the update
    column = {key: box[0] for key, (_, box) in boxes(folded).items()}
    assert max(column.values()) == column["update"]


def test_the_golden_step_at_all_levels():
    step = explained()
    root = check(cr.draw(step, values=True, gradients=True))
    found = {lines[0]: lines[1:] for lines, _ in boxes(root).values()}
    assert found["0.weight"] == [
        "2 × 2", "0.15  0.2", "0.25  0.3", "∂ 0.0004386 0.0008771", "  0.0004977 0.0009954",
        "→ 0.1498 0.1996", "  0.2498 0.2995",
    ]  # fmt: skip
    assert found["z1"] == ["add · 1 × 2", "0.3775 0.3925", "∂ 0.008771 0.009954"]
    assert found["a1"] == ["sigmoid · 1 × 2", "0.5933 0.5969", "∂ 0.03635 0.04137"]
    layers = boxes(check(cr.draw(step, level="layers", values=True)))
    assert [lines[0] for lines, _ in layers.values()] == [
        "a0", "y", "Linear · Sigmoid", "Linear · Sigmoid", "half_squares",
    ]  # fmt: skip
    # What a trace was written to is drawn alike.
    read = json.loads(json.dumps(step.trace()))
    for level in ("operations", "layers", "neurons"):
        same = {cr.draw(what, values=True, level=level).svg for what in (step, read)}
        assert len(same) == 1


def test_a_loss_without_a_name():
    step = cr.explain(*mazur(), lambda a, y: ((a - y) ** 2).sum())
    drawings = [cr.draw(step, level=level) for level in ("operations", "layers", "neurons")]
    assert not any("lambda" in drawing.svg + drawing.to_dot() for drawing in drawings)
    assert boxes(parsed(drawings[1])).popitem()[1][0] == ["loss", "subtract, multiply, sum"]


class Two(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, x):
        h = self.layer(x)
        return h, h * 2


class Doubled(nn.Module):
    def forward(self, x):
        return 2 * x


def test_a_picture_that_is_too_large_is_refused_and_has_a_graph_still():
    x = cr.placeholder((), name="x")
    y = x
    for number in range(700):
        y = cr.sin(y) * x
        y.name = f"y{number}"
    drawing = cr.draw(y, level="variables")
    with pytest.raises(ValueError, match=r"open fewer layers.*to_dot\(\) has all"):
        drawing.save("never.svg")
    assert drawing.to_dot().count("->") == 1399


def test_formats(tmp_path):
    x = named(3.0, 'a "b" <c>')
    drawing = cr.draw(cr.exp(x) - 1.0, values=True)
    for ending in ("svg", "html", "dot", "mmd"):
        drawing.save(tmp_path / f"graph.{ending}")
    alone = ET.fromstring((tmp_path / "graph.svg").read_text())
    # `:root` is the picture in a file of its own, and the page elsewhere.
    assert ".cr-drawing:root{background:var(--cr-paper)}" in alone.find(f"{SVG}style").text
    page = (tmp_path / "graph.html").read_text()
    assert drawing.svg in page and "http" not in page.replace("http://www.w3.org/2000/svg", "")
    dot = (tmp_path / "graph.dot").read_text()
    assert dot.count("->") == 3 and r"a \"b\" <c>" in dot
    mermaid = (tmp_path / "graph.mmd").read_text()
    assert mermaid.startswith("flowchart TD\n") and "a #34;b#34; #60;c#62;" in mermaid
    assert drawing._repr_svg_() == drawing.svg and drawing.svg in drawing._repr_html_()
    pytest.importorskip("resvg_py")
    drawing.save(tmp_path / "graph.png")
    assert (tmp_path / "graph.png").read_bytes().startswith(b"\x89PNG")


def test_pictures_share_a_page_and_a_png_has_plain_colours(monkeypatch, tmp_path):
    step = explained()
    drawings = [cr.draw(step, level=level) for level in ("operations", "layers", "neurons")]
    assert not re.findall(r"\bid=", "".join(drawing.svg for drawing in drawings))
    written = []
    monkeypatch.setattr(picture, "png", lambda text: written.append(text) or b"")
    cr.draw(nn.Linear(20, 2), (20,), level="neurons").save(tmp_path / "wide.png")
    assert "16 more" in written[0] and "var(" not in written[0]


def test_a_png_needs_a_package(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ImportError, match=r"pip install 'chainrule\[png\]'; or save"):
        cr.draw(named(1.0, "x")).save(tmp_path / "graph.png")
    assert not list(tmp_path.iterdir())


def test_the_same_bytes_in_every_process():
    code = (
        "import chainrule as cr, hashlib\nfrom chainrule import nn, optim\n"
        "cr.manual_seed(0)\n"
        "m = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))\n"
        "o = optim.Adam(m.parameters())\n"
        "def step(x):\n"
        "    loss = m(x).sum()\n"
        "    o.update(cr.grad(loss, list(m.parameters())))\n"
        "g = cr.capture(step, cr.placeholder((2, 3), name='x'))\n"
        "d = [cr.draw(g), cr.draw(g, level='layers'), cr.draw(m, (3,), level='neurons')]\n"
        "print(hashlib.sha256(''.join(x.svg + x.to_dot() for x in d).encode()).hexdigest())\n"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(found) == 1


def test_every_operation_has_a_colour():
    importlib.import_module("chainrule.ops.linalg")  # comes at its first use
    assert {family(o) for o in operations.values()} <= {
        "arithmetic", "product", "activation", "reduction", "shape", "random", "loss",
    }  # fmt: skip


def test_what_cannot_be_drawn():
    x = named(2.0, "x")
    vector = cr.tensor([1.0, 2.0], requires_grad=True)
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    conv = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.Linear(8, 2))
    normed = nn.Sequential(nn.utils.weight_norm(nn.Linear(2, 2)), nn.ReLU())
    batch = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    graph = cr.capture(lambda v: v * 2, cr.placeholder((2,)))
    for error, match, call in [
        (ValueError, "level is 'operations'", lambda: cr.draw(x, level="nodes")),
        (ValueError, "direction is 'down', 'up' or 'right'", lambda: cr.draw(x, direction="left")),
        (ValueError, "level is 'operations'", lambda: cr.draw(x, level=np.array(["a", "b"]))),
        (TypeError, "a Plan or what chainrule.explain returns, not int", lambda: cr.draw(3)),
        (TypeError, "needs the shape of a row", lambda: cr.draw(model)),
        (TypeError, "a tuple as .*got 2", lambda: cr.draw(model, 2)),
        (TypeError, "a tuple as .*got 2", lambda: cr.draw(model, 2, level="neurons")),
        (TypeError, r"several Tensors are a list.*\[z, w\]", lambda: cr.draw(x * x, x + x)),
        (TypeError, r"got \(2,\) beside", lambda: cr.draw(explained(), (2,))),
        (TypeError, "draws a Module", lambda: cr.draw(x, level="neurons")),
        (cr.DTypeError, "with a batch of data", lambda: cr.draw(nn.Embedding(5, 2), (2,))),
        (ValueError, "computes more", lambda: cr.draw(Two(), (2,), level="neurons")),
        (ValueError, "of the class BatchNorm1d", lambda: cr.draw(batch, (2,), level="neurons")),
        (ValueError, "one scalar", lambda: cr.draw(vector * 2, gradients=True)),
        (ValueError, "graph of scalars", lambda: cr.draw(vector * 2, derivatives=True)),
        (ValueError, "needs values", lambda: cr.draw(cr.placeholder(()) * 2, values=True)),
        (ValueError, "needs data", lambda: cr.draw(graph, values=True)),
        (ValueError, "needs data", lambda: cr.draw(model, (2,), values=True)),
        (ValueError, "needs a loss", lambda: cr.draw(model, (2,), gradients=True)),
        (ValueError, "needs a loss", lambda: cr.draw(graph, gradients=True)),
        (cr.ShapeError, "inputs of the shapes", lambda: cr.draw(graph, np.ones(3), values=True)),
        (cr.ShapeError, "Linear|features", lambda: cr.draw(model, (3,))),
        (
            ValueError,
            "'0' is of the class Conv2d",
            lambda: cr.draw(conv, (1, 4, 4), level="neurons"),
        ),
        (ValueError, "computes more", lambda: cr.draw(Residual(2), (2,), level="neurons")),
        (
            ValueError,
            "computed, from 0.weight_g",
            lambda: cr.draw(normed, (2,), level="neurons"),
        ),
        (ValueError, "there is no row 1", lambda: cr.draw(explained(), level="neurons", row=1)),
        (
            TypeError,
            "row is a whole number",
            lambda: cr.draw(explained(), level="neurons", row="a"),
        ),
        (TypeError, "open is the path of a layer", lambda: cr.draw(model, (2,), open=3)),
        (ValueError, "no layer; there are '0', '1'", lambda: cr.draw(model, (2,), open="nope")),
        (ValueError, "the graph has no layers", lambda: cr.draw(x, open=["a"])),
        (ValueError, "folded", lambda: cr.draw(model, (2,), level="neurons", open="0")),
        (ValueError, "of the class Doubled", lambda: cr.draw(Doubled(), (2,), level="neurons")),
        (ValueError, "no trace|version", lambda: cr.draw({"format": "other"})),
        (ValueError, "as its file's name ends", lambda: cr.draw(x).save("graph.gif")),
    ]:
        with pytest.raises(error, match=match):
            call()


@pytest.mark.parametrize("direction", ["down", "up", "right"])
def test_the_tree_of_the_chain_rule(direction):
    # f = x y z with x = r, y = r s, z = s, and a variable y that r and s reach alone
    r, s = named(2.0, "r"), named(3.0, "s")
    x, y, z = r * 1.0, r * s, s * 1.0
    x.name, y.name, z.name = "x", "y", "z"
    f = x * y * z
    f.name = "f"
    drawing = cr.draw(f, level="variables", derivatives=True, gradients=True, direction=direction)
    root = check(drawing, direction == "right")
    names = {key: lines[0] for key, (lines, _) in boxes(root).items()}
    labels = {(names[a], names[b]): group.find(f"{SVG}text").text for a, b, group in arrows(root)}
    assert labels == {
        ("r", "x"): "∂x/∂r = 1", ("r", "y"): "∂y/∂r = 3", ("s", "y"): "∂y/∂s = 2",
        ("s", "z"): "∂z/∂s = 1", ("x", "f"): "∂f/∂x = 18", ("y", "f"): "∂f/∂y = 6",
        ("z", "f"): "∂f/∂z = 12",
    }  # fmt: skip
    assert {lines[-1] for lines, _ in boxes(root).values()} >= {"∂ 36", "∂ 24"}  # 2 r s^2, 2 r^2 s
    u = cr.placeholder((), name="u")
    v = u * 2.0
    v.name = "v"
    assert "∂v/∂u</text>" in cr.draw(v, level="variables", derivatives=True).svg
    with pytest.raises(ValueError, match="none has one"):
        cr.draw(cr.placeholder(()) * 2.0, level="variables")


def test_arrays_of_variables_and_their_gradients():
    small, large = named(np.arange(6.0).reshape(2, 3), "small"), named(np.arange(100.0), "large")
    f = (2 * small * small).sum() + (3 * large).sum()
    f.name = "f"
    for options in ({"level": "variables"}, {}):
        root = check(cr.draw(f, values=True, gradients=True, **options))
        texts = {lines[0]: lines[1:] for lines, _ in boxes(root).values()}
        assert [line.split() for line in texts["small"] if "×" not in line] == [
            ["0", "1", "2"], ["3", "4", "5"], ["∂", "0", "4", "8"], ["12", "16", "20"]
        ]  # fmt: skip
        assert texts["large"][-4:] == ["0 … 99", "mean 49.5", "∂ 3 … 3", "  mean 3"]


def test_the_dark_colours_of_boxes_are_darker():
    style = cr.draw(named(1.0, "x") * 2.0).svg.partition("<style>")[2].partition("</style>")[0]
    light, dark = (
        dict(re.findall(r"--cr-([a-z]+)-fill:#([0-9a-f]{6})", block))
        for block in re.findall(r"\.cr-drawing\{([^}]*)\}", style)[:2]
    )
    assert len(light) > 9 and light.keys() == dark.keys()
    for name in light:
        assert int(light[name][:2], 16) > 200 and int(dark[name][:2], 16) < 100


def labels(root):
    """The text of each label of an arrow, and its rectangle."""
    found = []
    for _, _, group in arrows(root):
        for text in group.findall(f"{SVG}text"):
            x, y, half = float(text.get("x")), float(text.get("y")), 0.3 * 11 * len(text.text)
            found.append((text.text, (x - half, y - 10, x + half, y + 3)))
    return found


@pytest.mark.parametrize("direction", ["down", "up", "right"])
@pytest.mark.parametrize(
    "names", ["xyuvf", ["learning_rate", "weight", "hidden", "output", "loss"]]
)
def test_labels_of_arrows_keep_apart(direction, names):
    x, y = named(2.0, names[0]), named(3.0, names[1])
    u = x * y
    v = u + x
    f = u * v * v
    u.name, v.name, f.name = names[2:]
    for level, count in (("variables", 6), ("operations", 8)):
        drawing = cr.draw(f, level=level, derivatives=True, direction=direction)
        root = check(drawing, direction == "right")
        found = labels(root)
        assert len(found) == count
        width, height = map(float, root.get("viewBox").split()[2:])
        taken = [box for _, box in found] + [box for _, box in boxes(root).values()]
        for a, b in itertools.combinations(taken, 2):
            assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
        assert all(a[0] > -12 and a[1] > -12 for a in taken)
        assert all(a[2] < width - 12 and a[3] < height - 12 for a in taken)


def test_the_instructions_of_a_plan():
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optim.Adam(model.parameters()), seed=0)
    trainer.fit(
        np.ones((8, 8), "float32"), np.arange(8) % 3, epochs=1, batch_size=4, progress=False
    )
    plan = trainer.backend.last_step.plan
    drawing = cr.draw(plan)
    root = check(drawing)
    found = boxes(root)
    assert [found[str(i)][0][0] for i in range(len(plan.calls))] == [c.kind for c in plan.calls]
    reached = {(a, b) for a, b, _ in arrows(root)}
    products = [str(i) for i, c in enumerate(plan.calls) if c.kind == "gemm"]
    assert (products[0], products[1]) in reached  # the first layer's output is the second's input
    assert all(int(a) < int(b) for a, b in reached if a.isdigit())
    assert {b for _, b in reached} == {str(i) for i, c in enumerate(plan.calls) if c.reads}
    assert f"{plan.flops:,} FLOPs" in drawing.notes[0]
    with pytest.raises(ValueError, match="a plan has instructions"):
        cr.draw(plan, level="layers")
