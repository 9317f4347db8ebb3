"""Charts: sound SVG whose marks lie where the numbers say."""

import itertools
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


def test_a_point_alone_is_a_dot():
    y = [1.0, np.nan, 2.0, np.inf, 3.0, 4.0]
    root = parsed(drawing.line_chart({"a": (range(6), y)}, title="t", x="x", y="y"))
    dots = [(float(c.get("cx")), float(c.get("cy"))) for c in root.iter(f"{SVG}circle")]
    (line,) = root.iter(f"{SVG}polyline")
    ends = [tuple(map(float, p.split(","))) for p in line.get("points").split()]
    assert len(dots) == len(ends) == 2
    places = np.array([*dots, *ends])  # x 0, 2, 4, 5 and y 1, 2, 3, 4
    assert np.allclose(np.diff(places[:, 0]) / np.diff(places[:2, 0]), [1, 1, 0.5], atol=2e-3)
    assert np.allclose(np.diff(places[:, 1]), np.diff(places[:, 1])[0], atol=0.2)


@pytest.mark.parametrize(
    ("count", "name"), [(2, "loss"), (8, "series"), (20, "a long name of one")]
)
def test_the_names_of_many_lines_keep_apart(count, name):
    series = {f"{name} {n}": ([0, 1], [0, n]) for n in range(count)}
    root = parsed(drawing.line_chart(series, title="t", x="x", y="y"))
    texts = [t for t in root.iter(f"{SVG}text") if t.text in series]
    spans = [(float(t.get("x")) - 24, float(t.get("y")), text_width(t.text, 12)) for t in texts]
    assert len(spans) == count and all(x + 24 + width <= WIDTH for x, _, width in spans)
    for (a, y, width), (b, z, _) in itertools.combinations(spans, 2):
        assert abs(y - z) >= 14 or a + 24 + width < b
    top = min(
        float(place.split(",")[1])
        for line in root.iter(f"{SVG}polyline")
        for place in line.get("points").split()
    )
    assert top > max(y for _, y, _ in spans)
    looks = {(p.get("stroke"), p.get("stroke-dasharray")) for p in root.iter(f"{SVG}polyline")}
    assert len(looks) == min(count, 18)


@pytest.mark.parametrize(
    "values",
    [
        1e9 + 1e-3 * np.arange(10), 1 + 1e-16 * np.arange(10), -1 - 4e-10 * np.arange(3),
        12345678.0 + np.arange(3), [-1e308, 0.0, 1.5e308], [-1.7e308, 1.7e308], [5e-324, 1e-322],
    ],
)  # fmt: skip
def test_ticks_of_close_and_of_huge_numbers_tell_them_apart(values):
    for places in ((range(len(values)), values), (values, range(len(values)))):
        picture = drawing.line_chart({"a": places}, title="t", x="x", y="y")
        root = parsed(picture)
        assert "nan" not in picture and "inf" not in picture
        for anchor in ("end", "middle"):
            ticks = [t for t in root.iter(f"{SVG}text") if t.get("text-anchor") == anchor]
            ticks = [t for t in ticks if t.text not in ("x", "y")]
            texts = [t.text for t in ticks]
            assert texts and len(set(texts)) == len(texts)
            spans = [(float(t.get("x")), text_width(t.text, 12)) for t in ticks]
            if anchor == "middle":
                for (a, v), (b, w) in itertools.pairwise(spans):
                    assert b - a > (v + w) / 2


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


def test_a_height_that_is_missing_has_no_bar():
    picture = drawing.bar_chart([0, 1, 2, 5], [np.nan, 2, np.inf], title="t", x="x", y="y")
    whole = drawing.bar_chart([0, 1, 2, 5], [0, 2, 0], title="t", x="x", y="y")
    (bar,) = parsed(picture).iter(f"{SVG}rect")
    assert "nan" not in picture and bar.attrib == list(parsed(whole).iter(f"{SVG}rect"))[1].attrib


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


@pytest.mark.parametrize(
    "values", [[0, 1000000], [99990, 100000], [0, 4e12], [-1e-5, 1e-5], 1 + 1e-16 * np.arange(10)]
)
def test_no_number_on_the_lower_axis_is_cut(values):
    root = parsed(drawing.line_chart({"a": (values, values)}, title="t", x="x", y="y"))
    ticks = [t for t in root.iter(f"{SVG}text") if t.get("text-anchor") == "middle"]
    for tick in ticks:
        at, half = float(tick.get("x")), text_width(tick.text, 12) / 2
        assert at - half >= 0 and at + half <= WIDTH


@pytest.mark.parametrize("count", [1, 3])
def test_long_texts_are_shortened_and_whole_in_their_tooltips(count):
    long = "how well the model of all these columns predicts what the tables of last year hold " * 2
    series = {f"{n} {long}": ([0, 1], [n, 2]) for n in range(count)}
    root = parsed(drawing.line_chart(series, title=long, x=f"x {long}", y=f"y {long}"))
    assert root.find(f"{SVG}title").text == long
    texts = {t.findtext(f"{SVG}title"): t for t in root.iter(f"{SVG}text") if t.text[-1] == "…"}
    expected = {*series} if count > 1 else {long}
    assert texts.keys() == {f"x {long}", f"y {long}", *expected}
    for whole, text in texts.items():
        assert whole.startswith(text.text[:-1])
        width = text_width(text.text, 12)
        at = float(text.get("x")) if text.get("text-anchor") == "start" else 0.0
        assert at + width <= (HEIGHT - 76 if whole[0] == "y" else WIDTH)  # as its axis is long
        assert width > 200


def test_the_same_numbers_give_the_same_text():
    pictures = {drawing.bar_chart([0, 1], [2], title="t", x="x", y="y") for _ in range(3)}
    assert len(pictures) == 1


def test_what_cannot_be_drawn():
    with pytest.raises(ValueError, match="no finite point"):
        drawing.line_chart({"a": ([np.nan], [1.0])}, title="t", x="x", y="y")
    with pytest.raises(ValueError, match="no finite point"):
        drawing.line_chart({}, title="t", x="x", y="y")
    with pytest.raises(ValueError, match="begin and end at finite numbers"):
        drawing.bar_chart([0, 1, np.inf], [1, 2], title="t", x="x", y="y")
    for edges in ([0, 2, 1], [0, 1, 1], [2, 1, 0]):
        with pytest.raises(ValueError, match="the edges of bars rise"):
            drawing.bar_chart(edges, [1, 2], title="t", x="x", y="y")
    with pytest.raises(ValueError, match="no bar of a finite height"):
        drawing.bar_chart([0, 1], [np.nan], title="t", x="x", y="y")
    with pytest.raises(ValueError, match="got 3 on the one and 2 on the other"):
        drawing.scatter_chart([1, 2, 3], [1, 2], title="t", x="x", y="y")
    with pytest.raises(ValueError, match="2 bars have 3 edges"):
        drawing.bar_chart([0, 1], [1, 2], title="t", x="x", y="y")
