"""The letters in which lectures and books write a network, and the formulas of a step in them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, NamedTuple, get_args

from chainrule import checks

Form = Literal["column", "row"]
"""Whether activations are columns, z = W a + b, or rows, z = a W^T + b."""

LettersName = Literal["boulder", "cs3780", "4al3", "cornell", "row", "deep-learning"]


class Formula(NamedTuple):
    """A formula as plain text and in LaTeX."""

    text: str
    latex: str


OPERATORS = {
    "add": (" + ", " + "),
    "subtract": (" - ", " - "),
    "multiply": (" * ", r" \odot "),
    "divide": (" / ", " / "),
}
"""The signs of operations between their inputs, as text and in LaTeX."""


def joined(terms: Iterable[Formula], sign: str, tex_sign: str | None = None) -> Formula:
    """Terms with a sign between them, which may be another in LaTeX."""
    terms = list(terms)
    tex_sign = sign if tex_sign is None else tex_sign
    return Formula(sign.join(t.text for t in terms), tex_sign.join(t.latex for t in terms))


class Letters(NamedTuple):
    """What one source calls the quantities of a network.

    Attributes:
        preactivation, activation, weight, bias, function, delta, loss: the letters, as text.
        input: of the network's input; it has the number 0.
        momentum: of the sum of gradients that momentum keeps.
        attached, attached_to_weight: how LaTeX attaches the number of a layer, with "{}" for it.
    """

    preactivation: str
    activation: str
    input: str
    weight: str
    bias: str
    function: str
    delta: str
    loss: str
    momentum: str
    attached: str
    attached_to_weight: str

    def at(self, letter: str, layer: int | str) -> Formula:
        """A letter with the number of its layer."""
        attached = self.attached_to_weight if letter == self.weight else self.attached
        return Formula(f"{letter}{layer}", tex(letter) + attached.format(layer))


_PLAIN, _BRACKETED, _BELOW = "^{{{}}}", "^{{({})}}", "_{{{}}}"

_LETTERS = {
    "boulder": Letters("z", "a", "a", "W", "b", "g", "delta", "L", "G", _PLAIN, _PLAIN),
    "cs3780": Letters("u", "z", "z", "W", "b", "sigma", "delta", "l", "G", _PLAIN, "^{{[{}]}}"),
    "4al3": Letters("a", "h", "h", "W", "b", "f", "g", "L", "v", _BRACKETED, _BRACKETED),
    "cornell": Letters("a", "z", "z", "W", "b", "sigma", "delta", "l", "G", _BELOW, _BELOW),
    "row": Letters("z", "a", "z", "w", "b", "sigma", "delta", "L", "G", _BRACKETED, _BRACKETED),
    "deep-learning": Letters("a", "h", "h", "W", "b", "f", "g", "L", "v", _BRACKETED, _BRACKETED),
}

SIGNS = {"delta": "δ", "sigma": "σ", "gamma": "γ", "beta": "β", "l": "ℓ"}
"""Letters as one sign of text."""

_GREEK = ("delta", "sigma", "lambda", "gamma", "beta")


def tex(letter: str) -> str:
    """A letter in LaTeX."""
    if letter in _GREEK:
        return f"\\{letter}"
    return {"l": r"\ell", "L": r"\mathcal{L}"}.get(letter, letter)


def gradients_named(text: str) -> set[int]:
    """The nodes whose gradients a formula names: of d%3 * %1 it is 3."""
    return {int(place) for place in re.findall(r"d%(\d+)\b", text)}


def nodes_named(text: str) -> set[int]:
    """The nodes that a formula calls by their numbers: of d%3 * %1 they are 3 and 1."""
    return {int(place) for place in re.findall(r"%(\d+)\b", text)}


def is_sum(text: str) -> bool:
    """Whether a formula has a sum, or a difference, outside of all brackets."""
    while (outer := re.sub(r"\([^()]*\)|\[[^\[\]]*\]", "", text)) != text:
        text = outer
    return " + " in text or " - " in text


def times(number: float, a: Formula) -> Formula:
    """A number times a formula; 1 is left out."""
    if number == 1.0:
        return a
    inner = bracketed(a) if is_sum(a.text) else a
    return Formula(f"{number:g} {inner.text}", rf"{number_in_latex(number)} \, {inner.latex}")


def bracketed(a: Formula) -> Formula:
    """A formula in brackets."""
    return Formula(f"({a.text})", f"({a.latex})")


def number_in_latex(number: float) -> str:
    """A number in LaTeX: 1e-08 as a power of ten."""
    mantissa, mark, exponent = f"{number:g}".partition("e")
    return rf"{mantissa} \cdot 10^{{{int(exponent)}}}" if mark else mantissa


def in_latex(text: str) -> str:
    """A name as text in LaTeX, also within a formula: its signs are no commands."""
    return "".join(_ESCAPED.get(sign, sign) for sign in text)


_ESCAPED = {sign: f"\\{sign}" for sign in "_%#$&{}"} | {
    "\\": r"\text{\textbackslash}",
    "^": r"\text{\textasciicircum}",
    "~": r"\text{\textasciitilde}",
}


def letters_of(name: str, form: str | None) -> tuple[Letters, Form]:
    """The letters of this name, and the form: columns, except where the letters are of rows.

    Raises:
        ValueError: for an unknown name or form, or letters of rows in columns.
    """
    checks.one_of("letters", name, _LETTERS)
    if form is None:
        return _LETTERS[name], "row" if name == "row" else "column"
    checks.one_of("form", form, get_args(Form))
    if name == "row" and form == "column":
        raise ValueError(
            "letters='row' are those of row vectors; for columns take other letters, as 'boulder'"
        )
    return _LETTERS[name], "row" if form == "row" else "column"
