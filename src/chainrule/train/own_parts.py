"""OwnParts: Trainers that are trained at once share nothing that a training changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from weakref import WeakValueDictionary

from chainrule.train.trainer import Trainer


class OwnParts:
    """The parts of several Trainers, of which none may be part of two.

    Args:
        maker: the name of the function that makes the Trainers, for error messages.
    """

    def __init__(self, maker: str) -> None:
        self._maker = maker
        self._known: WeakValueDictionary[int, Any] = WeakValueDictionary()

    def add(self, trainer: Trainer) -> None:
        """Remember the parts of a Trainer.

        Raises:
            ValueError: if another one has one of them.
        """
        parts = list(_parts(trainer))
        for kind, part in parts:
            if id(part) in self._known:
                raise ValueError(
                    f"{self._maker} returned the same {kind} twice: make a new one in it each time"
                )
        self._known.update((id(part), part) for _, part in parts)


def _parts(trainer: Trainer) -> Iterator[tuple[str, Any]]:
    yield "Trainer", trainer
    yield "model", trainer.model
    yield "optimizer", trainer.optimizer
    for kind, part in (("schedule", trainer.schedule), ("ema", trainer.ema)):
        if part is not None:
            yield kind, part
    for callback in trainer.callbacks:
        yield f"callback ({type(callback).__name__})", callback
    for name, parameter in trainer.model.named_parameters():
        yield f"parameter ({name})", parameter
    for name, buffer in trainer.model.named_buffers():
        yield f"buffer ({name})", buffer
    for name, state in trainer.graphs.states_outside_model().items():
        yield f"parameter of the loss ({name})", state
