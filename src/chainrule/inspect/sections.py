"""A trace as sections of rows, for every printed form: forward, loss, backward, update."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from chainrule.graph.printing import grid
from chainrule.graph.tensor import Array
from chainrule.inspect.arrays import from_json
from chainrule.inspect.letters import gradients_named, nodes_named
from chainrule.markup import shape_text

_MOST_COLUMNS = 8
_MOST_ROWS = 12
_MOST_TERMS = 4
"""Layers with at most so many inputs and outputs have the numbers put into their formulas."""


class Shown(NamedTuple):
    """An array as text: its rows, or where it is large what it is like.

    Attributes:
        rows: the texts of its numbers, by rows; empty for a large array.
        summary: its shape and the sizes of its numbers.
    """

    rows: list[list[str]]
    summary: str

    def lines(self, most: int | None = None) -> list[str]:
        """The lines of text: the numbers, if they are few and no line is longer than `most`."""
        lines = ["  ".join(row) for row in self.rows]
        is_wide = most is not None and any(len(line) > most for line in lines)
        return [self.summary] if is_wide or not lines else lines


class Row(NamedTuple):
    """One quantity.

    Attributes:
        name, formula: as the pair of text and LaTeX; the formula is empty where the value is given.
        terms: the formula with numbers, one for each element of a column.
        value: what it is.
    """

    name: tuple[str, str]
    formula: tuple[str, str]
    terms: list[str]
    value: Shown


Update = tuple[tuple[str, str], Shown, Shown, Shown]
"""(the parameter's name, its old value, its gradient, its new value)"""


class Section(NamedTuple):
    """A table.

    Attributes:
        part: "forward", "loss", "backward", "rule" (of the update) or "update".
        title: of what.
        rows: its quantities.
        updates: in place of those the parameters of an update.
    """

    part: str
    title: str
    rows: list[Row]
    updates: list[Update]


class Sections:
    """Makes the sections of a trace.

    Args:
        trace: a checked one.
        digits: significant digits of the numbers.
    """

    def __init__(self, trace: dict[str, Any], digits: int) -> None:
        self.trace = trace
        self.nodes = trace["nodes"]
        self.layers = trace["layers"]
        self.digits = digits
        self.is_column = trace["form"] == "column"
        self.is_transposed = trace["letters"] == "row"  # the letters w stand for W^T

    def head(self) -> str:
        """The line below the title."""
        trace = self.trace
        rows = f"{trace['rows']} row{'s' * (trace['rows'] != 1)}"
        optimizer = [trace["optimizer"]] if trace["optimizer"] else []
        return ", ".join([trace["loss_name"], *optimizer, rows, trace["dtype"]])

    def __iter__(self) -> Iterator[Section]:
        yield from self._forward()
        yield self._loss()
        yield from self._backward()
        if self._updated():
            yield self._rule()
            yield self._update()

    # Forward

    def _forward(self) -> Iterator[Section]:
        inputs = [node for node in self.nodes if node["role"] == "input"]
        if inputs:
            yield Section("forward", "Input", [self._given(node) for node in inputs], [])
        shown: set[int] = set()
        loose: list[Row] = []
        last = self._last()
        for node in self.nodes[: last + 1]:
            place = node["layer"]
            if place is None:
                if node["operation"] is not None:
                    loose.append(self._computed(node))
            elif place not in shown and node["id"] <= self.layers[place]["preactivation"]:
                if loose:
                    yield Section("forward", "Between layers", loose, [])
                    loose = []
                shown.add(place)
                yield Section("forward", self._title(place), self._layer_forward(place), [])
        if loose:
            yield Section("forward", "Between layers", loose, [])

    def _title(self, place: int) -> str:
        layer = self.layers[place]
        node = self._ends(place)[0]
        number = ""
        if node["role"] == "preactivation" and node["name"]:
            number = f"Layer {node['name'].lstrip(_LETTERS)}: "
        sizes = f" {layer['sizes'][0]} → {layer['sizes'][1]}" if layer["sizes"] else ""
        activation = f", {layer['activation']}" if layer["activation"] else ""
        path = f" ({layer['path']})" if layer["path"] else ""
        return f"{number}{layer['kind']}{sizes}{activation}{path}"

    def _ends(self, place: int) -> tuple[dict[str, Any], dict[str, Any]]:
        """The pre-activation and the output of a layer, where they are nodes of its own.

        What comes out of a layer around others may be an inner one's: then its own last node.
        """
        layer = self.layers[place]
        z, a = self.nodes[layer["preactivation"]], self.nodes[layer["output"]]
        if z["layer"] != place:
            own = [node for node in self.nodes if node["layer"] == place]
            z = a = own[-1] if own else z
        return z, a

    def _layer_forward(self, place: int) -> list[Row]:
        layer = self.layers[place]
        rows = [self._given(self.nodes[p["id"]]) for p in layer["parameters"]]
        z, a = self._ends(place)
        rows += map(self._leaf_or_computed, self._named_before(z, place))
        rows.append(self._computed(z, self._forward_terms(layer)))
        if a is not z:
            rows.append(self._computed(a))
        return rows

    def _named_before(self, z: dict[str, Any], place: int) -> list[dict[str, Any]]:
        """What a layer computes and has a name, before its pre-activation: weights, say."""
        own = [n for n in self.nodes[: z["id"]] if n["layer"] == place and n["role"] == "value"]
        named = {n["id"] for n in own if n["name"] and n["operation"] is not None}
        is_around_others = self.nodes[self.layers[place]["preactivation"]]["layer"] != place

        def in_formula(number: int) -> set[int]:
            found = {n for n in self._in_formula(number) if n < z["id"]} - named
            return {n for n in found if self.nodes[n]["layer"] == place or self._is_constant(n)}

        shown = named | _reached([] if is_around_others else [z["id"]], in_formula)
        return [self.nodes[number] for number in sorted(shown)]

    def _in_formula(self, number: int) -> set[int]:
        """The nodes that the formula of a node calls by their numbers."""
        return nodes_named(self.nodes[number]["formula"]["text"].partition(" = ")[2])

    def _forward_terms(self, layer: dict[str, Any]) -> list[str]:
        """Each z as the sum of its products."""
        if not self._is_small(layer) or layer["input"] is None:
            return []
        weight, bias_of_layer = _own(layer, "weight"), _own(layer, "bias")
        given = from_json(self.nodes[layer["input"]]["value"])
        if weight is None or given is None or given.size != layer["sizes"][0]:
            return []
        W = from_json(weight["old"])
        bias = None if bias_of_layer is None else from_json(bias_of_layer["old"])
        if W is None:
            return []
        terms = []
        for row, weights in enumerate(W):
            products = [self._product(w, a) for w, a in zip(weights, given.ravel(), strict=True)]
            products += [self._number(bias[row])] if bias is not None else []
            terms.append(_added(products))
        return terms

    # Loss

    def _loss(self) -> Section:
        loss = self.nodes[-1]
        last = self._last()
        rows = [self._given(node) for node in self.nodes if node["role"] == "target"]
        shown = {node["id"] for node in self._within_the_loss()}
        for place in sorted(shown | _reached([loss["id"], *shown], self._in_formula)):
            node = self.nodes[place]
            is_of_loss = place > last or node["operation"] is None
            if node["layer"] is None and node is not loss and is_of_loss:
                rows.append(self._leaf_or_computed(node))
        rows.append(self._computed(loss))
        return Section("loss", "Loss", rows, [])

    # Backward

    def _last(self) -> int:
        """The last node of the model: the loss is computed of what follows."""
        ends = [layer["output"] for layer in self.layers]
        return max([*ends, *self.trace["outputs"]], default=-1)

    def _within_the_loss(self) -> list[dict[str, Any]]:
        """The nodes after the model whose gradients other formulas name, the last first."""
        last = self._last()

        def after_the_model(number: int) -> set[int]:
            named = gradients_named(self.nodes[number]["gradient_formula"]["text"])
            return {place for place in named if place > last}

        found = _reached((p for p in self.trace["backward"] if p <= last), after_the_model)
        return [self.nodes[place] for place in sorted(found, reverse=True)]

    def _backward(self) -> Iterator[Section]:
        last = self._last()
        shown: set[int] = set()
        within = [self._gradient(node) for node in self._within_the_loss()]
        if within:
            yield Section("backward", "Within the loss", within, [])
        loose: list[Row] = []
        for place in self.trace["backward"]:
            node = self.nodes[place]
            if node["operation"] is None or place > last:
                continue
            layer = node["layer"]
            if layer is None:
                loose.append(self._gradient(node))
            elif layer not in shown:
                if loose:
                    yield Section("backward", "Between layers", loose, [])
                    loose = []
                shown.add(layer)
                yield Section("backward", self._title(layer), self._layer_backward(layer), [])
        if loose:
            yield Section("backward", "Between layers", loose, [])

    def _layer_backward(self, place: int) -> list[Row]:
        layer = self.layers[place]
        z, a = self._ends(place)
        rows = []
        if a is not z and a["gradient"] is not None:
            rows.append(self._gradient(a))
        if layer["derivative"] is not None:
            name, formula = _sides(layer["derivative_formula"])
            terms = self._derivative_terms(layer, formula[0])
            rows.append(Row(name, formula, terms, self._shown(layer["derivative"], "value")))
        if z["gradient"] is not None:
            row = self._gradient(z, self._delta_terms(place))
            if layer["derivative"] is not None:  # what g' is stands in its own row
                text, latex = (side.partition(" = ")[0] for side in row.formula)
                row = row._replace(formula=(text, latex))
            rows.append(row)
        named = [node for node in self._named_before(z, place) if node["gradient"] is not None]
        rows += map(self._gradient, reversed(named))
        rows += [self._gradient(self.nodes[p["id"]]) for p in layer["parameters"] if p["gradient"]]
        return rows

    def _derivative_terms(self, layer: dict[str, Any], formula: str) -> list[str]:
        """g'(z) of each neuron: the formula with its numbers in the place of letters."""
        ends = [self.nodes[layer[key]] for key in ("preactivation", "output")]
        z, a = (from_json(node["value"]) for node in ends)
        if not self._is_small(layer) or z is None or a is None:
            return []
        terms = []
        for numbers in zip(z.ravel(), a.ravel(), strict=True):
            term = formula
            for node, number in zip(ends, numbers, strict=True):
                name = re.escape(node["name"] or "")
                term = re.sub(rf"\b{name}\b", self._factor(number), term)
            term = re.sub(r"(?<=[\[(])\((-[^()]*)\)(?=[ )])", r"\1", term)  # no ((-1))
            terms.append(term.replace(" * ", "·").replace("<=", "≤"))
        return terms

    def _delta_terms(self, place: int) -> list[str]:
        """Each delta as the sum over the next layer's deltas, times g'(z)."""
        layer = self.layers[place]
        if not self._is_small(layer) or layer["derivative"] is None:
            return []
        derivative = from_json(layer["derivative"])
        above = self.nodes[layer["output"]]
        consumers = {self.nodes[part["consumer"]]["layer"] for part in above["contributions"]}
        if derivative is None:
            return []
        slopes = [self._factor(d) for d in derivative.ravel()]
        only = next(iter(consumers)) if len(consumers) == 1 else None
        following = self.layers[only] if only is not None else None
        if (
            following is not None
            and following["input"] == layer["output"]
            and self._is_small(following)
        ):
            weight = _own(following, "weight")
            W = None if weight is None else from_json(weight["old"])
            delta = None if following["delta"] is None else from_json(following["delta"])
            if W is not None and delta is not None:
                sums = [_added(list(map(self._product, column, delta.ravel()))) for column in W.T]
                return [f"({s})·{slope}" for s, slope in zip(sums, slopes, strict=True)]
        gradient = from_json(above["gradient"]) if above["gradient"] else None
        if gradient is None:
            return []
        return [
            f"{self._number(g)}·{slope}" for g, slope in zip(gradient.ravel(), slopes, strict=True)
        ]

    # Update

    def _updated(self) -> list[dict[str, Any]]:
        """The parameters that have new values, each once: layers may share them."""
        held = {p["id"]: p for layer in self.layers for p in layer["parameters"]}
        return [p for p in held.values() if p["new"] is not None]

    def _rule(self) -> Section:
        """The formulas of the update, each once, and the moments that it begins with."""
        W = "w" if self.is_transposed else "W"
        moments, rules = [], {}
        for p in self._updated():
            name = self.nodes[p["id"]]["formula"]
            letter = rf"(?<![\w.])(d?){re.escape(name['text'])}(?![\w.])"
            for formula in p["update"]["formulas"]:
                text = re.sub(letter, rf"\1{W}", formula["text"])
                rules[text] = formula["latex"].replace(name["latex"], W)
            for moment in p["update"]["state"]:
                m, of = moment["name"], f"{moment['name']} of {name['text']}"
                value = self._shown(moment["before"], "parameter")
                moments.append(Row((of, f"{m}_{{{name['latex']}}}"), ("", ""), [], value))
        rows = []
        for text, latex in rules.items():
            left, _, right = text.partition(" ")  # a sign, and what follows
            tex_left, sign, tex_right = re.split(r" (=|\\leftarrow) ", latex, maxsplit=1)
            rows.append(Row((left, tex_left), (right, f"{sign} {tex_right}"), [], Shown([], "")))
        return Section("rule", "The rule of the update", rows + moments, [])

    def _update(self) -> Section:
        updates = []
        for p in self._updated():
            old, gradient, new = (
                self._shown(p[key], "parameter") for key in ("old", "gradient", "new")
            )
            name = self.nodes[p["id"]]["formula"]
            updates.append(((name["text"], name["latex"]), old, gradient, new))
        after = self.trace["loss_after"]
        title = "Update"
        if after is not None:
            before, after = self._number(self.trace["loss"]), self._number(after)
            title = f"Update: the loss was {before}, with the new weights it is {after}"
        return Section("update", title, [], updates)

    # Rows

    def _given(self, node: dict[str, Any]) -> Row:
        """A leaf."""
        name = node["formula"]
        value = self._shown(node["value"], node["role"])
        return Row((name["text"], name["latex"]), ("", ""), [], value)

    def _computed(self, node: dict[str, Any], terms: list[str] | None = None) -> Row:
        name, formula = _sides(node["formula"])
        return Row(name, formula, terms or [], self._shown(node["value"], node["role"]))

    def _leaf_or_computed(self, node: dict[str, Any]) -> Row:
        return self._given(node) if node["operation"] is None else self._computed(node)

    def _is_constant(self, number: int) -> bool:
        role: str = self.nodes[number]["role"]
        return role == "constant"

    def _gradient(self, node: dict[str, Any], terms: list[str] | None = None) -> Row:
        name, formula = _sides(node["gradient_formula"])
        return Row(name, formula, terms or [], self._shown(node["gradient"], node["role"]))

    def _is_small(self, layer: dict[str, Any]) -> bool:
        sizes = layer["sizes"]
        return self.trace["rows"] == 1 and sizes is not None and max(sizes) <= _MOST_TERMS

    def _number(self, number: Any) -> str:
        return f"{float(number):.{self.digits}g}"

    def _factor(self, number: Any) -> str:
        """A number after a sign."""
        text = self._number(number)
        return f"({text})" if text.startswith("-") else text

    def _product(self, a: Any, b: Any) -> str:
        return f"{self._number(a)}·{self._factor(b)}"

    def _shown(self, held: dict[str, Any] | None, role: str) -> Shown:
        """An array in the reader's form: a row of the library is a column here, say."""
        if held is None:
            return Shown([], "none")
        array = from_json(held)
        if array is None or array.size == 0:
            return Shown([], self._summary(held))
        array = self._turned(array, role)
        columns = array.shape[-1] if array.ndim else 1
        rows = array.size // columns
        if rows > _MOST_ROWS or columns > _MOST_COLUMNS:
            return Shown([], self._summary(held))
        return Shown(grid(array, self.digits), self._summary(held))

    def _turned(self, array: Array, role: str) -> Array:
        if role == "parameter":
            if array.ndim == 1 and self.is_column:
                return array[:, None]
            return array.T if array.ndim == 2 and self.is_transposed else array
        is_of_rows = role in ("input", "target", "preactivation", "activation", "value") or (
            role == "constant" and array.shape[:1] == (self.trace["rows"],)
        )
        return array.T if is_of_rows and array.ndim == 2 and self.is_column else array

    def _summary(self, held: dict[str, Any]) -> str:
        shape = shape_text(held["shape"])
        sizes = held["summary"]
        if sizes["minimum"] is None:
            return f"{shape}, empty"
        digits = max(3, self.digits - 2)
        low, high, norm = (
            f"{float(sizes[key]):.{digits}g}" for key in ("minimum", "maximum", "norm")
        )
        return f"{shape}: {low} to {high}, norm {norm}"


_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _sides(formula: dict[str, str]) -> tuple[tuple[str, str], tuple[str, str]]:
    """The name and the rest of an equation."""
    text, _, of_text = formula["text"].partition(" = ")
    latex, _, of_latex = formula["latex"].partition(" = ")
    return (text, latex), (of_text, of_latex)


def _own(layer: dict[str, Any], name: str) -> dict[str, Any] | None:
    """A parameter of a layer; those of other modules that it uses come after its own."""
    held = [p for p in layer["parameters"] if p["path"].rpartition(".")[2] == name]
    return held[0] if held else None


def _reached(start: Iterable[int], following: Callable[[int], set[int]]) -> set[int]:
    """What follows the numbers of `start`, what follows these, and so on."""
    found, new = set[int](), set(start)
    while new:
        new = set[int]().union(*map(following, new)) - found
        found |= new
    return found


def _added(terms: list[str]) -> str:
    return " + ".join(terms).replace("+ -", "- ")
