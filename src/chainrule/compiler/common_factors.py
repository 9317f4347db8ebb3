"""What a gradient is multiplied by is computed in the forward pass, where it is known.

A sum whose terms are all linear in one value that is computed late, as the incoming gradient g, is
that value times a coefficient. The gradient of x s(x), as of GELU and SiLU:

    d = g s + g x s'         f = s + x s'        from x alone: computed beside x s(x)
                             d = g f

The backward pass then reads f, in place of all that the terms are made of. What else is linear in
g and reads a part of the sum, as the products that a learnt slope's gradient adds up, gets its
coefficient likewise.

Where g is infinite, a term of `where` is 0, and not inf times a coefficient of 0: so one term at
least counts everywhere. A division is no factor: 1 / a may overflow where g / a does not.
"""

from __future__ import annotations

from collections.abc import Iterator

from chainrule.compiler.elementwise import ELEMENTWISE
from chainrule.compiler.values import LEAVES, READ_ELSEWHERE, Users, Value, ValueGraph, constant

_MOST_PARTS = 32
"""Values that a sum is taken apart into: a parametric Mish with dropout has 10."""


def factor_out(graph: ValueGraph) -> ValueGraph:
    """The graph with each such sum as a product, where its coefficient can be computed earlier."""
    if not any([_adds_floats(value) for value in graph.values]):
        return graph
    users = graph.users()
    # When a value can be computed: the number of the last instruction that is no program's part.
    ready: dict[Value, int] = {}
    changed = False
    for number, value in enumerate(graph.values):
        if value.kind in LEAVES:
            ready[value] = -1
        elif value.kind in ELEMENTWISE or value.kind in READ_ELSEWHERE:
            ready[value] = max([ready[i] for i in value.inputs], default=-1)
        else:
            ready[value] = number
    for value in graph.values:
        if _adds_floats(value):
            changed |= _factor(value, users, ready)
    if not changed:
        return graph
    return graph.in_order(_with_inputs_first(graph.values))


def _adds_floats(value: Value) -> bool:
    return value.kind == "add_n" and value.dtype.kind == "f" and len(set(value.inputs)) > 1


def _with_inputs_first(values: list[Value]) -> Iterator[Value]:
    """The values and what they are computed from, each after its inputs."""
    seen: set[Value] = set()
    for value in values:
        waiting = [value]
        while waiting:
            one = waiting[-1]
            missing = [] if one in seen else [i for i in one.inputs if i not in seen]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if one not in seen:
                seen.add(one)
                yield one


def _factor(value: Value, users: Users, ready: dict[Value, int]) -> bool:
    """Make a sum a product, if it is linear in a late value; whether it was made one."""
    base = _base(value, ready)
    if base is None:
        return False
    linear = _Linear(base, ready)
    if not linear.take(value) or len(linear.read) < 2:
        return False
    parts = [part for part in linear.parts if part is not value]
    others = {w: None for part in parts for w in users.get(part, ()) if w not in linear.parts}
    products = list(others)
    if not all([w.kind == "multiply" and linear.take(w) for w in products]):
        products = []  # a part is computed anyway
    coefficients = {one: linear.coefficient(one) for one in (value, *products)}
    for one, coefficient in coefficients.items():
        one.become("multiply", (base, coefficient))
        _put_beside(coefficient, users)
    return True


def _base(value: Value, ready: dict[Value, int]) -> Value | None:
    """The late value that the first term of a sum is a multiple of, if any."""
    one = value
    for _ in range(_MOST_PARTS):
        factors = _linear_inputs(one)
        if not factors:
            return one if one is not value else None
        one = max(factors, key=lambda i: ready.get(i, -1))
    return None


def _linear_inputs(value: Value) -> tuple[Value, ...]:
    """The inputs of which a value may be a multiple."""
    if value.kind not in _KINDS:
        return ()
    inputs = value.inputs[1:] if value.kind == "where" else value.inputs
    return tuple(i for i in inputs if i.shape == value.shape and i.dtype == value.dtype)


_KINDS = ("add_n", "add", "subtract", "multiply", "negative", "where")


class _Linear:
    """What is a multiple of one value, and the coefficients.

    Attributes:
        parts: the values that were found to be, with the terms and factors that they are made of.
        read: what the coefficients are made of, constants apart.
    """

    def __init__(self, base: Value, ready: dict[Value, int]) -> None:
        self.base = base
        self.parts: dict[Value, None] = {}
        self.read: set[Value] = set()
        self._ready = ready
        self._coefficients: dict[Value, Value] = {}

    def take(self, value: Value) -> bool:
        """Whether a value is a multiple of the base: it and what it is made of become parts."""
        parts, read = dict(self.parts), set(self.read)
        waiting = [value]
        while waiting:
            one = waiting.pop()
            if one is self.base or one in parts:
                continue
            multiples, factors = self._split(one)
            if not multiples or len(parts) == _MOST_PARTS:
                return False
            parts[one] = None
            read.update([factor for factor in factors if factor.kind != "constant"])
            waiting += multiples
        if not self._counts_everywhere(value, parts):
            return False
        self.parts, self.read = parts, read
        return True

    def _counts_everywhere(self, value: Value, parts: dict[Value, None]) -> bool:
        """Whether a term of a part is a multiple of the base that no `where` leaves out."""
        waiting = [value]
        for one in waiting:
            if one is self.base:
                return True
            if one.kind != "where":
                waiting += [i for i in one.inputs if i is self.base or i in parts]
        return False

    def _split(self, value: Value) -> tuple[list[Value], list[Value]]:
        """The inputs that must be multiples, and the others; none where it can't be a multiple."""
        inputs = _linear_inputs(value)
        late = [i for i in inputs if self._ready[i] >= self._ready[self.base]]
        others = [i for i in value.inputs if i not in late]
        if any([self._ready[i] >= self._ready[self.base] for i in others]):
            return [], []
        if value.kind == "multiply":
            return (late, others) if len(late) == 1 and len(others) == 1 else ([], [])
        if value.kind == "where":
            rest = [i for i in others if i is not value.inputs[0]]
            return (late, others) if all([i.fill == 0 for i in rest]) else ([], [])
        return ([], []) if others else (late, others)

    def coefficient(self, value: Value) -> Value:
        """What the base is multiplied by in a part."""
        if value not in self._coefficients:
            of = [self.coefficient(i) if i in self.parts else i for i in value.inputs]
            self._coefficients[value] = self._computed(value, of)
        return self._coefficients[value]

    def _computed(self, part: Value, of: list[Value]) -> Value:
        """The coefficient of a part, of those of its inputs and of what it is multiplied by."""
        of = [self._number(1.0) if i is self.base else i for i in of]
        if part.kind == "multiply" and 1 in (of[0].fill, of[1].fill):
            return of[of[0].fill == 1]
        if part.kind == "negative" and of[0].fill is not None:
            return self._number(-of[0].fill)
        made = Value(part.kind, tuple(of), part.attributes, part.shape, part.dtype, part.node)
        self._ready[made] = max([self._ready[i] for i in of])
        return made

    def _number(self, number: float) -> Value:
        value = self.base
        found = constant(number, value.shape, value.dtype, value.node)
        self._ready[found] = -1
        return found


def _put_beside(found: Value, users: Users) -> None:
    """Let what a coefficient alone needs be computed where the rest is, as Phi(x) of GELU's."""
    alone, kept = [found], list[Value]()
    for value in alone:
        for i in value.inputs:
            if i.kind in ELEMENTWISE:
                (alone if len(users.get(i, ())) <= 1 else kept).append(i)
    for value in alone if kept else ():
        value.beside = kept[0]
