"""The formulas of a step, forward and backward, in the reader's letters."""

from __future__ import annotations

from typing import Any

from chainrule.graph.state import State
from chainrule.graph.tensor import Tensor
from chainrule.inspect.affine import Product
from chainrule.inspect.found_layers import FoundLayer
from chainrule.inspect.letters import Form, Formula, Letters, tex
from chainrule.inspect.losses import loss_formulas
from chainrule.inspect.step import Step

_SIGNS = {
    "add": (" + ", " + "),
    "subtract": (" - ", " - "),
    "multiply": (" * ", r" \odot "),
    "divide": (" / ", " / "),
}


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
        self._letters: dict[State, Formula] = {}
        self._deltas: dict[Tensor, Formula] = {}
        self._numbers = {node: number for number, node in enumerate(step.nodes)}
        self._name(found)
        for node in step.nodes:
            if node.operation is not None:
                self.forward[node] = self._operation(node)
        for node in step.visited:
            self.backward[node] = self._sum_of_parts(node)
        for layer in found:
            if layer.affine is None:
                self._describe(layer)
            else:
                self._describe_affine(layer, found)
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
        if node.operation is None and node.shape == ():
            return Formula(f"{node.item():g}", f"{node.item():g}")
        number = self._numbers.get(node)  # None for data that the loss does not depend on
        return Formula("%" if number is None else f"%{number}", f"v_{{{number or ''}}}")

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
        for layer in found:
            k, kind = layer.number, layer.kind.lower()
            if k is None:
                if layer.output not in self.names:
                    kinds[kind] = kinds.get(kind, 0) + 1
                    latex = rf"\mathrm{{{kind}}}_{{{kinds[kind]}}}"
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
        name = node.operation.name if node.operation is not None else ""
        inputs = [self.name(i) for i in node.inputs]
        text, latex = [i.text for i in inputs], [i.latex for i in inputs]
        if name in _SIGNS:
            sign, tex_sign = _SIGNS[name]
            called = Formula(sign.join(text), tex_sign.join(latex))
        else:
            function = name.replace("_", r"\_")
            called = Formula(
                f"{name}({', '.join(text)})", rf"\mathrm{{{function}}}({', '.join(latex)})"
            )
        return _equation(self.name(node), called)

    def _sum_of_parts(self, node: Tensor) -> Formula:
        """The gradient as algorithm 6.6 has it: the sum over the consumers."""
        if node is self.step.loss:
            return _equation(self.gradient(node), Formula("1", "1"))
        v = self.name(node)
        parts = []
        for consumer, _, _ in self.step.parts.get(node, ()):
            above, c = self.gradient(consumer), self.name(consumer)
            parts.append(
                Formula(
                    f"{above.text} d{c.text}/d{v.text}",
                    rf"{above.latex} \frac{{\partial {c.latex}}}{{\partial {v.latex}}}",
                )
            )
        return _equation(self.gradient(node), _joined(" + ", parts))

    # Layers

    def _describe(self, layer: FoundLayer) -> None:
        """A layer without a number, as a function of its input."""
        if layer.input is not None and layer.input is not layer.output:
            given = self.name(layer.input)
            called = Formula(
                f"{layer.kind}({given.text})", rf"\mathrm{{{layer.kind}}}({given.latex})"
            )
            self.forward[layer.output] = _equation(self.name(layer.output), called)

    def _describe_affine(self, layer: FoundLayer, found: list[FoundLayer]) -> None:
        z, a = layer.preactivation, layer.output
        given = self.name(layer.input) if layer.input is not None else Formula("x", "x")
        assert layer.affine is not None
        product, weight, bias = layer.affine
        terms = [self.products.forward(product, self.name(weight), given)]
        terms += [] if bias is None else [self.name(bias)]
        self.forward[z] = _equation(self.name(z), _joined(" + ", terms))
        if a is not z:
            g, inner = self.letters.function, self.name(z)
            called = Formula(f"{g}({inner.text})", f"{tex(g)}({inner.latex})")
            if layer.activation in ("Softmax", "LogSoftmax"):
                name = layer.activation.lower()
                called = Formula(f"{name}({inner.text})", rf"\mathrm{{{name}}}({inner.latex})")
            self.forward[a] = _equation(self.name(a), called)
        self._describe_backward(layer, found)
        delta = self._deltas[z]
        is_sum = self.step.rows > 1 or z.ndim > 2
        of_bias = Formula(f"sum({delta.text})", rf"\sum {delta.latex}") if is_sum else delta
        for node, called in (
            (weight, self.products.weight(product, delta, given)),
            (bias, of_bias),
        ):
            # What several layers share has the sum over them.
            if node in self.backward and len(self.step.parts[node]) == 1:
                self.backward[node] = _equation(self.gradient(node), called)

    def _describe_backward(self, layer: FoundLayer, found: list[FoundLayer]) -> None:
        """delta, and dL/da where layers alone take a."""
        z, a = layer.preactivation, layer.output
        if z not in self.backward:
            return
        takers = [taker for taker in found if taker.input is a and taker.affine is not None]
        inside = {node for taker in takers for node in taker.nodes}
        consumers = [consumer for consumer, _, _ in self.step.parts.get(a, ())]
        back = None
        if takers and all(consumer in inside for consumer in consumers):
            back = _joined(" + ", [
                self.products.back(
                    taker.affine.product, self.name(taker.affine.weight),
                    self._deltas[taker.preactivation],
                )
                for taker in takers if taker.affine is not None
            ])  # fmt: skip
            self.backward[a] = _equation(self.gradient(a), back)
        if a is z:
            return
        above = self.gradient(a) if back is None else Formula(f"({back.text})", f"({back.latex})")
        g, inner, delta = self.letters.function, self.name(z), self._deltas[z]
        if layer.derivative is not None:
            called = Formula(
                f"{above.text} * {g}'({inner.text})",
                rf"{above.latex} \odot {tex(g)}'({inner.latex})",
            )
            self.backward[z] = _equation(delta, called)
        elif layer.activation == "Softmax":
            p = self.name(a)
            called = Formula(
                f"{p.text} * ({above.text} - sum({p.text} * {above.text}))",
                rf"{p.latex} \odot ({above.latex} - \sum {p.latex} \odot {above.latex})",
            )
            self.backward[z] = _equation(delta, called)

    # Loss

    def _describe_loss(self, loss: Any) -> None:
        if len(self.step.outputs) != 1 or len(self.step.targets) != 1:
            return
        (output,), (target,) = self.step.outputs, self.step.targets
        found = loss_formulas(loss, self.name(output), self.name(target), output, target)
        if found is not None:
            value, gradient = found
            self.forward[self.step.loss] = _equation(self.names[self.step.loss], value)
            if output in self.backward:
                self.backward[output] = _equation(self.gradient(output), gradient)


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


def _convolution(a: Formula, b: Formula) -> Formula:
    return Formula(f"conv({a.text}, {b.text})", rf"{a.latex} \ast {b.latex}")


def _transposed_convolution(W: Formula, a: Formula) -> Formula:
    return Formula(f"conv^T({W.text}, {a.text})", rf"{W.latex} \ast^{{T}} {a.latex}")


def _product(a: Formula, b: Formula) -> Formula:
    return Formula(f"{a.text} {b.text}", f"{a.latex} {b.latex}")


def _transposed(a: Formula) -> Formula:
    latex = f"({a.latex})^{{T}}" if "^" in a.latex else f"{a.latex}^{{T}}"
    return Formula(f"{a.text}^T", latex)


def _joined(sign: str, terms: list[Formula]) -> Formula:
    return Formula(sign.join(t.text for t in terms), sign.join(t.latex for t in terms))


def _equation(left: Formula, right: Formula) -> Formula:
    return Formula(f"{left.text} = {right.text}", f"{left.latex} = {right.latex}")


def _typewriter(name: str) -> Formula:
    escaped = name.replace("_", r"\_")
    return Formula(name, rf"\mathtt{{{escaped}}}")
