"""`chainrule.train.metrics` under the name by which it is called."""

from typing import TYPE_CHECKING

from chainrule.train.metrics import *  # noqa: F403
from chainrule.train.metrics import __all__ as __all__

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    from chainrule.train.metrics import __getattr__ as __getattr__
