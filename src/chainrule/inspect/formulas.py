"""The formulas of a step, forward and backward, in the reader's letters."""

from __future__ import annotations

from typing import Any

from chainrule.graph.operation import operation_name
from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor
from chainrule.inspect.activation_formulas import activation_formulas, of_rows
from chainrule.inspect.affine import Product
from chainrule.inspect.expressions import expression, is_true
from chainrule.inspect.found_layers import FoundLayer
from chainrule.inspect.letters import (
    OPERATORS,
    Form,
    Formula,
    Letters,
    bracketed,
    in_latex,
    is_sum,
    joined,
    number_in_latex,
    tex,
    times,
)
from chainrule.inspect.losses import loss_formulas
from chainrule.inspect.normalisations import normalised
from chainrule.inspect.step import Step


class Formulas:
    """Names and formulas of the nodes of a step.

    Args:
        step: what was computed.
        found: its layers.
        letters, form: how the reader writes.
        loss: the loss function.

    Attributes:
        names: those of the inputs, the targets, what layers compute, and the loss.
        forward, backward: for each node how its value, and how its gradient, is computed.
        derivatives: g'(z) of a pre-activation.
    """

    def __init__(
        self, step: Step, found: list[FoundLayer], letters: Letters, form: Form, loss: Any
    ) -> None:
        self.step = step
        self.letters = letters
        self.products = _Products(letters, form)
        self.names: dict[Tensor, Formula] = {}
        self.forward: dict[Tensor, Formula] = {}
        self.backward: dict[Tensor, Formula] = {}
        self.derivatives: dict[Tensor, Formula] = {}
        self._letters: dict[State, Formula] = {}
        self._deltas: dict[Tensor, Formula] = {}
        self._factors: dict[Tensor, float | None] = {step.loss: 1.0}
        self._numbers = {node: number for number, node in enumerate(step.nodes)}
        self._affine_layers = {
            node: layer
            for layer in found
            if layer.affine is not None and layer.input is not None
            for node in layer.nodes
        }
        self._closed_layers = {
            node: layer for layer in found if _is_closed(layer, step) for node in layer.nodes
        }
        self._name(found)
        for node in step.nodes:
            if node.operation is not None:
                self.forward[node] = self._operation(node)
        for node in step.visited:
            self.backward[node] = self._sum_of_parts(node)
        for layer in found:
            if layer.affine is not None:
                self._describe_affine(layer)
            elif not layer.is_open:
                self._describe(layer)
        self._describe_loss(loss)

    def letter(self, state: State) -> Formula:
        """What formulas call a parameter: W1, or its path."""
        found = self._letters.get(state)
        return found or _typewriter(self.step.names.get(state) or state.name or "parameter")

    def gradient(self, node: Tensor) -> Formula:
        """dL/dv; of a pre-activation delta."""
        if node in self._deltas:
            return self._deltas[node]
        loss, v = self.names[self.step.loss], self.name(node)
        return Formula(
            f"d{loss.text}/d{v.text}", rf"\frac{{\partial {loss.latex}}}{{\partial {v.latex}}}"
        )

    def name(self, node: Tensor) -> Formula:
        """What formulas call a node: its name or letter, its number if it is one, or %7."""
        if node in self.names:
            return self.names[node]
        if node.state is not None:
            return self.letter(node.state)
        if node.name:
            return _typewriter(node.name)
        if node.operation is None:
            value = constant(node) if node.shape else node.item()
            if value is not None:
                return Formula(f"{value:g}", number_in_latex(value))
        number = self._numbers.get(node)  # None for data that the loss does not depend on
        shown = "" if number is None else str(number)
        return Formula(f"%{shown}", rf"\mathtt{{\%{shown}}}")

    # Names

    def _name(self, found: list[FoundLayer]) -> None:
        letters, step = self.letters, self.step
        for leaves, letter in ((step.inputs, "x"), (step.targets, "y")):
            for place, leaf in enumerate(leaves, 1):
                numbered = Formula(f"{letter}{place}", f"{letter}_{{{place}}}")
                self.names[leaf] = numbered if len(leaves) > 1 else Formula(letter, letter)
        if len(step.inputs) == 1:
            self.names[step.inputs[0]] = letters.at(letters.input, 0)
        kinds: dict[str, int] = {}
        normalising = 0
        for layer in found:
            k, kind = layer.number, layer.kind.lower()
            if layer.normalisation is not None:
                affine = {"gamma": layer.states.get("weight"), "beta": layer.states.get("bias")}
                new = {c: s for c, s in affine.items() if s is not None and s not in self._letters}
                normalising += bool(new)  # a layer that is called again has its letters
                for letter, state in new.items():
                    self._letters[state] = letters.at(letter, normalising)
            if k is None:
                if layer.output not in self.names:
                    kinds[kind] = kinds.get(kind, 0) + 1
                    latex = rf"\mathrm{{{in_latex(kind)}}}_{{{kinds[kind]}}}"
                    self.names[layer.output] = Formula(f"{kind}{kinds[kind]}", latex)
                continue
            self.names[layer.preactivation] = letters.at(letters.preactivation, k)
            self._deltas[layer.preactivation] = letters.at(letters.delta, k)
            if layer.output is not layer.preactivation:
                self.names[layer.output] = letters.at(letters.activation, k)
            assert layer.affine is not None
            _, weight, bias = layer.affine
            for node, letter in ((weight, letters.weight), (bias, letters.bias)):
                if node is not None and node.state is not None:
                    self._letters.setdefault(node.state, letters.at(letter, k))
                elif node is not None:  # weights that are computed
                    self.names.setdefault(node, letters.at(letter, k))
        self.names[step.loss] = Formula(letters.loss, tex(letters.loss))

    # Any operation

    def _operation(self, node: Tensor) -> Formula:
        return _equation(self.name(node), self._call(node))

    def _call(self, node: Tensor) -> Formula:
        """The operation of a node on its inputs."""
        name = operation_name(node)
        if _is_first_branch(node, 1):
            return self.name(node.inputs[1])
        inputs = [self.name(i) for i in node.inputs]
        exponent = constant(node.inputs[1]) if name == "power" else None
        if exponent is not None:
            base = inputs[0]
            return Formula(f"{base.text}^{exponent:g}", f"{base.latex}^{{{exponent:g}}}")
        if name in OPERATORS:
            return joined(inputs, *OPERATORS[name])
        text, latex = joined(inputs, ", ")
        return Formula(f"{name}({text})", rf"\mathrm{{{in_latex(name)}}}({latex})")

    def _sum_of_parts(self, node: Tensor) -> Formula:
        """The gradient as algorithm 6.6 has it: the sum over the consumers."""
        if node is self.step.loss:
            return _equation(self.gradient(node), Formula("1", "1"))
        factor = self._factor(node)
        if factor is not None:
            return _equation(self.gradient(node), Formula(f"{factor:g}", number_in_latex(factor)))
        return _equation(self.gradient(node), joined(self._parts(node), " + "))

    def _parts(self, node: Tensor) -> list[Formula]:
        """What the consumers contribute; a layer that takes the node does so by its weights."""
        parts: dict[object, Formula] = {}
        edges = self.step.parts.get(node, [])
        for place, (consumer, index, _) in enumerate(edges):
            layer = self._affine_layers.get(consumer)
            known = None if layer is None else self._part_of_layer(layer, node)
            if layer is not None and known is not None:
                parts[id(layer)] = known
                continue
            closed = self._closed_layers.get(consumer)
            if closed is not None and self._closed_layers.get(node) is not closed:
                parts[id(closed)] = self._through(closed.output, node)
                continue
            twice = sum(c is consumer for c, _, _ in edges) == 2
            if known := self._part(node, consumer, index, twice):
                parts[consumer if twice else place] = known
                continue
            if consumer is self.step.loss:
                v = self.name(node)
                c = bracketed(self._call(consumer))
                parts[place] = Formula(
                    f"d{c.text}/d{v.text}", rf"\frac{{\partial}}{{\partial {v.latex}}} {c.latex}"
                )
                continue
            parts[place] = self._through(consumer, node)
        return list(parts.values())

    def _through(self, taker: Tensor, node: Tensor) -> Formula:
        """What reaches a node from what is computed of it: dL/dc dc/dv."""
        above, c, v = self.gradient(taker), self.name(taker), self.name(node)
        return Formula(
            f"{above.text} d{c.text}/d{v.text}",
            rf"{above.latex} \frac{{\partial {c.latex}}}{{\partial {v.latex}}}",
        )

    def _part_of_layer(self, layer: FoundLayer, node: Tensor) -> Formula | None:
        """What a layer contributes to its input, its weight or its bias."""
        assert layer.affine is not None and layer.input is not None
        product, weight, bias = layer.affine
        z = layer.preactivation
        delta = self._deltas[z]
        if node is layer.input:
            return self.products.back(product, self.name(weight), delta)
        if node is weight:
            return self.products.weight(product, delta, self.name(layer.input))
        if node is bias:
            is_sum = self.step.rows > 1 or z.ndim > 2
            return Formula(f"sum({delta.text})", rf"\sum {delta.latex}") if is_sum else delta
        return None

    def _part(self, node: Tensor, consumer: Tensor, index: int, twice: bool) -> Formula | None:
        """What a sum, or a square whose sum is a term of the loss, contributes."""
        name = operation_name(consumer)
        if consumer.shape != node.shape or consumer is self.step.loss:
            return None
        is_same = (name == "add" and not twice) or (name == "subtract" and index == 0)
        if is_same or _is_first_branch(consumer, index):
            return self.gradient(consumer)
        factor = self._factor(consumer)
        exponent = constant(consumer.inputs[1]) if name == "power" and index == 0 else None
        if exponent is not None and factor is not None:
            v, less = self.name(node), f"{exponent - 1.0:g}"
            power = Formula(f"{v.text}^{less}", f"{v.latex}^{{{less}}}")
            return times(exponent * factor, v if exponent == 2.0 else power)
        if name == "multiply" and twice and factor is not None:
            return times(2.0 * factor, self.name(node))
        return None

    def _factor(self, node: Tensor) -> float | None:
        """dL/dv of all elements of v where it is one number, whatever the data are."""
        way = [node]  # towards the loss, as far as one consumer leads to the next
        while way[-1] not in self._factors:
            edges = self.step.parts.get(way[-1], [])
            if len(edges) != 1:
                self._factors[way[-1]] = None
            else:
                way.append(edges[0][0])
        for v, consumer in zip(way[-2::-1], way[:0:-1], strict=True):
            self._factors[v] = self._factor_through(consumer, self.step.parts[v][0][1])
        return self._factors[node]

    def _factor_through(self, consumer: Tensor, index: int) -> float | None:
        """`_factor` of the input `index` of a node that alone takes it."""
        above = self._factors[consumer]
        name = operation_name(consumer)
        is_same = name in ("add", "sum") or _is_first_branch(consumer, index)
        if above is None or is_same:
            return above
        if name not in ("multiply", "divide"):
            return None
        other = constant(consumer.inputs[1 - index])
        if other is None or (name == "divide" and index == 1):
            return None
        return above * other if name == "multiply" else above / other

    # Layers

    def _describe(self, layer: FoundLayer) -> None:
        """A layer without a number, as a function of its input."""
        if layer.input is not None and layer.input is not layer.output:
            given = self.name(layer.input)
            called = Formula(
                f"{layer.kind}({given.text})", rf"\mathrm{{{in_latex(layer.kind)}}}({given.latex})"
            )
            if layer.normalisation is not None:
                gamma, beta = (
                    self.letter(layer.states[name]) if name in layer.states else None
                    for name in ("weight", "bias")
                )
                called = normalised(layer.normalisation, given, gamma, beta)
            self.forward[layer.output] = _equation(self.name(layer.output), called)

    def _describe_affine(self, layer: FoundLayer) -> None:
        z, a = layer.preactivation, layer.output
        given = self.name(layer.input) if layer.input is not None else Formula("x", "x")
        assert layer.affine is not None
        product, weight, bias = layer.affine
        terms = [self.products.forward(product, self.name(weight), given)]
        terms += [] if bias is None else [self.name(bias)]
        self.forward[z] = _equation(self.name(z), joined(terms, " + "))
        if a is not z:
            self._describe_activation(layer)
        self._describe_backward(layer)

    def _describe_activation(self, layer: FoundLayer) -> None:
        """a = g(z) and g'(z), each with what g is."""
        z, a, kind = layer.preactivation, layer.output, layer.activation or ""
        g, inner, outer = self.letters.function, self.name(z), self.name(a)
        called = Formula(f"{g}({inner.text})", f"{tex(g)}({inner.latex})")
        value = of_rows(kind, inner)
        if value is not None:
            name = kind.lower()
            called = Formula(f"{name}({inner.text})", rf"\mathrm{{{name}}}({inner.latex})")
        elif layer.derivative is not None:
            leaves = [leaf for node in layer.nodes for leaf in node.inputs]
            constants = [c for leaf in leaves if (c := constant(leaf)) is not None]
            values = z.numpy(), a.numpy(), layer.derivative
            value, slope = activation_formulas(kind, inner, outer, values, constants)
            prime = Formula(f"{g}'({inner.text})", f"{tex(g)}'({inner.latex})")
            self.derivatives[z] = _equation(prime, slope)
        self.forward[a] = _equation(outer, called if value is None else _equation(called, value))

    def _describe_backward(self, layer: FoundLayer) -> None:
        """delta, and dL/da where layers alone take a."""
        z, a = layer.preactivation, layer.output
        if z not in self.backward:
            return
        takers = [self._affine_layers.get(c) for c, _, _ in self.step.parts.get(a, ())]
        back = None
        if takers and all(taker is not None and taker.input is a for taker in takers):
            back = joined(self._parts(a), " + ")
        if a is z:
            return
        above = self.gradient(a) if back is None else bracketed(back)
        delta = self._deltas[z]
        if layer.derivative is not None:
            text, latex = self.derivatives[z]
            (prime, slope), (tex_prime, tex_slope) = text.split(" = "), latex.split(" = ")
            if is_sum(slope):
                slope, tex_slope = f"({slope})", f"({tex_slope})"
            called = _equation(
                Formula(f"{above.text} * {prime}", rf"{above.latex} \odot {tex_prime}"),
                Formula(f"{above.text} * {slope}", rf"{above.latex} \odot {tex_slope}"),
            )
            self.backward[z] = _equation(delta, called)
        elif layer.activation == "Softmax":
            p = self.name(a)
            called = Formula(
                f"{p.text} * ({above.text} - sum({p.text} * {above.text}))",
                rf"{p.latex} \odot ({above.latex} - \sum {p.latex} \odot {above.latex})",
            )
            self.backward[z] = _equation(delta, called)
        elif layer.activation == "LogSoftmax":
            p = self.name(a)
            called = Formula(
                f"{above.text} - exp({p.text}) * sum({above.text})",
                rf"{above.latex} - e^{{{p.latex}}} \odot \sum {above.latex}",
            )
            self.backward[z] = _equation(delta, called)

    # Loss

    def _describe_loss(self, loss: Any) -> None:
        written_out = expression(self.step.loss, self._called, self._leaf)
        if written_out is not None:
            self.forward[self.step.loss] = _equation(self.names[self.step.loss], written_out)
        if len(self.step.outputs) != 1 or len(self.step.targets) != 1:
            return
        (output,), (target,) = self.step.outputs, self.step.targets
        found = loss_formulas(loss, self.name(output), self.name(target), output, target)
        if found is not None:
            value, gradient = found
            self.forward[self.step.loss] = _equation(self.names[self.step.loss], value)
            if output in self.backward:
                self.backward[output] = _equation(self.gradient(output), gradient)

    def _called(self, node: Tensor) -> Formula | None:
        """The name of a node that is a leaf with one, or has a letter."""
        return self.name(node) if node in self.names or node.state is not None else None

    def _leaf(self, node: Tensor) -> Formula:
        """A constant by its number, if it has one number everywhere."""
        number = constant(node)
        return self.name(node) if number is None else Formula(f"{number:g}", f"{number:g}")


class _Products:
    """The products of a layer's weights, of columns or of rows."""

    def __init__(self, letters: Letters, form: Form) -> None:
        self.is_row = form == "row"
        self.is_transposed = letters.weight == "w"  # w = W^T

    def forward(self, product: Product, W: Formula, a: Formula) -> Formula:
        """What the weights make of a."""
        if product == "convolution":
            return _convolution(W, a)
        if product == "transposed convolution":
            return _transposed_convolution(W, a)
        if not self.is_row:
            return _product(W, a)
        return _product(a, W if self.is_transposed else _transposed(W))

    def back(self, product: Product, W: Formula, delta: Formula) -> Formula:
        """dL/da of what takes a."""
        if product == "convolution":
            return _transposed_convolution(W, delta)
        if product == "transposed convolution":
            return _convolution(W, delta)
        if not self.is_row:
            return _product(_transposed(W), delta)
        return _product(delta, _transposed(W) if self.is_transposed else W)

    def weight(self, product: Product, delta: Formula, a: Formula) -> Formula:
        """dL/dW."""
        if product == "convolution":
            return _convolution(a, delta)
        if product == "transposed convolution":
            return _convolution(delta, a)
        if not self.is_row:
            return _product(delta, _transposed(a))
        if self.is_transposed:
            return _product(_transposed(a), delta)
        return _product(_transposed(delta), a)


def constant(leaf: Tensor) -> float | None:
    """The number that a constant has everywhere; None for anything else."""
    if leaf.operation is not None or leaf.state is not None or leaf.dtype.kind != "f":
        return None
    values = leaf.numpy()
    return float(values.flat[0]) if values.size and values.min() == values.max() else None


def _is_closed(layer: FoundLayer, step: Step) -> bool:
    """Whether a layer is one function of its input, through whose output all gradients come."""
    nodes = set(layer.nodes)
    inner = nodes - {layer.output}
    return (
        layer.affine is None
        and not layer.is_open
        and layer.output in step.grad_table
        and all(c in nodes for node in inner for c, _, _ in step.parts.get(node, ()))
    )


def _is_first_branch(node: Tensor, index: int) -> bool:
    """Whether the input `index` of a node is all that it takes, as its condition is always true."""
    return operation_name(node) == "where" and index == 1 and is_true(node.inputs[0])


def _convolution(a: Formula, b: Formula) -> Formula:
    return Formula(f"conv({a.text}, {b.text})", rf"{a.latex} \ast {b.latex}")


def _transposed_convolution(W: Formula, a: Formula) -> Formula:
    return Formula(f"conv^T({W.text}, {a.text})", rf"{W.latex} \ast^{{T}} {a.latex}")


def _product(a: Formula, b: Formula) -> Formula:
    return Formula(f"{a.text} {b.text}", f"{a.latex} {b.latex}")


def _transposed(a: Formula) -> Formula:
    latex = f"({a.latex})^{{T}}" if "^" in a.latex else f"{a.latex}^{{T}}"
    return Formula(f"{a.text}^T", latex)


def _equation(left: Formula, right: Formula) -> Formula:
    return joined((left, right), " = ")


def _typewriter(name: str) -> Formula:
    return Formula(name, rf"\mathtt{{{in_latex(name)}}}")
