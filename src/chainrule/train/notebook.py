"""What the prompt and a notebook show of trainings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from chainrule.markup import table

if TYPE_CHECKING:
    from chainrule.train.history import History
    from chainrule.train.state import TrainingState


class ShownTraining:
    """A Trainer in a line, and in a notebook as a table with its history."""

    graphs: Any
    model: Any
    optimizer: Any
    state: TrainingState

    def __repr__(self) -> str:
        facts = ", ".join(f"{name} {value}" for name, value in self._facts()[:-1])
        return f"<Trainer: {facts}>"

    def _repr_html_(self) -> str:
        history = self.state.history
        shown = html_of_history(history) if len(history) else ""
        return f"<div>{table('Trainer', [], self._facts())}{shown}</div>"

    def _facts(self) -> list[tuple[str, Any]]:
        loss = self.graphs.loss
        facts = [
            ("model", type(self.model).__name__),
            ("loss", getattr(loss, "__name__", type(loss).__name__)),
            ("optimizer", type(self.optimizer).__name__),
            ("epochs", self.state.epoch),
            ("steps", self.state.step),
        ]
        last = self.state.history.epochs[-1:] or [{}]
        return [*facts, ("last epoch", ", ".join(f"{n} {v:.4g}" for n, v in last[0].items()))]


def html_of_history(history: History) -> str:
    """A chart of losses and metrics over the epochs, and the table."""
    rows = [[record.get(name, "") for name in history.names] for record in history]
    shown = table(f"History of {len(history)} epochs", history.names, rows)
    return f"<div>{_chart(history)}{shown}</div>"


def _chart(history: History) -> str:
    """The training loss, and the validation loss, once there are two epochs to join."""
    series = {}
    for column in ("loss", "validation_loss"):
        if column in history.names and any(map(math.isfinite, history[column])):
            series[column.replace("_", " ")] = (history["epoch"], history[column])
    if len(history) < 2 or not series or "epoch" not in history.names:
        return ""
    # Notebooks alone show charts: the room of pictures takes long to import.
    from chainrule.drawing import charts

    picture = charts.line_chart(series, title="loss", x="epoch", y="loss")
    return f'<div style="max-width:30em;--ink:currentColor;--grid:#8886">{picture}</div>'
