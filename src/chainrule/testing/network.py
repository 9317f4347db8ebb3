"""The fully connected layers of a model in one step: every number, and the formula of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple, cast

import numpy as np

from chainrule.graph.backprop import ancestors, backprop
from chainrule.graph.context import no_grad
from chainrule.graph.grad_table import GradTable
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.step import Call, Step
from chainrule.nn import functional
from chainrule.nn.layers.linear import Linear

WITHIN_THE_LOSS: Mapping[str, tuple[str, Callable[[Tensor], Tensor]]] = {
    "class logits": ("Softmax", lambda z: functional.softmax(z, -1)),
    "logits": ("Sigmoid", functional.sigmoid),
}
"""The last activation, by what a loss takes: CrossEntropyLoss contains the softmax."""


IDENTITY = "identity"


class Quantity(NamedTuple):
    """A number or an array of a derivation."""

    kind: str
    """z, a, loss, delta, dW, db, W or b; the last two are the weights after the update."""
    layer: int
    """From 1; 0 is the loss."""

    def __str__(self) -> str:
        if self.kind in ("W", "b"):
            return f"new_{self.kind}{self.layer}"
        return f"{self.kind}{self.layer}" if self.layer else self.kind


Numbers = dict[Quantity, Array]
Formula = Callable[["Network", Numbers, int], "Array | None"]


class Stretch(NamedTuple):
    """A layer's activation: the graph from its z to its a."""

    start: Tensor
    end: Tensor
    name: str
    function: Callable[[Tensor], Tensor] | None = None
    """Where the loss contains it, so that the graph does not."""

    def __call__(self, z: Array) -> Array:
        return flat(self.again(z)[1].numpy(), z.shape[-1])

    def pull(self, z: Array, grad_a: Array) -> Array:
        """The vector-Jacobian product: dL/dz from dL/da."""
        start, end = self.again(z)
        with no_grad():
            grad_table = backprop(end, [start], grad_a.reshape(end.shape).astype(end.dtype))
        return flat(_gradient(grad_table, start), z.shape[-1])

    def derivative(self, z: Array) -> Array | None:
        """g'(z) where g is elementwise, else None."""
        slope = self.pull(z, np.ones(z.shape))
        v = np.random.default_rng(0).uniform(0.5, 2.0, z.shape)
        return slope if np.allclose(self.pull(z, v), v * slope, 1e-4, 1e-7) else None

    def again(self, z: Array) -> tuple[Tensor, Tensor]:
        """The nodes of the stretch computed from another z."""
        start = Tensor(z.reshape(self.start.shape).astype(self.start.dtype), requires_grad=True)
        if self.function is not None:
            return start, self.function(start)
        new = {self.start: start}
        for node in ancestors(self.end):
            if node.operation is not None and any(x in new for x in node.inputs):
                inputs = (new.get(x, x) for x in node.inputs)
                new[node] = node.operation.apply(*inputs, **node.attributes)
        return start, new[self.end]


class Network:
    """What one step of a model computes in its fully connected layers, as the graph has it.

    Attributes:
        order: the quantities in the order of computation.
        numbers: their values; examples are rows, weights are (out, in), all in float64.
        weights, biases, inputs: by layer, from 1; a bias may be None.
        rows: how many examples there are.
        targets: those of the loss; None of several arrays.
        takes: what the loss takes: "class logits" and so on.
        inputs_first: whether the hand's letters are those of z = a w + b, with w (in, out).
        activations: by layer; None where the model is not a plain chain there.
        after: the graph from the model's output to the loss.
        extra: what dW and db have beyond delta a^T and the sum of delta: a penalty's gradient.
    """

    def __init__(self, step: Step, takes: str, inputs_first: bool = False) -> None:
        graph = set(step.nodes)
        calls = [c for c in step.calls if isinstance(c.module, Linear) and c.output in graph]
        if not calls:
            raise ValueError(
                "the model calls no nn.Linear on which the loss depends: z, a and delta are those "
                "of fully connected layers"
            )
        output = step.outputs[0]
        self.depth, self.dtype, self.takes = len(calls), output.dtype, takes
        self.inputs_first = inputs_first
        self.after = Stretch(output, step.loss, "loss")
        self.targets = step.targets[0].numpy() if len(step.targets) == 1 else None
        self.weights: dict[int, Array] = {}
        self.biases: dict[int, Array | None] = {}
        self.inputs: dict[int, Array] = {}
        self.activations: dict[int, Stretch | None] = {}
        self.numbers: Numbers = {}
        self.extra: Numbers = {}
        self.loss_holds_activation = False
        zs = [cast(Tensor, call.output) for call in calls]
        leaves = {node.state: node for node in step.nodes if node.state is not None}
        biases = [_bias(call, leaves) for call in calls]
        weights = [_weight(step, call) for call in calls]
        with no_grad():  # frozen parameters and other rooms of the graph have gradients, too
            sought = [*zs, *weights, *(b for b in biases if b is not None)]
            grad_table = backprop(step.loss, sought)
        for i, (call, z, W, b) in enumerate(zip(calls, zs, weights, biases, strict=True), start=1):
            self.weights[i] = W.numpy().astype(np.float64)
            self.biases[i] = None if b is None else b.numpy().astype(np.float64)
            self.inputs[i] = flat(call.inputs[0].numpy(), call.inputs[0].shape[-1])
            self._put("z", i, flat(z.numpy(), z.shape[-1]))
            end = calls[i].inputs[0] if i < self.depth else output
            stretch = self.activations[i] = self._stretch(i, z, end)
            if stretch is not None:
                self._put("a", i, stretch(self.numbers[Quantity("z", i)]))
            self._put("delta", i, flat(_gradient(grad_table, z), z.shape[-1]))
            for kind, p in (("W", W), ("b", b)):
                if p is not None:
                    self._put("d" + kind, i, _gradient(grad_table, p))
                    if p.state in step.new:
                        self._put(kind, i, step.new[p.state])
        self.rows = len(self.inputs[1])
        self._put("loss", 0, step.loss.numpy())
        self.order = self._ordered()
        self._find_extra()

    def _stretch(self, i: int, z: Tensor, end: Tensor) -> Stretch | None:
        """The activation of layer i."""
        nodes = ancestors(end)
        if z not in set(nodes) or end.size != z.size:
            return None
        depend = {z}
        names = []
        for node in nodes:
            if node.operation is not None and not depend.isdisjoint(node.inputs):
                depend.add(node)
                names.append(node.operation.name)
        names = [name for name in names if name != "reshape"]
        if not names and i == self.depth and self.takes in WITHIN_THE_LOSS:
            self.loss_holds_activation = True
            return Stretch(z, z, *WITHIN_THE_LOSS[self.takes])
        return Stretch(z, end, ", ".join(names) or IDENTITY)

    def _put(self, kind: str, layer: int, value: Array) -> None:
        self.numbers[Quantity(kind, layer)] = np.asarray(value, np.float64)

    def _ordered(self) -> list[Quantity]:
        up = range(1, self.depth + 1)
        order = [Quantity(kind, i) for i in up for kind in ("z", "a")]
        order += [Quantity("loss", 0), *(Quantity("delta", i) for i in reversed(up))]
        order += [Quantity(kind, i) for i in reversed(up) for kind in ("dW", "db")]
        order += [Quantity(kind, i) for i in reversed(up) for kind in ("W", "b")]
        return [quantity for quantity in order if quantity in self.numbers]

    def _find_extra(self) -> None:
        for quantity in self.order:
            if quantity.kind in ("dW", "db"):
                ours, i = self.numbers[quantity], quantity.layer
                self.extra[quantity] = np.zeros(ours.shape)
                plain = FORMULAS[quantity.kind](self, self.numbers, i)
                if plain is not None and not close(plain, ours, 1e-4):
                    self.extra[quantity] = ours - plain

    def gradient_of_loss(self, output: Array) -> Array:
        """dL/d output, at any output."""
        return self.after.pull(output, np.ones(()))

    def lr(self, i: int, kind: str) -> float | None:
        """The rate of an update that is a multiple of the gradient; None of any other."""
        step = self.numbers[Quantity(kind, i)] - (
            self.weights[i] if kind == "W" else np.asarray(self.biases[i])
        )
        return multiple(-step, self.numbers[Quantity("d" + kind, i)], 1e-4)

    def holds(self, quantity: Quantity) -> bool:
        """Whether the formula of a plain chain of layers gives the graph's number."""
        value = FORMULAS[quantity.kind](self, self.numbers, quantity.layer)
        return value is not None and close(value, self.numbers[quantity], 1e-3)


def _bias(call: Call, leaves: Mapping[State, Tensor]) -> Tensor | None:
    bias = call.module._parameters.get("bias")
    return None if bias is None else leaves.get(bias)


def _weight(step: Step, call: Call) -> Tensor:
    """The matrix of a layer, a leaf, or computed where it is normed."""
    layer = cast(Linear, call.module)
    sizes = layer.out_features, layer.in_features
    for node in step.nodes:
        if node.operation is None or not call.first < node.serial <= call.last:
            continue
        if node.operation.name == "matmul" and node.inputs[1].shape == sizes:
            return node.inputs[1]
    raise ValueError(
        f"layer {call.path!r} does not multiply its input by a matrix of shape {sizes}: z, a and "
        "delta are those of fully connected layers"
    )


def _gradient(grad_table: GradTable, variable: Tensor) -> Array:
    """Zeros where no differentiable path leads to the loss."""
    found = grad_table.get(variable)
    return np.zeros(variable.shape) if found is None else found.numpy()


def flat(array: Array, width: int) -> Array:
    """Examples as rows, in float64."""
    return array.reshape(-1, width).astype(np.float64)


def close(mine: Array, ours: Array, rtol: float) -> bool:
    """Whether two arrays differ by at most rtol times the largest element of ours."""
    if mine.shape != ours.shape:
        return False
    return bool(np.all(np.abs(mine - ours) <= rtol * np.abs(ours).max(initial=0.0)))


def multiple(mine: Array, ours: Array, rtol: float) -> float | None:
    """k where mine = k ours, else None."""
    if mine.shape != ours.shape or not np.any(ours):
        return None
    k = float((mine * ours).sum() / (ours * ours).sum())
    return k if k and close(mine, k * ours, rtol) else None


def _z(net: Network, s: Numbers, i: int) -> Array | None:
    a = net.inputs[i] if i == 1 else s.get(Quantity("a", i - 1))
    if a is None:
        return None
    b = net.biases[i]
    return a @ net.weights[i].T + (0.0 if b is None else b)


def _a(net: Network, s: Numbers, i: int) -> Array | None:
    g = net.activations[i]
    return None if g is None else g(s[Quantity("z", i)])


def _loss(net: Network, s: Numbers, _: int) -> Array | None:
    output = s.get(Quantity("z" if net.loss_holds_activation else "a", net.depth))
    if output is None:
        return None
    return np.asarray(net.after.again(output)[1].numpy(), np.float64)


def gradient_of_a(net: Network, s: Numbers, i: int) -> Array | None:
    """dL/da of layer i: what its delta is before g'."""
    if i < net.depth:
        return s[Quantity("delta", i + 1)] @ net.weights[i + 1]
    a = s.get(Quantity("a", i))
    return None if a is None or net.loss_holds_activation else net.gradient_of_loss(a)


def _delta(net: Network, s: Numbers, i: int) -> Array | None:
    z, g = s[Quantity("z", i)], net.activations[i]
    if i == net.depth and net.loss_holds_activation:
        return net.gradient_of_loss(z)
    above = gradient_of_a(net, s, i)
    return None if g is None or above is None else g.pull(z, above)


def _dw(net: Network, s: Numbers, i: int) -> Array | None:
    a = net.inputs[i] if i == 1 else s.get(Quantity("a", i - 1))
    if a is None:
        return None
    return s[Quantity("delta", i)].T @ a + net.extra.get(Quantity("dW", i), 0.0)


def _db(net: Network, s: Numbers, i: int) -> Array | None:
    return s[Quantity("delta", i)].sum(axis=0) + net.extra.get(Quantity("db", i), 0.0)


def _update(kind: str) -> Formula:
    def formula(net: Network, s: Numbers, i: int) -> Array | None:
        lr = net.lr(i, kind)
        if lr is None:
            return None
        old = net.weights[i] if kind == "W" else net.biases[i]
        return np.asarray(old) - lr * s[Quantity("d" + kind, i)]

    return formula


FORMULAS: Mapping[str, Formula] = {
    "z": _z,
    "a": _a,
    "loss": _loss,
    "delta": _delta,
    "dW": _dw,
    "db": _db,
    "W": _update("W"),
    "b": _update("b"),
}
"""Each quantity from those before it, in a chain of fully connected layers."""


def derive(net: Network, s: Numbers, after: int, until: int) -> Iterator[tuple[Quantity, Array]]:
    """Compute the quantities order[after + 1 : until + 1] again from those in `s`, into it."""
    for quantity in net.order[after + 1 : until + 1]:
        value = FORMULAS[quantity.kind](net, s, quantity.layer)
        s[quantity] = net.numbers[quantity] if value is None else value
        yield quantity, s[quantity]
