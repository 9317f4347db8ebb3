"""`values, indices = x.max(1)`: PyTorch's pair, where this library, as NumPy, has the values alone.

Of two rows the assignment would go through, and call the second row indices; of more Python's error
would not say why. What it unpacks is seen where it asks for an iterator: the instruction that runs
in the caller's frame is the one that unpacks. Loops, lists and calls are other instructions.
"""

from __future__ import annotations

from opcode import opmap
from types import FrameType
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

if TYPE_CHECKING:
    from chainrule.graph.tensor import Tensor

_UNPACK = opmap["UNPACK_SEQUENCE"]
_REMEDY = (
    "x.max(axis) and x.min(axis) are the values alone, as in NumPy; x.argmax(axis) and "
    "x.argmin(axis) are the indices"
)

_extremes: WeakValueDictionary[int, Tensor] = WeakValueDictionary()
"""The results of max and min along an axis, by their id."""


def note_extremes(result: Tensor) -> Tensor:
    """Remember a result of max or min along an axis, which two names may not take apart."""
    if result.shape:
        _extremes[id(result)] = result
    return result


def check_unpacking(tensor: Tensor, frame: FrameType) -> None:
    """Refuse to take a Tensor apart as if it were PyTorch's pair of values and indices.

    Args:
        tensor: what an iterator is wanted of.
        frame: of the code that wants it.

    Raises:
        TypeError: if two names take apart the values of max or min.
    """
    code, at = frame.f_code.co_code, frame.f_lasti
    is_pair = 0 <= at < len(code) - 1 and code[at] == _UNPACK and code[at + 1] == 2
    if is_pair and _extremes.get(id(tensor)) is tensor:
        raise TypeError(
            f"the values of max or min, of shape {tensor.shape}, are no pair: {_REMEDY}"
        )
