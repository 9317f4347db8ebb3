"""Products with rows of a table that are looked up more often than there are rows.

Each row of the table then is multiplied once, and what comes out is looked up. The gradients of one
row are added up before they are multiplied:

    x = lookup(E, i)                     with N indices, of a table of V rows
    z = f(x W + b)                       z = lookup(f(E W + b), i)
    W' = x^T z'                          s = scatter_add(z', i), which is V rows
    E' = scatter_add(z' W^T, i)          W' = E^T s,  E' = s W^T,  b' = the sum of s over rows

So does a network over characters, which knows a hundred of them and reads thousands in a step. A
row that is not looked up counts in W' with factor 0, and must be finite as all others.
"""

from __future__ import annotations

import math
from typing import Any

from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.values import Value, ValueGraph, constant, reshaped, shared, transposed

_LEAST_USES = 4  # of a row: N / V
_FEWEST_COLUMNS = 32  # narrower rows are multiplied as fast as their products are moved


def multiply_tables(graph: ValueGraph) -> ValueGraph:
    """The graph with tables multiplied in the place of their looked-up rows."""
    if not any([_is_used_often(v) for v in graph.values if v.kind == "lookup"]):
        return graph
    return _Rewriting(graph).result()


def _is_used_often(lookup: Value) -> bool:
    """Whether a value is rows of a matrix, each of them several times."""
    table, indices = lookup.inputs
    if len(table.shape) != 2 or table.dtype.kind != "f":
        return False
    return indices.size >= _LEAST_USES * table.shape[0]


class _Rewriting:
    """Changes the values of a graph one by one, and puts new ones between them."""

    def __init__(self, graph: ValueGraph) -> None:
        self._graph = graph
        self._uses = graph.uses()
        self._users = graph.users()
        self._places = {value: place for place, value in enumerate(graph.values)}
        """Of a new value: that of the latest of its inputs, after which it is put."""
        self._new: dict[int, list[Value]] = {}
        self._known: dict[Any, Value] = {}
        self._rows: dict[Value, tuple[Value, Value]] = {}
        """Of values that are rows of tables, (table, indices)."""

    def result(self) -> ValueGraph:
        """The graph with all changed that can be."""
        values = self._graph.values
        for value in values:
            if value.kind == "matmul" and len(value.shape) == 2:
                self._change_product(value)
            elif value.kind == "scatter_add":
                self._change_sum_of_products(value)
            elif value.kind in ELEMENTWISE:
                self._compute_of_table(value)
            self._note_rows(value)
        order = [v for n, value in enumerate(values) for v in (value, *self._new.get(n, ()))]
        return self._graph.in_order(order)

    def _note_rows(self, value: Value) -> None:
        """Note of which table a value is rows, also where these are put into another order."""
        if value.kind == "lookup" and _is_used_often(value):
            table, indices = value.inputs
            self._rows[value] = table, indices
        elif value.kind in ("reshape", "transpose") and value.inputs[0] in self._rows:
            table, indices = self._rows[value.inputs[0]]
            if _keeps_rows(value):
                self._rows[value] = table, self._moved(value, indices)

    # What is computed of rows

    def _compute_of_table(self, value: Value) -> None:
        """Make what is computed of each row alike a look-up, if nothing else needs the rows."""
        looked_up = [i for i in value.inputs if i in self._rows]
        if len(looked_up) != 1 or self._uses[looked_up[0]] != 1:
            return
        others = [i for i in value.inputs if i is not looked_up[0]]
        if not all([_is_of_each_row(i) for i in others]):
            return
        table, indices = self._rows[looked_up[0]]
        inputs = tuple(
            [self._of_each_row(i, table.shape) if i in others else table for i in value.inputs]
        )
        computed = Value(value.kind, inputs, value.attributes, table.shape, value.dtype, value.node)
        value.become("lookup", (self._put(computed), indices))

    def _of_each_row(self, value: Value, shape: tuple[int, ...]) -> Value:
        """What is the same for each row, for those of a table."""
        if value.kind == "broadcast_to":
            (x,) = value.inputs
            x = self._reshaped(x, x.shape[-1:], value)
            repeated = Value("broadcast_to", (x,), {"shape": shape}, shape, x.dtype, value.node)
            return self._put(repeated)
        assert value.fill is not None
        return self._put(constant(value.fill, shape, value.dtype, value.node))

    def _change_product(self, value: Value) -> None:
        a, b = value.inputs
        transpose_a = value.attributes.get("transpose_a", False)
        if not transpose_a and self._is_wide(a):
            table, indices = self._rows[a]
            shape = (table.shape[0], value.shape[1])
            inputs = (table, b)
            products = Value("matmul", inputs, value.attributes, shape, value.dtype, value.node)
            value.become("lookup", (self._put(products), indices))
        elif transpose_a and not value.attributes.get("transpose_b", False):
            if self._is_wide(a):
                table, indices = self._rows[a]
                value.inputs = (table, self._sums(b, indices, table.shape[0]))
            elif self._is_wide(b):
                table, indices = self._rows[b]
                value.inputs = (self._sums(a, indices, table.shape[0]), table)

    def _is_wide(self, value: Value) -> bool:
        """Whether a value is rows of a table, worth multiplying there."""
        return value in self._rows and value.shape[-1] >= _FEWEST_COLUMNS

    # Gradients

    def _change_sum_of_products(self, value: Value) -> None:
        """Make the gradient of a table, of N rows that are products, a product of V rows."""
        attributes = value.attributes
        x, *indices = value.inputs
        if len(indices) != 1 or attributes["axis"] != 0 or len(attributes["shape"]) != 2:
            return
        rows = attributes["shape"][0]
        if indices[0].size < _LEAST_USES * rows or x.shape[-1] < _FEWEST_COLUMNS:
            return
        (index,) = indices
        ways = []
        while x.kind in ("reshape", "transpose") and _keeps_rows(x):
            if self._uses[x] != 1:
                return
            ways.append(x)
            (x,) = x.inputs
        is_product = x.kind == "matmul" and len(x.shape) == 2 and self._uses[x] == 1
        if not is_product or x.attributes.get("transpose_a", False):
            return
        for way in ways:
            index = self._moved_back(way, index)
        gradient, factor = x.inputs
        value.become("matmul", (self._sums(gradient, index, rows), factor), x.attributes)

    def _sums(self, x: Value, indices: Value, rows: int) -> Value:
        """The sums of the rows of x that have one index; those of columns go over these sums."""
        shape = (rows, x.shape[1])
        attributes = {"shape": shape, "axis": 0}
        sums = self._put(Value("scatter_add", (x, indices), attributes, shape, x.dtype, x.node))
        for user in self._users[x]:
            of_columns = user.kind == "sum" and 0 in user.attributes["axes"]
            if of_columns and user.inputs == (x,) and self._places[sums] < self._places[user]:
                user.inputs = (sums,)
        return sums

    # Indices

    def _moved(self, way: Value, indices: Value) -> Value:
        """The indices of the rows of a reshape or transpose, from those of its input."""
        if way.kind == "reshape":
            return self._reshaped(indices, way.shape[:-1], way)
        return self._transposed(indices, way.attributes["axes"][:-1], way)

    def _moved_back(self, way: Value, indices: Value) -> Value:
        """The indices of the rows of the input of a reshape or transpose, from its own."""
        if way.kind == "reshape":
            return self._reshaped(indices, way.inputs[0].shape[:-1], way)
        axes = way.attributes["axes"][:-1]
        return self._transposed(indices, tuple([axes.index(a) for a in range(len(axes))]), way)

    def _reshaped(self, x: Value, shape: tuple[int, ...], of: Value) -> Value:
        return self._put(reshaped(x, shape, of.node))

    def _transposed(self, x: Value, axes: tuple[int, ...], of: Value) -> Value:
        return self._put(transposed(x, axes, of.node))

    def _put(self, value: Value) -> Value:
        """A value after its inputs, unless it, or one that is equal to it, was put there before."""
        if value not in self._places:
            value = shared(value, self._known)
        if value not in self._places:
            self._places[value] = place = max([self._places[i] for i in value.inputs], default=0)
            self._new.setdefault(place, []).append(value)
        return value


def _keeps_rows(way: Value) -> bool:
    """Whether a reshape or transpose leaves the elements of each row beside one another."""
    (x,) = way.inputs
    if not way.shape or not x.shape:
        return False
    if way.kind == "reshape":
        return way.shape[-1] == x.shape[-1]
    return bool(way.attributes["axes"][-1] == len(x.shape) - 1)


def _is_of_each_row(value: Value) -> bool:
    """Whether all rows of a value are equal."""
    if value.kind != "broadcast_to":
        return value.fill is not None
    return value.inputs[0].size == math.prod(value.inputs[0].shape[-1:])
