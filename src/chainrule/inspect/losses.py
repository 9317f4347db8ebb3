"""The formulas of the best known losses, and of their gradients at the model's output."""

from __future__ import annotations

from typing import Any

from chainrule.graph.tensor import Tensor
from chainrule.inspect.letters import Formula
from chainrule.nn import losses

_OPTIONS = ("weight", "pos_weight", "ignore_index")


def loss_formulas(
    loss: Any, a: Formula, y: Formula, output: Tensor, target: Tensor
) -> tuple[Formula, Formula] | None:
    """(the loss, its gradient) as functions of the output a and the target y.

    None for a loss that is not one of the best known, or has options that change its formula.
    """
    if any(getattr(loss, name, None) is not None for name in _OPTIONS):
        return None
    if getattr(loss, "label_smoothing", 0.0) != 0.0:
        return None
    reduction = getattr(loss, "reduction", "mean")
    if reduction not in ("mean", "sum") or not output.shape:
        return None
    rows, elements = output.shape[0], output.size
    kind = type(loss)
    error = f"({a.text} - {y.text})", f"({a.latex} - {y.latex})"
    if kind is losses.HalfSquaredErrorLoss:
        halves = 2 * rows if reduction == "mean" else 2
        return (
            _mean(f"sum({error[0]}^2)", rf"\sum {error[1]}^2", "mean", halves),
            _over(error[0], error[1], reduction, rows),
        )
    if kind is losses.MSELoss:
        return (
            _mean(f"sum({error[0]}^2)", rf"\sum {error[1]}^2", reduction, elements),
            _over(f"2 {error[0]}", f"2 {error[1]}", reduction, elements),
        )
    if kind is losses.L1Loss:
        sign = f"sign{error[0]}", rf"\mathrm{{sign}}{error[1]}"
        return (
            _mean(f"sum(abs{error[0]})", rf"\sum |{error[1][1:-1]}|", reduction, elements),
            _over(*sign, reduction, elements),
        )
    if kind is losses.CrossEntropyLoss and output.ndim == 2:
        p = f"softmax({a.text})", rf"\mathrm{{softmax}}({a.latex})"
        if target.dtype.kind == "f":
            value = f"-sum({y.text} * log {p[0]})", rf"-\sum {y.latex} \odot \log {p[1]}"
            hot = y
        else:
            value = f"-log {p[0]}[{y.text}]", rf"-\log {p[1]}_{{{y.latex}}}"
            hot = Formula(f"onehot({y.text})", rf"\mathrm{{onehot}}({y.latex})")
        if rows > 1 and target.dtype.kind != "f":
            value = f"-sum(log {p[0]}[{y.text}])", rf"-\sum \log {p[1]}_{{{y.latex}}}"
        return (
            _mean(*value, reduction, rows),
            _over(f"({p[0]} - {hot.text})", f"({p[1]} - {hot.latex})", reduction, rows),
        )
    if kind is losses.NLLLoss and output.ndim == 2:
        p = f"{a.text}[{y.text}]", rf"{a.latex}_{{{y.latex}}}"
        log_likelihood = (f"-sum({p[0]})", rf"-\sum {p[1]}")
        if rows == 1:
            log_likelihood = (f"-{p[0]}", f"-{p[1]}")
        minus_hot = f"-onehot({y.text})", rf"-\mathrm{{onehot}}({y.latex})"
        return _mean(*log_likelihood, reduction, rows), _over(*minus_hot, reduction, rows)
    if kind is losses.BCEWithLogitsLoss:
        value = (
            f"sum(log(1 + exp({a.text})) - {y.text} * {a.text})",
            rf"\sum \left[ \log(1 + e^{{{a.latex}}}) - {y.latex} \odot {a.latex} \right]",
        )
        s = f"(sigmoid({a.text}) - {y.text})", rf"(\mathrm{{sigmoid}}({a.latex}) - {y.latex})"
        return _mean(*value, reduction, elements), _over(*s, reduction, elements)
    if kind is losses.BCELoss:
        value = (
            f"-sum({y.text} * log {a.text} + (1 - {y.text}) * log(1 - {a.text}))",
            rf"-\sum \left[ {y.latex} \odot \log {a.latex} "
            rf"+ (1 - {y.latex}) \odot \log(1 - {a.latex}) \right]",
        )
        g = (
            f"{error[0]} / ({a.text} * (1 - {a.text}))",
            rf"\frac{{{a.latex} - {y.latex}}}{{{a.latex} \odot (1 - {a.latex})}}",
        )
        return _mean(*value, reduction, elements), _over(*g, reduction, elements)
    return None


def _mean(text: str, latex: str, reduction: str, count: int) -> Formula:
    """A sum, or a mean of `count` terms."""
    if reduction == "sum" or count == 1:
        return Formula(text, latex)
    sign = "-" if text.startswith("-") else ""
    text, latex = text.removeprefix("-"), latex.removeprefix("-")
    return Formula(f"{sign}1/{count} {text}", rf"{sign}\frac{{1}}{{{count}}} {latex}")


def _over(text: str, latex: str, reduction: str, count: int) -> Formula:
    """What is divided by `count` where the loss is a mean."""
    if reduction == "sum" or count == 1:
        bare = text.startswith("(") and text.endswith(")") and text.count("(") == text.count(")")
        outer = bare and _is_one_bracket(text)
        return Formula(text[1:-1], latex[1:-1]) if outer else Formula(text, latex)
    return Formula(f"{text} / {count}", rf"\frac{{1}}{{{count}}} {latex}")


def _is_one_bracket(text: str) -> bool:
    """Whether the first bracket closes at the end."""
    depth = 0
    for place, character in enumerate(text):
        depth += {"(": 1, ")": -1}.get(character, 0)
        if depth == 0:
            return place == len(text) - 1
    return False
