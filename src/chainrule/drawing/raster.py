"""SVG to PNG, by a package that is imported only here."""

from __future__ import annotations

from chainrule.errors import missing

_TIMES = 2  # pixels of a PNG to one of the SVG: sharp on today's screens


def png(svg: str) -> bytes:
    """The picture as the bytes of a PNG, on white.

    Raises:
        ImportError: if the package resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        otherwise = "save the drawing as .svg, which browsers and word processors open"
        raise missing("a PNG", "resvg-py", "png", otherwise) from None
    return bytes(resvg_py.svg_to_bytes(svg_string=svg, zoom=_TIMES))
