"""A node as one expression of what has a name: sum((z2 - y)^4) + 0.1 * sum(W1 * W1)."""

from __future__ import annotations

import re
from collections.abc import Callable

from chainrule.graph.tensor import Tensor
from chainrule.inspect.letters import Formula, is_sum

_MOST = 100  # characters

_SIGNS = {
    "add": (" + ", " + "),
    "subtract": (" - ", " - "),
    "multiply": (" * ", r" \odot "),
    "divide": (" / ", " / "),
}
_SAME = ("broadcast_to", "reshape", "astype")


def expression(
    node: Tensor, known: Callable[[Tensor], Formula | None], leaf: Callable[[Tensor], Formula]
) -> Formula | None:
    """The formula of what a node computes; None where it is long.

    Args:
        node: the node.
        known: the name that a node has; None for those that are to be written out.
        leaf: what a leaf is called.
    """

    def of(inner: Tensor) -> Formula:
        named = known(inner) if inner is not node else None
        if named is not None:
            return named
        if inner.operation is None:
            return leaf(inner)
        name, inputs = inner.operation.name, inner.inputs
        if name in _SAME:
            return of(inputs[0])
        terms = [of(i) for i in inputs]
        if any(len(term.text) > _MOST for term in terms):
            return terms[0]
        if name in _SIGNS:
            terms = [
                _bracketed(t) if name in ("multiply", "divide") or (name == "subtract" and i) else t
                for i, t in enumerate(terms)
            ]
            sign, tex_sign = _SIGNS[name]
            if name == "multiply" and re.fullmatch(r"[\d.]+", terms[0].text):
                sign, tex_sign = " ", r" \, "
            return Formula(sign.join(t.text for t in terms), tex_sign.join(t.latex for t in terms))
        if name == "power":
            base, exponent = terms
            return Formula(f"({base.text})^{exponent.text}", f"({base.latex})^{{{exponent.latex}}}")
        text, latex = ", ".join(t.text for t in terms), ", ".join(t.latex for t in terms)
        escaped = name.replace("_", r"\_")
        return Formula(f"{name}({text})", rf"\mathrm{{{escaped}}}({latex})")

    found = of(node)
    return found if len(found.text) <= _MOST and "%" not in found.text else None


def _bracketed(a: Formula) -> Formula:
    return Formula(f"({a.text})", f"({a.latex})") if is_sum(a.text) else a
