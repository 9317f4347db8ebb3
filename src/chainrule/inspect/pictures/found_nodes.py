"""The nodes of a graph as a picture needs them, from Tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from chainrule.drawing.diagram import Line, TextKind
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.pictures.families import family
from chainrule.inspect.pictures.numbers import Numbers, number_text, numbers_of
from chainrule.markup import shape_text

_LONGEST_ATTRIBUTES = 22
"""Characters; attributes that take more are left out."""


class GraphNode(NamedTuple):
    """A variable of a graph.

    Attributes:
        key: what the box is called in the picture.
        name: of the variable; None where it has none.
        operation: the name of what computes it; None of a leaf.
        family: its colour, a key of `drawing.palette.FAMILIES`.
        inputs: keys of what the operation takes, in order.
        shape: of its value.
        path: of the layer that built it.
        attributes: the operation's other arguments, as text.
        level: 0 forward, 1 its gradient, 2 what comes after.
        origin: of a node of a gradient the key of the node whose rule built it.
        value, gradient: its numbers where the picture shows them.
        is_given: whether it comes from outside, as a batch of data.
        updated: of a parameter its value after the step, where the picture shows it.
        is_counter: whether it counts the random numbers that were drawn.
    """

    key: str
    name: str | None
    operation: str | None
    family: str
    inputs: tuple[str, ...]
    shape: tuple[int, ...]
    path: str = ""
    attributes: str = ""
    level: int = 0
    origin: str | None = None
    value: Numbers | None = None
    gradient: Numbers | None = None
    is_given: bool = False
    updated: Numbers | None = None
    is_counter: bool = False

    @property
    def is_constant(self) -> bool:
        """Whether it is a leaf without a name."""
        return self.operation is None and self.name is None

    def lines(self, values: bool, gradients: bool) -> tuple[Line, ...]:
        """What its box says."""
        shape = shape_text(self.shape)
        found = []
        if self.is_constant:
            number = None if self.value is None else self.value.number
            if number is not None:
                text = number_text(number)
                return (Line(text, "number"), *([Line(shape)] if shape else []))
            found.append(Line("input" if self.family == "input" else "constant", "name"))
        else:
            found.append(Line(self.name or self.operation or "", "name"))
        notes = [self.operation] if self.name and self.operation else []
        notes += [text for text in (self.attributes, shape) if text]
        if notes:
            found.append(Line(" · ".join(notes)))
        return (*found, *self.number_lines(values, gradients))

    def number_lines(self, values: bool, gradients: bool) -> list[Line]:
        """The lines of its value and of its gradient."""
        found = []
        if values and self.value is not None:
            found += [Line(text, "number") for text in self.value.lines()]
        if gradients and self.gradient is not None:
            found += _marked("∂", self.gradient, "grad")
        if values and self.updated is not None:
            found += _marked("→", self.updated, "number")
        return found

    def description(self) -> str:
        """One line for those who can't see the box."""
        what = f"{self.name} = {self.operation}" if self.name and self.operation else None
        parts = [what or self.name or self.operation or self.family]
        if self.path:
            parts.append(f"layer {self.path}")
        parts.append(f"shape {shape_text(self.shape)}" if self.shape else "scalar")
        if self.attributes:
            parts.append(self.attributes)
        if self.value is not None:
            parts.append(f"value {'; '.join(self.value.lines())}")
        if self.gradient is not None:
            parts.append(f"gradient {'; '.join(self.gradient.lines())}")
        if self.updated is not None:
            parts.append(f"after the update {'; '.join(self.updated.lines())}")
        return ", ".join(parts)


def _marked(sign: str, numbers: Numbers, kind: TextKind) -> list[Line]:
    """Numbers with a sign before their first line."""
    first, *others = numbers.lines()
    return [Line(f"{sign} {first}", kind), *(Line(f"  {text}", kind) for text in others)]


def nodes_of(
    tensors: Sequence[Tensor],
    *,
    inputs: Iterable[Tensor] = (),
    updates: Mapping[State, Tensor] | None = None,
    outputs: Iterable[Tensor] = (),
    values: Mapping[Tensor, Array] | None = None,
    gradients: Mapping[Tensor, Array] | None = None,
    names: Mapping[State, str] | None = None,
) -> list[GraphNode]:
    """The nodes of a graph, as records.

    Args:
        tensors: all nodes, each after its inputs; inputs that are missing are constants' own.
        inputs: the placeholders, or what else counts as given from outside.
        updates: the Tensor that each State holds afterwards: each becomes a node of its own.
        outputs: what the graph is for.
        values: of each Tensor, where they are to be shown.
        gradients: of each Tensor, where they are to be shown.
        names: of states, if they are more than `state.name`.
    """
    updates, values, gradients, names = updates or {}, values or {}, gradients or {}, names or {}
    keys = {tensor: str(number) for number, tensor in enumerate(tensors)}
    given, kept = set(inputs), set(outputs)
    levels = _levels(tensors, keys, kept)
    counters: set[Tensor] = set()
    found = []
    for tensor in tensors:
        name = tensor.name
        if tensor.state is not None:
            name = names.get(tensor.state) or _with_path(tensor.path, name or "state")
        is_leaf = tensor.operation is None or not all(i in keys for i in tensor.inputs)
        origin = tensor.origin
        value = values.get(tensor)
        if value is None and is_leaf and not name and tensor.value is not None:
            value = tensor.value  # a constant is called by its number
        gradient = gradients.get(tensor)
        if _is_counter(tensor, counters):
            counters.add(tensor)
        found.append(
            GraphNode(
                keys[tensor],
                name,
                None if is_leaf or tensor.operation is None else tensor.operation.name,
                _family_of(tensor, levels[tensor], is_leaf=is_leaf, is_given=tensor in given),
                () if is_leaf else tuple(keys[i] for i in tensor.inputs),
                tensor.shape,
                tensor.path,
                "" if is_leaf else attributes_text(tensor.attributes),
                levels[tensor],
                None if origin is None else keys.get(origin),
                None if value is None else numbers_of(value),
                None if gradient is None else numbers_of(gradient),
                tensor in given or (is_leaf and tensor.state is None and name is not None),
                is_counter=tensor in counters,
            )
        )
    last = max(levels.values(), default=0)
    last += last % 2
    named = {t.state: n.name for t, n in zip(tensors, found, strict=True) if t.state is not None}
    for number, (state, tensor) in enumerate(updates.items()):
        name = f"{names.get(state) or named.get(state) or state.name or 'state'} ←"
        found.append(
            GraphNode(
                f"update{number}",
                name,
                None,
                "update",
                (keys[tensor],),
                tensor.shape,
                level=last if any(levels.values()) else 0,
            )
        )
    return found


def _is_counter(tensor: Tensor, counters: set[Tensor]) -> bool:
    """Whether it is the state of a generator of random numbers, or counts on from one."""
    if tensor.operation is not None:
        return tensor.operation.name == "add" and tensor.inputs[0] in counters
    return tensor.state is not None and tensor.state.name == "generator" and tensor.dtype == "u8"


def _family_of(tensor: Tensor, level: int, *, is_leaf: bool, is_given: bool) -> str:
    """The family of a node, which gives its box a colour."""
    if level == 1 or tensor.origin is not None:
        return "gradient"
    if not is_leaf and tensor.operation is not None:
        return "update" if level > 1 else family(tensor.operation)
    if tensor.state is not None:
        return "parameter" if tensor.requires_grad else "input"
    if is_given or (tensor.name and not tensor.requires_grad):
        return "input"
    return "parameter" if tensor.requires_grad else "constant"


def _levels(
    tensors: Sequence[Tensor], keys: Mapping[Tensor, str], outputs: set[Tensor]
) -> dict[Tensor, int]:
    """The pass of each node: a gradient is one above its origin; what reads gradients otherwise,
    as an optimiser does, is one above all of them."""
    level: dict[Tensor, int] = {}
    for tensor in tensors:
        origin = tensor.origin
        level[tensor] = 0 if origin is None else level.get(origin, 0) + 1
    after = max(level.values(), default=0) + 1
    after += after % 2
    readers: dict[Tensor, list[Tensor]] = {}
    for tensor in tensors:
        for read in tensor.inputs:
            if read in keys:
                readers.setdefault(read, []).append(tensor)
                if tensor.origin is None and level[read] and level[tensor] < after:
                    level[tensor] = after
    for tensor in reversed(tensors):  # what only gradients read, and no one named, is theirs
        is_seed = tensor.operation is None or tensor.operation.name == "ones_like"
        theirs = [level[t] for t in readers.get(tensor, ())]
        unnamed = not tensor.name and (tensor.state is None or not tensor.requires_grad)
        if is_seed and unnamed and theirs and tensor not in outputs and tensor.origin is None:
            level[tensor] = min(theirs)
        elif theirs and min(theirs) == after and not tensor.requires_grad:
            level[tensor] = after  # as a learning rate, and what comes of it
    return level


def _with_path(path: str, name: str) -> str:
    """The name of a state in its model, if it has not been told that itself."""
    return name if not path or name.startswith(f"{path}.") else f"{path}.{name}"


def attributes_text(attributes: Mapping[str, Any]) -> str:
    """The arguments that say something short; switches that are off are left out."""
    parts = []
    for key, value in attributes.items():
        if value is False or value is None or key in ("shape", "dtype"):
            continue
        if value is True:
            parts.append(key)
        elif isinstance(value, (int, float, str)):
            parts.append(f"{key} {value}")
        elif isinstance(value, (list, tuple)) and all(isinstance(v, int) for v in value):
            parts.append(f"{key} {', '.join(map(str, value))}")
    text = " ".join(parts).replace("_", " ")
    return text if len(text) <= _LONGEST_ATTRIBUTES else ""
