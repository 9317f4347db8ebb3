"""The quantities of a derivation by the names that books have for them."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

import numpy as np

from chainrule import checks
from chainrule.graph.tensor import Array, Tensor
from chainrule.testing.network import Network, Quantity

LOSS = {"loss", "l", "j", "cost", "e", "c"}
NAME = re.compile(r"(z|a|h|delta|dz|dw|db|neww|newb|wnew|bnew)(\d+)(new)?|(w|b)(\d+)(new)")
KIND = {"h": "a", "dz": "delta", "dw": "dW", "neww": "W", "newb": "b", "wnew": "W", "bnew": "b"}
SIGNS = str.maketrans({"δ": "delta", "Δ": "delta", "∂": "d", "∇": "grad"})


def named(name: str, net: Network) -> Quantity:
    """The quantity of a name."""
    if not isinstance(name, str):
        raise TypeError(f"the names of mine are strings, as 'z1', not {checks.described(name)}")
    plain = name.translate(SIGNS).lower()
    plain = re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", plain))
    plain = re.sub(r"^(d[ljec]|grad)(?=d[zwb])", "", plain)
    plain = re.sub(r"^grad(?=[zwb]\d)", "d", plain)
    plain = re.sub(r"^([zwb]\d+)grad$", r"d\1", plain)
    found = NAME.fullmatch(plain)
    if plain in LOSS:
        quantity = Quantity("loss", 0)
    elif found and found[4]:
        quantity = Quantity({"w": "W", "b": "b"}[found[4]], int(found[5]))
    elif found:
        quantity = Quantity(KIND.get(found[1], found[1]), int(found[2]))
    else:
        raise ValueError(
            f"{name!r} names no quantity: write z1, a1, loss, delta1, dW1, db1, new_W1 or new_b1, "
            "with the number of the layer"
        )
    if quantity not in net.numbers:
        known = ", ".join(map(str, net.order))
        raise ValueError(f"{name!r}: this step has no {quantity}, only {known}")
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
