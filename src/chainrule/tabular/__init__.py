"""Tables: columns of any kind as arrays, and the networks and recipes that learn from them."""

from chainrule.tabular.columns import Columns
from chainrule.tabular.fitting import PRESETS, fit
from chainrule.tabular.model import TabularModel
from chainrule.tabular.recipe import Recipe, realmlp

__all__ = ["PRESETS", "Columns", "Recipe", "TabularModel", "fit", "realmlp"]
