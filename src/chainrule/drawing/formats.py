"""A diagram as text for other programs: DOT for Graphviz, and Mermaid."""

from __future__ import annotations

from chainrule.drawing.diagram import Diagram, Node
from chainrule.drawing.palette import FAMILIES


def to_dot(diagram: Diagram) -> str:
    """The diagram in Graphviz's language DOT, for `dot -Tsvg`."""
    names = _names(diagram)
    lines = [
        "digraph {",
        f"  label={_quoted(diagram.title)};",
        '  node [shape=box, style="rounded,filled", fontname="Helvetica", fontsize=11];',
    ]
    for node in diagram.nodes:
        colours = FAMILIES[node.family]
        label = "\n".join(line.text.strip() for line in node.lines)
        lines.append(
            f"  {names[node.key]} [label={_quoted(label)}, "
            f'fillcolor="{colours.fill}", color="{colours.border}"];'
        )
    for edge in diagram.edges:
        label = f" [label={_quoted(edge.label)}]" if edge.label else ""
        lines.append(f"  {names[edge.source]} -> {names[edge.target]}{label};")
    return "\n".join([*lines, "}"]) + "\n"


def to_mermaid(diagram: Diagram) -> str:
    """The diagram as a flowchart of Mermaid, as Markdown pages of GitHub show it."""
    names = _names(diagram)
    lines = ["flowchart TD"]
    for node in diagram.nodes:
        start, end = ("([", "])") if node.round else ("[", "]")
        lines.append(f"  {names[node.key]}{start}{_mermaid_label(node)}{end}:::{node.family}")
    for edge in diagram.edges:
        label = f"|{_mermaid_text(edge.label)}|" if edge.label else ""
        lines.append(f"  {names[edge.source]} -->{label} {names[edge.target]}")
    for family in sorted({node.family for node in diagram.nodes}):
        colours = FAMILIES[family]
        lines.append(
            f"  classDef {family} fill:{colours.fill},stroke:{colours.border},color:#1d2530"
        )
    return "\n".join(lines) + "\n"


def _names(diagram: Diagram) -> dict[str, str]:
    return {node.key: f"n{number}" for number, node in enumerate(diagram.nodes)}


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def _mermaid_label(node: Node) -> str:
    return _mermaid_text("\n".join(line.text.strip() for line in node.lines))


def _mermaid_text(text: str) -> str:
    """Quoted; what would end the quotes or be a tag is written as a number of its character."""
    escaped = "".join(f"#{ord(c)};" if c in '"<>#&`' else c for c in text)
    return '"' + escaped.replace("\n", "<br>") + '"'
