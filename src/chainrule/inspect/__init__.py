"""Looking into models: one training step with all numbers, pictures, costs, linear pieces."""

from chainrule.inspect.explanation import Explanation, explain
from chainrule.inspect.linear_pieces import LinearPieces, linear_pieces
from chainrule.inspect.pictures import draw
from chainrule.inspect.summary import LayerSummary, Summary, summary

__all__ = [
    "Explanation",
    "LayerSummary",
    "LinearPieces",
    "Summary",
    "draw",
    "explain",
    "linear_pieces",
    "summary",
]
