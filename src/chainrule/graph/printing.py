"""Tensors and arrays as text: small arrays whole, with the decimal points below one another."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from chainrule.graph.tensor import Array, Tensor

_MAX_PRINTED = 200  # elements; of a larger Tensor only the edges are printed
_UNPRINTED_DTYPES = ("float32", "int64", "bool")  # the dtypes of Python's floats, ints and bools

DIGITS = 6
"""The significant digits of a number in print."""

_MOST_SMALLER = 1
"""Decimals beyond those of the largest number, at most, for the sake of small ones."""


def text_of(tensor: Tensor, head: str) -> str:
    """The value (or shape), then the dtype, name and operation where they say something.

    Args:
        tensor: what is printed.
        head: what stands before the parenthesis.
    """
    parts = []
    if tensor.value is None:
        parts.append(f"symbolic, shape={tensor.shape}, dtype={tensor.dtype}")
    else:
        parts.append(
            np.array2string(
                tensor.value,
                separator=", ",
                precision=4,
                threshold=_MAX_PRINTED,
                edgeitems=3,
                prefix=head + "(",
            )
        )
        if tensor.size > _MAX_PRINTED or tensor.size == 0:
            parts.append(f"shape={tensor.shape}")
        if str(tensor.dtype) not in _UNPRINTED_DTYPES:
            parts.append(f"dtype={tensor.dtype}")
    if tensor.name:
        parts.append(f"name={tensor.name!r}")
    if tensor.operation is not None:
        parts.append(f"operation={tensor.operation.name}")
    elif tensor.requires_grad and not tensor.is_state:
        parts.append("requires_grad=True")
    return f"{head}({', '.join(parts)})"


def formatted(array: Array, digits: int = DIGITS) -> list[str]:
    """The numbers of an array, in order, as texts of one form.

    The largest has `digits` significant digits, or one more where there are smaller ones; zeros at
    the end of all are left out. Numbers far from 1, or from one another, have exponents.

    Example:
        >>> import numpy as np
        >>> formatted(np.array([0.15, -2.0]))
        ['0.15', '-2.00']
    """
    numbers = array.ravel().tolist()
    if array.dtype.kind != "f":
        return [str(number) for number in numbers]
    sizes = [abs(n) for n in numbers if n and math.isfinite(n)]
    if not sizes:
        return [_plain(n) for n in numbers]
    first, last = (math.floor(math.log10(size)) for size in (max(sizes), min(sizes)))
    if first > digits or first < -4 or last <= first - _MOST_SMALLER - digits:
        return [f"{n:.{digits - 1}e}" if n else "0" for n in numbers]
    decimals = max(0, digits - 1 - max(last, first - _MOST_SMALLER))
    texts = [f"{n:.{decimals}f}" if math.isfinite(n) else _plain(n) for n in numbers]
    finite = [t for t, n in zip(texts, numbers, strict=True) if math.isfinite(n)]
    spare = min(len(t) - len(t.rstrip("0")) for t in finite) if decimals else 0
    if decimals and spare >= decimals:
        spare = decimals + 1  # with the point
    pairs = zip(texts, numbers, strict=True)
    cut = [text[: len(text) - spare] if math.isfinite(n) else text for text, n in pairs]
    return [text.lstrip("-") if not text.strip("-0.") else text for text in cut]


def _plain(number: float) -> str:
    return f"{number:g}"


def grid(array: Array, digits: int = DIGITS) -> list[list[str]]:
    """The rows of a matrix as texts, each column with its points below one another.

    A vector is one row. Of an array with more axes the first ones are joined.
    """
    if not array.size:
        return []
    matrix = array.reshape(-1, array.shape[-1]) if array.ndim else array.reshape(1, 1)
    texts = formatted(matrix, digits)
    rows = [texts[i : i + matrix.shape[1]] for i in range(0, len(texts), matrix.shape[1])]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [[t.rjust(w) for t, w in zip(row, widths, strict=True)] for row in rows]


def as_text(array: Array, digits: int = DIGITS, most: int = 64) -> str:
    """An array as lines of text; of one with more than `most` elements, or none, its shape."""
    if array.size > most or not array.size:
        return summarised(array, digits)
    if not array.ndim:
        return formatted(array, digits)[0]
    return "\n".join("  ".join(row) for row in grid(array, digits))


def summarised(array: Array, digits: int = DIGITS) -> str:
    """The shape of an array, and its least and greatest number, if it has any."""
    shape = " x ".join(map(str, array.shape))
    if not array.size:
        return f"{shape}, empty"
    numbers: Any = array.astype(np.float64)
    low, high = (f"{float(n):.{digits}g}" for n in (numbers.min(), numbers.max()))
    return f"{shape}, {low} ... {high}"
