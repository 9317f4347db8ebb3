"""Charts: sound SVG whose marks lie where the numbers say."""

import xml.etree.ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule import drawing
from chainrule.drawing.charts import HEIGHT, WIDTH, ticks
from chainrule.drawing.text_width import text_width

SVG = "{http://www.w3.org/2000/svg}"


def parsed(picture):
    root = ET.fromstring(picture)
    assert root.tag == f"{SVG}svg"
    assert root.get("role") == "img"
    return root


def test_a_line_goes_through_its_points():
    x, y = np.array([0.0, 1.0, 3.0]), np.array([5.0, 1.0, 9.0])
    root = parsed(drawing.line_chart({"a": (x, y)}, title="t", x="x", y="y"))
    (line,) = root.iter(f"{SVG}polyline")
    places = np.array([p.split(",") for p in line.get("points").split()], float)
    for axis, values in enumerate((x, y)):  # a straight line from numbers to places
        slope, offset = np.polyfit(values, places[:, axis], 1)
        assert np.allclose(slope * values + offset, places[:, axis], atol=0.06)
        assert (slope > 0) == (axis == 0)  # upwards is smaller in SVG
    assert (places >= 0).all()
    assert (places <= [WIDTH, HEIGHT]).all()


def test_a_line_is_interrupted_where_numbers_are_missing():
    y = [1.0, 2.0, np.nan, 2.0, 1.0, np.inf, np.nan]
    root = parsed(drawing.line_chart({"a": (range(7), y)}, title="t", x="x", y="y"))
    assert [len(p.get("points").split()) for p in root.iter(f"{SVG}polyline")] == [2, 2]


def test_lines_have_names_and_colours_of_their_own():
    series = {"<train>": ([0, 1], [1, 2]), "validation": ([0, 1], [2, 3])}
    root = parsed(drawing.line_chart(series, title="Loss & more", x="epoch", y="loss"))
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"<train>", "validation", "epoch", "loss"} <= set(texts)
    assert root.find(f"{SVG}title").text == "Loss & more"
    assert len({line.get("stroke") for line in root.iter(f"{SVG}polyline")}) == 2


def test_equal_axes_of_a_scatter_chart():
    a, b = [1.0, 2.0, 4.0], [4.0, 2.0, 1.0]
    root = parsed(drawing.scatter_chart(a, b, title="t", x="x", y="y", diagonal=True))
    places = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    (line,) = (e for e in root.iter(f"{SVG}line") if e.get("stroke-dasharray"))
    x1, y1, x2, y2 = (float(line.get(n)) for n in ("x1", "y1", "x2", "y2"))
    middle = y1 + (places[1][0] - x1) / (x2 - x1) * (y2 - y1)
    assert places[1][1] == pytest.approx(middle, abs=0.2)  # a = b lies on the diagonal


def test_bars_are_as_high_as_their_counts():
    root = parsed(drawing.bar_chart([0, 1, 2, 3], [4, 0, 8], title="t", x="x", y="y"))
    heights = [float(bar.get("height")) for bar in root.iter(f"{SVG}rect")]
    assert heights[1] == 0
    assert heights[2] == pytest.approx(2 * heights[0], abs=0.2)


@given(st.floats(-1e12, 1e12), st.floats(1e-9, 1e12))
def test_ticks_are_round_and_within(low, width):
    high = low + width
    if (high - low) < 1e-6 * max(abs(low), abs(high)):
        return
    found = ticks(low, high)
    assert 1 <= len(found) <= 8
    room = 1e-6 * (high - low)
    assert all(low - room <= tick <= high + room for tick in found)
    assert np.allclose(np.diff(found), np.diff(found)[:1], rtol=1e-3)


@pytest.mark.parametrize("values", [[0.0], [3.0, 3.0], [-1e-300, 1e300]])
def test_numbers_without_a_range(values):
    parsed(drawing.line_chart({"a": (range(len(values)), values)}, title="t", x="x", y="y"))


@pytest.mark.parametrize("size", [-1e-7, 3.0, 5e5, -5e6, 7e8, -1e200])
def test_a_label_lies_beside_the_numbers_of_its_axis(size):
    root = parsed(drawing.scatter_chart([0, 1], [0, size], title="t", x="x", y="predicted"))
    ends = [t for t in root.iter(f"{SVG}text") if t.get("text-anchor") == "end"]
    assert len(ends) > 2
    assert all(float(t.get("x")) - text_width(t.text, 12) > 20 for t in ends)  # the label is at 14
    assert all("e" not in t.text for t in ends) or not 1 < abs(size) < 1e7


def test_the_same_numbers_give_the_same_text():
    pictures = {drawing.bar_chart([0, 1], [2], title="t", x="x", y="y") for _ in range(3)}
    assert len(pictures) == 1


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="no finite point"):
        drawing.line_chart({"a": ([np.nan], [1.0])}, title="t", x="x", y="y")
    with pytest.raises(ValueError, match="got 3 on the one and 2 on the other"):
        drawing.scatter_chart([1, 2, 3], [1, 2], title="t", x="x", y="y")
    with pytest.raises(ValueError, match="2 bars have 3 edges"):
        drawing.bar_chart([0, 1], [1, 2], title="t", x="x", y="y")
