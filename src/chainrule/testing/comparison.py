"""`compare`: a derivation by hand against the graph, and which slip was made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import chain, product
from typing import Any, Literal, NamedTuple

import numpy as np

from chainrule import checks
from chainrule.graph.tensor import Array
from chainrule.inspect.letters import Letters, LettersName, letters_of
from chainrule.inspect.step import run_step
from chainrule.nn.module import Module
from chainrule.optim.optimizer import Optimizer
from chainrule.testing.differences import DIGITS, accepting, as_written, place_of, precision
from chainrule.testing.names import as_array, in_letters, named
from chainrule.testing.network import (
    Network,
    Numbers,
    Quantity,
    close,
    derive,
    multiple,
)
from chainrule.testing.slips import Slip, factors, slips

Verdict = Literal["right", "rounded", "wrong", "follows"]
Forms = Mapping[str, bool]
"""Whether the hand's arrays lie the other way than ours: {"batch": ..., "weights": ...}."""

ROWS = ("z", "a", "delta")
"""Of these every example has a row."""


class Finding(NamedTuple):
    """One quantity of the derivation.

    Attributes:
        name: z1, a1, loss, delta1, dW1, db1, new_W1, new_b1, in the letters asked for.
        verdict: right; "rounded", right to the digits that are given; wrong; or "follows": not
            ours, but what the formula gives from your own earlier numbers, so that no further slip
            was made here.
        difference: the largest one between an element of yours and ours; NaN where shapes differ.
        yours, ours: the arrays, in the form of yours where it fits.
    """

    name: str
    verdict: Verdict
    difference: float
    yours: Array
    ours: Array


@dataclass(frozen=True)
class Comparison:
    """A derivation by hand held to the graph; prints what is wrong with it.

    Attributes:
        correct: whether all is right.
        first: the name of the first wrong quantity in the order of computation, or None.
        slip: a sentence that says what was done, or where the only wrong elements are; None where
            no usual slip explains it.
        findings: every given quantity, in the order of computation.
        rounded: the rtol that accepts all rounded numbers; None where none are rounded, or some
            have less than 2 digits.
    """

    correct: bool
    first: str | None
    slip: str | None
    findings: tuple[Finding, ...]
    rounded: float | None = None

    def __str__(self) -> str:
        rows = [("quantity", "verdict", "largest difference"), ("", "", "")]
        for f in self.findings:
            shown = "" if f.verdict == "right" else f"{f.difference:.3g}"
            if f.yours.shape != f.ours.shape:
                shown = f"shape {f.yours.shape}, ours {f.ours.shape}"
            elif not np.isfinite(f.difference):
                shown = "not finite"
            rows.append((f.name, f.verdict, shown))
        table = "\n".join(f"{a:<9} {b:<8} {c}".rstrip() for a, b, c in rows if a)
        return f"{self.sentence}\n\n{table}"

    @property
    def sentence(self) -> str:
        """What is wrong, in one sentence."""
        names = [f.name for f in self.findings]
        if self.first is None:
            one = f"{names[0]} is right."
            return one if len(names) == 1 else f"All {len(names)} quantities are right."
        number = names.index(self.first)
        found = self.findings[number]
        if found.verdict == "rounded":
            more = [f.verdict for f in self.findings].count("rounded") - 1
            are = f"and {more} more are" if more else "is"
            remedy = "give more of them"
            if self.rounded is not None:
                remedy = f"rtol={self.rounded:g} accepts that"
            return f"{self.first} {are} right{self._digits()}; {remedy}."
        right = ""
        if number:
            before = self.findings[number - 1]
            digits = self._digits() if before.verdict == "rounded" else ""
            right = f", {before.name} is right{digits}"
        slip = self.slip or "no usual slip explains it"
        if found.yours.shape != found.ours.shape:
            slip = f"its shape is {found.yours.shape}, ours {found.ours.shape}"
        return f"{self.first} is wrong{right}: {slip}."

    def _digits(self) -> str:
        if self.rounded is None:
            return " as far as the decimals go"
        return f" to {round(-np.log10(self.rounded))} digits"

    def __repr__(self) -> str:
        return str(self)


def compare(
    mine: Mapping[str, Any],
    model: Module,
    x: Any,
    y: Any,
    loss: Callable[[Any, Any], Any],
    optimizer: Optimizer | None = None,
    *,
    rtol: float | None = None,
    seed: int = 0,
    letters: LettersName = "boulder",
) -> Comparison:
    """Hold a derivation by hand to the graph: name its first wrong quantity and the slip.

    The quantities of a fully connected layer, counted from 1, are

        z = W a + b,    a = g(z),    delta = dL/dz,    dW = dL/dW = delta a^T,    db = dL/db

    Any of them may be given. They are compared in the order in which one computes them: z1, a1,
    ..., loss, delta of the last layer down to delta1, then dW and db from the last layer to the
    first, then the new weights. Of the first that is wrong the usual slips are tried: g' missing or
    taken at the wrong place, a matrix not transposed, a sign, a factor 2 or 1/B, and so on.

    Args:
        mine: {name: array}. Names are z1, a1, loss, delta1 (δ1, dz1), dW1 (grad_W1, dL/dW1,
            ∂L/∂W1), db1, new_W1, new_b1 and so on; large and small letters and "_" count for
            nothing.
        model: any model of which the fully connected layers are `nn.Linear`.
        x, y: inputs and targets, examples as rows, as the model and the loss take them.
        loss: (outputs, targets) -> a scalar; with a penalty on the weights, if there is one.
        optimizer: takes the step to the new weights; model and optimizer are left as they were.
        rtol: the largest difference allowed, relative to the largest element; 1e-4 where the model
            or an array is in float32, else 1e-6.
        seed: of the model's random operations; the step is that of `cr.explain`.
        letters: of the names, and of the answer, as in `cr.explain`: with "4al3" a1 is what is
            z1 here, h1 what is a1, g1 what is delta1.

    Shapes:
        z, a, delta: (examples, neurons) or (neurons, examples); of one example also (neurons,).
        dW and new weights: (out, in) or (in, out). If all matrices are square, (out, in) is meant,
        and (in, out) with letters="row".

    Losses that contain the last activation, as `CrossEntropyLoss` does, give a of the last layer
    after it: the probabilities. A delta that leaves the 1/B of a mean to dW and db is right, too.

    Raises:
        TypeError: for a mine that is no dict, and for arguments as in `cr.explain`.
        ValueError: where a name is not of a quantity of this model, or the model calls no
            `nn.Linear`, or the loss is no scalar.

    Example:
        >>> import numpy as np
        >>> from chainrule import nn
        >>> layer = nn.Linear(1, 1)
        >>> layer.weight.assign([[2.0]])
        >>> layer.bias.assign([1.0])
        >>> model, half_square = nn.Sequential(layer, nn.Sigmoid()), nn.HalfSquaredErrorLoss()
        >>> a = 1 / (1 + np.exp(-2.0))  # z = 2 * 0.5 + 1
        >>> mine = {"z1": 2.0, "a1": a, "delta1": a - 1, "dW1": (a - 1) * 0.5}
        >>> compare(mine, model, [[0.5]], [[1.0]], half_square)
        delta1 is wrong, a1 is right: yours is ours / g'(z1); the factor g'(z1) is missing.
        <BLANKLINE>
        quantity  verdict  largest difference
        z1        right
        a1        right
        delta1    wrong    0.107
        dW1       follows  0.0533
    """
    if not isinstance(mine, Mapping):
        raise TypeError(f"mine is a dict, {{name: array}}, not {checks.described(mine)}")
    if rtol is not None:
        rtol = checks.not_negative("rtol", rtol)
    if optimizer is not None and not isinstance(optimizer, Optimizer):
        raise TypeError(f"optimizer is an object of optim, got {checks.described(optimizer)}")
    seed = checks.seed(seed)
    names, form = letters_of(letters, None)
    step = run_step(model, x, y, loss, optimizer, seed)
    net = Network(step, str(getattr(loss, "outputs", None)), inputs_first=form == "row")
    given = {named(name, net, names): as_array(name, value) for name, value in mine.items()}
    if len(given) < len(mine):
        raise ValueError(f"two of these names are of one quantity: {', '.join(mine)}")
    if not given:
        raise ValueError("mine is empty: give at least one quantity, as {'z1': ...}")
    if rtol is None:
        kinds = [np.dtype(net.dtype), *(v.dtype for v in given.values() if v.dtype.kind == "f")]
        rtol = 1e-4 if min(kind.itemsize for kind in kinds) < 8 else 1e-6
    return _Judge(net, given, rtol, names).comparison()


class _Judge:
    """Compares the given quantities of one derivation."""

    def __init__(
        self,
        net: Network,
        given: Mapping[Quantity, Array],
        rtol: float,
        letters: Letters,
        *,
        takes_rounded: bool = False,  # whether all that `as_written` accepts is right
    ) -> None:
        self.net, self.rtol, self.letters = net, rtol, letters
        self.takes_rounded = takes_rounded
        self.given = {q: given[q] for q in net.order if q in given}
        self.raw = {q: v.astype(np.float64) for q, v in self.given.items()}
        self.forms = self._forms()
        self._spread_mean()

    def comparison(self) -> Comparison:
        right, first = self._right()
        if first is None:
            return Comparison(True, None, None, self._findings(right, None))
        slip = self._slip(first)
        if slip is None:
            rounded = self._with_rounding(right, first)
            if rounded is not None:
                return rounded
            slip = self._place(first)
        slip = None if slip is None else in_letters(slip, self.letters)
        return Comparison(False, self._name(first), slip, self._findings(right, first))

    def _name(self, quantity: Quantity) -> str:
        return in_letters(str(quantity), self.letters)

    def _with_rounding(self, right: Mapping[Quantity, bool], first: Quantity) -> Comparison | None:
        """The comparison at the tolerance that the hand's digits have; None if it says no more."""
        mine, ours = self.raw[first], self._ours(first, self.raw[first])
        rtol = accepting(mine, ours)
        is_close = rtol is not None
        if not is_close:
            is_close = not self.takes_rounded and as_written(self.given[first], ours)
            rtol = precision(self.given[first]) or (DIGITS[0] if is_close else None)
        if rtol is None or (self.takes_rounded and rtol <= self.rtol):
            return None
        judge = _Judge(self.net, self.given, max(self.rtol, rtol), self.letters, takes_rounded=True)
        found = judge.comparison()
        if not is_close and found.slip is None:
            return None
        findings = [
            f._replace(verdict="rounded") if f.verdict == "right" and not right[q] else f
            for q, f in zip(self.raw, found.findings, strict=True)
        ]
        rounded = [
            accepting(judge.raw[q], f.ours)
            for q, f in zip(judge.raw, findings, strict=True)
            if f.verdict == "rounded"
        ]
        return replace(
            found,
            correct=False,
            first=found.first or self._name(first),
            findings=tuple(findings),
            rounded=None if None in rounded else max(filter(None, rounded), default=None),
        )

    # Forms

    def _forms(self) -> Forms:
        """Which way the arrays lie: as their shapes tell, else as more of them are right."""
        seen: dict[str, set[bool]] = {"batch": set(), "weights": set()}
        weak: set[bool] = set()  # a matrix of one row may have been written as a column
        for quantity, mine in self.raw.items():
            ours = self.net.numbers[quantity].shape
            if len(ours) == 2 and ours[0] != ours[1] and mine.shape in (ours, ours[::-1]):
                side = "batch" if quantity.kind in ROWS else "weights"
                if 1 not in ours:
                    seen[side].add(mine.shape != ours)
                elif side == "weights":
                    weak.add(mine.shape != ours)
        usual = self.net.inputs_first
        ways = {
            "batch": [False, True],
            "weights": [not usual, usual] if weak == {not usual} else [usual],
        }
        ways |= {side: [found == {True}] for side, found in seen.items() if found}
        pairs = product(ways["weights"], ways["batch"])
        return max(({"weights": w, "batch": b} for w, b in pairs), key=self._agreeing)

    def _agreeing(self, forms: Forms) -> tuple[int, int]:
        """How many of the arrays are right if they lie this way, and how many are or follow."""
        self.forms = forms
        right, first = self._right()
        verdicts = [finding.verdict for finding in self._findings(right, first)]
        return verdicts.count("right"), len(verdicts) - verdicts.count("wrong")

    def _ours(self, quantity: Quantity, mine: Array) -> Array:
        """Our number, in the form of the hand's."""
        return self._turned(quantity, self.net.numbers[quantity], mine)

    def _turned(self, quantity: Quantity, ours: Array, mine: Array) -> Array:
        if ours.ndim == 2 and self.forms["batch" if quantity.kind in ROWS else "weights"]:
            ours = ours.T
        if ours.shape != mine.shape and 1 in (*ours.shape, ours.size):
            if tuple(n for n in ours.shape if n != 1) == tuple(n for n in mine.shape if n != 1):
                ours = ours.reshape(mine.shape)
        elif ours.shape != mine.shape and ours.ndim == 1 and mine.size == ours.size:
            ours = ours.reshape(mine.shape)  # a bias as a row or a column
        return ours

    def _own(self, quantity: Quantity) -> Array | None:
        """The hand's array in our form; None where its shape does not fit."""
        mine, ours = self.raw[quantity], self.net.numbers[quantity]
        turned = self._ours(quantity, mine)
        if turned.shape != mine.shape:
            return None
        flipped = ours.ndim == 2 and self.forms["batch" if quantity.kind in ROWS else "weights"]
        return mine.reshape(ours.T.shape).T if flipped else mine.reshape(ours.shape)

    def _spread_mean(self) -> None:
        """Take deltas without the 1/B of a mean, where dW and db have it, as ours."""
        B = self.net.rows
        deltas = [q for q in self.raw if q.kind == "delta"]
        sums = [q for q in self.raw if q.kind in ("dW", "db")]
        if B == 1 or not deltas or not sums or not all(map(self._is_right, sums)):
            return
        if all(close(self.raw[q] / B, self._ours(q, self.raw[q]), self._rtol(q)) for q in deltas):
            for q in deltas:
                self.raw[q] = self.raw[q] / B

    # Right or wrong

    def _rtol(self, quantity: Quantity) -> float:
        """The tolerance; in the backward pass with what a - y loses where a is close to y."""
        delta = self.net.numbers[Quantity("delta", self.net.depth)]
        if quantity.kind in ("z", "a", "loss") or not np.any(delta):
            return self.rtol
        a = self.net.numbers.get(Quantity("a", self.net.depth))
        largest = np.abs(delta).max() * self.net.rows
        lost = self.rtol * 1e-2 * max(1.0, 0.0 if a is None else np.abs(a).max()) / largest
        most = 0.1 if self.given[quantity].dtype == np.float32 else 1e-2
        return self.rtol + min(lost, most)

    def _right(self) -> tuple[dict[Quantity, bool], Quantity | None]:
        """Which quantities are right, and the first that is not."""
        right = {q: self._is_right(q) for q in self.raw}
        return right, next((q for q in self.raw if not right[q]), None)

    def _is_right(self, quantity: Quantity) -> bool:
        mine = self.raw[quantity]
        ours = self._ours(quantity, mine)
        is_written = self.takes_rounded and as_written(self.given[quantity], ours)
        return is_written or close(mine, ours, self._rtol(quantity))

    def _agree(self, quantity: Quantity, value: Array) -> bool:
        """Whether the hand's array is this value, whichever way it lies."""
        mine = self.raw[quantity]
        ways = [self._turned(quantity, way, mine) for way in (value, value.T)]
        ways += [np.squeeze(way) for way in (value, value.T)]
        if any(
            close(m, way, self._rtol(quantity)) for way in ways for m in (mine, np.squeeze(mine))
        ):
            return True
        # A few rounded numbers would agree with one slip or another by chance.
        return self.takes_rounded and mine.size >= 4 and any(as_written(mine, way) for way in ways)

    def _findings(self, right: Mapping[Quantity, bool], first: Quantity | None) -> Any:
        s: Numbers = dict(self.net.numbers)
        start = -1 if first is None else self.net.order.index(first)
        follows = set()
        own = None if first is None else self._own(first)
        if first is not None and own is not None:
            s[first] = own
        for quantity, value in derive(self.net, s, start, len(self.net.order) - 1):
            if first is None or quantity not in self.raw:
                continue
            own = self._own(quantity)
            if own is not None:
                is_near = close(own, value, self._rtol(quantity))
                if self.net.holds(quantity) and (
                    is_near or (self.takes_rounded and as_written(own, value))
                ):
                    follows.add(quantity)
                s[quantity] = own
        return tuple(self._finding(q, right[q], q in follows) for q in self.raw)

    def _finding(self, quantity: Quantity, right: bool, follows: bool) -> Finding:
        mine = self.given[quantity]
        ours = self._ours(quantity, self.raw[quantity])
        fits = ours.shape == mine.shape
        difference = float(np.abs(self.raw[quantity] - ours).max(initial=0.0)) if fits else np.nan
        verdict: Verdict = "right" if right else "follows" if follows else "wrong"
        return Finding(self._name(quantity), verdict, difference, mine, ours)

    # Slips

    def _slip(self, first: Quantity) -> str | None:
        if not np.all(np.isfinite(self.raw[first])):
            return "it has elements that are not finite"
        if not np.all(np.isfinite(self.net.numbers[first])):
            return "ours has elements that are not finite: the model's numbers overflow"
        return next(chain(self._own_slips(first), self._earlier_slips(first)), None)

    def _place(self, first: Quantity) -> str | None:
        """Where the only wrong elements are."""
        own, ours = self._own(first), self.net.numbers[first]
        example = "column" if self.forms["batch"] else "row"
        names = (example, "neuron") if first.kind in ROWS else ("neuron", "input")
        if own is None or not ours.ndim:
            return None
        return place_of(own, ours, self._rtol(first), names[: ours.ndim])

    def _own_slips(self, first: Quantity) -> Iterator[str]:
        """The slips at the first wrong quantity itself, the likeliest first."""
        mine, ours = self.raw[first], self._ours(first, self.raw[first])
        tried = self._tried(first)
        exact = [t for t in tried if self._agree(first, t.value)]
        yield from self._likeliest(first, exact)
        named = factors(self.net, first.kind)
        k = multiple(mine, ours, self._rtol(first))
        if k is not None:
            same = [text for factor, text in named if abs(k - factor) <= 1e-3 * abs(factor)]
            if same:
                yield f"yours is {k:.6g} times ours: {'; or '.join(same)}"
        for factor, text in named:
            for t in tried:
                if self._agree(first, factor * t.value):
                    yield f"{t.sentence}; and {text}"
        if first.kind == "delta":
            yield from self._updated(first, tried)
        if k is not None and mine.size > 1:
            yield f"yours is {k:.6g} times ours"

    def _tried(self, quantity: Quantity) -> list[Slip]:
        """The slips that make a difference: a missing g' makes none where g is the identity."""
        ours, least = self.net.numbers[quantity], min(self.rtol, 1e-4)
        tried = slips(self.net, dict(self.net.numbers), quantity)
        return [t for t in tried if not close(t.value, ours, least)]

    def _likeliest(self, first: Quantity, exact: list[Slip]) -> list[str]:
        """The slips that explain most of the quantities after the first wrong one first."""
        if len(exact) < 2:
            return [slip.sentence for slip in exact]
        return [t.sentence for t in sorted(exact, key=lambda t: -self._explained(first, t.value))]

    def _explained(self, quantity: Quantity, value: Array) -> int:
        if value.shape != self.net.numbers[quantity].shape:
            return 0
        s: Numbers = {**self.net.numbers, quantity: value}
        start = self.net.order.index(quantity)
        later = derive(self.net, s, start, len(self.net.order) - 1)
        return sum(self._agree(q, v) for q, v in later if q in self.raw)

    def _updated(self, first: Quantity, tried: list[Slip]) -> Iterator[str]:
        """Updated weights in the backward pass, of a rate that is not known."""
        net, i = self.net, first.layer
        own, g = self._own(first), net.activations[i]
        if own is None or g is None or i == net.depth:
            return
        z, delta = net.numbers[Quantity("z", i)], net.numbers[Quantity("delta", i + 1)]
        change = g.pull(z, delta @ net.numbers[Quantity("dW", i + 1)])
        lr = multiple(net.numbers[first] - own, change, min(50 * self._rtol(first), 5e-3))
        if lr is not None and lr > 0 and own.size > 1:
            yield f"the updated W{i + 1} is used in the backward pass, with lr {lr:.3g}"

    def _earlier_slips(self, first: Quantity) -> Iterator[str]:
        """Slips at earlier quantities that are not given, from the nearest one back."""
        order, end = self.net.order, self.net.order.index(first)
        for place in range(end - 1, -1, -1):
            quantity = order[place]
            if quantity in self.raw:
                continue
            ours = self.net.numbers[quantity]
            tried = self._tried(quantity)
            tried += [Slip(t, k * ours) for k, t in factors(self.net, quantity.kind)]
            for slip in tried:
                if slip.value.shape == ours.shape and self._leads(quantity, slip, first):
                    yield f"{quantity}, which is not given, is wrong already: {slip.sentence}"

    def _leads(self, quantity: Quantity, slip: Slip, first: Quantity) -> bool:
        """Whether the slip gives the first wrong quantity, and the right ones before it."""
        order = self.net.order
        s: Numbers = {**self.net.numbers, quantity: slip.value}
        later = derive(self.net, s, order.index(quantity), order.index(first))
        return all(self._agree(q, value) for q, value in later if q in self.raw)
