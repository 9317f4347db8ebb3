"""The reference interpreter: a captured graph run with NumPy, node by node. The oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from chainrule.compiler.capture import CapturedGraph
from chainrule.graph.errors import DTypeError, ShapeError
from chainrule.graph.state import State
from chainrule.graph.structure import leaves, map_leaves
from chainrule.graph.tensor import Array, Tensor

_NDARRAY = np.ndarray


class _Step(NamedTuple):
    """One operation: what takes its inputs from the values, where its output goes, what is dead after it."""

    forward: Callable[..., Array]
    inputs: Callable[[list[Any]], Sequence[Array]]
    attributes: dict[str, Any]
    output: int
    dead: tuple[int, ...]
    node: Tensor


def _taker(slots: tuple[int, ...]) -> Callable[[list[Any]], Sequence[Array]]:
    """A function that takes the values at `slots`, as a sequence."""
    if len(slots) == 1:
        (slot,) = slots
        return lambda values: (values[slot],)
    return itemgetter(*slots) if slots else lambda values: ()


class Interpreter:
    """Runs a captured graph.

    Args:
        graph: what `chainrule.capture` returns.

    Example:
        >>> import chainrule as cr
        >>> w = cr.Parameter([1.0, 2.0])
        >>> def step(x):
        ...     loss = (w * x).sum()
        ...     w.assign(w - 0.5 * cr.grad(loss, w))
        ...     return loss
        >>> run = Interpreter(cr.capture(step, cr.placeholder((2,))))
        >>> run(np.array([2.0, 4.0], "float32")), w.tolist()
        (array(10., dtype=float32), [0.0, 0.0])
    """

    def __init__(self, graph: CapturedGraph) -> None:
        self.graph = graph
        slots = {node: i for i, node in enumerate(graph.nodes)}
        for leaf in (*graph.inputs, *graph.reads.values()):
            slots.setdefault(leaf, len(slots))  # an input that nothing needs
        self._initial: list[Array | None] = [None] * len(slots)
        for node, i in slots.items():
            self._initial[i] = node.value
        self._inputs = [slots[leaf] for leaf in graph.inputs]
        self._reads = [(state, slots[leaf]) for state, leaf in graph.reads.items()]
        self._updates = [(state, slots[node]) for state, node in graph.updates.items()]
        self._outputs = [slots[node] for node in leaves(graph.outputs)]
        self._steps = self._plan(slots)

    def _plan(self, slots: dict[Tensor, int]) -> list[_Step]:
        computed = [n for n in self.graph.nodes if n.operation is not None and n.value is None]
        last_use = {slots[i]: step for step, n in enumerate(computed) for i in n.inputs}
        kept = {*self._outputs, *(slot for _, slot in self._updates)}
        steps = []
        for number, node in enumerate(computed):
            inputs = tuple(slots[i] for i in node.inputs)
            dead = {i for i in inputs if last_use[i] == number} - kept
            assert node.operation is not None
            forward = node.operation.forward
            steps.append(_Step(forward, _taker(inputs), node.attributes, slots[node], tuple(dead), node))
        return steps

    def __call__(self, *inputs: Any) -> Any:
        """Run on arguments of the captured structure, update the state, return the outputs."""
        outputs, updates = self.run([np.asarray(leaf) for leaf in leaves(inputs)])
        self.commit(updates)
        found = iter(outputs)
        return map_leaves(lambda _: next(found), self.graph.outputs)

    def run(self, arguments: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        """Run without touching the state.

        Returns:
            The outputs' leaves, and the new values of `graph.updates` in their order.

        Raises:
            ShapeError, DTypeError: if an input is not as captured.
        """
        values = self._start(arguments)
        with np.errstate(all="ignore"):
            for forward, inputs, attributes, output, dead, _ in self._steps:
                value = forward(*inputs(values), **attributes)
                values[output] = value if value.__class__ is _NDARRAY else np.asarray(value)
                for i in dead:
                    values[i] = None
        return (
            [values[i] for i in self._outputs],  # type: ignore[misc]
            [values[i] for _, i in self._updates],  # type: ignore[misc]
        )

    def commit(self, updates: Sequence[Array]) -> None:
        """Let the states hold the new values that `run` returned."""
        for (state, _), value in zip(self._updates, updates, strict=True):
            state.replace(value)

    def first_non_finite(self, arguments: Sequence[Array]) -> Tensor | None:
        """The first node of a run that is NaN or infinite though all its inputs are finite."""
        values = self._start(arguments)
        with np.errstate(all="ignore"):
            for step in self._steps:
                value = np.asarray(step.forward(*step.inputs(values), **step.attributes))
                if not np.isfinite(value).all():
                    return step.node
                values[step.output] = value
        return None

    def _start(self, inputs: Sequence[Array]) -> list[Array | None]:
        if len(inputs) != len(self._inputs):
            raise ShapeError(f"the graph takes {len(self._inputs)} inputs, got {len(inputs)}")
        values = self._initial.copy()
        for leaf, slot, value in zip(self.graph.inputs, self._inputs, inputs, strict=True):
            if value.shape != leaf.shape:
                raise ShapeError(
                    f"input {leaf.name or ''} has shape {value.shape}; captured was {leaf.shape}"
                )
            if value.dtype != leaf.dtype:
                raise DTypeError(
                    f"input {leaf.name or ''} has dtype {value.dtype}; captured was {leaf.dtype}"
                )
            values[slot] = value
        for state, slot in self._reads:
            values[slot] = state.value
        return values

    @property
    def states(self) -> list[State]:
        """The states that a run updates, in the order of its results."""
        return [state for state, _ in self._updates]
