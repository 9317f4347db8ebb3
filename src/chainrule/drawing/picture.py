"""`Drawing`: a picture that shows itself in a notebook, and is saved in several formats."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath
from typing import TYPE_CHECKING, Any

from chainrule.drawing.diagram import Diagram
from chainrule.drawing.formats import to_dot, to_mermaid
from chainrule.drawing.raster import png
from chainrule.drawing.svg import escaped, graph_svg
from chainrule.system.atomic_files import write_atomically

Writer = Callable[..., str]
"""(diagram, plain=False) -> the SVG text."""


class Drawing:
    """A picture of a graph, as SVG text; `chainrule.draw` makes it.

    In a notebook it shows itself. `print` says what it is of. The same graph gives the same bytes.

    Attributes:
        title: what the picture shows.
        notes: what it leaves out.
        svg: the picture: text that stands alone in a file, or within a page. Each box has the
            attribute `data-node`, each arrow `data-from` and `data-to`. Its colours follow the
            system's light or dark theme; they are CSS variables, as `--cr-ink`. In a file it has a
            background, within a page that of the page. A graph that takes much longer than ten
            seconds to lay out raises ValueError: `to_dot` has it still.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor(3.0, requires_grad=True, name="x")
        >>> drawing = cr.draw(x * x)
        >>> drawing
        <Drawing of the graph of multiply: 2 boxes, 2 arrows>
        >>> print(drawing.to_mermaid())
        flowchart TD
          n0(["x"]):::parameter
          n1["multiply"]:::arithmetic
          n0 --> n1
          n0 --> n1
          classDef arithmetic fill:#e7effa,stroke:#6d95cb,color:#1d2530
          classDef parameter fill:#e5f3e8,stroke:#5d9a70,color:#1d2530
        <BLANKLINE>
    """

    if not TYPE_CHECKING:  # a type checker would take any attribute for one that there is

        def __getattr__(self, name: str) -> Any:
            message = f"'Drawing' object has no attribute {name!r}"
            if name == "show":
                message += "; in a notebook it shows itself, and drawing.save(path) writes a file"
            raise AttributeError(message)

    def __init__(self, diagram: Diagram, writer: Writer = graph_svg) -> None:
        self._diagram = diagram
        self._writer = writer
        self._svg: str | None = None

    @property
    def title(self) -> str:
        return self._diagram.title

    @property
    def notes(self) -> tuple[str, ...]:
        return self._diagram.notes

    @property
    def svg(self) -> str:
        if self._svg is None:
            self._svg = self._writer(self._diagram)
        return self._svg

    def to_dot(self) -> str:
        """The graph in Graphviz's language, which draws it by `dot -Tsvg`."""
        return to_dot(self._diagram)

    def to_mermaid(self) -> str:
        """The graph as a flowchart of Mermaid, as GitHub shows it in Markdown."""
        return to_mermaid(self._diagram)

    def to_html(self) -> str:
        """A page of the picture alone, which needs nothing from elsewhere."""
        title = escaped(self.title)
        return (
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{title}</title><style>:root{{color-scheme:light dark}}"
            "body{margin:1rem auto;padding:0 .5rem;font-family:system-ui,sans-serif;"
            "background:#fff;color:#1d2530}h1{font-size:1.1rem;font-weight:600}"
            "main{overflow-x:auto}svg{display:block;margin:auto}"
            "@media (prefers-color-scheme:dark){body{background:#15181d;color:#e6e9ee}}"
            f"</style></head><body><h1>{title}</h1>"
            f'<main tabindex="0" aria-label="{title}">{self.svg}</main></body></html>\n'
        )

    def save(self, path: str | PathLike[str]) -> None:
        """Write the picture to a file, in the format that the file's ending says.

        Args:
            path: ends in .svg, .html, .png, .dot or .mmd (Mermaid). A PNG needs the package
                `resvg-py`, and is on white, twice as large as the SVG.

        Raises:
            ValueError: if the ending is another.
            ImportError: if a PNG is asked for and `resvg-py` is not installed.
        """
        ending = fspath(path).rpartition(".")[2].lower()
        content: bytes
        if ending == "png":
            content = png(self._writer(self._diagram, plain=True))
        elif ending in _TEXTS:
            content = _TEXTS[ending](self).encode()
        else:
            raise ValueError(
                f"a drawing is saved as .svg, .html, .png, .dot or .mmd, as its file's name ends; "
                f"got {fspath(path)!r}"
            )
        write_atomically(path, content)

    def _repr_svg_(self) -> str:
        return self.svg

    def _repr_html_(self) -> str:
        """What notebooks show: a wide picture scrolls."""
        return f'<div style="overflow-x:auto">{self.svg}</div>'

    def __repr__(self) -> str:
        boxes, arrows = len(self._diagram.nodes), len(self._diagram.edges)
        return f"<Drawing of {self.title}: {boxes} boxes, {arrows} arrows>"


_TEXTS: dict[str, Callable[[Drawing], Any]] = {
    "svg": lambda drawing: drawing.svg + "\n",
    "html": Drawing.to_html,
    "dot": Drawing.to_dot,
    "mmd": Drawing.to_mermaid,
}
