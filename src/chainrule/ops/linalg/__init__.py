"""Linear algebra, as `chainrule.linalg`: NumPy's names, over stacks of matrices, with gradients.

The shape (..., n, n) means a matrix or a stack of them. Integers are taken as float32.
"""

from chainrule.ops.linalg.norms import norm
from chainrule.ops.linalg.powers import matrix_power, multi_dot
from chainrule.ops.linalg.solving import Slogdet, cholesky, det, inv, slogdet, solve

__all__ = [
    "Slogdet",
    "cholesky",
    "det",
    "inv",
    "matrix_power",
    "multi_dot",
    "norm",
    "slogdet",
    "solve",
]
