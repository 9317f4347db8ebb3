"""Exercise sheets about backpropagation, with their answers.

The numbers of a small network are drawn by a seed; the answers are those of `chainrule.explain`.
"""

from __future__ import annotations

import html
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from chainrule import checks
from chainrule.graph.tensor import Array
from chainrule.inspect.explanation import Explanation, explain
from chainrule.inspect.letters import Form, Formula, LettersName, letters_of, tex
from chainrule.inspect.page.mathml import mathml
from chainrule.nn import (
    CrossEntropyLoss,
    HalfSquaredErrorLoss,
    Linear,
    Module,
    MSELoss,
    ReLU,
    Sequential,
    Sigmoid,
    Tanh,
)
from chainrule.optim import SGD
from chainrule.system.atomic_files import write_atomically
from chainrule.testing.comparison import Comparison, compare
from chainrule.testing.names import NAMES, in_letters

__all__ = ["Exercise", "backprop"]

Activation = Literal["sigmoid", "tanh", "relu"]
LossName = Literal["half squares", "mean squares", "cross-entropy"]
Answers = Literal["hidden", "none", "only"]
"""Hidden until they are opened, left out, or on a sheet of their own."""

ACTIVATIONS: Mapping[str, tuple[type[Module], str, str, tuple[float, ...]]] = {
    "sigmoid": (Sigmoid, r"\frac{1}{1 + e^{-z}}", "1 / (1 + exp(-z))", (0.0, 1.0)),
    "tanh": (Tanh, r"\tanh z", "tanh z", (-1.0, 1.0)),
    "relu": (ReLU, r"\max(0, z)", "max(0, z)", (-1.0, 0.5, 1.0, 2.0)),
}
"""Each with its formula and the targets that a last layer with it can have."""
LOSSES: Mapping[str, Callable[[], Module]] = {
    "half squares": HalfSquaredErrorLoss,
    "mean squares": MSELoss,
    "cross-entropy": CrossEntropyLoss,
}
QUARTERS = np.array([-1, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1])
HALVES = (0.5, 1.0, -1.0, 2.0, -0.5, 1.5)

_TRIES = 200

STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;"
    "color-scheme:light dark}p,li{line-height:2.1}table{border-collapse:collapse}"
    ".given td{padding:.25em 1.5em .25em 0}"
    ".given pre{font:.95em/1.4 ui-monospace,Menlo,Consolas,monospace}"
    "summary{cursor:pointer;margin-top:1.5em}"
)
MINE = """# Compute the answers here, and name them: {}.
mine = {{}}"""
CHECK = """if mine:
    print(exercise.check(mine))"""


@dataclass(frozen=True)
class Exercise:
    """A sheet about one training step of a small network, and its answers.

    Attributes:
        title: as it stands at the top.
        explanation: the answers, as `chainrule.explain` gives them.
        model, x, y, loss, optimizer: the step itself; x and y are one row.
    """

    title: str
    explanation: Explanation
    model: Sequential
    x: Array
    y: Array
    loss: Module
    optimizer: SGD
    _letters: LettersName
    _call: str
    _given: tuple[tuple[Formula, Array], ...]
    _formulas: tuple[Formula, ...]
    _tasks: tuple[tuple[str, tuple[Formula, ...]], ...]

    def __str__(self) -> str:
        return self.to_markdown(answers="none")

    def __repr__(self) -> str:
        return f"<Exercise: {self.title}>"

    def _repr_html_(self) -> str:
        return self._html_body("hidden")

    def check(self, mine: Mapping[str, Any]) -> Comparison:
        """Hold a derivation to the answers: `chainrule.testing.compare` with this step.

        The names are in the letters of the sheet, as its notebook has them.
        """
        step = (self.model, self.x, self.y, self.loss, self.optimizer)
        return compare(mine, *step, letters=self._letters)

    def to_markdown(self, *, answers: Answers = "hidden") -> str:
        """The sheet in Markdown, with formulas in LaTeX between dollars.

        Args:
            answers: "hidden" in a `<details>` block, "none", or "only" the answers.
        """
        checks.one_of("answers", answers, get_args(Answers))
        found = self._markdown_answers()
        if answers == "only":
            return f"# {self.title}: answers\n\n{found}"
        sheet = f"# {self.title}\n\n{self._markdown_sheet()}"
        return sheet if answers == "none" else f"{sheet}\n{_hidden(found)}"

    def to_html(
        self, path: str | os.PathLike[str] | None = None, *, answers: Answers = "hidden"
    ) -> str:
        """The sheet as one HTML page that needs nothing else; with a path, written to a file too.

        Args:
            path: of the file.
            answers: as in `to_markdown`.
        """
        title = html.escape(self.title + (": answers" if answers == "only" else ""))
        text = (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            f"<title>{title}</title><style>{STYLE}</style></head><body>\n"
            f"{self._html_body(answers)}\n</body></html>\n"
        )
        if path is not None:
            write_atomically(path, text.encode())
        return text

    def to_notebook(
        self, path: str | os.PathLike[str] | None = None, *, answers: Answers = "hidden"
    ) -> str:
        """The sheet as a Jupyter notebook, in JSON: it has the given numbers as arrays and checks
        what is computed from them. With a path it is written to a file too.

        Args:
            path: of the file.
            answers: as in `to_markdown`.
        """
        checks.one_of("answers", answers, get_args(Answers))
        if answers == "only":
            cells = [_cell("markdown", self.to_markdown(answers="only"))]
        else:
            arrays = "\n".join(
                f"{symbol.text.split()[0]} = np.array({value.tolist()})"
                for symbol, value in self._given
            )
            cells = [
                _cell("markdown", self.to_markdown(answers="none")),
                _cell("code", f"import numpy as np\n\n{arrays}"),
                _cell("code", MINE.format(in_letters(NAMES, letters_of(self._letters, None)[0]))),
                _cell(
                    "code", f"from chainrule import exercises\n\nexercise = {self._call}\n{CHECK}"
                ),
            ]
            if answers == "hidden":
                cells.append(_cell("markdown", _hidden(self._markdown_answers())))
        for number, cell in enumerate(cells):
            cell["id"] = f"cell-{number}"
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        notebook = {"cells": cells, "metadata": {"kernelspec": kernel}}
        text = json.dumps(notebook | {"nbformat": 4, "nbformat_minor": 5}, indent=1) + "\n"
        if path is not None:
            write_atomically(path, text.encode())
        return text

    def save(self, path: str | os.PathLike[str], *, answers: Answers = "hidden") -> None:
        """Write the sheet to a file, by its ending: .md, .html or .ipynb.

        Raises:
            ValueError: for another ending.
            OSError: where it can't be written.
        """
        ending = Path(path).suffix
        if ending == ".html":
            self.to_html(path, answers=answers)
        elif ending == ".ipynb":
            self.to_notebook(path, answers=answers)
        elif ending == ".md":
            write_atomically(path, self.to_markdown(answers=answers).encode())
        else:
            raise ValueError(f"a sheet is .md, .html or .ipynb, not {ending or 'without ending'!r}")

    def _markdown_sheet(self) -> str:
        formulas = ", ".join(f"${symbol.latex}$" for symbol in self._formulas)
        given = "\n\n".join(f"$${s.latex} = {_matrix(value)}$$" for s, value in self._given)
        lines = [f"Given are {formulas}, and", "", given, ""]
        for number, (words, symbols) in enumerate(self._tasks, start=1):
            lines.append(f"{number}. {words} {', '.join(f'${s.latex}$' for s in symbols)}.")
        return "\n".join(lines) + "\n"

    def _markdown_answers(self) -> str:
        """The explanation's tables, one level of headings down."""
        _, _, tables = self.explanation.to_markdown().partition("\n")
        return tables.strip().replace("\n#", "\n##") + "\n"

    def _html_body(self, answers: Answers) -> str:
        checks.one_of("answers", answers, get_args(Answers))
        found = self.explanation._repr_html_()
        if answers == "only":
            return f"<h1>{html.escape(self.title)}: answers</h1>\n{found}"
        formulas = ", ".join(mathml(s.latex, s.text) for s in self._formulas)
        rows = "\n".join(
            f"<tr><td>{mathml(s.latex, s.text)}</td>"
            f'<td><pre style="margin:0">{_lines(value)}</pre></td></tr>'
            for s, value in self._given
        )
        tasks = "\n".join(
            f"<li>{html.escape(words)} {', '.join(mathml(s.latex, s.text) for s in symbols)}.</li>"
            for words, symbols in self._tasks
        )
        sheet = (
            f"<h1>{html.escape(self.title)}</h1>\n<p>Given are {formulas}, and</p>\n"
            f'<table class="given">\n{rows}\n</table>\n<ol>\n{tasks}\n</ol>'
        )
        hidden = f"<details><summary>Answers</summary>\n{found}\n</details>"
        return sheet if answers == "none" else f"{sheet}\n{hidden}"


def backprop(
    sizes: Sequence[int] = (2, 2, 2),
    seed: int = 0,
    *,
    activation: Activation = "sigmoid",
    loss: LossName = "half squares",
    letters: LettersName = "boulder",
    form: Form | None = None,
    lr: float = 0.5,
) -> Exercise:
    """An exercise sheet: one step of backpropagation in a small network with round numbers.

    Weights and biases are multiples of 1/4, inputs of 1/2. The same arguments give the same sheet.

    Args:
        sizes: of the layers, inputs first.
        seed: of the numbers.
        activation: of every layer; the last one has none where it is "relu" or where the loss
            contains the softmax.
        loss: "half squares", 1/2 sum (a - y)^2; "mean squares"; or "cross-entropy" of a softmax.
        letters, form: as in `chainrule.explain`.
        lr: the learning rate of the update.

    Returns:
        An `Exercise`: `print` it, or `save` it as Markdown, HTML or a notebook.

    Raises:
        ValueError: for fewer than two sizes, one that is not positive, an unknown name, or a
            network with relu of which no draw has units that are on in every layer.

    Example:
        >>> from chainrule import exercises
        >>> sheet = exercises.backprop((2, 2, 1), seed=3)
        >>> print(str(sheet).splitlines()[0])
        # Backpropagation in a 2-2-1 network, no. 3
        >>> sheet.check({"z1": sheet.x @ sheet.model[0].weight.numpy().T}).slip
        'the bias b1 is missing'
    """
    sizes = tuple(checks.count("a size", size) for size in sizes)
    if len(sizes) < 2:
        raise ValueError(f"sizes has those of the inputs and of one layer at least, got {sizes}")
    seed = checks.seed(seed)
    checks.one_of("activation", activation, ACTIVATIONS)
    checks.one_of("loss", loss, LOSSES)
    if loss == "cross-entropy" and sizes[-1] < 2:
        raise ValueError(f"cross-entropy is of two classes or more, got {sizes[-1]} output")
    random = np.random.default_rng(seed)
    for _ in range(_TRIES):
        model, x = _drawn(sizes, activation, loss, random)
        if activation != "relu" or _is_lively(model, x):
            break
    else:
        raise ValueError(
            f"no numbers were found by which relu is on in each hidden layer of {sizes}, and has "
            "no 0 before it: take fewer layers, narrower ones, or another activation or seed"
        )
    if loss == "cross-entropy":
        y = random.integers(0, sizes[-1], 1)
    else:
        y = random.permutation(np.resize(ACTIVATIONS[activation][3], sizes[-1]))[None]
    criterion = LOSSES[loss]()
    optimizer = SGD(model.parameters(), lr=lr)
    explanation = explain(model, x, y, criterion, optimizer, letters=letters, form=form)
    arguments = f"{sizes}, seed={seed}, activation={activation!r}, loss={loss!r}"
    arguments += f", letters={letters!r}, form={form!r}, lr={lr}"
    return Exercise(
        f"Backpropagation in a {'-'.join(map(str, sizes))} network, no. {seed}",
        explanation,
        model,
        x,
        y,
        criterion,
        optimizer,
        letters,
        f"exercises.backprop({arguments})",
        *_sheet(explanation, model, x, y, activation, letters, form, lr),
    )


def _drawn(
    sizes: tuple[int, ...], activation: str, loss: str, random: np.random.Generator
) -> tuple[Sequential, Array]:
    """A model with round weights, and a row of inputs."""
    layers: list[Module] = []
    for inputs, outputs in pairwise(sizes):
        layer = Linear(inputs, outputs, dtype="float64")
        layer.weight.assign(random.choice(QUARTERS, (outputs, inputs)))
        if layer.bias is not None:
            layer.bias.assign(random.choice(QUARTERS, outputs))
        layers += [layer, ACTIVATIONS[activation][0]()]
    if loss == "cross-entropy" or activation == "relu":
        layers.pop()
    return Sequential(*layers), random.permutation(np.resize(HALVES, sizes[0]))[None]


def _is_lively(model: Sequential, x: Array) -> bool:
    """Whether in each hidden layer some unit is on, and no z is 0, where ReLU has a kink."""
    a: Any = x
    for layer in list(model)[:-1]:
        a = layer(a)
        values = a.numpy()
        if not values.max() > 0 or (isinstance(layer, Linear) and not values.all()):
            return False
    return True


def _sheet(
    explanation: Explanation,
    model: Sequential,
    x: Array,
    y: Array,
    activation: str,
    letters: LettersName,
    form: Form | None,
    lr: float,
) -> tuple[Any, Any, Any]:
    """What is given, the formulas, and the tasks of a sheet, in the reader's letters."""
    trace = explanation.trace()
    names, form = letters_of(letters, form)
    nodes = {node["id"]: node for node in trace["nodes"]}
    count = len(trace["layers"])

    def sides(node: Mapping[str, Any], most: int) -> Formula:
        """The first sides of the equations of a node."""
        text, latex = (node["formula"][key].split(" = ")[:most] for key in ("text", "latex"))
        return Formula(" = ".join(text), " = ".join(latex))

    def left(node: Mapping[str, Any]) -> Formula:
        return sides(node, 1)

    def derivative(of: Formula) -> Formula:
        latex = rf"\frac{{\partial {total.latex}}}{{\partial {of.latex}}}"
        return Formula(f"d{total.text}/d{of.text}", latex)

    def row(array: Array) -> Array:
        array = np.atleast_2d(array.astype(np.float64))
        return array.T if form == "column" else array

    def of_layer(array: Array) -> Array:
        if array.ndim == 1:
            return row(array)
        return array.T if letters == "row" else array

    of_role = {node["role"]: node for node in trace["nodes"]}
    total = left(of_role["loss"])
    parameters = [nodes[p["id"]] for layer in trace["layers"] for p in layer["parameters"]]
    target = left(of_role["target"])
    if trace["loss_name"] == "CrossEntropyLoss":
        target = Formula(
            f"{target.text} (class, from 0)", target.latex + r"\ \text{(class, from 0)}"
        )
    weights = [p.numpy() for p in model.parameters()]  # the trace has large ones in part
    given = [(left(of_role["input"]), row(x)), (target, row(y))]
    given += [(left(node), of_layer(w)) for node, w in zip(parameters, weights, strict=True)]
    g, z = names.function, names.preactivation
    latex, text = (formula.replace("z", z) for formula in ACTIVATIONS[activation][1:3])
    function = Formula(f"{g}({z}) = {text}", f"{tex(g)}({z}) = {latex}")
    ends = [(layer["preactivation"], layer["output"]) for layer in trace["layers"]]
    steps = [nodes[end] for pair in ends for end in dict.fromkeys(pair)]
    formulas = (
        *([function] if any(layer["activation"] for layer in trace["layers"]) else []),
        *(sides(node, 2) for node in steps),
        Formula(**of_role["loss"]["formula"]),
        Formula(f"eta = {lr:g}", rf"\eta = {lr:g}"),
    )
    forward = map(left, steps)
    deltas = [derivative(names.at(z, i)) for i in range(count, 0, -1)]
    backward = [derivative(left(node)) for node in parameters]
    tasks = (
        ("Forward: compute", (*forward, total)),
        ("Backward: compute, from the last layer to the first,", tuple(deltas)),
        ("The gradients of the parameters:", tuple(backward)),
        ("One step of gradient descent: the new", tuple(left(node) for node in parameters)),
    )
    return tuple(given), formulas, tasks


def _matrix(array: Array) -> str:
    """An array as LaTeX."""
    rows = [" & ".join(f"{number:g}" for number in row) for row in np.atleast_2d(array)]
    return r"\begin{pmatrix} " + r" \\ ".join(rows) + r" \end{pmatrix}"


def _lines(array: Array) -> str:
    """An array as lines of numbers under one another."""
    texts = [[f"{number:g}" for number in row] for row in np.atleast_2d(array)]
    width = max(len(text) for row in texts for text in row)
    return "\n".join("  ".join(text.rjust(width) for text in row) for row in texts)


def _hidden(text: str) -> str:
    return f"<details><summary>Answers</summary>\n\n{text}\n</details>\n"


def _cell(kind: str, source: str) -> dict[str, Any]:
    more: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    lines = source.strip().splitlines(keepends=True)
    return {"cell_type": kind, "metadata": {}, "source": lines, **more}
