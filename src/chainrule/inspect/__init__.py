"""Looking into models: one training step with all numbers, costs of layers, linear pieces."""

from chainrule.inspect.explanation import Explanation, explain
from chainrule.inspect.linear_pieces import LinearPieces, linear_pieces
from chainrule.inspect.summary import LayerSummary, Summary, summary

__all__ = [
    "Explanation",
    "LayerSummary",
    "LinearPieces",
    "Summary",
    "explain",
    "linear_pieces",
    "summary",
]
