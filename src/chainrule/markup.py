"""What the prompt and notebooks show: arguments, small tables, text whose lines stay lines.

A class shows itself in Jupyter by `_repr_html_`, which returns such text. Colours and fonts are the
notebook's own, light or dark.
"""

from __future__ import annotations

import html
import io
import sys
from collections.abc import Collection, Iterable, Sequence
from inspect import isfunction, signature
from typing import Any

MOST_ROWS = 100
"""Longer tables leave out the rows in their middle."""

_LONGEST = 60
_IN_ASCII = str.maketrans(
    {"─": "-", "×": "x", "·": "*", "⊙": "*", "…": "...", "→": "->", "←": "<-", "≤": "<="}
    | {"∂": "d", "δ": "delta", "σ": "sigma", "γ": "gamma", "β": "beta", "ℓ": "l"}
    | {"ᵀ": "^T", "²": "^2"}
)
_SIGNS = "".join(map(chr, _IN_ASCII))
_CELL = "text-align:left;white-space:pre-wrap"


def table(caption: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table.

    Args:
        caption: what it shows.
        columns: their headings; none where there is nothing to say.
        rows: their cells; numbers stand at the right, floats with five digits.

    Example:
        >>> table("History", ["epoch"], [[1]]).count("<tr>")
        2
    """
    lines = list(rows)
    style = "text-align:left;white-space:nowrap"
    parts = [f'<table><caption style="{style}">{html.escape(caption)}</caption>']
    if columns:
        headings = "".join(
            f'<th scope="col" style="{_CELL}">{html.escape(c)}</th>' for c in columns
        )
        parts.append(f"<thead><tr>{headings}</tr></thead>")
    parts.append("<tbody>")
    left_out = len(lines) - MOST_ROWS if len(lines) > MOST_ROWS else 0
    first = MOST_ROWS // 2 if left_out else len(lines)
    parts += map(_row, lines[:first])
    if left_out:
        width = len(lines[0])
        parts.append(f'<tr><td colspan="{width}" style="{_CELL}">… {left_out:,} more …</td></tr>')
        parts += map(_row, lines[first + left_out :])
    parts.append("</tbody></table>")
    return "".join(parts)


def _row(cells: Sequence[object]) -> str:
    parts = []
    for cell in cells:
        style = "text-align:right" if isinstance(cell, (int, float)) else _CELL
        text = f"{cell:.5g}" if isinstance(cell, float) else str(cell)
        parts.append(f'<td style="{style}">{html.escape(text)}</td>')
    return f"<tr>{''.join(parts)}</tr>"


def aligned(rows: Iterable[Sequence[object]], *, left: Collection[int] = ()) -> str:
    """A table as text: cells at the right of their columns, floats with four digits.

    Args:
        rows: the cells of each.
        left: the columns whose cells are at the left.

    Example:
        >>> print(aligned([["epoch", "loss"], [1, 0.25]]))
        epoch  loss
            1  0.25
    """
    lines = [[f"{c:.4g}" if isinstance(c, float) else str(c) for c in cells] for cells in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    pads = [str.ljust if i in left else str.rjust for i in range(len(widths))]
    padded = [[pad(c, w) for pad, c, w in zip(pads, cells, widths, strict=True)] for cells in lines]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def printed(what: Any, width: int | None = None) -> str:
    """What rich prints, as text without colours; as wide as the terminal if there is no width."""
    import shutil  # late, as rich: `import chainrule` is faster without

    from rich.console import Console

    if width is None:
        width = shutil.get_terminal_size((100, 24)).columns
    file = io.StringIO()
    console = Console(
        file=file, width=width, color_system=None, highlight=False, force_jupyter=False
    )
    console.print(what)
    lines = file.getvalue().rstrip().splitlines()
    return encodable("\n".join(line.rstrip() for line in lines))


def encodable(text: str) -> str:
    """The text with ASCII in place of our signs where standard output does not have them all.

    That is longer in places, so the cells of a table are made encodable before they are aligned.

    Example:
        >>> encodable("2 × 3")
        '2 × 3'
    """
    return text if has_signs(sys.stdout, _SIGNS) else text.translate(_IN_ASCII)


def has_signs(stream: Any, text: str) -> bool:
    """Whether the encoding of a stream is known and has all signs of a text."""
    try:
        text.encode(getattr(stream, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def shape_text(shape: Iterable[int]) -> str:
    """A shape as lectures write it: 2 × 3; that of a scalar is empty.

    Example:
        >>> shape_text((2, 3))
        '2 × 3'
    """
    return " × ".join(map(str, shape))


def size_text(size: int) -> str:
    """A number of bytes in words.

    Example:
        >>> size_text(999), size_text(3072)
        ('999 bytes', '3.07 kB')
    """
    for unit, factor in {"GB": 10**9, "MB": 10**6, "kB": 10**3}.items():
        if size >= factor:
            return f"{size / factor:.2f} {unit}"
    return f"{size} bytes"


def escaped(value: object) -> str:
    """What an object prints, as HTML."""
    return html.escape(str(value))


class Lines(str):
    """Text of several lines, which shows them at the prompt and in a notebook.

    Example:
        >>> Lines("one\\ntwo")
        one
        two
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        style = "line-height:1.3;white-space:pre;overflow-x:auto"
        return f'<pre style="{style}">{html.escape(str(self))}</pre>'


class Constructed:
    """An object that prints as its class with the arguments that differ from their defaults.

    Those that it keeps as attributes of the same names; of a long one there is its type alone, of a
    function its name.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        kept = vars(self)
        given = [
            f"{p.name}={_short(kept[p.name])}"
            for p in signature(type(self)).parameters.values()
            if p.name in kept and not _is_same(p.default, kept[p.name])
        ]
        return f"{type(self).__name__}({', '.join(given)})"


def _is_same(default: Any, value: Any) -> bool:
    return default is value or (type(default) is type(value) and bool(default == value))


def _short(value: Any) -> str:
    if isfunction(value):
        return value.__name__
    text = repr(value)
    return text if len(text) <= _LONGEST and "\n" not in text else f"<{type(value).__name__}>"
