"""Looking at models: what their layers cost, and how many linear pieces they are made of."""

from chainrule.inspect.linear_pieces import LinearPieces, linear_pieces
from chainrule.inspect.summary import LayerSummary, Summary, summary

__all__ = ["LayerSummary", "LinearPieces", "Summary", "linear_pieces", "summary"]
