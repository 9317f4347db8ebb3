"""The printed forms of a trace: a terminal's tables, Markdown, LaTeX and HTML."""

from __future__ import annotations

import html
import re
from typing import Any

from chainrule.inspect.letters import SIGNS, in_latex
from chainrule.inspect.sections import Row, Section, Sections, Shown, Update
from chainrule.markup import encodable

_PARTS = {"forward": "Forward", "loss": "Loss", "backward": "Backward", "update": "Update"}


def pretty(text: str) -> str:
    """A formula of the trace with the signs of print: δ1 = (W2ᵀ δ2) ⊙ g'(z1)."""
    text = re.sub(r"\bd([%\w.]+|\(.*?\))/d([%\w.]+)", r"∂\1/∂\2", text)
    for name, letter in SIGNS.items():  # no part of a path
        text = re.sub(rf"(?<![\w.]){name}(?![A-Za-z_.])", letter, text)
    for sign, shown in (("^T", "ᵀ"), (" * ", " ⊙ "), ("<=", "≤"), ("<-", "←")):
        text = text.replace(sign, shown)
    return re.sub(r"\^2(?![\w.])", "²", text)


# A terminal


class Tables:
    """What rich prints, as wide as its console lets it."""

    def __init__(self, sections: Sections) -> None:
        self.sections = sections

    def __rich_console__(self, console: Any, options: Any) -> Any:
        from rich.text import Text

        trace, before = self.sections.trace, None
        yield Text(encodable(trace["title"]), style="bold")
        yield Text(encodable(self.sections.head()))
        for section in self.sections:
            yield Text()
            if section.part != before and section.part in ("forward", "backward"):
                yield Text(_PARTS[section.part].upper(), style="bold")
                yield Text()
            before = section.part
            yield Text(encodable(section.title), style="bold")
            yield _rich_table(section, options.max_width)


_GAP = 3
"""Columns between two columns of a table."""


def _rich_table(section: Section, width: int) -> Any:
    """A table whose lines do not break where that can be: else the values stand below."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    headings, rows = ["", "formula", "value"], [_cells(row) for row in section.rows]
    if section.updates:
        headings = ["", "old", "gradient", "new"]
        rows = [[[pretty(u[0][0])], *(shown.lines() for shown in u[1:])] for u in section.updates]
    rows = _encodable(rows)
    if _width([[[h] for h in headings], *rows]) > width:
        names = [line for cells in rows for line in cells[0]]
        most = width - max(map(len, names), default=0) - _GAP
        headings = ["", "formula, then value" if section.rows else "old, gradient, new"]
        rows = [_stacked(row, most) for row in section.rows]
        rows = _encodable(rows + [_stacked_update(update, most) for update in section.updates])
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for heading in headings:
        table.add_column(heading, overflow="fold", style="" if heading else "bold")
    for cells in rows:
        table.add_row(*(Text("\n".join(lines)) for lines in cells))
    return table


def _encodable(rows: list[list[list[str]]]) -> list[list[list[str]]]:
    return [[[encodable(line) for line in lines] for lines in cells] for cells in rows]


def _width(rows: list[list[list[str]]]) -> int:
    """The columns of text that the lines of cells take side by side."""
    widths = [
        max(len(line) for cell in column for line in cell) for column in zip(*rows, strict=True)
    ]
    return sum(widths) + _GAP * (len(widths) - 1)


def _cells(row: Row) -> list[list[str]]:
    return [[pretty(row.name[0])], *_lines(row)]


def _lines(row: Row) -> tuple[list[str], list[str]]:
    """The lines of the formula and of the value: the terms of a column stand beside its numbers."""
    formula, value = [pretty(row.formula[0])], row.value.lines()
    if not row.terms:
        return formula, value
    if len(value) == len(row.terms):
        return formula + row.terms, ["", *value]
    return formula + _solved(row), value


def _solved(row: Row) -> list[str]:
    """The terms, each with what it comes to."""
    if not row.terms:
        return []
    numbers = [number.strip() for numbers in row.value.rows for number in numbers]
    return [f"{term} = {number}" for term, number in zip(row.terms, numbers, strict=True)]


def _stacked(row: Row, most: int) -> list[list[str]]:
    formula = [pretty(row.formula[0])] if row.formula[0] else []
    return [[pretty(row.name[0])], [*formula, *(_solved(row) or row.value.lines(most))]]


def _stacked_update(update: Update, most: int) -> list[list[str]]:
    name, *shown = update
    lines = []
    for text, value in zip(("old", "gradient", "new"), shown, strict=True):
        first, *rest = value.lines(most - 11)
        lines += [f"{text:<9}  {first}", *(" " * 11 + line for line in rest)]
    return [[pretty(name[0])], lines]


# Markdown


def as_markdown(sections: Sections) -> str:
    """Headings and tables, with the formulas between dollars."""
    lines = [f"# {sections.trace['title']}", "", sections.head()]
    before = None
    for section in sections:
        if section.part != before and section.part in ("forward", "backward"):
            lines += ["", f"## {_PARTS[section.part]}"]
        level = "###" if section.part in ("forward", "backward") else "##"
        before = section.part
        lines += ["", f"{level} {section.title}", ""]
        if section.updates:
            lines += ["| | old | gradient | new |", "|---|---|---|---|"]
            for name, *shown in section.updates:
                cells = " | ".join("<br>".join(s.lines()) for s in shown)
                lines.append(f"| {_dollars(name[1])} | {cells} |")
            continue
        lines += ["| | formula | value |", "|---|---|---|"]
        for row in section.rows:
            _, *terms = _lines(row)[0]
            formula = [_dollars(row.formula[1]) if row.formula[1] else "", *terms]
            value = _lines(row)[1]
            cells = " | ".join("<br>".join(cell) for cell in (formula, value))
            lines.append(f"| {_dollars(row.name[1])} | {cells} |")
    return "\n".join(lines) + "\n"


def _dollars(latex: str) -> str:
    """A formula in a cell of a table, where a bar would end the cell."""
    without = latex.replace("|", r"\vert ")
    return f"${without}$"


# LaTeX


def as_latex(sections: Sections) -> str:
    """Equations for a document with amsmath: one `align*` for each table."""
    lines = [f"% {sections.trace['title']}; {sections.head()}"]
    for section in sections:
        lines += ["", rf"\paragraph{{{_latex_text(_headed(section))}}}", r"\begin{align*}"]
        equations = []
        for name, old, _, new in section.updates:
            equations.append(rf"  {name[1]} &: {_matrix(old)} \to {_matrix(new)}")
        for row in section.rows:
            if section.part == "rule" and row.formula[1]:  # it has an arrow
                equations.append(f"  {row.name[1]} &{row.formula[1]}")
                continue
            formula = f"{row.formula[1]} = " if row.formula[1] else ""
            equations.append(f"  {row.name[1]} &= {formula}{_matrix(row.value)}")
        lines += [" \\\\\n".join(equations), r"\end{align*}"]
    return "\n".join(lines) + "\n"


def _headed(section: Section) -> str:
    is_of_layer = section.part in ("forward", "backward") and section.title != "Input"
    return f"{_PARTS[section.part]}, {section.title}" if is_of_layer else section.title


def _latex_text(text: str) -> str:
    return in_latex(text).replace("→", r"$\to$").replace("×", r"$\times$")


def _matrix(shown: Shown) -> str:
    if not shown.rows:
        return rf"\text{{{_latex_text(shown.summary)}}}"
    if len(shown.rows) == len(shown.rows[0]) == 1:
        return _latex_number(shown.rows[0][0])
    rows = r" \\ ".join(" & ".join(map(_latex_number, row)) for row in shown.rows)
    return rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}"


def _latex_number(text: str) -> str:
    mantissa, mark, exponent = text.strip().partition("e")
    if mark and exponent:
        return rf"{mantissa} \cdot 10^{{{int(exponent)}}}"
    return {"inf": r"\infty", "-inf": r"-\infty", "nan": r"\text{nan}"}.get(mantissa, mantissa)


# HTML

_STYLE = """
.cr-step{font:15px/1.5 system-ui,sans-serif;max-width:62rem;overflow-wrap:anywhere}
.cr-step h2,.cr-step h3,.cr-step h4{margin:1.2em 0 .4em;line-height:1.25}
.cr-step h2{font-size:1.25em}.cr-step h3{font-size:1.1em}.cr-step h4{font-size:1em}
.cr-step .cr-wide{overflow-x:auto;scrollbar-width:thin}
.cr-step table{border-collapse:collapse;font-variant-numeric:tabular-nums;margin:0}
.cr-step th,.cr-step td{border-bottom:1px solid #8886;padding:.25em .9em .25em 0;text-align:left;
vertical-align:top;white-space:pre;font-weight:normal;background:none}
.cr-step thead th{font-size:.9em;opacity:.75}
.cr-step tbody th{font-weight:600}
.cr-step .cr-terms{opacity:.75}
.cr-step .cr-number{font-family:ui-monospace,Menlo,Consolas,monospace;font-size:.92em}
"""


def as_html(sections: Sections) -> str:
    """The tables as a fragment: its style touches nothing else, and its colours are the page's."""
    title, head = html.escape(sections.trace["title"]), html.escape(sections.head())
    parts = [f"<h2>{title}</h2><p>{head}</p>"]
    before = None
    for section in sections:
        heading = "h3"
        if section.part in ("forward", "backward"):
            if section.part != before:
                parts.append(f"<h3>{_PARTS[section.part]}</h3>")
            heading = "h4"
        before = section.part
        parts.append(f"<{heading}>{html.escape(section.title)}</{heading}>{_html_table(section)}")
    return f'<section class="cr-step"><style>{_STYLE}</style>{"".join(parts)}</section>'


def _html_table(section: Section) -> str:
    if section.updates:
        headings = ["", "old", "gradient", "new"]
        rows = [
            [html.escape(pretty(name[0])), *(_html_numbers(s.lines()) for s in shown)]
            for name, *shown in section.updates
        ]
    else:
        headings, rows = ["", "formula", "value"], []
        for row in section.rows:
            formula, value = _lines(row)
            first, *terms = map(html.escape, formula)
            inner = "\n".join(terms)
            shown = f'{first}<span class="cr-terms cr-number">\n{inner}</span>' if terms else first
            rows.append([html.escape(pretty(row.name[0])), shown, _html_numbers(value)])
    head = "".join(f'<th scope="col">{h}</th>' for h in headings)
    body = "".join(
        f'<tr><th scope="row">{first}</th>{"".join(f"<td>{cell}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="cr-wide" tabindex="0">{table}</div>'


def _html_numbers(lines: list[str]) -> str:
    text = "\n".join(map(html.escape, lines))
    return f'<span class="cr-number">{text}</span>'
