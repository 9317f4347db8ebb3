"""The usual slips of a derivation by hand: for each kind of quantity, what one gets with them.

A slip is a sentence and the value that it leads to. The sentences name layers as the reader does:
"{i}" is the layer, "{next}" the one above it, "{last}" the one below.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from chainrule.graph.tensor import Array, Tensor
from chainrule.nn import functional
from chainrule.testing.network import (
    IDENTITY,
    Network,
    Numbers,
    Quantity,
    Stretch,
    gradient_of_a,
)


class Slip(NamedTuple):
    """What is wrong, and the value that one gets so."""

    sentence: str
    value: Array


G = Callable[[Tensor], Tensor]
ACTIVATIONS: dict[str, G] = {
    "sigmoid": functional.sigmoid,
    "tanh": functional.tanh,
    "relu": functional.relu,
    "leaky_relu": functional.leaky_relu,
    "softplus": functional.softplus,
    "softmax": lambda z: functional.softmax(z, -1),
}
BY_OUTPUT: dict[str, tuple[Callable[[Array], Array], str]] = {
    "sigmoid": (lambda a: a * (1 - a), "a (1 - a)"),
    "tanh": (lambda a: 1 - a * a, "1 - a^2"),
    "softplus": (lambda a: 1 - np.exp(-a), "1 - exp(-a)"),
}
"""g' written by a = g(z), as books do: with z in the place of a it is wrong."""


def slips(net: Network, s: Numbers, quantity: Quantity) -> Iterator[Slip]:
    """What each usual slip makes of a quantity, from the quantities before it."""
    i = quantity.layer
    names = {"i": i, "next": i + 1, "last": i - 1}
    is_gradient = quantity.kind in ("delta", "dW", "db")
    if is_gradient:
        of_bias = quantity.kind == "db"
        sentence = "it is 0, as if there were no bias" if of_bias else "it is 0 everywhere"
        yield Slip(sentence, np.zeros_like(s[quantity]))
    for sentence, value in KINDS[quantity.kind](net, s, i):
        if value is not None and np.all(np.isfinite(value)) and (np.any(value) or not is_gradient):
            yield Slip(sentence.format(**names), value)


Found = Iterator[tuple[str, "Array | None"]]


def _value(s: Numbers, kind: str, i: int) -> Array | None:
    return s.get(Quantity(kind, i))


def _below(net: Network, s: Numbers, i: int) -> Array | None:
    return net.inputs[1] if i == 1 else _value(s, "a", i - 1)


def _product(left: Array | None, right: Array | None) -> Array | None:
    """left @ right, where the shapes fit."""
    if left is None or right is None or left.shape[-1] != right.shape[0]:
        return None
    return left @ right


def _times(left: Array | None, right: Array | None) -> Array | None:
    """left * right, where the shapes are equal."""
    if left is None or right is None or left.shape != right.shape:
        return None
    return left * right


def _z(net: Network, s: Numbers, i: int) -> Found:
    a, W, b = _below(net, s, i), net.weights[i], net.biases[i]
    linear = _product(a, W.T)
    if b is not None and linear is not None:
        yield "the bias b{i} is missing", linear
        yield "the bias b{i} is subtracted", linear - b
        yield "the bias b{i} is added twice", linear + 2 * b
    if W.shape[0] == W.shape[1]:
        turned = _product(a, W)
        yield (
            "W{i} is transposed: weight w_jk leads from input "
            + ("j to neuron k" if net.inputs_first else "k to neuron j"),
            None if turned is None else turned + (0 if b is None else b),
        )
    for k in range(1, i):
        for kind in ("z", "a"):
            if (kind, k) != ("a", i - 1):
                other = _product(_value(s, kind, k), W.T)
                missing = f"; the activation of layer {k} is missing" if kind == "z" else ""
                yield (
                    f"{kind}{k} is taken for a{{last}}{missing}",
                    None if other is None else other + (0 if b is None else b),
                )
    if i > 1:
        other = _product(net.inputs[1], W.T)
        yield "x is taken for a{last}", None if other is None else other + (0 if b is None else b)


def _a(net: Network, s: Numbers, i: int) -> Found:
    z, g = s[Quantity("z", i)], net.activations[i]
    if g is None:
        return
    yield "the activation of layer {i} is missing: yours is z{i}", z
    for name, other in ACTIVATIONS.items():
        yield (
            f"another activation: yours is {name}(z{{i}}), the model's is {g.name}",
            Stretch(g.start, g.end, name, other)(z),
        )
    if g.name.lower() == "softmax":
        powers = np.exp(z - z.max())
        yield "softmax is normed over the examples, not over the classes", powers / powers.sum(0)
        yield "softmax is normed over all elements", powers / powers.sum()
        yield "softmax is not normed: yours is exp(z{i})", np.exp(z)
    yield "the activation is applied twice", g(g(z))
    yield "yours is the derivative g'(z{i}), not g(z{i})", g.derivative(z)


def _loss(net: Network, s: Numbers, _: int) -> Found:
    ours = s[Quantity("loss", 0)]
    a, z = _value(s, "a", net.depth), s[Quantity("z", net.depth)]
    target = None if a is None else one_hot(net, a)
    if a is not None and target is not None:
        if net.takes == "class logits":
            yield "the logarithm is missing: -p for -log p", -(target * a).sum() / net.rows
            yield "the softmax is missing: -z for -log p", -(target * z).sum() / net.rows
        elif net.takes in ("logits", "probabilities"):
            likely = target * a + (1 - target) * (1 - a)
            yield "the logarithm is missing: -p for -log p", -likely.mean()
            yield "the half of the targets 0 is missing", -(target * np.log(a)).mean()
    penalty = penalty_of(net)
    for degree, name in ((2, "squares"), (1, "absolute values")):
        if penalty:
            yield f"the penalty on the weights is missing (their {name})", ours - penalty / degree
            yield "the penalty on the weights is counted twice", ours + penalty / degree
            yield "the penalty is half as large: its 1/2 twice", ours - penalty / degree / 2


def penalty_of(net: Network) -> float:
    """<W, gradient of the penalty>: twice a penalty of squares, once one of absolute values."""
    total = 0.0
    for quantity, extra in net.extra.items():
        of = net.weights if quantity.kind == "dW" else net.biases
        total += float((extra * np.asarray(of[quantity.layer])).sum())
    return total


def _delta(net: Network, s: Numbers, i: int) -> Found:
    z, a, g = s[Quantity("z", i)], _value(s, "a", i), net.activations[i]
    above = gradient_of_a(net, s, i)
    if i == net.depth and net.loss_holds_activation:
        yield from _delta_in_loss(net, s, i)
        return
    if g is None or above is None or a is None:
        return
    slope = g.derivative(z)
    if g.name != IDENTITY:
        factor = "yours is ours / g'(z{i}); " if slope is not None else ""
        yield f"{factor}the factor g'(z{{i}}) is missing", above
    if slope is None:  # softmax
        yield (
            "softmax is not elementwise: only the diagonal of its Jacobian is used",
            a * (1 - a) * above,
        )
    else:
        at_a = g.derivative(a)
        yield "g' is taken at a{i} instead of z{i}", _times(above, at_a)
        yield "g'(z{i}) is applied twice", above * slope * slope
        yield "a{i} is multiplied instead of g'(z{i})", above * a
        yield "z{i} is multiplied instead of g'(z{i})", above * z
        yield "g(z) (1 + g(z)) in place of g(z) (1 - g(z))", above * a * (1 + a)
        for m, other in net.activations.items():
            if m != i and other is not None:
                yield (
                    f"the derivative of another layer is taken: g'(z{m}) instead of g'(z{{i}})",
                    _times(above, other.derivative(s[Quantity("z", m)])),
                )
    for name, (formula, text) in BY_OUTPUT.items():
        if name == g.name:
            yield f"g' is written by a{{i}}, but z{{i}} is put in: {name}'", above * formula(z)
        elif slope is not None:
            yield (
                f"another activation's derivative: {text} is {name}', the model's is {g.name}",
                (above * formula(a)),
            )
    for name, other_g in ACTIVATIONS.items():
        if name not in (g.name, "softmax"):
            yield (
                f"another activation's derivative: that of {name}, the model's is {g.name}",
                Stretch(g.start, g.end, name, other_g).pull(z, above),
            )
    if i < net.depth:
        yield from _delta_below(net, s, i, g)
    else:
        yield from _delta_of_other_loss(net, s, i)


def _delta_in_loss(net: Network, s: Numbers, i: int) -> Found:
    a, delta = s[Quantity("a", i)], s[Quantity("delta", i)]
    target = one_hot(net, a)
    yield (
        "g' is applied although the loss's derivative with respect to z{i} has it: p - y",
        (delta * a * (1 - a)),
    )
    if target is not None:
        for rows, mean in ((net.rows, ""), (1, ", and so is the 1/B of the mean")):
            by_p = -target / a / rows
            softmax = net.takes == "class logits"
            if not softmax:
                by_p = by_p + (1 - target) / (1 - a) / rows
                if rows > 1:
                    by_p = by_p / a.shape[-1]
            name = "softmax" if softmax else "logistic function"
            yield f"the derivative of the {name} is forgotten: yours is dL/dp{mean}", by_p
            if softmax:
                yield (
                    f"only the diagonal of softmax's Jacobian is used{mean}",
                    by_p * a * (1 - a),
                )
        yield (
            "the softmax is missing: z - y instead of p - y",
            (s[Quantity("z", i)] - target) / net.rows,
        )
        yield "the target is missing: p instead of p - y", a / net.rows


def one_hot(net: Network, a: Array) -> Array | None:
    """The targets in the shape of the outputs, where they are of one kind or the other."""
    y = net.targets
    if y is None:
        return None
    if y.size == a.size:
        return y.reshape(a.shape).astype(np.float64)
    if y.dtype.kind in "iu" and y.size == len(a) and 0 <= y.min() <= y.max() < a.shape[-1]:
        return np.eye(a.shape[-1])[y.reshape(-1)]
    return None


def _delta_of_other_loss(net: Network, s: Numbers, i: int) -> Found:
    a, z, g = s[Quantity("a", i)], s[Quantity("z", i)], net.activations[i]
    target = one_hot(net, a)
    if target is not None and g is not None:
        yield "another loss's delta: a - y, without g'(z{i})", a - target
        yield "z{i} - y in place of a{i} - y", g.pull(z, z - target)


def _delta_below(net: Network, s: Numbers, i: int, g: Stretch) -> Found:
    z, W, delta = s[Quantity("z", i)], net.weights[i + 1], s[Quantity("delta", i + 1)]

    def pull(above: Array | None) -> Array | None:
        return None if above is None or above.shape != z.shape else g.pull(z, above)

    if W.shape[0] == W.shape[1]:
        product = "delta{next} W{next}^T" if net.inputs_first else "(W{next})^T delta{next}"
        yield f"W{{next}} is not transposed in {product}", pull(delta @ W.T)
    new = _value(s, "W", i + 1)
    if new is not None:
        yield "the updated W{next} is used in the backward pass", pull(delta @ new)
    for m in range(1, net.depth + 1):
        if m != i + 1:
            yield (
                f"delta{m} is taken for delta{{next}}",
                pull(_product(_value(s, "delta", m) if m > i else None, W)),
            )
            yield f"W{m} is taken for W{{next}}", pull(_product(delta, net.weights[m]))
    yield "W{next} is missing: delta{next} is passed back as it is", pull(delta)
    yield (
        "the error is shared equally, not in proportion to the weights W{next}",
        pull(np.repeat(delta.sum(-1, keepdims=True), z.shape[-1], -1)),
    )
    yield "the absolute values of W{next} are used", pull(delta @ np.abs(W))


def _dw(net: Network, s: Numbers, i: int) -> Found:
    quantity = Quantity("dW", i)
    delta, a, extra = s[Quantity("delta", i)], _below(net, s, i), net.extra[quantity]
    plain = _product(delta.T, a)
    if plain is None or a is None:
        return
    yield (
        "the outer product is the wrong way round: dL/dW = "
        + ("a^T delta, one column a neuron" if net.inputs_first else "delta a^T, one row a neuron"),
        (plain + extra).T,
    )
    if np.any(extra):
        yield "the penalty's gradient is missing", plain
        yield "the penalty's gradient is twice as large", plain + 2 * extra
        yield (
            "the penalty's gradient is half as large: the 2 of the square is missing",
            (plain + extra / 2),
        )
        yield "the penalty's gradient is subtracted", plain - extra
    for kind, k in [("x", 0), *((kind, k) for k in range(1, net.depth + 1) for kind in ("z", "a"))]:
        if (kind, k) not in (("x", 0) if i == 1 else (), ("a", i - 1)):
            other = net.inputs[1] if kind == "x" else _value(s, kind, k)
            name = kind if kind == "x" else f"{kind}{k}"
            right = "x" if i == 1 else "a{last}"
            value = None if other is None else delta.T @ other + 0.0
            fits = value is not None and value.shape == plain.shape
            yield f"{name} is taken for {right}", value + extra if fits else None
    for m in range(1, net.depth + 1):
        if m != i:
            value = _product(s[Quantity("delta", m)].T, a)
            fits = value is not None and value.shape == plain.shape
            yield f"delta{m} is taken for delta{{i}}", value + extra if fits else None
    g, by_a = net.activations[i], gradient_of_a(net, s, i)
    if by_a is not None:
        yield "dL/da{i} is taken for delta{i}: the factor g'(z{i}) is missing", by_a.T @ a + extra
    if g is not None:
        yield "g'(z{i}) is applied twice", g.pull(s[Quantity("z", i)], delta).T @ a + extra
    if net.rows > 1:
        for row, name in ((0, "first"), (-1, "last")):
            one = np.outer(delta[row], a[row])
            yield f"only the {name} example is counted", one + extra
        yield (
            "the sums of delta{i} and a{last} are multiplied, not each example's and then added",
            (np.outer(delta.sum(0), a.sum(0)) + extra),
        )


def _db(net: Network, s: Numbers, i: int) -> Found:
    delta, extra = s[Quantity("delta", i)], net.extra[Quantity("db", i)]
    a = _below(net, s, i)
    yield "it is not summed over the batch: db is the sum of the rows of delta", delta
    yield "it is summed over the neurons, not over the examples", delta.sum(axis=1)
    yield "it is summed over the neurons too", delta.sum()
    if np.any(extra):
        yield "the penalty's gradient is missing", delta.sum(0)
    b = net.biases[i]
    yield "it is multiplied by b{i}: the derivative with respect to b is 1", delta.sum(0) * b
    if a is not None:
        yield (
            "the input is multiplied: the derivative of z with respect to b is 1",
            ((delta * a.sum(-1, keepdims=True)).sum(0)),
        )
    for m in range(1, net.depth + 1):
        if m != i and s[Quantity("delta", m)].shape == delta.shape:
            yield f"delta{m} is taken for delta{{i}}", s[Quantity("delta", m)].sum(0)
    by_a, g = gradient_of_a(net, s, i), net.activations[i]
    if by_a is not None:
        yield "dL/da{i} is taken for delta{i}: the factor g'(z{i}) is missing", by_a.sum(0)
    if g is not None:
        yield "g'(z{i}) is applied twice", g.pull(s[Quantity("z", i)], delta).sum(0)


def _update(kind: str) -> Callable[[Network, Numbers, int], Found]:
    def found(net: Network, s: Numbers, i: int) -> Found:
        old = net.weights[i] if kind == "W" else np.asarray(net.biases[i])
        new, gradient = s[Quantity(kind, i)], s[Quantity("d" + kind, i)]
        step = new - old
        name = kind + "{i}"
        yield f"the step is added: {name} - lr dL/d{name} goes downhill, + uphill", old - step
        yield "the learning rate is missing", old - gradient
        yield f"{name} is not updated", old
        yield "yours is the step alone, without the old weights", step
        yield "yours is the step alone, with the sign of the gradient", -step
        lr = net.lr(i, kind)
        if lr is not None:
            yield "the learning rate is applied twice", old - lr * lr * gradient
        if kind == "W" and gradient.shape[0] == gradient.shape[1]:
            yield "dW{i} is transposed", old + step.T
        for factor, sentence in factors(net, "dW"):
            if factor != -1:
                yield f"the step is {factor:g} times ours: {sentence}", old + factor * step

    return found


KINDS: dict[str, Callable[[Network, Numbers, int], Found]] = {
    "z": _z,
    "a": _a,
    "loss": _loss,
    "delta": _delta,
    "dW": _dw,
    "db": _db,
    "W": _update("W"),
    "b": _update("b"),
}


def factors(net: Network, kind: str) -> list[tuple[float, str]]:
    """The constant factors by which one is usually wrong, with their sentences."""
    B, n = net.rows, net.numbers[Quantity("delta", net.depth)].shape[1]
    found = [
        (-1.0, "the sign is wrong" + (": y - a for a - y" if kind == "delta" else "")),
        (0.5, "a factor 1/2 too much, or the 2 of the square's derivative is missing"),
        (2.0, "a factor 1/2 is missing, or a factor 2 is too much"),
        (float(B), "the sum over the batch for the mean: 1/B is missing"),
        (1 / B, "the mean over the batch for the sum: 1/B is applied twice or too much"),
        (float(n), "the sum over the outputs for the mean"),
        (1 / n, "the mean over the outputs for the sum"),
    ]
    if B > 1 and n > 1:
        found += [
            (float(B * n), "the sum over batch and outputs for the mean"),
            (1 / (B * n), "the mean over batch and outputs for the sum"),
        ]
    if kind == "loss":
        found.append((1 / np.log(2), "the logarithm is that of base 2"))
        found.append((1 / np.log(10), "the logarithm is that of base 10"))
    return [(factor, sentence) for factor, sentence in found if factor != 1]
