"""The quantities of a derivation by the names that books have for them."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.letters import Letters
from chainrule.testing.network import Network, Quantity

LOSS = {"loss", "l", "j", "cost", "e", "c"}
KINDS = {"delta": "delta", "dw": "dW", "db": "db"} | dict.fromkeys(("neww", "wnew"), "W")
KINDS |= dict.fromkeys(("newb", "bnew"), "b")
SIGNS = str.maketrans({"δ": "delta", "Δ": "delta", "∂": "d", "∇": "grad"})
NAMES = "z1, a1, loss, delta1, dW1, db1, new_W1, new_b1"

OURS = re.compile(
    r"(?<![A-Za-z])(d?)(z|delta|W|L|g(?=['(])|a(?=\d|\^| - | \()|(?<=- )a|(?<=\(-)a)(?![A-Za-z])"
)
"""Our letters in a sentence; an "a" is one only beside a number or a sign."""


def in_letters(sentence: str, letters: Letters) -> str:
    """A sentence, or a name, of ours in the letters of a source."""
    theirs = {
        "z": letters.preactivation,
        "a": letters.activation,
        "delta": letters.delta,
        "W": letters.weight,
        "g": letters.function,
        "L": letters.loss,
    }
    return OURS.sub(lambda found: found[1] + theirs[found[2]], sentence)


def named(name: str, net: Network, letters: Letters) -> Quantity:
    """The quantity of a name, in the letters of a source."""
    if not isinstance(name, str):
        raise TypeError(f"the names of mine are strings, as 'z1', not {checks.described(name)}")
    z = letters.preactivation
    kinds = KINDS | {letters.delta: "delta", f"d{z}": "delta", letters.activation: "a", z: "z"}
    if z == "z":
        kinds["h"] = "a"
    plain = name.translate(SIGNS).lower()
    plain = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", plain))
    plain = re.sub(rf"^(d[ljec]|grad)(?=d[{z}wb])", "", plain)
    plain = re.sub(rf"^grad(?=[{z}wb]\d)", "d", plain)
    plain = re.sub(rf"^([{z}wb]\d+)grad$", r"d\1", plain)
    found = re.fullmatch(r"([a-z]+)(\d+)(new)?", plain)
    kind = kinds.get(found[1] + (found[3] or "")) if found else None
    if plain in LOSS:
        quantity = Quantity("loss", 0)
    elif found and kind:
        quantity = Quantity(kind, int(found[2]))
    else:
        raise ValueError(
            f"{name!r} names no quantity: write {in_letters(NAMES, letters)}, with the number of "
            "the layer"
        )
    if quantity not in net.numbers:
        known = in_letters(", ".join(map(str, net.order)), letters)
        raise ValueError(
            f"{name!r}: this step has no {in_letters(str(quantity), letters)}, only {known}"
        )
    return quantity


def as_array(name: str, value: Any) -> Array:
    """The array of numbers that is given for a name."""
    try:
        array = np.asarray(value.numpy() if isinstance(value, Tensor) else value)
        if array.dtype.kind in "iufb":
            return array
    except ValueError:  # rows of different lengths
        pass
    raise ValueError(f"{name!r} is not an array of numbers: {value!r}")
