"""The reference interpreter: a captured graph run with NumPy, node by node. The oracle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, NamedTuple

import numpy as np

from chainrule.compiler.capture import CapturedGraph
from chainrule.compiler.capture import capture as capture  # cr.capture comes with its interpreter
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.guards import guard_of
from chainrule.graph.operation import operation_name
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor, as_tensor
from chainrule.ops.declare import Binary
from chainrule.trees import leaves, with_leaves

_NDARRAY = np.ndarray


class _Call(NamedTuple):
    """The call of one operation: what takes its inputs, where its output goes, what is dead after.

    Inputs and outputs are slots: numbers of places in a list of values.
    """

    forward: Callable[..., Array]
    inputs: Callable[[list[Any]], Sequence[Array]]
    output: int
    dead: tuple[int, ...]
    node: Tensor


def _inputs(node: Tensor) -> tuple[Tensor, ...]:
    """The inputs that the call for a node reads.

    NumPy's arithmetic broadcasts one operand itself, in a third of the time that it takes on a
    broadcast array.
    """
    if isinstance(node.operation, Binary):
        a, b = node.inputs
        if _is_broadcast(a):
            return a.inputs[0], b
        if _is_broadcast(b):
            return a, b.inputs[0]
    return node.inputs


def _is_broadcast(node: Tensor) -> bool:
    return node.value is None and operation_name(node) == "broadcast_to"


def _taker(slots: tuple[int, ...]) -> Callable[[list[Any]], Sequence[Array]]:
    """A function that takes the values at `slots`, as a sequence."""
    if len(slots) == 1:
        (slot,) = slots
        return lambda values: (values[slot],)
    return itemgetter(*slots) if slots else lambda values: ()


def _own(value: Array, arguments: set[int]) -> Array:
    """A copy where the array lies in memory of an argument, into which the caller may write later.

    `arguments` are the ids of the arrays that the caller gave.
    """
    return value if value.base is None and id(value) not in arguments else value.copy()


def _read_only(value: Array) -> Array:
    """A view that can't be written into: it may be the array that a State holds."""
    view = value.view()
    view.flags.writeable = False
    return view


class Interpreter:
    """Runs a captured graph: what calling it does, in parts.

    Args:
        graph: what `chainrule.capture` returns.

    Attributes:
        hold: a thread is in a block ``with hold`` while it runs and commits.

    Example:
        >>> import chainrule as cr
        >>> w = cr.Parameter([1.0, 2.0])
        >>> graph = cr.capture(lambda x: w.assign(w * x), cr.placeholder((2,)))
        >>> run = Interpreter(graph)
        >>> outputs, updates = run.run([np.array([2.0, 4.0], "float32")])
        >>> w.tolist()
        [1.0, 2.0]
        >>> run.commit(updates)
        >>> w.tolist()
        [2.0, 8.0]
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
        self._calls = self._calls_of_nodes(slots)
        guard = guard_of([*graph.reads, *graph.updates])
        self.hold = guard.alone if graph.updates else guard.shared

    def _calls_of_nodes(self, slots: dict[Tensor, int]) -> list[_Call]:
        """The calls that the outputs and updates need, each of which frees what it reads last."""
        kept = {*self._outputs, *(slot for _, slot in self._updates)}
        used = set(kept)
        calls: list[_Call] = []
        for node in reversed(self.graph.nodes):  # from the back, an input's first use is its last
            if node.operation is None or node.value is not None or slots[node] not in used:
                continue
            inputs = tuple(slots[i] for i in _inputs(node))
            dead = tuple(set(inputs) - used)
            used.update(inputs)
            forward = node.operation.forward
            if node.attributes:
                forward = partial(forward, **node.attributes)
            calls.append(_Call(forward, _taker(inputs), slots[node], dead, node))
        return calls[::-1]

    def __call__(self, *inputs: Any) -> Any:
        """Run on arguments of the captured structure, update the state, return the outputs."""
        arguments = [as_tensor(leaf).numpy() for leaf in leaves(inputs)]
        with self.hold:
            outputs, updates = self.run(arguments)
            self.commit(updates)
        return with_leaves(self.graph.outputs, map(_read_only, outputs))

    def run(self, arguments: Sequence[Array]) -> tuple[list[Array], list[Array]]:
        """Run without touching the state.

        Returns:
            The outputs' leaves, and the new values of `graph.updates` in their order.

        Raises:
            ShapeError, DTypeError: if an input is not as captured.
        """
        values = self._start(arguments)
        given = set(map(id, arguments))
        with np.errstate(all="ignore"):
            for forward, inputs, output, dead, _ in self._calls:
                value = forward(*inputs(values))
                values[output] = value if value.__class__ is _NDARRAY else np.asarray(value)
                for i in dead:
                    values[i] = None
        return (
            [values[i] for i in self._outputs],  # type: ignore[misc]
            [_own(values[i], given) for _, i in self._updates],  # type: ignore[arg-type]
        )

    def commit(self, updates: Sequence[Array]) -> None:
        """Let the states hold the new values that `run` returned."""
        for (state, _), value in zip(self._updates, updates, strict=True):
            state.replace(value)

    def first_non_finite(self, arguments: Sequence[Array]) -> Tensor | None:
        """The first node of a run that is NaN or infinite though all its inputs are finite.

        Where there is none, the argument or the state that is not finite.
        """
        values = self._start(arguments)
        with np.errstate(all="ignore"):
            for call in self._calls:
                inputs = call.inputs(values)
                value = np.asarray(call.forward(*inputs))
                if not np.isfinite(value).all() and all(np.isfinite(i).all() for i in inputs):
                    return call.node
                values[call.output] = value
        slots = [*self._inputs, *(slot for _, slot in self._reads)]
        for leaf, slot in zip((*self.graph.inputs, *self.graph.reads.values()), slots, strict=True):
            if not np.isfinite(values[slot]).all():  # type: ignore[arg-type]
                return leaf
        return None

    def _start(self, inputs: Sequence[Array]) -> list[Array | None]:
        """The values by slot at the beginning of a run: constants, inputs, states."""
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


CapturedGraph.interpreter = Interpreter
