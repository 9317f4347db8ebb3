"""Sample inputs for the operations' blocks: what the generated checks try them with."""

from __future__ import annotations

from typing import Any

import numpy as np

from chainrule.graph.operation import Sample, Samples
from chainrule.graph.tensor import Array


def interval(low: float, high: float, arity: int = 1) -> Samples:
    """`arity` float64 inputs between `low` and `high`, in several shapes."""

    def samples(random: np.random.Generator) -> list[Sample]:
        shapes: list[tuple[int, ...]] = [(), (1,), (7,), (3, 5)]
        return [
            Sample(tuple(random.uniform(low, high, shape) for _ in range(arity)), {})
            for shape in shapes
        ]

    return samples


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
