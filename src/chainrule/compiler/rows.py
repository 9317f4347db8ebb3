"""Rows: tables of which a step changes few rows, at the cost of these rows.

The gradient of a look-up is zeros to which a few rows are added. An optimiser's rule that leaves a
row without a gradient as it is gives a new table that differs in those rows alone:

    G = scatter_add(g, i)        u  = first_uses(i)               the place of each row's first use
    W <- W - lr G                g' = scatter_add(g, u)           as many rows as look-ups
                                 w  = gather(W, i)
                                 W <- put_rows(W, i, w - lr g')   in place

`rest` proves it: of each value that depends on G it is what the value holds in all rows that i does
not name. G holds 0 there; 0 times anything is 0, and a value less 0 is that value: so the rest of
W - lr G is W. Where the rest of an update is the state itself, the rule is computed on rows.

Sums over a whole table whose rest is 0, as for the norm of a gradient, become sums over rows, too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.values import Value, ValueWriter, constant
from chainrule.graph.backprop import with_ancestors
from chainrule.graph.operation import operations
from chainrule.graph.state import State

_FEWEST_ELEMENTS = 1 << 14  # of a table; to go over fewer costs no more than to tell rows apart
_INT64 = np.dtype(np.int64)

ROW_UPDATES = ("put_rows", "subtract_rows")
"""What makes of a table one with other rows."""

Rest = float | bool | Value | None
"""A number, a value that does not depend on any look-up, or None where it is not known."""
Seeds = tuple[Value, ...]


def update_rows(order: list[Value], updates: dict[State, Value]) -> list[Value]:
    """Let updates of tables and sums over them be computed on the rows that were looked up.

    Args:
        order: the values, each after its inputs. Those that are computed otherwise are changed.
        updates: for each updated state its new value.

    Returns:
        The values with the new ones, in an order in which they can be computed.
    """
    if not any(map(_is_seed, order)):
        return order
    return list(_Rows(order, updates).order)


def _is_seed(value: Value) -> bool:
    """Whether a value is zeros with a few rows added to it."""
    if value.kind != "scatter_add" or value.attributes["axis"] != 0 or len(value.inputs) != 2:
        return False
    return _are_few(value.inputs[1].size, value)


def _are_few(count: int, table: Value) -> bool:
    """Whether `count` rows are worth telling apart from the others of a table."""
    return 0 < 2 * count <= table.shape[0] and table.size >= _FEWEST_ELEMENTS


class _Rows(ValueWriter):
    """Writes values on rows beside those on whole tables."""

    def __init__(self, order: list[Value], updates: dict[State, Value]) -> None:
        super().__init__()
        self.rests: dict[Value, Rest] = {}
        self.seeds: dict[Value, Seeds] = {}
        """Of values that have the rows of a table, and depend on look-ups in it."""
        self._states: dict[Value, list[State]] = {}
        for state, value in updates.items():
            self._states.setdefault(value, []).append(state)
        self._before: dict[Value, tuple[str, tuple[Value, ...], dict[str, Any]]] = {}
        """What a changed value was."""
        self._reduced: dict[Value, Seeds] = {}
        """Reductions over all rows of a table, which may go over those looked up."""
        self._on_rows: dict[tuple[Value, Seeds], Value] = {}
        self._indices: dict[Seeds, Value] = {}
        self._places: dict[Seeds, Value] = {}
        self._looked_up: dict[tuple[Value, ...], Value] = {
            value.inputs: value
            for value in reversed(order)
            if value.kind == "lookup" or (value.kind == "gather" and value.attributes["axis"] == 0)
        }
        for value in order:
            self._analyse(value)
        self._active = self._seeds_of_rows(updates.values())
        for value in order:
            seeds = self.seeds.get(value) or self._reduced.get(value)
            if seeds and self._active.issuperset(seeds):
                if value in self._reduced:
                    value.inputs = (self._rows_of(value.inputs[0], seeds),)
                elif self._is_update_of_rows(value):
                    self._update_rows(value)
            self.put(value)

    # What a value holds in the rows that are not looked up

    def _analyse(self, value: Value) -> None:
        if _is_seed(value):
            self.seeds[value], self.rests[value] = (value,), 0.0
            return
        dependent = [i for i in value.inputs if i in self.seeds]
        if not dependent:
            return
        seeds = tuple(dict.fromkeys(seed for i in dependent for seed in self.seeds[i]))
        if value.kind in ("sum", "max") and 0 in value.attributes["axes"]:
            if self._may_reduce_rows(value, seeds):
                self._reduced[value] = seeds
        elif _keeps_rows(value):
            self.seeds[value] = seeds
            self.rests[value] = self._rest(value)

    def _rest(self, value: Value) -> Rest:
        rests = [self.rests[i] if i in self.seeds else _rest_of(i) for i in value.inputs]
        if all(isinstance(rest, (bool, float)) for rest in rests):
            return _computed(value, rests)
        if value.kind in ("reshape", "broadcast_to", "sum", "max", "min"):
            return None
        return _RESTS[value.kind](*rests) if value.kind in _RESTS else None

    # What is computed on rows

    def _is_update_of_rows(self, value: Value) -> bool:
        """Whether a value updates a state of which it keeps all rows but those looked up."""
        rest, states = self.rests[value], self._states.get(value)
        if states is None or not isinstance(rest, Value) or value.kind in ("reshape", *ROW_UPDATES):
            return False
        before = rest
        while before.kind in ROW_UPDATES:
            before = before.inputs[0]
        is_own = any(before.state is state for state in states)
        return is_own and _are_few(self._count(self.seeds[value]), value)

    def _seeds_of_rows(self, updates: Iterable[Value]) -> set[Value]:
        """The seeds on which updates of rows alone depend.

        Where another update depends on one, too, as that of a mean that fades in every row, all of
        them go over the whole table: in one program, which takes no longer than that update.
        """
        dependent = [value for value in updates if value in self.seeds]
        active = {seed for v in dependent if self._is_update_of_rows(v) for seed in self.seeds[v]}
        while True:
            wide = [
                seed
                for v in dependent
                if not (self._is_update_of_rows(v) and active.issuperset(self.seeds[v]))
                for seed in self.seeds[v]
            ]
            if active.isdisjoint(wide):
                return active
            active.difference_update(wide)

    def _count(self, seeds: Seeds) -> int:
        return sum(seed.inputs[1].size for seed in seeds)

    def _update_rows(self, value: Value) -> None:
        """Compute an update as the old value with other rows."""
        seeds, rest = self.seeds[value], self.rests[value]
        assert isinstance(rest, Value)
        indices, factor = self._all_indices(seeds, value), self._factor_of_products(value)
        inputs: tuple[Value, ...]
        if factor is None:
            kind, inputs = "put_rows", (rest, indices, self._rows_of(value, seeds))
        else:
            kind, inputs = "subtract_rows", (rest, indices, seeds[0].inputs[0], factor)
        self._before[value] = value.kind, value.inputs, value.attributes
        value.become(kind, inputs)

    def _factor_of_products(self, value: Value) -> Value | None:
        """The number lr of an update W - lr scatter_add(x, indices), where x is such rows as
        `table_products` finds; None of other updates.

        Of those, the rows of one index are added up first: so they have the bits of updates of
        whole tables. A product has others anyhow when its factors are not copied.
        """
        seeds, rest = self.seeds[value], self.rests[value]
        if value.kind != "subtract" or value.inputs[0] is not rest or len(seeds) != 1:
            return None
        scaled, (x, _) = value.inputs[1], seeds[0].inputs
        if scaled.kind != "multiply" or x.kind != "weighted_rows":
            return None
        factor = next((i for i in scaled.inputs if i is not seeds[0]), seeds[0])
        if seeds[0] not in scaled.inputs or factor.kind != "broadcast_to":
            return None
        (number,) = factor.inputs
        return number if number.size == 1 and number.dtype == value.dtype else None

    def _may_reduce_rows(self, value: Value, seeds: Seeds) -> bool:
        """Whether a reduction over all rows may go over those looked up: the others are 0.

        The second use of a row counts as 0, too; so it must make no difference to the result.
        """
        (x,) = value.inputs
        makes_no_difference = value.kind == "sum" or x.kind == "abs"
        return self.rests[x] == 0 and makes_no_difference and _are_few(self._count(seeds), x)

    def _rows_of(self, value: Value, seeds: Seeds) -> Value:
        """A value on the rows that the look-ups of `seeds` name, one for each look-up."""

        def inputs(v: Value) -> tuple[Value, ...]:
            is_known = v in seeds or (v, seeds) in self._on_rows or not self._goes_by_rows(v)
            return () if is_known else self._was(v)[1]

        needed = with_ancestors([value], inputs)
        for v in [*(v for v in self.order if v in needed), value]:
            if (v, seeds) not in self._on_rows:
                self._on_rows[v, seeds] = self._on_rows_of_inputs(v, seeds)
        return self._on_rows[value, seeds]

    def _goes_by_rows(self, value: Value) -> bool:
        return value in self.seeds or _keeps_rows(value)

    def _was(self, value: Value) -> tuple[str, tuple[Value, ...], dict[str, Any]]:
        return self._before.get(value, (value.kind, value.inputs, value.attributes))

    def _on_rows_of_inputs(self, value: Value, seeds: Seeds) -> Value:
        if value in seeds:
            return self._summed(value, seeds)
        if not self._goes_by_rows(value):
            return self._taken(value, seeds)
        kind, inputs, attributes = self._was(value)
        shape = (self._count(seeds), *value.shape[1:])
        if "shape" in attributes:
            attributes = {**attributes, "shape": shape}
        on_rows = tuple([self._on_rows[i, seeds] for i in inputs])
        return self.new(kind, on_rows, attributes, shape, value)

    def _taken(self, value: Value, seeds: Seeds) -> Value:
        """A value that is not computed row by row, on rows."""
        shape = (self._count(seeds), *value.shape[1:])
        if value.fill is not None:
            return self.put(constant(value.fill, shape, value.dtype, value.node))
        if value.kind == "broadcast_to":  # the same in all rows
            return self.new("broadcast_to", value.inputs, {"shape": shape}, shape, value)
        indices = self._all_indices(seeds, value)
        found = self._looked_up.get((value, seeds[0].inputs[1]))
        if len(seeds) == 1 and found is not None and found in self.order:
            return self.reshaped(found, shape, value)
        return self.new("gather", (value, indices), {"axis": 0}, shape, value)

    def _summed(self, seed: Value, seeds: Seeds) -> Value:
        """The rows of a gradient: the sum of each in the place of its first use, else 0."""
        g, indices = seed.inputs
        places, count = self._all_places(seeds, seed), indices.size
        if len(seeds) > 1:
            start = sum(s.inputs[1].size for s in seeds[: seeds.index(seed)])
            runs = ((start, 1, count),)
            places = self.new("slice", (places,), {"runs": runs}, (count,), seed, _INT64)
        shape = (self._count(seeds), *seed.shape[1:])
        rows = self.reshaped(g, (count, *seed.shape[1:]), seed)
        attributes = {"shape": shape, "axis": 0}
        return self.new("scatter_add", (rows, places), attributes, shape, seed)

    def _all_indices(self, seeds: Seeds, value: Value) -> Value:
        """The rows that are looked up, one after another."""
        if seeds not in self._indices:
            parts = [self._as_indices(seed.inputs[1], seed) for seed in seeds]
            shape = (self._count(seeds),)
            self._indices[seeds] = (
                parts[0]
                if len(parts) == 1
                else self.new("concatenate", tuple(parts), {"axis": 0}, shape, value, _INT64)
            )
        return self._indices[seeds]

    def _as_indices(self, indices: Value, seed: Value) -> Value:
        flat = self.reshaped(indices, (indices.size,), seed)
        if flat.dtype == _INT64:
            return flat
        return self.new("astype", (flat,), {"dtype": _INT64}, flat.shape, seed, _INT64)

    def _all_places(self, seeds: Seeds, value: Value) -> Value:
        """For each look-up the place of the first one of the same row."""
        if seeds not in self._places:
            indices = self._all_indices(seeds, value)
            rows = {"rows": value.shape[0]}
            self._places[seeds] = self.new(
                "first_uses", (indices,), rows, indices.shape, value, _INT64
            )
        return self._places[seeds]


def _keeps_rows(value: Value) -> bool:
    """Whether each row of a value depends on the same row of its inputs alone."""
    if not value.shape or not value.inputs or any(not i.shape for i in value.inputs):
        return False
    rows = value.shape[0]
    if value.kind in ELEMENTWISE:
        return True
    (x, *_) = value.inputs
    if value.kind == "broadcast_to":
        return len(x.shape) == len(value.shape) and x.shape[0] == rows
    if value.kind == "reshape":
        return x.shape[0] == rows
    return value.kind in ("sum", "max", "min")  # of other axes than the first


def _rest_of(value: Value) -> Rest:
    """A value that depends on no look-up, as a number where it is one."""
    number = value.fill
    if number is None:
        return value
    return bool(number) if value.dtype.kind == "b" else number


def _computed(value: Value, rests: list[Any]) -> Rest:
    """What an operation makes of numbers."""
    operation = operations[value.kind]
    if value.kind in ("reshape", "broadcast_to"):
        return rests[0]
    if value.kind in ("sum", "max", "min"):
        size = math.prod([value.inputs[0].shape[a] for a in value.attributes["axes"]])
        return float(rests[0] * size if value.kind == "sum" else rests[0])
    arrays = [np.full(1, r, i.dtype) for r, i in zip(rests, value.inputs, strict=True)]
    with np.errstate(all="ignore"):
        result = operation.forward(*arrays, **value.attributes)
    number = np.asarray(result).item()
    return number if isinstance(number, bool) else float(number)


def _sum(*rests: Rest) -> Rest:
    others = [rest for rest in rests if not _is(rest, 0)]
    return others[0] if len(others) == 1 else None


def _difference(a: Rest, b: Rest) -> Rest:
    return a if _is(b, 0) else None


def _product(a: Rest, b: Rest) -> Rest:
    if _is(a, 0) or _is(b, 0):
        return 0.0
    if _is(a, 1):
        return b
    return a if _is(b, 1) else None


def _quotient(a: Rest, b: Rest) -> Rest:
    if _is(a, 0):
        return 0.0
    return a if _is(b, 1) else None


def _choice(condition: Rest, a: Rest, b: Rest) -> Rest:
    if isinstance(condition, (bool, float)):
        return a if condition else b
    return a if a is b else None


def _is(rest: Rest, number: float) -> bool:
    return isinstance(rest, (bool, float)) and rest == number


_RESTS: dict[str, Callable[..., Rest]] = {
    "add": _sum,
    "add_n": _sum,
    "subtract": _difference,
    "multiply": _product,
    "divide": _quotient,
    "where": _choice,
}
"""By operation, what it makes of rests of which not all are numbers. That 0 times a number is 0
holds of finite numbers. A row that is not finite ends a training once it is looked up."""
