"""What the tests of pictures read from them, and what they draw."""

import itertools
import re
import xml.etree.ElementTree as ET

import numpy as np

import chainrule as cr
from chainrule import nn, optim

SVG = "{http://www.w3.org/2000/svg}"


def parsed(drawing):
    root = ET.fromstring(drawing.svg)
    assert root.tag == f"{SVG}svg"
    assert root.find(f"{SVG}title").text == drawing.title == root.get("aria-label")
    return root


def boxes(root):
    """By data-node: the texts of each box, and its rectangle."""
    found = {}
    for group in root.iter(f"{SVG}g"):
        key = group.get("data-node")
        if key is not None:
            assert key not in found
            assert group.get("aria-label")
            rect = group.find(f"{SVG}rect")
            x, y, w, h = (float(rect.get(n)) for n in ("x", "y", "width", "height"))
            found[key] = [t.text for t in group.iter(f"{SVG}text")], (x, y, x + w, y + h)
    return found


def arrows(root):
    return [
        (g.get("data-from"), g.get("data-to"), g)
        for g in root.iter(f"{SVG}g")
        if g.get("class", "").startswith("cr-edge")
    ]


def check(drawing, horizontal=False):
    """No boxes overlap; each arrow's path starts at its source, its head touches its target."""
    root = parsed(drawing)
    found = boxes(root)
    for (_, a), (_, b) in itertools.combinations(found.values(), 2):
        assert a[2] < b[0] or b[2] < a[0] or a[3] < b[1] or b[3] < a[1]
    for source, target, group in arrows(root):
        path, head = (p.get("d") for p in group.findall(f"{SVG}path"))
        places = (path, source), (head, target)
        for text, key in places:
            x, y = map(float, re.match(r"M(\S+) ([^LCZ]+)", text).groups())
            left, top, right, low = found[key][1]
            assert left - 0.11 <= x <= right + 0.11 and top - 0.11 <= y <= low + 0.11
            sides = (left, right) if horizontal else (top, low)
            assert min(abs((x if horizontal else y) - side) for side in sides) < 0.11
    return root


def named(value, name):
    return cr.tensor(value, requires_grad=True, name=name)


def mazur():
    """The 2-2-2 network of the golden example, and its row."""
    linear = [nn.Linear(2, 2, dtype="float64") for _ in range(2)]
    model = nn.Sequential(linear[0], nn.Sigmoid(), linear[1], nn.Sigmoid())
    weights = [[[0.15, 0.2], [0.25, 0.3]], [0.35] * 2, [[0.4, 0.45], [0.5, 0.55]], [0.6] * 2]
    for parameter, value in zip(model.parameters(), weights, strict=True):
        parameter.assign(np.array(value))
    return model, np.array([[0.05, 0.10]]), np.array([[0.01, 0.99]])


def half_squares(a, y):
    return 0.5 * ((a - y) ** 2).sum()


def explained():
    model, x, y = mazur()
    return cr.explain(model, x, y, half_squares, optim.SGD(model.parameters(), lr=0.5))


class Residual(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.first, self.second = nn.Linear(n, n), nn.Linear(n, n)

    def forward(self, x):
        return x + self.second(self.first(x).relu())
