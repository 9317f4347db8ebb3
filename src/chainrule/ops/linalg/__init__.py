"""Linear algebra, as `chainrule.linalg`: NumPy's names, over stacks of matrices, with gradients.

The shape (..., n, n) means a matrix or a stack of them. Integers are taken as float32.
"""

from typing import TYPE_CHECKING, Any

import numpy as _numpy

from chainrule.graph.names_of_functions import OURS
from chainrule.graph.numpy_functions import of_numpy
from chainrule.ops.axes import matrix_transpose
from chainrule.ops.linalg.diagonals import diagonal, trace
from chainrule.ops.linalg.eigenvalues import Eigh, eigh, eigvalsh
from chainrule.ops.linalg.norms import matrix_norm, norm, vector_norm
from chainrule.ops.linalg.powers import matrix_power, multi_dot
from chainrule.ops.linalg.solving import (
    Slogdet,
    cholesky,
    det,
    inv,
    pinv,
    slogdet,
    solve,
    solve_triangular,
)
from chainrule.ops.matmul import matmul
from chainrule.ops.products import cross, outer, tensordot, vecdot

__all__ = [
    "Eigh",
    "Slogdet",
    "cholesky",
    "cross",
    "det",
    "diagonal",
    "eigh",
    "eigvalsh",
    "inv",
    "matmul",
    "matrix_norm",
    "matrix_power",
    "matrix_transpose",
    "multi_dot",
    "norm",
    "outer",
    "pinv",
    "slogdet",
    "solve",
    "solve_triangular",
    "tensordot",
    "trace",
    "vecdot",
    "vector_norm",
]

if not TYPE_CHECKING:  # a type checker would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Say of a function that is not here what is written for it, or how to have its value."""
        message = f"module 'chainrule.linalg' has no attribute {name!r}"
        if name in OURS:
            remedy = f"here it is {OURS[name]}"
        else:
            remedy = "" if name.startswith("_") else of_numpy(name, _numpy.linalg)
        raise AttributeError(f"{message}; {remedy}" if remedy else message)
