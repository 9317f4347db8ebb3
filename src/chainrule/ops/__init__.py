"""The operations: each declared in one block, and the functions composed of them.

Their names are NumPy's and the array API standard's, with `axis` and `keepdims`; those of
`torch.nn.functional`, with `input` and `dim`, are in `chainrule.nn.functional`. The `__all__` of a
file here names what of it is public: that is a function of `chainrule`, and has its place in the
reference.
"""

import sys as _sys
import types as _types
import typing as _typing
from importlib import import_module as _import_module

from chainrule.graph import numpy_functions as _numpy_functions
from chainrule.ops.arithmetic import *  # noqa: F403
from chainrule.ops.attention import *  # noqa: F403
from chainrule.ops.axes import *  # noqa: F403
from chainrule.ops.bitwise import *  # noqa: F403
from chainrule.ops.comparison import *  # noqa: F403
from chainrule.ops.conv import *  # noqa: F403
from chainrule.ops.creation import *  # noqa: F403
from chainrule.ops.cumulative import *  # noqa: F403
from chainrule.ops.declare import *  # noqa: F403
from chainrule.ops.einsum import *  # noqa: F403
from chainrule.ops.error_functions import *  # noqa: F403
from chainrule.ops.floats import *  # noqa: F403
from chainrule.ops.index import *  # noqa: F403
from chainrule.ops.joining import *  # noqa: F403
from chainrule.ops.matmul import *  # noqa: F403
from chainrule.ops.normalisation import *  # noqa: F403
from chainrule.ops.order import *  # noqa: F403
from chainrule.ops.padding import *  # noqa: F403
from chainrule.ops.pooling import *  # noqa: F403
from chainrule.ops.products import *  # noqa: F403
from chainrule.ops.random import *  # noqa: F403
from chainrule.ops.random_shapes import *  # noqa: F403
from chainrule.ops.reduce import *  # noqa: F403
from chainrule.ops.rounding import *  # noqa: F403
from chainrule.ops.selection import *  # noqa: F403
from chainrule.ops.shape import *  # noqa: F403
from chainrule.ops.softmax import *  # noqa: F403
from chainrule.ops.sparse import *  # noqa: F403
from chainrule.ops.statistics import *  # noqa: F403
from chainrule.ops.triangles import *  # noqa: F403
from chainrule.ops.trigonometry import *  # noqa: F403
from chainrule.ops.unary import *  # noqa: F403

# A type checker follows the lines above; a computed list would tell it that nothing is public.
if not _typing.TYPE_CHECKING:
    __all__ = [
        name
        for name, value in globals().items()
        if not (name.startswith("_") or isinstance(value, _types.ModuleType))
    ]

    def __getattr__(name: str) -> _typing.Any:
        """Import linear algebra at its first use: most models need none."""
        if name == "linalg":
            return _import_module("chainrule.ops.linalg")
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


_numpy_functions.namespace = _sys.modules[__name__]
