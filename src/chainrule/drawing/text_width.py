"""How wide a text is, so that a box can be as wide as what it says.

The widths are those of DejaVu Sans, which is wider than the other fonts that the pictures name: a
text never leaves its box.
"""

from __future__ import annotations

_WIDTHS = {
    0.30: "ijl'|.,:; ",
    0.38: 'IJ()[]{}!-frt/\\"·',
    0.55: "csvxyzkL_",
    0.64: "abdeghnopquFTYPSEBKRXZ0123456789?$*",
    0.75: "ACDGHNOQUVwδΔσ",
    0.92: "mM%@W+=<>×−→←≤≥…~^#&",
}
_BY_CHARACTER = {c: width for width, characters in _WIDTHS.items() for c in characters}
_MONOSPACED = 0.61


def text_width(text: str, size: float, monospaced: bool = False) -> float:
    """The width in pixels of a line of text.

    Args:
        text: the line.
        size: of the font, in pixels.
        monospaced: whether all characters are equally wide.

    Example:
        >>> text_width("ill", 10) < text_width("www", 10)
        True
    """
    if monospaced:
        return len(text) * _MONOSPACED * size
    return sum([_BY_CHARACTER.get(c, 0.7) for c in text]) * size


def shortened(text: str, size: float, room: float) -> str:
    """A text, or where it is wider than the room as much of it as has room, and an ellipsis.

    Example:
        >>> shortened("validation", 10, 40)
        'valida…'
    """
    if text_width(text, size) <= room:
        return text
    while text and text_width(text + "…", size) > room:
        text = text[:-1]
    return text.rstrip() + "…"
