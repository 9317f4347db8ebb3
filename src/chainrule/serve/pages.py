"""The pages of the web application, and the description of its interface."""

from __future__ import annotations

import json
import math
from importlib import resources
from importlib.metadata import version
from typing import Any

from chainrule.markup import escaped
from chainrule.serve.questions import Field, Served

_FILES = resources.files("chainrule.serve")
_STYLE = (_FILES / "page.css").read_text(encoding="utf-8")
_SCRIPT = (_FILES / "page.js").read_text(encoding="utf-8")

_MOST_NUMBERS = 1000
"""A row of more numbers is not shown as an example."""

_WRITTEN = {"date": "2024-05-01", "time": "18:30", "duration": "26:30:00"}
"""How values of these kinds may be written."""


def index(served: Served, title: str) -> str:
    """A page with a field for each column, and the prediction for what is typed into them."""
    if served.fields is None:
        numbers = json.dumps(example(served))
        asked = (
            f'<label class="whole">a row<textarea spellcheck="false">{numbers}</textarea></label>'
        )
    else:
        asked = "\n".join(_input(field, served.takes_missing) for field in served.fields)
    missing = "What is left empty is missing." if served.takes_missing else ""
    target = "" if served.target == "prediction" else f"Predicts {escaped(served.target)}. "
    return _document(
        title,
        f"""<p>{target}{missing}
<a href="docs">How a program asks</a></p>
<form>{asked}<button>Predict</button></form>
<div id="answer" role="status" aria-live="polite"></div>
<script>{_SCRIPT}</script>""",
    )


def docs(served: Served, title: str, most_bytes: int, url: str) -> str:
    """A page that says how a program asks the server at this URL."""
    request = json.dumps({"rows": [example(served)]}, ensure_ascii=False)
    in_shell = request.replace("'", "'\\''")
    if served.fields is None:
        columns = f"<p>A row is {served.form}.</p>"
    else:
        lines = "".join(
            f"<tr><td>{escaped(f.name)}</td><td>{f.kind}</td><td>{escaped(_listed(f))}</td></tr>"
            for f in served.fields
        )
        missing = "; null is a missing value" if served.takes_missing else ""
        columns = (
            f"<p>A row is an object with these names, or {escaped(served.form)}. "
            f"Other names are ignored{missing}.</p>"
            f"<table><tr><th>name</th><th>kind</th><th>values</th></tr>{lines}</table>"
        )
    answer = "numbers" if served.classes is None else 'classes, with "probabilities" in their order'
    return _document(
        title,
        f"""<p><a href="./">Try it by hand</a> · <a href="openapi.json">OpenAPI</a></p>
<h2>POST /predict</h2>
<pre>curl -H 'content-type: application/json' {escaped(url)}predict -d \\
  '{escaped(in_shell)}'</pre>
<p>The answer is {{"predictions": [...]}}: {answer}, one for each row. A row that does not fit
is refused with 422, a request of more than {most_bytes:,} bytes with 413; {{"detail": ...}} says
why.</p>
<h2>Rows</h2>
{columns}""",
    )


def openapi(served: Served, title: str) -> dict[str, Any]:
    """The interface in OpenAPI 3.1."""
    row: dict[str, Any] = {"type": "array" if served.shape else "number"}
    if served.fields is not None:
        properties = {f.name: _schema(f, served.takes_missing) for f in served.fields}
        named = {"type": "object", "properties": properties, "required": list(properties)}
        row = {"anyOf": [named, row]}
    outputs: dict[str, Any] = {"predictions": {"type": "array"}}
    if served.classes is not None:
        outputs["classes"] = {"type": "array", "examples": [list(served.classes)]}
        shares = {"type": "array", "items": {"type": "number", "minimum": 0, "maximum": 1}}
        outputs["probabilities"] = {"type": "array", "items": shares}
    fault = {"type": "object", "properties": {"detail": {"type": "string"}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("chainrule")},
        "paths": {
            "/predict": {
                "post": {
                    "summary": f"Predict {served.target}",
                    "requestBody": {
                        "required": True,
                        "content": _json(
                            {
                                "type": "object",
                                "required": ["rows"],
                                "properties": {"rows": {"type": "array", "items": row}},
                                "examples": [{"rows": [example(served)]}],
                            }
                        ),
                    },
                    "responses": {
                        "200": {
                            "description": "one prediction for each row",
                            "content": _json({"type": "object", "properties": outputs}),
                        },
                        "413": {"description": "too many bytes", "content": _json(fault)},
                        "422": {"description": "a row does not fit", "content": _json(fault)},
                    },
                }
            },
            "/health": {
                "get": {
                    "summary": "Whether it answers",
                    "responses": {"200": {"description": "ok"}},
                }
            },
        },
    }


def example(served: Served) -> Any:
    """A row that the model can take; none where that would fill the page."""
    if served.fields is None:
        return _zeros(served.shape) if math.prod(served.shape) <= _MOST_NUMBERS else []
    values = {"number": 0.0, **_WRITTEN}
    return {f.name: f.values[0] if f.values else values.get(f.kind, "") for f in served.fields}


def _zeros(shape: tuple[int, ...]) -> Any:
    return 0.0 if not shape else [_zeros(shape[1:])] * shape[0]


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _schema(field: Field, takes_missing: bool) -> dict[str, Any]:
    missing = ["null"] * takes_missing
    if field.kind == "number":
        return {"type": ["number", *missing]}
    if field.kind in _WRITTEN:
        return {"type": ["string", "number", *missing], "examples": [_WRITTEN[field.kind]]}
    kind: dict[str, Any] = {"type": ["string", "number", "boolean", *missing]}
    return kind | ({"examples": list(field.values[:20])} if field.values else {})


def _input(field: Field, takes_missing: bool) -> str:
    name = _attribute(field.name)
    if field.kind == "number":
        required = "" if takes_missing else " required"
        control = f'<input type="number" step="any" name="{name}"{required}>'
    elif 0 < len(field.values) <= 50:
        # Without the attribute the browser leaves out blanks of the value.
        texts = (_attribute(value) for value in field.values)
        options = "".join(f'<option value="{text}">{text}</option>' for text in texts)
        control = f'<select name="{name}"><option value="">(missing)</option>{options}</select>'
    else:
        control = f'<input name="{name}" placeholder="{_WRITTEN.get(field.kind, "")}">'
    return f"<label>{name}{control}</label>"


def _attribute(text: str) -> str:
    """A text as an attribute of HTML, which keeps all its signs but carriage returns as such."""
    return escaped(text).replace("\r", "&#13;")


def _listed(field: Field) -> str:
    if field.kind in _WRITTEN:
        units = {"time": ", or hours", "duration": ", or days"}
        return f"as {_WRITTEN[field.kind]}{units.get(field.kind, '')}"
    more = len(field.values) - 20
    return ", ".join(field.values[:20]) + (f" and {more} more" if more > 0 else "")


def _document(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{escaped(title)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>
<body><h1>{escaped(title)}</h1>
{body}
</body></html>
"""
