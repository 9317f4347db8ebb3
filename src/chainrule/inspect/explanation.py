"""Explanation: one training step of a model, with all of its numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from typing import Any

from chainrule import checks
from chainrule.graph.names import ForeignName
from chainrule.graph.printing import DIGITS
from chainrule.graph.tensor import Tensor
from chainrule.inspect import forms
from chainrule.inspect.checked_trace import checked
from chainrule.inspect.letters import Form, LettersName, letters_of
from chainrule.inspect.page import document, pictures_of
from chainrule.inspect.sections import Sections
from chainrule.inspect.step import run_step
from chainrule.inspect.trace import trace_of
from chainrule.markup import printed
from chainrule.nn import Module
from chainrule.optim import Optimizer
from chainrule.system.atomic_files import write_atomically
from chainrule.system.reading import reading
from chainrule.train.roles import check_roles


class Explanation:
    """One training step of a model with all of its numbers: what `chainrule.explain` returns.

    It holds plain data, the trace. What it shows is read from that alone, so one that is read back
    from a file shows the same.

    Args:
        trace: as `trace` gives it.

    Raises:
        ValueError: if it is no trace.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> step = cr.explain(nn.Linear(2, 1), [1.0, 2.0], [4.0], nn.MSELoss())
        >>> again = cr.inspect.Explanation.from_json(step.to_json())
        >>> again.trace() == step.trace()
        True
    """

    show = ForeignName("show", "print(step), or step.to_html(path) for the page that plays it")

    def __init__(self, trace: dict[str, Any]) -> None:
        self._trace = checked(trace)

    def __str__(self) -> str:
        """The tables, as wide as the terminal."""
        return self.to_text()

    def __repr__(self) -> str:
        return f"<Explanation: {self._trace['title']}, loss {self._trace['loss']}>"

    def __rich__(self) -> Any:
        return forms.Tables(self._sections(DIGITS))

    def _repr_html_(self) -> str:
        return self.to_html_tables()

    def _sections(self, precision: int) -> Sections:
        return Sections(self._trace, checks.count("precision", precision))

    def to_text(self, *, precision: int = DIGITS, width: int | None = None) -> str:
        """The tables as `print` shows them: layer by layer forward, the loss, backward, the update.

        Small arrays are whole; of large ones there are the shape, the least and the greatest
        number, and the Euclidean norm. Small layers of one row have the numbers in their formulas.

        Args:
            precision: significant digits of each number.
            width: columns of text; by default those of the terminal.
        """
        if width is not None:
            checks.count("width", width)
        return printed(forms.Tables(self._sections(precision)), width)

    def to_markdown(self, *, precision: int = DIGITS) -> str:
        """The tables in Markdown, with formulas in LaTeX between dollars."""
        return forms.as_markdown(self._sections(precision))

    def to_latex(self, *, precision: int = DIGITS) -> str:
        """The step as equations, for a LaTeX document with the package amsmath."""
        return forms.as_latex(self._sections(precision))

    def to_html_tables(self, *, precision: int = DIGITS) -> str:
        """The tables as an HTML fragment, which brings its style and takes the page's colours.

        A notebook shows it. `to_html` is the page that plays the step.
        """
        return forms.as_html(self._sections(precision))

    def trace(self) -> dict[str, Any]:
        """All numbers and formulas as plain JSON data."""
        copy: dict[str, Any] = _copied(self._trace)
        return copy

    def to_json(self, path: str | os.PathLike[str] | None = None) -> str:
        """The trace as JSON text; it is also written to a file, if there is a path.

        The same model, data and letters give the same bytes. NaN and infinities are the strings
        "NaN", "Infinity" and "-Infinity".
        """
        text = json.dumps(self._trace, ensure_ascii=False, allow_nan=False)
        if path is not None:
            write_atomically(path, text.encode())
        return text

    def to_html(self, path: str | os.PathLike[str] | None = None) -> str:
        """A page that plays the step, as HTML text; with a path it is also written to a file.

        One file with all that it needs: buttons and arrow keys go forward, backward and through the
        update, with the picture of the network, each formula and its numbers, and the `grad_table`
        so far. It can hide the answers and it has a form for lectures. No request leaves it.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn
            >>> step = cr.explain(nn.Linear(2, 1), [1.0, 2.0], [4.0], nn.MSELoss())
            >>> step.to_html().startswith("<!doctype html>")
            True
        """
        text = document(self._trace, pictures_of(self._trace))
        if path is not None:
            write_atomically(path, text.encode())
        return text

    @classmethod
    def from_json(cls, source: str | os.PathLike[str]) -> Explanation:
        """What `to_json` wrote: from a file, or from the text itself.

        Raises:
            FileError: for a file that is no trace.
            ValueError: for a text that is none.
            OSError: if there is no such file.
        """
        if not isinstance(source, (str, os.PathLike)):
            raise TypeError(f"source is a path or JSON text, not {type(source).__name__}")
        if isinstance(source, str) and source.lstrip().startswith(("{", "[")):
            try:
                return cls(json.loads(source))
            except RecursionError:
                raise ValueError("this is no trace: it is nested too deeply") from None
            except json.JSONDecodeError as error:
                raise ValueError(f"this is no trace, and no JSON: {error}") from None
        with reading(source, "a trace", "Write one with Explanation.to_json.") as file:
            return cls(json.loads(file.read().decode()))


def _copied(plain: Any) -> Any:
    """A copy of plain JSON data, without a way through text, which takes ten times as long."""
    if isinstance(plain, dict):
        return {key: _copied(value) for key, value in plain.items()}
    if isinstance(plain, list):
        if plain and isinstance(plain[0], (dict, list)):
            return [_copied(value) for value in plain]
        return plain.copy()  # no list has numbers beside lists
    return plain


def explain(
    model: Module,
    x: Any,
    y: Any,
    loss: Callable[..., Tensor],
    optimizer: Optimizer | None = None,
    *,
    letters: LettersName = "boulder",
    form: Form | None = None,
    seed: int = 0,
) -> Explanation:
    """One training step in full: forward, backward and update, with every number of it.

    Nothing changes: the model, the loss, the optimizer and the random numbers are as they were. The
    layers are in training mode, as in training, and dropout draws what it draws in the first
    step of a `Trainer` of the same seed.

    Args:
        model: a `nn.Module`.
        x, y: as in `Trainer.fit`, one row or several. An x of one axis is one row, and so is x
            where y is a single number; it then needs no axis of rows. Else the first axis of
            both is that of the rows.
        loss: (outputs, targets) -> a scalar Tensor.
        optimizer: of the model's parameters; with it the new weights are a part.
        letters: whose letters the formulas have: "boulder" (z, a, delta), "cs3780" (u, z, delta),
            "4al3" and "deep-learning" (a, h, g), "cornell" (a, z, delta), "row" (z, a, delta, and
            w = W^T).
        form: "column", z = W a + b, or "row", z = a W^T + b; by default columns, and rows for the
            letters "row".
        seed: of the model's random operations.

    Returns:
        An `Explanation`.

    Raises:
        TypeError, ValueError: for arguments and data that do not fit, as in `Trainer.fit`; for a
            loss that depends on nothing to train.
        ShapeError: for a loss that is no scalar, or data that do not fit the model.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> model = nn.Linear(2, 1)
        >>> model.load_state_dict({"weight": [[3.0, 1.0]], "bias": [0.5]})
        IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        >>> step = cr.explain(model, [1.0, 2.0], [4.0], nn.MSELoss()).trace()
        >>> step["loss"], step["layers"][0]["delta"]["values"]
        (2.25, [[3.0]])
        >>> [node["formula"]["text"] for node in step["nodes"] if node["name"] in ("z1", "L")]
        ['z1 = W1 a0 + b1', 'L = sum((z1 - y)^2)']
    """
    found, form = letters_of(letters, form)
    check_roles(model, loss, optimizer, trained=optimizer is not None)
    seed = checks.seed(seed)
    step = run_step(model, x, y, loss, optimizer, seed)
    return Explanation(trace_of(step, model, loss, optimizer, letters, found, form))
