"""Sample inputs for the operations' blocks: what the generated checks try them with."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.graph.operation import Sample, Samples
from chainrule.graph.tensor import Array

_SHAPES: tuple[tuple[int, ...], ...] = ((), (1,), (7,), (3, 5), (0, 2))


def interval(low: float, high: float, arity: int = 1) -> Samples:
    """`arity` float64 inputs between `low` and `high`, in several shapes, an empty one too."""

    def samples(random: np.random.Generator) -> list[Sample]:
        return [
            Sample(tuple(np.asarray(random.uniform(low, high, s)) for _ in range(arity)), {})
            for s in _SHAPES
        ]

    return samples


def away_from_zero(random: np.random.Generator) -> list[Sample]:
    """Float64 inputs of either sign, but not within 0.5 of a kink or jump at zero."""

    def draw(shape: tuple[int, ...]) -> Array:
        return np.asarray(random.uniform(0.5, 4, shape) * random.choice([-1.0, 1.0], shape))

    return [Sample((draw(shape),), {}) for shape in _SHAPES]


def examples(*cases: tuple[tuple[Any, ...], dict[str, Any]]) -> Samples:
    """Given cases: an input that is a shape is drawn from the normal distribution."""

    def draw(case: Any, random: np.random.Generator) -> Array:
        if isinstance(case, tuple):
            return np.asarray(random.standard_normal(case))
        return np.asarray(case)

    def samples(random: np.random.Generator) -> list[Sample]:
        return [
            Sample(tuple(draw(case, random) for case in inputs), attributes)
            for inputs, attributes in cases
        ]

    return samples
