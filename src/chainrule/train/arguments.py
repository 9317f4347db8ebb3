"""The arguments of a call of a compiled function: arrays are inputs, the rest is its signature."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from chainrule.compiler.recording import Argument
from chainrule.dtypes import check_unmasked
from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor, as_tensor
from chainrule.train.probes import exact
from chainrule.train.user_code import PLAIN
from chainrule.trees import check_items_only, elements, items, own_attributes, with_values

_PLAIN = tuple(PLAIN)


def sign(argument: Any, given: list[Any], key: list[Any]) -> None:
    """Add the arrays of an argument to those given, and what tells its signature to the key.

    Raises:
        TypeError: for a tuple, a list or a dict that has attributes, too.
    """
    if isinstance(argument, (tuple, list)):
        check_items_only(argument)
        key.append((type(argument), len(argument)))
        for value in elements(argument):
            sign(value, given, key)
    elif isinstance(argument, dict):
        check_items_only(argument)
        held = items(argument)
        key.append((type(argument), *[exact(name) for name, _ in held]))
        if isinstance(argument, defaultdict):
            sign(argument.default_factory, given, key)
        for _, value in held:
            sign(value, given, key)
    elif isinstance(argument, _PLAIN):
        key.append((type(argument), _plain(argument)))
    elif _is_data(argument):
        value = _data(argument)
        if isinstance(value, Tensor):
            place = _place(value, given)
            if place < len(given):  # one leaf of the graph, as in the eager loop
                key.append(("again", place))
                return
        given.append(value)
        key.append(value.shape)
        key.append(value.dtype)
        if isinstance(value, Tensor) and value.requires_grad:
            key.append((True, value.is_leaf))
    else:
        key.append((type(argument), id(argument)))  # which the variant keeps alive


def _plain(value: Any) -> Any:
    """A plain value, or its text: NaN equals nothing, -0.0 equals 0.0, and slices have no hash."""
    if isinstance(value, (slice, complex)) or (isinstance(value, float) and not abs(value) > 0):
        return repr(value)
    return value


def like(sequence: Any, values: list[Any]) -> Any:
    """A tuple or list of the type of another, with other values."""
    kind = type(sequence)
    if isinstance(sequence, list):
        made = list.__new__(kind)
        list.extend(made, values)
        return made
    return kind(*values) if hasattr(sequence, "_fields") else kind(values)


class StandIns:
    """What a function gets in place of its arguments while it is captured.

    Attributes:
        arrays: the Tensors without a value that stand for the arrays given.
        static: the other arguments.
    """

    def __init__(self, given: Sequence[Any]) -> None:
        self.arrays: list[Argument] = []
        self.static: list[Any] = []
        self._given = given
        self._copies: list[tuple[Any, Any]] = []

    def of(self, argument: Any) -> Any:
        """The stand-in of an argument; lists and dicts are copies, with stand-ins in them."""
        if isinstance(argument, (tuple, list, dict)):
            self.static.append(type(argument))  # a user's class may have methods
            if isinstance(argument, defaultdict):
                self.static.append(argument.default_factory)
            if isinstance(argument, dict):
                return self._kept(with_values(argument, self.of))
            return self._kept(like(argument, [self.of(value) for value in elements(argument)]))
        if not isinstance(argument, _PLAIN) and _is_data(argument):
            value = _data(argument)
            if isinstance(value, Tensor):
                place = _place(value, self._given)
                if place < len(self.arrays):
                    return self.arrays[place]
            requires_grad = isinstance(value, Tensor) and value.requires_grad
            name = f"number {len(self.arrays)}"
            self.arrays.append(Argument(as_tensor(value), name, requires_grad=requires_grad))
            return self.arrays[-1]
        self.static.append(argument)
        return argument

    def _kept(self, made: Any) -> Any:
        if not isinstance(made, tuple):
            held = dict(items(made)) if isinstance(made, dict) else list(elements(made))
            self._copies.append((made, held))
        return made

    def changed(self) -> type | None:
        """The type of a list or dict into which the function has put something; None if there is
        none. Names that it takes out of a dict stay in the dict that was given."""
        return next((type(now) for now, before in self._copies if _differ(now, before)), None)


def _differ(now: Any, before: Any) -> bool:
    if own_attributes(now):
        return True
    if isinstance(now, dict):
        return any(name not in before or v is not before[name] for name, v in items(now))
    held = [*elements(now)]
    return len(held) != len(before) or any(a is not b for a, b in zip(held, before, strict=True))


def _is_data(argument: Any) -> bool:
    """Whether an argument is an input of the graph."""
    if isinstance(argument, (State, type)):  # NumPy's types of numbers have `__array__`, too
        return False
    return isinstance(argument, (Tensor, np.ndarray, np.generic)) or hasattr(argument, "__array__")


def _data(argument: Any) -> Any:
    """An argument as a Tensor, or as an array in the machine's byte order."""
    if isinstance(argument, Tensor):
        return argument
    check_unmasked("the array", argument)
    array = np.asarray(argument)
    return as_tensor(array.astype(array.dtype.newbyteorder("="), copy=False)).numpy()


def _place(tensor: Tensor, given: Sequence[Any]) -> int:
    """The place of a Tensor among those given; their number if it is not there."""
    return next((i for i, value in enumerate(given) if value is tensor), len(given))
