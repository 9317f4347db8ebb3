"""Inspection of models: the costs of their layers, and their number of linear pieces."""

from chainrule.inspect.linear_pieces import LinearPieces, linear_pieces
from chainrule.inspect.summary import LayerSummary, Summary, summary

__all__ = ["LayerSummary", "LinearPieces", "Summary", "linear_pieces", "summary"]
