"""Runners of a recorded function: as a native plan, or with NumPy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from chainrule.compiler.recording import Argument, Recording
from chainrule.execute.native import NativeStep, fill
from chainrule.execute.reference import Interpreter
from chainrule.execute.state_block import StateBlock
from chainrule.graph.operation import Limit
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor, as_tensor


class NativeRunner:
    """Runs a recording as a native plan."""

    def __init__(self, recording: Recording, stand_ins: Sequence[Argument]) -> None:
        graph = recording.graph
        gradients = [a for a in recording.found.values() if a is not None]
        # Arguments come first: they do not lie between what one program updates.
        states = [*stand_ins, *gradients, *_grouped(graph.updates), *graph.reads]
        self._block = block = StateBlock(states)
        for argument in (*stand_ins, *gradients):
            argument.set_view(block.view(argument))
        self._step = NativeStep(graph, block, has_scalars=False)
        self._views = [block.view(argument) for argument in stand_ins]
        places = {graph.reads[a]: a for a in stand_ins if a in graph.reads}
        self._labels: list[tuple[Array, int, Limit]] = []
        self._indices: list[tuple[Array, int]] = []
        self._has_unknown_indices = False
        for leaf, length, limit in _indices(graph.nodes):
            place = places.get(leaf)
            if place is None:
                self._has_unknown_indices |= leaf.value is None
            elif not place.size:
                pass
            elif limit is None:
                self._indices.append((block.view(place), length))
            else:
                self._step.check_labels(place, length)
                self._labels.append((block.view(place), length, limit))
        self._outputs = self._step.outputs

    def __call__(self, given: Sequence[Any], gradients: Sequence[Any]) -> list[Array]:
        for view, value in zip(self._views, given):  # noqa: B905 - as many, by the signature
            fill(view, value if value.__class__ is np.ndarray else as_tensor(value).numpy())
        for argument, value in gradients:
            argument.value[...] = value
        for indices, length in self._indices:
            low, high = int(indices.min()), int(indices.max())
            if not -length <= low <= high < length:
                raise IndexError(
                    f"indices must lie in {-length} ... {length - 1}; they run from {low} to {high}"
                )
        if self._has_unknown_indices:
            with self._block.guard.alone:
                return self._run_or_restore()
        self._run()
        return self._outputs()

    def _run(self) -> None:
        failed = self._step.call()
        if failed:
            for labels, length, limit in self._labels:
                if fault := limit.fault(int(labels.min()), int(labels.max()), length):
                    raise IndexError(fault)
            raise IndexError(f"a label or an index is out of range in {failed}")

    def _run_or_restore(self) -> list[Array]:
        self._step.save()
        try:
            self._run()
        except IndexError:
            self._step.restore()
            raise
        return self._outputs()


class ReferenceRunner:
    """Runs a recording with NumPy, node by node."""

    def __init__(self, recording: Recording, stand_ins: Sequence[Argument]) -> None:
        graph = recording.graph
        self._interpreter = Interpreter(graph)
        self._stand_ins = list(stand_ins)

    def __call__(self, given: Sequence[Any], gradients: Sequence[Any]) -> list[Array]:
        arrays = [as_tensor(value).numpy() for value in given]
        bound = [*zip(self._stand_ins, arrays, strict=True), *gradients]
        with self._interpreter.hold:
            try:
                for argument, value in bound:
                    argument.value = value
                outputs, updates = self._interpreter.run(())
            finally:
                for argument, _ in bound:
                    argument.value = None
            self._interpreter.commit(updates)
            return [np.array(output) for output in outputs]


def _grouped(updates: Sequence[State] | dict[State, Any]) -> list[State]:
    """States of one kind side by side, as `StepGraphs.states`: one program updates each kind."""
    kinds: dict[str, list[State]] = {}
    for state in updates:
        kind = "" if state.requires_grad else state.own_name
        kinds.setdefault(kind, []).append(state)
    return [state for alike in kinds.values() for state in alike]


def _indices(nodes: Sequence[Tensor]) -> Iterator[tuple[Tensor, int, Limit | None]]:
    """(indices, length, limit) of the operations that take some; those without a limit may count
    from the end.

    The native core finds wrong ones in the midst of a step.
    """
    limited = set()
    for node in nodes:
        for position, limit in node.operation.limits.items() if node.operation else ():
            length = int(limit.of(*node.inputs, **node.attributes))
            limited.add((node.inputs[position], length))
            yield node.inputs[position], length, limit
    for node in nodes:
        if node.operation is None or node.operation.name not in ("gather", "scatter_add"):
            continue
        of, *indices = node.inputs
        shape = node.attributes.get("shape", of.shape)
        for number, leaf in enumerate(indices):
            length = shape[node.attributes["axis"] + number]
            if (leaf, length) not in limited:
                yield leaf, length, None
