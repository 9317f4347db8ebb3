"""Tensors that a captured graph computed and did not keep, where a module still names them."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np

from chainrule.errors import SymbolicError
from chainrule.graph.tensor import Array, Tensor


class Leftover(Tensor):
    """What an attribute of a module is after a capture that has set it: a shape and a dtype.

    Args:
        attribute, owner: the names of the attribute and of the module's class.
    """

    __slots__ = ("attribute", "owner")

    def __init__(
        self, shape: tuple[int, ...], dtype: np.dtype[Any], attribute: str, owner: str
    ) -> None:
        super().__init__(None, name=f"{attribute} of {owner}", shape=shape, dtype=dtype)
        self.attribute, self.owner = attribute, owner

    def _refuse(self) -> NoReturn:
        raise SymbolicError(
            f"{self.name} has no value: it was set to a Tensor of a captured graph, as of "
            "cr.compile or a Trainer, which keep the values of results and states alone, so that "
            "no later call can read it. To carry it from call to call make it a chainrule.Buffer, "
            f"register_buffer({self.attribute!r}, ...), and set it by {self.attribute}.assign(...);"
            " to look at it, return it from the function"
        )

    def node(self) -> Tensor:
        self._refuse()

    def numpy(self, *, force: bool = False) -> Array:
        self._refuse()

    def backward(self, *arguments: Any, **keywords: Any) -> None:
        self._refuse()

    def requires_grad_(self, *arguments: Any, **keywords: Any) -> NoReturn:
        self._refuse()

    def __reduce__(self) -> Any:
        return Leftover, (self.shape, self.dtype, self.attribute, self.owner)
