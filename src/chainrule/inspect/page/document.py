"""The page that plays a step: one HTML file with all that it needs.

Its script, style and data stand in it, and its Content-Security-Policy lets no request leave: the
browser runs the one script whose hash it names, and loads nothing.
"""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from string import Template
from typing import Any

from chainrule.inspect.page.mathml import mathml

# In this order: each uses what those before it define.
_SCRIPTS = ("dom", "numbers", "orientation", "frames", "plugged", "step", "tables", "connection",
            "picture", "player")  # fmt: skip

_LEVELS = {"neurons": "Neurons", "layers": "Layers", "operations": "Operations"}
_MOST_ROWS = 64
"""Of more rows the picture shows the first alone."""


def document(trace: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    """The page of a trace.

    Args:
        trace: as `Explanation.trace` returns it.
        pictures: for "neurons", "layers" and "operations" the picture as SVG, as many as there
            shall be; the first is shown at first.
    """
    script = _script()
    digest = base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; "
        "base-uri 'none'; form-action 'none'"
    )
    return Template(_text("page.html")).substitute(
        policy=policy,
        title=html.escape(trace["title"]),
        facts=html.escape(_facts(trace)),
        style=_text("page.css").strip(),
        pictures=_network(trace, pictures),
        formulas=_formulas(trace),
        trace=_as_data(trace),
        script=script,
    )


def _as_data(trace: Mapping[str, Any]) -> str:
    """JSON that can't end the element that it stands in, whatever names are in it."""
    text = json.dumps(trace, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


def _facts(trace: Mapping[str, Any]) -> str:
    rows = trace["rows"]
    loss = trace["loss_name"]
    facts = [trace["model"], None if loss == "loss" else loss, trace["optimizer"]]
    facts += ["1 row" if rows == 1 else f"{rows:,} rows", trace["dtype"]]
    return " · ".join(fact for fact in facts if fact)


def _formulas(trace: Mapping[str, Any]) -> str:
    """A template with the MathML of each formula, by the kind and the id of its node."""
    found = []
    for node in trace["nodes"]:
        for kind, name in (("formula", "formula"), ("gradient", "gradient_formula")):
            record = node[name]
            if record is not None and (kind == "gradient" or node["operation"] is not None):
                math = mathml(record["latex"], record["text"])
                found.append(f'<template id="{kind}-{node["id"]}">{math}</template>')
    for layer in trace["layers"]:
        record = layer["derivative_formula"]
        if record is not None:
            math = mathml(record["latex"], record["text"])
            found.append(f'<template id="derivative-{layer["preactivation"]}">{math}</template>')
    return "\n".join(found)


def _network(trace: Mapping[str, Any], pictures: Mapping[str, str]) -> str:
    if not pictures:
        return ""
    parts = ['<section class="network" aria-label="The network">']
    if len(pictures) > 1:
        buttons = "".join(
            f'<button type="button" data-show="{level}" aria-pressed="{_text_of(not number)}">'
            f"{_LEVELS[level]}</button>"
            for number, level in enumerate(pictures)
        )
        parts.append(f'<div class="buttons" role="group" aria-label="Picture">{buttons}</div>')
    if 1 < trace["rows"] <= _MOST_ROWS and "neurons" in pictures:
        options = "".join(f'<option value="{r}">{r}</option>' for r in range(trace["rows"]))
        parts.append(f'<label>Row of the data <select id="row">{options}</select></label>')
    for number, (level, svg) in enumerate(pictures.items()):
        hidden = " hidden" if number else ""
        parts.append(f'<figure data-level="{level}"{hidden}>{svg}</figure>')
    if "neurons" in pictures:
        parts.append('<div id="connection" aria-live="polite"></div>')
    parts.append('<details id="twin"><summary>The picture as a table</summary>')
    parts.append('<div id="twin-tables"></div></details></section>')
    return "\n".join(parts)


def _text_of(flag: bool) -> str:
    return "true" if flag else "false"


@cache
def _script() -> str:
    """The script: all files in one function, so that no name of theirs is the window's."""
    parts = "\n".join(_text(f"{name}.js") for name in _SCRIPTS)
    return f'(() => {{\n"use strict";\n{_without_comments(parts)}\n}})();'


def _without_comments(script: str) -> str:
    """Lines that are comments alone are for those who read the files."""
    return re.sub(r"^\s*//.*\n", "", script, flags=re.MULTILINE)


@cache
def _text(name: str) -> str:
    return files("chainrule.inspect.page").joinpath(name).read_text(encoding="utf-8")
