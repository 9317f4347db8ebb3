"""The formulas of activations and of their derivatives: g(z), and g'(z) as a lecture writes it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import numpy as np

from chainrule.graph.tensor import Array
from chainrule.inspect.letters import Formula


class ActivationFormulas(NamedTuple):
    """What g(z) and g'(z) are.

    Attributes:
        value, derivative: in the letters of the reader; where there is no short formula the name
            of the activation stands for it.
    """

    value: Formula
    derivative: Formula


class _Known(NamedTuple):
    """An activation with a short formula; Z, A and P stand for z, a and a constant.

    Attributes:
        value, derivative: as the pair of text and LaTeX.
        g, slope: g(z, p), and g'(z, a, p).
        constants: what p usually is.
    """

    value: tuple[str, str]
    derivative: tuple[str, str]
    g: Callable[[Array, float], Any]
    slope: Callable[[Array, Array, float], Any]
    constants: tuple[float, ...] = (0.0,)


def _sigmoid(z: Array) -> Any:
    return 1.0 / (1.0 + np.exp(-z))


def _normal(z: Array) -> Any:
    return 0.5 * (1.0 + np.vectorize(math.erf, otypes=[float])(z / math.sqrt(2.0)))


_KNOWN = {
    "Sigmoid": _Known(
        ("1 / (1 + exp(-Z))", r"\frac{1}{1 + e^{-Z}}"),
        ("A * (1 - A)", r"A \odot (1 - A)"),
        lambda z, p: _sigmoid(z),
        lambda z, a, p: a * (1.0 - a),
    ),
    "Tanh": _Known(
        ("tanh(Z)", r"\tanh(Z)"),
        ("1 - A^2", "1 - (A)^{2}"),
        lambda z, p: np.tanh(z),
        lambda z, a, p: 1.0 - a * a,
    ),
    "ReLU": _Known(
        ("max(0, Z)", r"\max(0, Z)"),
        ("[Z > 0]", "[Z > 0]"),
        lambda z, p: np.maximum(z, 0.0),
        lambda z, a, p: z > 0.0,
    ),
    "ReLU6": _Known(
        ("min(max(0, Z), 6)", r"\min(\max(0, Z), 6)"),
        ("[Z > 0] * [Z < 6]", r"[Z > 0] \odot [Z < 6]"),
        lambda z, p: np.clip(z, 0.0, 6.0),
        lambda z, a, p: (z > 0.0) & (z < 6.0),
    ),
    "Hardtanh": _Known(
        ("min(max(-1, Z), 1)", r"\min(\max(-1, Z), 1)"),
        ("[Z > -1] * [Z < 1]", r"[Z > -1] \odot [Z < 1]"),
        lambda z, p: np.clip(z, -1.0, 1.0),
        lambda z, a, p: (z > -1.0) & (z < 1.0),
    ),
    "LeakyReLU": _Known(
        ("max(0, Z) + P min(0, Z)", r"\max(0, Z) + P \min(0, Z)"),
        ("[Z > 0] + P [Z <= 0]", r"[Z > 0] + P \, [Z \le 0]"),
        lambda z, p: np.where(z > 0.0, z, p * z),
        lambda z, a, p: np.where(z > 0.0, 1.0, p),
        (0.01,),
    ),
    "ELU": _Known(
        ("max(0, Z) + P (exp(min(0, Z)) - 1)", r"\max(0, Z) + P (e^{\min(0, Z)} - 1)"),
        ("[Z > 0] + [Z <= 0] * (A + P)", r"[Z > 0] + [Z \le 0] \odot (A + P)"),
        lambda z, p: np.maximum(z, 0.0) + p * np.expm1(np.minimum(z, 0.0)),
        lambda z, a, p: np.where(z > 0.0, 1.0, a + p),
        (1.0,),
    ),
    "Softplus": _Known(
        ("log(1 + exp(Z))", r"\log(1 + e^{Z})"),
        ("sigmoid(Z)", r"\mathrm{sigmoid}(Z)"),
        lambda z, p: np.logaddexp(0.0, z),
        lambda z, a, p: _sigmoid(z),
    ),
    "LogSigmoid": _Known(
        ("-log(1 + exp(-Z))", r"-\log(1 + e^{-Z})"),
        ("1 - exp(A)", "1 - e^{A}"),
        lambda z, p: -np.logaddexp(0.0, -z),
        lambda z, a, p: 1.0 - np.exp(a),
    ),
    "Softsign": _Known(
        ("Z / (1 + abs(Z))", r"\frac{Z}{1 + |Z|}"),
        ("(1 - abs(A))^2", "(1 - |A|)^{2}"),
        lambda z, p: z / (1.0 + np.abs(z)),
        lambda z, a, p: (1.0 - np.abs(a)) ** 2,
    ),
    "Tanhshrink": _Known(
        ("Z - tanh(Z)", r"Z - \tanh(Z)"),
        ("tanh(Z)^2", r"(\tanh(Z))^{2}"),
        lambda z, p: z - np.tanh(z),
        lambda z, a, p: np.tanh(z) ** 2,
    ),
    "Sin": _Known(
        ("sin(Z)", r"\sin(Z)"),
        ("cos(Z)", r"\cos(Z)"),
        lambda z, p: np.sin(z),
        lambda z, a, p: np.cos(z),
    ),
    "SiLU": _Known(
        ("Z * sigmoid(Z)", r"Z \odot \mathrm{sigmoid}(Z)"),
        (
            "sigmoid(Z) * (1 + Z * (1 - sigmoid(Z)))",
            r"\mathrm{sigmoid}(Z) \odot (1 + Z \odot (1 - \mathrm{sigmoid}(Z)))",
        ),
        lambda z, p: z * _sigmoid(z),
        lambda z, a, p: _sigmoid(z) * (1.0 + z * (1.0 - _sigmoid(z))),
    ),
    "GELU": _Known(
        ("Z * Phi(Z)", r"Z \odot \Phi(Z)"),
        ("Phi(Z) + Z * Phi'(Z)", r"\Phi(Z) + Z \odot \Phi'(Z)"),
        lambda z, p: z * _normal(z),
        lambda z, a, p: _normal(z) + z * np.exp(-z * z / 2.0) / math.sqrt(2.0 * math.pi),
    ),
}
_OF_ROWS = {
    "Softmax": ("exp(Z) / sum(exp(Z))", r"\frac{e^{Z}}{\sum e^{Z}}"),
    "LogSoftmax": ("Z - log(sum(exp(Z)))", r"Z - \log(\sum e^{Z})"),
}
"""Activations of all neurons of a layer together: they have no g'(z)."""


def activation_formulas(
    kind: str,
    z: Formula,
    a: Formula,
    values: tuple[Array, Array, Array],
    constants: Iterable[float],
) -> ActivationFormulas:
    """The formulas of an activation that works element by element.

    A formula is taken only where it gives the numbers: an activation with other constants than
    the usual ones is called by its name.

    Args:
        kind: the name of its module.
        z, a: what its input and its output are called.
        values: z, a and g'(z).
        constants: numbers in its graph, such as a slope; they come before the usual ones.
    """
    known = _KNOWN.get(kind)
    if known is not None:
        at_z, at_a, slope = (np.asarray(v, np.float64) for v in values)
        with np.errstate(all="ignore"):
            for p in dict.fromkeys((*filter(None, constants), *known.constants)):
                pairs = ((known.g(at_z, p), at_a), (known.slope(at_z, at_a, p), slope))
                if all(_is_near(*pair) for pair in pairs):
                    return ActivationFormulas(
                        _filled(known.value, z, a, p), _filled(known.derivative, z, a, p)
                    )
    name = rf"\mathrm{{{kind}}}"
    return ActivationFormulas(
        Formula(f"{kind}({z.text})", f"{name}({z.latex})"),
        Formula(f"{kind}'({z.text})", f"{name}'({z.latex})"),
    )


def _is_near(a: Array, b: Array) -> bool:
    return bool(np.allclose(a, b, rtol=1e-4, atol=1e-5, equal_nan=True))


def of_rows(kind: str, z: Formula) -> Formula | None:
    """The formula of an activation of all neurons together; None for others."""
    known = _OF_ROWS.get(kind)
    return None if known is None else _filled(known, z, z, 0.0)


def _filled(formula: tuple[str, str], z: Formula, a: Formula, p: float) -> Formula:
    """The letters in the places of Z, A and P."""
    text, latex = formula
    if "^" not in a.latex:
        latex = latex.replace("(A)^", "A^")

    def put(where: str, letters: dict[str, str]) -> str:
        return re.sub(r"\b[ZAP]\b", lambda found: letters[found[0]], where)

    return Formula(
        put(text, {"Z": z.text, "A": a.text, "P": f"{p:g}"}),
        put(latex, {"Z": z.latex, "A": a.latex, "P": f"{p:g}"}),
    )
