"""Operations on the bits of integers and on truth values: the operators `& | ^ ~ << >>`.

Of booleans the bitwise functions are the logical ones. None has a gradient.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from chainrule.errors import DTypeError
from chainrule.graph.keywords import both_names
from chainrule.graph.operation import Spec
from chainrule.graph.registered import method
from chainrule.graph.tensor import Array, Tensor, TensorLike, as_tensor
from chainrule.ops.comparison import equal, not_equal
from chainrule.ops.declare import BOOL, binary, of_numbers
from chainrule.ops.samples import examples

__all__ = [
    "bitwise_and",
    "bitwise_invert",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "invert",
    "left_shift",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "right_shift",
]

_INTEGERS = examples(
    (([5, 0, -3, 7], [3, 9, 6, -1]), {}),
    ((12, 10), {}),
    (([[True, False, True]], [[True, True, False]]), {}),
    ((np.zeros((0, 2), np.int64), np.zeros((0, 2), np.int64)), {}),
)
_SHIFTS = examples((([5, 1, -3, 7], [3, 62, 1, 64]), {}), ((12, 2), {}))


def _bits(name: str, kinds: str = "biu") -> Callable[..., Spec]:
    """The shape and dtype of the inputs, which are integers or booleans."""

    def infer(a: Tensor, b: Tensor) -> Spec:
        if a.dtype.kind not in kinds:
            remedy = "compare first, as in (x > 0) & (y > 0)" if "b" in kinds else "cast first"
            wanted = "integers and booleans" if "b" in kinds else "integers"
            raise DTypeError(f"{name} takes {wanted}, not {a.dtype}; {remedy}")
        return Spec(a.shape, a.dtype)

    return infer


@binary(_INTEGERS, infer=_bits("bitwise_and"))
def bitwise_and(a: Array, b: Array) -> Array:
    """a & b: the bits that both have; of booleans whether both hold."""
    return np.bitwise_and(a, b)


@binary(_INTEGERS, infer=_bits("bitwise_or"))
def bitwise_or(a: Array, b: Array) -> Array:
    """a | b: the bits that either has; of booleans whether one holds."""
    return np.bitwise_or(a, b)


@binary(_INTEGERS, infer=_bits("bitwise_xor"))
def bitwise_xor(a: Array, b: Array) -> Array:
    """a ^ b: the bits that one of both has; of booleans whether exactly one holds."""
    return np.bitwise_xor(a, b)


@both_names()
@method
def invert(x: TensorLike) -> Tensor:
    """~x: all bits the other way round; of booleans whether x does not hold.

    Raises:
        DTypeError: of a floating Tensor.

    Example:
        >>> import chainrule as cr
        >>> ~(cr.tensor([1.0, 3.0]) > 2.0)
        tensor([ True, False])
    """
    x = as_tensor(x)
    if x.dtype.kind == "f":
        raise DTypeError(f"invert takes integers and booleans, not {x.dtype}; compare first")
    return bitwise_xor(x, np.invert(np.zeros((), x.dtype)))


bitwise_not = invert
bitwise_invert = invert


@binary(_SHIFTS, infer=_bits("left_shift", "iu"))
def _left_shift(a: Array, b: Array) -> Array:
    """a << b: the bits of integers moved up by b places."""
    return np.left_shift(a, b)


@binary(_SHIFTS, infer=_bits("right_shift", "iu"))
def _right_shift(a: Array, b: Array) -> Array:
    """a >> b: the bits of integers moved down by b places; of negative ones the sign stays."""
    return np.right_shift(a, b)


left_shift = of_numbers(_left_shift)
right_shift = of_numbers(_right_shift)
bitwise_left_shift = left_shift
bitwise_right_shift = right_shift


def truth(x: TensorLike) -> Tensor:
    """Whether x is not 0."""
    x = as_tensor(x)
    return x if x.dtype == BOOL else not_equal(x, 0)


@both_names()
@method
def logical_and(a: TensorLike, b: TensorLike) -> Tensor:
    """Whether both are true, which every number but 0 is.

    Example:
        >>> import chainrule as cr
        >>> cr.logical_and(cr.tensor([0.0, 2.0]), cr.tensor([1, 1]))
        tensor([False,  True])
    """
    return bitwise_and(truth(a), truth(b))


@both_names()
@method
def logical_or(a: TensorLike, b: TensorLike) -> Tensor:
    """Whether one or both are true, which every number but 0 is.

    Example:
        >>> import chainrule as cr
        >>> cr.logical_or(cr.tensor([0.0, 2.0]), cr.tensor([0, 1]))
        tensor([False,  True])
    """
    return bitwise_or(truth(a), truth(b))


@both_names()
@method
def logical_xor(a: TensorLike, b: TensorLike) -> Tensor:
    """Whether exactly one of both is true, which every number but 0 is.

    Example:
        >>> import chainrule as cr
        >>> cr.logical_xor(cr.tensor([0.0, 2.0]), cr.tensor([1, 1]))
        tensor([ True, False])
    """
    return bitwise_xor(truth(a), truth(b))


@both_names()
@method
def logical_not(x: TensorLike) -> Tensor:
    """Whether x is 0, or False.

    Example:
        >>> import chainrule as cr
        >>> cr.logical_not(cr.tensor([0.0, 2.0]))
        tensor([ True, False])
    """
    return equal(x, 0)
