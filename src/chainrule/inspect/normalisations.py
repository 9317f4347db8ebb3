"""Layers that normalise: the formulas of batch and layer normalisation and their kin."""

from __future__ import annotations

from typing import Literal

from chainrule.graph.state import Parameter
from chainrule.graph.tensor import Tensor
from chainrule.inspect.letters import Formula
from chainrule.nn import Module
from chainrule.nn import layers as library

Normalisation = Literal["mean and variance", "mean square"]
"""What a layer divides by: the root of the variance, the mean taken away, or of the mean square."""

_CENTRED = (
    library.BatchNorm1d,
    library.BatchNorm2d,
    library.LayerNorm,
    library.GroupNorm,
    library.InstanceNorm1d,
    library.InstanceNorm2d,
)


def normalisation(module: Module, nodes: list[Tensor]) -> Normalisation | None:
    """By what a layer normalises its input; None for running statistics and other layers."""
    if type(module) is library.RMSNorm:
        return "mean square"
    states = [leaf.state for node in nodes for leaf in node.inputs if leaf.state is not None]
    has_statistics = not all(isinstance(state, Parameter) for state in states)
    return None if type(module) not in _CENTRED or has_statistics else "mean and variance"


def normalised(
    by: Normalisation, x: Formula, gamma: Formula | None, beta: Formula | None
) -> Formula:
    """gamma (x - mean(x)) / sqrt(var(x) + eps) + beta, or the same by the mean square."""
    text, over = f"({x.text} - mean({x.text}))", f"var({x.text})"
    latex, tex_over = rf"{x.latex} - \mathrm{{mean}}({x.latex})", rf"\mathrm{{var}}({x.latex})"
    if by == "mean square":
        text, over = x.text, f"mean({x.text}^2)"
        latex, tex_over = x.latex, rf"\mathrm{{mean}}(({x.latex})^{{2}})"
    text = f"{text} / sqrt({over} + eps)"
    latex = rf"\frac{{{latex}}}{{\sqrt{{{tex_over} + \epsilon}}}}"
    if gamma is not None:
        text, latex = f"{gamma.text} * {text}", rf"{gamma.latex} \odot {latex}"
    if beta is not None:
        text, latex = f"{text} + {beta.text}", f"{latex} + {beta.latex}"
    return Formula(text, latex)
