"""Progress: a bar by rich on a terminal, a line in a notebook, one line per epoch elsewhere."""

from __future__ import annotations

import math
import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any

from chainrule.markup import has_signs

if TYPE_CHECKING:
    from rich.progress import Progress

_REFRESH_SECONDS = 0.1


def epoch_line(record: dict[str, float], epochs: int) -> str:
    """An epoch's record in one line."""
    parts = [f"epoch {record['epoch']:.0f}/{epochs}"]
    for name, value in record.items():
        if name == "seconds":
            parts.append(f"{value:.1f} s")
        elif name not in ("epoch", "lr"):
            usual = 1e-3 <= abs(value) < 1e4
            parts.append(f"{name} {value:.4f}" if usual else f"{name} {value:.3g}")
    return "  ".join(parts)


class ProgressReport:
    """Shows how far an epoch has come, and each epoch's record when it is done.

    Args:
        epochs: the number of the last epoch.
        steps: batches in an epoch, or None where that is not known.
        shown: whether to show anything, on standard output.
    """

    def __init__(self, epochs: int, steps: int | None, shown: bool) -> None:
        self.epochs = epochs
        self.steps = steps
        self.shown = shown
        self.file = sys.stdout
        self._bar: Progress | None = None
        self._line: _NotebookLine | None = None
        self._last = 0.0

    def __enter__(self) -> ProgressReport:
        if self.shown and type(self.file).__module__.startswith("ipykernel."):
            self._line = _NotebookLine()
            return self
        # Standard output is None without a console, and may be anything that has a `write`.
        isatty = getattr(self.file, "isatty", None)
        if self.shown and isatty is not None and isatty() and has_signs(self.file, "━…"):
            # rich takes a third of the time of all other imports: only where a bar is shown.
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                MofNCompleteColumn,
                Progress,
                TextColumn,
                TimeRemainingColumn,
            )

            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[loss]}"),
                TimeRemainingColumn(),
                console=Console(file=self.file),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task("", total=self.steps, loss="")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._bar is not None:
            self._bar.stop()
        if self._line is not None:
            self._line.flush()

    def step(self, epoch: int, done: int, loss: float) -> None:
        """`done` batches of epoch number `epoch` are done, with this mean loss so far."""
        if self._bar is None and self._line is None:
            return
        now = time.monotonic()
        if now - self._last < _REFRESH_SECONDS and (self.steps is None or done < self.steps):
            return
        self._last = now
        if self._line is not None:
            steps = "" if self.steps is None else f"/{self.steps}"
            self._line.show(f"epoch {epoch}/{self.epochs}  step {done}{steps}  loss {loss:.4f}")
            return
        assert self._bar is not None
        self._bar.update(
            self._task,
            completed=done,
            total=self.steps,
            description=f"epoch {epoch}/{self.epochs}",
            loss=f"loss {loss:.4f}",
        )

    def epoch(self, record: dict[str, float]) -> None:
        """An epoch is done."""
        line = epoch_line(record, self.epochs)
        if self._line is not None:
            self._line.show(line)
        elif self.shown:
            self.say(line)

    def say(self, text: str) -> None:
        """One line."""
        if self._bar is not None:
            self._bar.console.print(text, markup=False, highlight=False, emoji=False)
        elif self.shown:
            print(text, file=self.file)
            if hasattr(self.file, "flush"):
                self.file.flush()


class _NotebookLine:
    """A line of a notebook's output that is written anew, in place.

    Each text is a message to the notebook. Jupyter drops messages that come faster than it shows
    them, the last ones too, so texts between two refreshes are left out.
    """

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown_at = -math.inf
        self._held: str | None = None

    def show(self, text: str) -> None:
        """Replace the line by this one, now or when the next is due."""
        self._held = text
        if time.monotonic() - self._shown_at >= _REFRESH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Show the text that is still held back."""
        if self._held is None:
            return
        # A part of IPython, in which the notebook runs.
        from IPython import display

        show: Any = display.display  # which has no types
        content = {"text/plain": self._held}
        self._held, self._shown_at = None, time.monotonic()
        if self._handle is None:
            self._handle = show(content, raw=True, display_id=True)
        else:
            self._handle.update(content, raw=True)
