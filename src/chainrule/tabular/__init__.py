"""Tables: columns of any kind as arrays, and the networks and recipes that learn from them."""

from chainrule.tabular.columns import Columns

__all__ = ["Columns"]
