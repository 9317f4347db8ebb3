"""The arrays of a state dict, which answer the names of PyTorch's tensors with what to write."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from chainrule.graph.names_of_functions import OURS
from chainrule.graph.tensor import Array, Size, Tensor

_ITSELF = ("clone", "contiguous", "cpu", "detach", "numpy", "pin_memory")


class StateArray(np.ndarray[Any, Any]):
    """An array of a state dict. What is computed from it, and a pickle of it, are plain arrays.

    Example:
        >>> from chainrule import nn
        >>> nn.Linear(2, 1).state_dict()["bias"].clone()
        Traceback (most recent call last):
        AttributeError: a state dict holds arrays, which have no 'clone'; here it is x itself: ...
    """

    def __getattr__(self, name: str) -> NoReturn:
        message = f"a state dict holds arrays, which have no {name!r}"
        if name.startswith("_"):
            raise AttributeError(message)
        if name in _ITSELF:
            message += "; here it is x itself: an array of its own, which training does not change"
        elif name == "to":
            message += "; here it is x itself, or x.astype(dtype)"
        elif name.endswith("_"):
            message += "; here it is x[...] = value, for load_state_dict to take"
        elif name in OURS:
            message += f"; here it is {OURS[name]}"
        elif hasattr(Tensor, name):
            message += f"; here it is cr.as_tensor(x).{name}"
        raise AttributeError(message)

    def view(self, *arguments: Any, **keywords: Any) -> Any:
        """NumPy's `view`, of a dtype; PyTorch's, of a shape, is `reshape` here."""
        if arguments and isinstance(arguments[0], int):
            raise TypeError(
                f"a state dict holds arrays, whose view is of a dtype, not {arguments[0]}; for a "
                "shape it is x.reshape(...)"
            )
        return super().view(*arguments, **keywords)

    @property
    def size(self) -> int:
        return Size(super().size)

    def __array_wrap__(self, array: Array, context: Any = None, return_scalar: bool = True) -> Any:
        return array[()] if return_scalar else array

    def __reduce_ex__(self, protocol: Any) -> Any:
        return np.asarray(self).__reduce_ex__(protocol)

    def __repr__(self) -> str:
        return repr(np.asarray(self))
