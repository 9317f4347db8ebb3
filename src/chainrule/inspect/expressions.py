"""A node as one expression of what has a name: sum((z2 - y)^4) + 0.1 * sum(W1 * W1)."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np

from chainrule.graph.operation import operation_name
from chainrule.graph.tensor import Tensor
from chainrule.inspect.letters import OPERATORS, Formula, joined

_MOST = 100  # characters

_SUM, _PRODUCT, _WHOLE = range(3)
"""How strongly an expression holds together."""
_BINDS = {"add": _SUM, "subtract": _SUM, "multiply": _PRODUCT, "divide": _PRODUCT}
_ELEMENTWISE = (*OPERATORS, "power", "maximum", "minimum", "where")
_SAME = ("reshape", "astype")


def expression(
    node: Tensor, known: Callable[[Tensor], Formula | None], leaf: Callable[[Tensor], Formula]
) -> Formula | None:
    """The formula of what a node computes; None where it is long.

    Args:
        node: the node.
        known: the name that a node has; None for those that are to be written out.
        leaf: what a leaf is called.
    """

    def of(inner: Tensor, depth: int, least: int = _SUM) -> Formula:
        """An expression, in brackets where it holds together less than its surroundings."""
        if depth > _MOST:  # each level but a reshape adds a character
            raise _LongError
        depth += 1
        named = known(inner) if inner is not node else None
        if named is not None:
            return named
        if inner.operation is None:
            return leaf(inner)
        name, inputs = inner.operation.name, inner.inputs
        if name in _SAME:
            return of(inputs[0], depth, least)
        if name == "where" and is_true(inputs[0]):
            return of(inputs[1], depth, least)
        if name in _ELEMENTWISE:
            inputs = not_broadcast(inner)
        if name in OPERATORS:
            return _checked(_bracketed(signed(name, inputs, depth), _BINDS[name] < least))
        terms = [of(i, depth) for i in inputs]
        if name == "power":
            base, exponent = terms
            base = _bracketed(base, not base.text.isdecimal())
            is_plain = re.fullmatch(r"\w+", exponent.text) or _is_number(exponent)
            text = _bracketed(exponent, not is_plain).text
            return _checked(Formula(f"{base.text}^{text}", f"{base.latex}^{{{exponent.latex}}}"))
        if name == "broadcast_to":
            terms.append(Formula(str(inner.shape), str(inner.shape)))
        axes = inner.attributes.get("axes")
        if axes is not None and 1 < inner.size < inputs[0].size:
            axis = ", ".join(map(str, axes))
            shown = f"axis={axis}" if len(axes) == 1 else f"axis=({axis})"
            terms.append(Formula(shown, rf"\mathrm{{{shown}}}"))
        text, latex = joined(terms, ", ")
        escaped = name.replace("_", r"\_")
        return _checked(Formula(f"{name}({text})", rf"\mathrm{{{escaped}}}({latex})"))

    def signed(name: str, inputs: tuple[Tensor, ...], depth: int) -> Formula:
        weakest = _BINDS[name]
        after = weakest + (name in ("subtract", "divide"))
        terms = [of(i, depth, after if place else weakest) for place, i in enumerate(inputs)]
        signs = OPERATORS[name]
        if name == "multiply" and re.fullmatch(r"[\d.]+", terms[0].text):
            signs = " ", r" \, "
        return joined(terms, *signs)

    def not_broadcast(inner: Tensor) -> tuple[Tensor, ...]:
        """The inputs before they are repeated to one shape, where that shape follows from them."""
        inputs = tuple(
            i.inputs[0] if operation_name(i) == "broadcast_to" else i for i in inner.inputs
        )
        shapes = [() if is_number(i) else i.shape for i in inputs]
        return inputs if np.broadcast_shapes(*shapes) == inner.shape else inner.inputs

    def is_number(inner: Tensor) -> bool:
        return inner.operation is None and known(inner) is None and _is_number(leaf(inner))

    try:
        found = of(node, 0)
    except _LongError:
        return None
    return found if "%" not in found.text else None


def is_true(leaf: Tensor) -> bool:
    """Whether it is a truth value that holds everywhere, whatever the parameters are."""
    is_constant = leaf.operation is None and leaf.state is None
    return is_constant and leaf.dtype.kind == "b" and bool(leaf.numpy().all())


class _LongError(Exception):
    """An expression is too long to be read."""


def _checked(a: Formula) -> Formula:
    if len(a.text) > _MOST:
        raise _LongError
    return a


def _is_number(a: Formula) -> bool:
    return re.fullmatch(r"-?[\d.]+(e[-+]\d+)?", a.text) is not None


def _bracketed(a: Formula, needed: bool) -> Formula:
    return Formula(f"({a.text})", f"({a.latex})") if needed else a
