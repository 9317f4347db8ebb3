"""Tables: columns of any kind as arrays, and the networks and recipes that learn from them."""

from chainrule.tabular.columns import Columns
from chainrule.tabular.figures import baselines, figures
from chainrule.tabular.fitting import LOSSES, PRESETS, fit
from chainrule.tabular.model import TabularModel
from chainrule.tabular.recipe import Recipe, realmlp
from chainrule.tabular.report import permutation_importances, report_page, write_report

__all__ = [
    "LOSSES",
    "PRESETS",
    "Columns",
    "Recipe",
    "TabularModel",
    "baselines",
    "figures",
    "fit",
    "permutation_importances",
    "realmlp",
    "report_page",
    "write_report",
]
