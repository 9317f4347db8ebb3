"""Inspection of models: their pictures, the costs of their layers, their linear pieces."""

from chainrule.inspect.linear_pieces import LinearPieces, linear_pieces
from chainrule.inspect.pictures import draw
from chainrule.inspect.summary import LayerSummary, Summary, summary

__all__ = ["LayerSummary", "LinearPieces", "Summary", "draw", "linear_pieces", "summary"]
