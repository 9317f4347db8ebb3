"""Where the numbers of a module lie, and in which dtype: both are settled when it is made."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

from chainrule.graph.placement import no_device, wanted_dtype
from chainrule.nn.traversal import Traversed

P = TypeVar("P", bound="Placed")


class Placed(Traversed):
    """The base of a module: PyTorch's conversions, as far as they ask for what there is."""

    def to(self: P, *args: Any, **kwargs: Any) -> P:
        """This module, if it is asked for the CPU and for the dtype that its parameters have.

        So a script for PyTorch runs where it chooses the CPU. Another dtype is chosen when the
        layers are made: ``nn.Linear(2, 3, dtype="float64")``.

        Args:
            args: a device such as "cpu", a dtype, or both.
            kwargs: `device`, `dtype`; `non_blocking` means nothing.

        Raises:
            TypeError: for another device or dtype.
        """
        dtype = wanted_dtype(args, kwargs)
        return self if dtype is None else self._keep(str(dtype))

    def cpu(self: P) -> P:
        """This module: its numbers are in the CPU's memory."""
        return self

    def cuda(self, device: Any = None) -> NoReturn:
        """Raise TypeError: chainrule computes on the CPU."""
        no_device("cuda")

    def float(self: P) -> P:
        """This module, if its parameters are float32; else raise TypeError."""
        return self._keep("float32")

    def double(self: P) -> P:
        """This module, if its parameters are float64; else raise TypeError."""
        return self._keep("float64")

    def half(self: P) -> P:
        """Raise TypeError: parameters are float32 or float64."""
        return self._keep("float16")

    def bfloat16(self: P) -> P:
        """Raise TypeError: parameters are float32 or float64."""
        return self._keep("bfloat16")

    def _keep(self: P, wanted: str) -> P:
        """This module, if all its parameters and floating buffers have the dtype `wanted`."""
        states = (*self.parameters(), *self.buffers())
        found = {str(state.dtype) for state in states if state.dtype.kind == "f"}
        if found <= {wanted} and wanted in ("float32", "float64"):
            return self
        remedy = (
            f"make the layers with dtype={wanted!r}, as nn.Linear(2, 3, dtype={wanted!r})"
            if wanted in ("float32", "float64")
            else "parameters are float32 or float64, chosen when the layers are made"
        )
        raise TypeError(
            f"{type(self).__name__} can't be converted to {wanted}: a layer keeps the dtype that "
            f"it was made with; {remedy}"
        )
