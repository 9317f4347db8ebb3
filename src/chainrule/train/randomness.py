"""Randomness: a warning where numbers are drawn that a captured graph keeps for good."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from chainrule.errors import warn


def random_generators() -> tuple[type, ...]:
    """The classes of NumPy's and Python's generators that there may be objects of.

    Neither library is imported for it: each costs a tenth of the time of our import.
    """
    found: list[type] = []
    if "numpy.random" in sys.modules:
        found += (np.random.Generator, np.random.RandomState)
    if "random" in sys.modules:
        found.append(sys.modules["random"].Random)
    return tuple(found)


@contextmanager
def randomness_watched(generators: Sequence[Any], clocks: Collection[str]) -> Iterator[None]:
    """Warn where random numbers of NumPy or Python are drawn while a graph is captured.

    Args:
        generators: those that are watched besides Python's and NumPy's own.
        clocks: what the captured code calls that gives something else each time, if any.
    """
    before = _random_states(generators)
    yield
    if clocks:
        warn(
            f"{', '.join(sorted(clocks))} was called while a graph was captured: its result is a "
            "constant of the graph, the same at every step. Pass it as an argument, or measure "
            "time outside of the function",
            RuntimeWarning,
        )
    if any(map(_has_drawn, before, _random_states(generators))):
        warn(
            "random numbers of NumPy or Python were drawn while a graph was captured: they are "
            "constants of the graph, the same at every step. Draw by cr.uniform, cr.normal or "
            "nn.Dropout, or pass the numbers as an argument",
            RuntimeWarning,
        )


def _random_states(generators: Sequence[Any]) -> list[Any]:
    """What tells whether numbers were drawn."""
    states: list[Any] = [None, None]  # those of Python and NumPy, once they are imported
    if "random" in sys.modules:
        states[0] = _python_state(sys.modules["random"].getstate())
    if "numpy.random" in sys.modules:
        states[1] = _numpy_state(np.random.get_state(legacy=False))
    for generator in generators:
        if hasattr(generator, "getstate"):
            states.append(_python_state(generator.getstate()))
        elif hasattr(generator, "get_state"):
            states.append(_numpy_state(generator.get_state(legacy=False)))
        else:
            states.append(_numpy_state(generator.bit_generator.state))
    return states


def _has_drawn(before: Any, after: Any) -> bool:
    if before is not None or after is None:
        return bool(before != after)
    # Imported meanwhile: at these positions a generator has only been seeded.
    position = after[1] if isinstance(after[1], int) else after[1][1]
    return position not in (623, 624)


def _python_state(state: Any) -> Any:
    """What of a state of Python's generator changes with a draw: the position, or all words."""
    _, words, spare = state
    return words[0], words[-1], spare


def _numpy_state(state: Any) -> Any:
    """A generator's state as one value that can be compared."""
    if isinstance(state, dict):
        return tuple([_numpy_state(value) for value in state.values()])
    return state.tobytes() if isinstance(state, np.ndarray) else state
