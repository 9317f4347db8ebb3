"""`cr.draw` at the level of neurons: circles and lines with the numbers of the step."""

import re

import numpy as np
import pytest
from drawings import SVG, Residual, explained, parsed

import chainrule as cr
from chainrule import nn
from chainrule.inspect.arrays import from_json
from chainrule.inspect.pictures.numbers import number_text


def test_the_neurons_of_the_golden_step():
    root = parsed(cr.draw(explained(), level="neurons", values=True, gradients=True))
    circles = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("data-neuron") is not None:
            key = int(group.get("data-layer")), int(group.get("data-neuron"))
            circles[key] = [text.text for text in group.iter(f"{SVG}text")]
    assert circles[0, 0] == ["0.05"] and circles[0, 1] == ["0.1"]
    assert circles[1, 0] == ["0.5933", "z 0.3775", "δ 0.008771", "∂ 0.008771", "b 0.35"]
    assert circles[1, 1] == ["0.5969", "z 0.3925", "δ 0.009954", "∂ 0.009954", "b 0.35"]
    assert circles[2, 0] == ["0.7514", "z 1.106", "δ 0.1385", "∂ 0.1385", "b 0.6"]
    assert circles[2, 1] == ["0.7729", "z 1.225", "δ -0.0381", "∂ -0.0381", "b 0.6"]
    assert circles[3, 0] == ["L 0.2984"]
    texts = {}
    widths = {}
    for group in root.iter(f"{SVG}g"):
        if group.get("data-from") is not None:
            key = tuple(int(group.get(f"data-{n}")) for n in ("layer", "from", "to"))
            texts.setdefault(key, []).extend(t.text for t in group.iter(f"{SVG}text"))
            for path in group.iter(f"{SVG}path"):
                widths[key] = float(re.search(r"width:([\d.]+)", path.get("style")).group(1))
    assert texts[1, 0, 0] == ["0.15", "0.0004386"]  # w1 = W1[0, 0]
    assert texts[1, 1, 0] == ["0.2", "0.0008771"]  # w2 = W1[0, 1]: from input 2 to hidden 1
    assert texts[1, 0, 1] == ["0.25", "0.0004977"]
    assert texts[2, 0, 1] == ["0.5", "-0.0226"]
    assert widths[1, 0, 0] < widths[1, 1, 0] < widths[1, 0, 1] < widths[1, 1, 1]


def test_lines_end_at_circles_and_numbers_lie_along_them():
    drawing = cr.draw(explained(), level="neurons", values=True, gradients=True)
    root = parsed(drawing)
    circles, lines, beside = {}, {}, {}
    for group in root.iter(f"{SVG}g"):
        place = [group.get(f"data-{name}") for name in ("layer", "from", "to")]
        circle = group.find(f"{SVG}g/{SVG}circle")
        if circle is not None and group.get("data-neuron") is not None:
            key = group.get("data-layer"), group.get("data-neuron")
            circles[key] = np.array([float(circle.get(name)) for name in ("cx", "cy", "r")])
        elif "cr-line" in group.get("class", ""):
            ends = re.findall(r"[-\d.]+", group.find(f"{SVG}path").get("d"))
            lines[tuple(place)] = np.reshape([float(n) for n in ends], (2, 2))
        elif "cr-beside" in group.get("class", ""):
            numbers = re.findall(r"-?[\d.]+", group.get("transform"))
            beside[tuple(place)] = [float(n) for n in numbers]
    assert len(lines) == 10 and beside.keys() >= {("1", "0", "1"), ("2", "1", "0")}
    for (layer, source, target), (start, end) in lines.items():
        x, y, r = circles[str(int(layer) - 1), source]
        assert np.hypot(*(start - (x, y))) == pytest.approx(r, abs=0.2)
        if (layer, target) in circles:
            x, y, r = circles[layer, target]
            assert np.hypot(*(end - (x, y))) == pytest.approx(r, abs=0.2)
        else:  # the box of the loss, at its left edge
            (box,) = (r for r in root.iter(f"{SVG}rect") if r.get("data-layer") == layer)
            assert end[0] == pytest.approx(float(box.get("x")), abs=0.2)
    for key, (x, y, angle) in beside.items():
        start, end = lines[key]
        across, down = end - start
        assert angle == pytest.approx(np.degrees(np.arctan2(down, across)), abs=0.3)
        share = ((x, y) - start) @ (end - start) / np.hypot(across, down) ** 2
        assert 0 < share < 1
        np.testing.assert_allclose((x, y), start + share * (end - start), atol=0.3)


def test_headings_stand_over_columns_and_notes_below_the_picture():
    drawing = cr.draw(explained(), level="neurons", values=True, gradients=True)
    root = parsed(drawing)
    texts = {kind: [] for kind in ("cr-name", "cr-note")}
    for text in root.iter(f"{SVG}text"):
        if text.get("class") in texts:
            texts[text.get("class")].append(text.text)
    assert texts["cr-name"] == ["input", "layer 1", "layer 2", "loss"]
    assert texts["cr-note"][-len(drawing.notes) :] == list(drawing.notes)


@pytest.mark.parametrize(
    ("letters", "names"),
    [("cs3780", ("u", "δ", "ℓ", "z")), ("cornell", ("a", "δ", "ℓ", "z")), ("4al3", "agLh")],
)
def test_neurons_have_the_letters_of_the_step(letters, names):
    model = nn.Sequential(nn.Linear(2, 2), nn.Sigmoid(), nn.Linear(2, 1))
    step = cr.explain(model, [1.0, 2.0], [1.0], nn.HalfSquaredErrorLoss(), letters=letters)
    z, delta, loss, a = names
    drawing = cr.draw(step, level="neurons", values=True, gradients=True)
    texts = [text.text for text in parsed(drawing).iter(f"{SVG}text")]
    starts = {text.split()[0] for text in texts if re.fullmatch(r"\D+ -?[\d.e-]+", text)}
    assert starts - {"layer"} == {z, delta, loss, "b", "∂"}
    assert f"{delta} = ∂{loss}/∂{z}; " in drawing.notes[0]
    bare = cr.draw(step, level="neurons")
    assert f"{a}¹₁" in [text.text for text in parsed(bare).iter(f"{SVG}text")]


def test_lines_between_tall_columns_are_not_so_steep_that_they_cross_texts():
    model = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 8))
    step = cr.explain(model, np.ones(4), np.ones(8), nn.MSELoss())
    svg = cr.draw(step, level="neurons", values=True, gradients=True).svg
    svg = svg.partition('data-layer="3"')[0]  # the loss takes its lines beside the circles
    ends = re.findall(r'class="cr-weight"[^>]* d="M(\S+) (\S+)L(\S+) (\S+)"', svg)
    slopes = [abs(y1 - y0) / (x1 - x0) for x0, y0, x1, y1 in (map(float, end) for end in ends)]
    assert len(slopes) > 90 and max(slopes) < 2.5


def test_neurons_of_layers_with_hooks_of_gradients_are_those_without():
    x, y = np.float32([[1, -2], [3, 4]]), np.float32([[1.0], [2.0]])
    drawn = []
    for hooked in ([], [0], [1], [0, 1, 2, 3]):
        cr.manual_seed(0)
        parts = nn.Linear(2, 3), nn.Tanh(), nn.Dropout(0.5), nn.Linear(3, 1)
        model = nn.Sequential(*parts)
        for number in hooked:
            model[number].register_full_backward_hook(lambda *_: None)
        step = cr.explain(model, x, y, nn.MSELoss())
        for what, data in ((step, None), (model.eval(), x), (model, (2,))):
            drawing = cr.draw(what, data, level="neurons", values=True, gradients=data is None)
            drawn.append([text.text for text in parsed(drawing).iter(f"{SVG}text")])
        assert '<figure data-level="neurons"' in step.to_html()
    assert drawn[3:6] == drawn[6:9] == drawn[9:12] == drawn[:3]


def test_a_long_name_of_a_layer_is_not_written_into_circles():
    scale = nn.Standardize(2).fit(np.array([[1.0, 2.0], [3.0, 5.0]]))
    model = nn.Sequential(scale, nn.Linear(2, 1))
    drawing = cr.draw(cr.explain(model, [1.0, 2.0], [1.0], nn.MSELoss()), level="neurons")
    texts = [text.text for text in parsed(drawing).iter(f"{SVG}text")]
    assert texts.count("1") == texts.count("2") == 1
    assert not any("¹" in text for text in texts if text.startswith("standardize"))


def test_signs_masks_rows_and_wide_layers_of_neurons():
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Dropout(0.5), nn.Linear(4, 2))
    x, y = np.ones((3, 3), "float32"), np.zeros((3, 2), "float32")
    step = cr.explain(model, x, y, nn.MSELoss(), seed=3)
    trace = step.trace()
    dropped = next(n for n in trace["nodes"] if n["name"] == "dropout1")
    (mask,) = set(dropped["inputs"]) - {trace["layers"][1]["input"]}
    held = trace["nodes"][mask]["value"]["values"]
    for row in range(3):
        root = parsed(cr.draw(step, level="neurons", values=True, row=row))
        crossed = [
            int(group.get("data-neuron"))
            for group in root.iter(f"{SVG}g")
            if group.get("data-neuron") is not None
            and any(p.get("class") == "cr-cross" for p in group)
        ]
        assert crossed == [i for i, kept in enumerate(held[row]) if kept == 0]
        assert (
            f"row {row} of 3"
            in cr.draw(step, level="neurons", values=True, row=np.int64(row)).notes
        )
        for group in root.iter(f"{SVG}g"):
            if group.get("data-layer") == "1" and group.get("data-neuron") is not None:
                i = int(group.get("data-neuron"))
                received = from_json(dropped["value"])[row, i]
                assert f"→ {number_text(received)}" in [t.text for t in group.iter(f"{SVG}text")]
    for parameter in model.parameters():
        parameter.requires_grad = False
    for mode in (True, False):
        model.train(mode)
        svg = cr.draw(model, x, level="neurons", values=True).svg
        assert ('class="cr-cross"' in svg) == mode
    weight = model[0].weight.numpy()
    drawing = cr.draw(model, (3,), level="neurons")
    for group in parsed(drawing).iter(f"{SVG}g"):
        if group.get("class", "").startswith("cr-line") and group.get("data-layer") == "1":
            w = weight[int(group.get("data-to")), int(group.get("data-from"))]
            assert ("cr-plus" if w > 0 else "cr-minus") in group.get("class")
    for width, is_full in ((5, False), (6, True)):  # 15 lines have room for numbers, 18 have none
        model = nn.Sequential(nn.Linear(3, width), nn.Linear(width, 2))
        drawing = cr.draw(model, x, level="neurons", values=True)
        said = [note for note in drawing.notes if note.startswith("layer 1: no numbers")]
        assert len(said) == is_full and all(note.split(";")[0] in drawing.svg for note in said)
        assert not cr.draw(model, x, level="neurons").notes
        step = cr.explain(model, x, y, nn.MSELoss())
        notes = cr.draw(step, level="neurons", gradients=True).notes
        assert any(note.startswith("layer 1: no numbers") for note in notes) == is_full
    wide = cr.draw(nn.Sequential(nn.Linear(784, 512), nn.Linear(512, 10)), (784,), level="neurons")
    assert "780 more" in wide.svg and "508 more" in wide.svg
    assert len(re.findall("data-neuron", wide.svg)) == 2 * (4 + 4 + 10)


class Squeezed(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner, self.outer = nn.Linear(2, width), nn.Linear(width, 1)

    def forward(self, x):
        return self.outer(self.inner(x).sigmoid()).squeeze(-1)


def test_the_page_shows_neurons_where_these_are_the_whole_model():
    for model, y, level in [
        (Squeezed(16), [1.0], "neurons"),  # a result of another shape is the same neuron
        (Squeezed(17), [1.0], "layers"),
        (Residual(2), [[1.0, 1.0]], "layers"),
    ]:
        page = cr.explain(model, [[1.0, 2.0]], y, nn.MSELoss()).to_html()
        assert re.findall('<figure data-level="(neurons|layers)"', page) == [level]


def test_a_loss_of_probabilities_is_no_activation_of_the_last_layer():
    """It takes the logarithm of softmax, as a module may, but of what the model returned."""
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 2))
    x, y = np.float32([[1, 2], [3, 4]]), np.float32([[0.3, 0.7], [0.2, 0.8]])
    step = cr.explain(model, x, y, nn.CrossEntropyLoss())
    assert [layer["activation"] for layer in step.trace()["layers"]] == ["Tanh", None]
    assert "layer 2" in cr.draw(step, level="neurons", values=True).svg
