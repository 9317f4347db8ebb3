"""Looking into models: one training step with all numbers, pictures, costs, linear pieces."""

from chainrule.inspect.explanation import Explanation, explain
from chainrule.inspect.linear_pieces import LinearPieces, linear_pieces
from chainrule.inspect.pictures import draw
from chainrule.inspect.summary import LayerSummary, Summary, summary
from chainrule.inspect.walk import Part, Visit, Walk, walk

__all__ = [
    "Explanation",
    "LayerSummary",
    "LinearPieces",
    "Part",
    "Summary",
    "Visit",
    "Walk",
    "draw",
    "explain",
    "linear_pieces",
    "summary",
    "walk",
]
