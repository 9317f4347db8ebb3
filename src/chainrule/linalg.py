"""`chainrule.ops.linalg` under the name by which it is called."""

from typing import TYPE_CHECKING

from chainrule.ops.linalg import *  # noqa: F403
from chainrule.ops.linalg import __all__ as __all__

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    from chainrule.ops.linalg import __getattr__ as __getattr__
