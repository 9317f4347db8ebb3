"""Colours of drawings: quiet ones, for light and for dark pages, as CSS variables.

A picture follows what the system prefers, and the page around it where that says `data-theme`, as
Furo does, or is JupyterLab. A page may also set the variables itself, as `--cr-ink`, on the
pictures' class `cr-drawing`. A picture that is a file of its own has a background, too, on which
the colours of either theme are readable; within a page it has that of the page.
"""

from __future__ import annotations

from typing import NamedTuple


class Colours(NamedTuple):
    """The fill and the border of a kind of box, light and dark."""

    fill: str
    border: str
    dark_fill: str
    dark_border: str


FAMILIES = {
    "input": Colours("#edf1f6", "#8797aa", "#252b33", "#8797aa"),
    "parameter": Colours("#e5f3e8", "#5d9a70", "#1f3026", "#6dae82"),
    "constant": Colours("#f6f5f2", "#b9b4a8", "#29282a", "#8d887d"),
    "arithmetic": Colours("#e7effa", "#6d95cb", "#1f2b3d", "#7aa5de"),
    "product": Colours("#ebeafa", "#847fca", "#292742", "#9a95e0"),
    "activation": Colours("#e0f2f0", "#4d9d95", "#1c3231", "#5cb3aa"),
    "reduction": Colours("#f2eaf9", "#9f7fc0", "#302540", "#b595d6"),
    "shape": Colours("#f0f1f3", "#a1a8b2", "#2a2c30", "#828993"),
    "random": Colours("#faf3dc", "#bd9f42", "#342d18", "#c9ab4e"),
    "loss": Colours("#fae8ea", "#c56f7b", "#3a2327", "#d98591"),
    "update": Colours("#f9e9f3", "#bb73a0", "#392536", "#cf8ab5"),
    "gradient": Colours("#fdeede", "#d58a3f", "#392a1a", "#dd9a55"),
    "other": Colours("#f0f1f3", "#98a0aa", "#2a2c30", "#8a919c"),
}
"""What a box can be; the names are classes of its group in the SVG."""

_INKS = {
    "ink": ("#1d2530", "#e6e9ee"),
    "muted": ("#5c6775", "#a3acb9"),
    "line": ("#8490a0", "#7f8998"),
    "paper": ("#ffffff", "#15181d"),
    "grad": ("#b05a10", "#f0a860"),
    "positive": ("#3a78c9", "#6fa5ea"),
    "negative": ("#cf5a4a", "#ea8577"),
}

_FONT = "Inter, 'Helvetica Neue', Arial, 'DejaVu Sans', sans-serif"
_NUMBERS = "ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace"


def _values(dark: bool) -> dict[str, str]:
    found = {name: pair[dark] for name, pair in _INKS.items()}
    for name, colours in FAMILIES.items():
        found[f"{name}-fill"] = colours.dark_fill if dark else colours.fill
        found[f"{name}-border"] = colours.dark_border if dark else colours.border
    return found


def _variables(dark: bool) -> str:
    return "".join(f"--cr-{name}:{value};" for name, value in _values(dark).items())


_RULES = (
    f".cr-drawing text{{font-family:{_FONT};font-size:11px;fill:var(--cr-ink);"
    "text-anchor:middle}"
    ".cr-drawing .cr-name{font-size:13px;font-weight:600}"
    ".cr-drawing .cr-note{fill:var(--cr-muted)}"
    f".cr-drawing .cr-number{{font-family:{_NUMBERS};white-space:pre}}"
    f".cr-drawing .cr-grad{{font-family:{_NUMBERS};white-space:pre;fill:var(--cr-grad)}}"
    ".cr-drawing .cr-halo{paint-order:stroke;stroke:var(--cr-paper);stroke-width:3px;"
    "stroke-linejoin:round}"
    ".cr-drawing .cr-edge path{fill:none;stroke:var(--cr-line);stroke-width:1.3}"
    ".cr-drawing .cr-edge .cr-head{fill:var(--cr-line);stroke:none}"
    ".cr-drawing .cr-edge.cr-gradient path{stroke:var(--cr-gradient-border)}"
    ".cr-drawing .cr-edge.cr-gradient .cr-head{fill:var(--cr-gradient-border)}"
    ".cr-drawing .cr-edge.cr-faint path{stroke-dasharray:3 3}"
    ".cr-drawing .cr-box{stroke-width:1.3}"
    + "".join(
        f".cr-drawing .cr-{name} .cr-box{{fill:var(--cr-{name}-fill);"
        f"stroke:var(--cr-{name}-border)}}"
        for name in FAMILIES
    )
    + ".cr-drawing .cr-weight{stroke:var(--cr-line);stroke-width:1;fill:none}"
    ".cr-drawing .cr-plus .cr-weight{stroke:var(--cr-positive)}"
    ".cr-drawing .cr-minus .cr-weight{stroke:var(--cr-negative)}"
    ".cr-drawing .cr-dot{fill:var(--cr-muted)}"
    ".cr-drawing .cr-off{opacity:.35}"
    ".cr-drawing .cr-inner.cr-off{opacity:.6}"
    ".cr-drawing .cr-cross{stroke:var(--cr-negative);stroke-width:2}"
)


def style() -> str:
    """The content of a picture's `<style>`: the colours by theme, and what has which."""
    light, dark = _variables(False), _variables(True)
    return (
        f".cr-drawing{{{light}}}"
        f"@media (prefers-color-scheme:dark){{.cr-drawing{{{dark}}}}}"
        f"[data-theme=light] .cr-drawing,[data-jp-theme-light=true] .cr-drawing{{{light}}}"
        f"[data-theme=dark] .cr-drawing,[data-jp-theme-light=false] .cr-drawing{{{dark}}}"
        # The root of a document: within a page that is not the picture.
        ".cr-drawing:root{background:var(--cr-paper)}" + _RULES
    )


def plain_style() -> str:
    """The light colours without variables, for programs that know none."""
    rules = _RULES
    for name, value in _values(False).items():
        rules = rules.replace(f"var(--cr-{name})", value)
    return rules
