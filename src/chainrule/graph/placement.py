"""What PyTorch's `to` may ask for here: the CPU, which is the one device, and a dtype."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

import numpy as np

HERE = "cpu"
"""The device of all Tensors, as PyTorch and the array API standard call it."""

_DEVICES = (HERE, "cuda", "mps", "xpu", "meta")


def wanted_dtype(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> np.dtype[Any] | None:
    """The dtype that the arguments of `to` ask for; None if they ask for the CPU alone.

    Raises:
        TypeError: for another device, or what is neither a device nor a dtype.
    """
    kwargs = {key: value for key, value in kwargs.items() if key != "non_blocking"}
    unknown = kwargs.keys() - {"device", "dtype"}
    if unknown:
        raise TypeError(f"to() takes a device and a dtype, not {sorted(unknown)[0]!r}")
    found = None
    for given in (*args, *kwargs.values()):
        if given is None or isinstance(given, bool):
            continue
        if str(given).partition(":")[0] in _DEVICES:
            check_device(given)
            continue
        try:
            found = np.dtype(given)
        except TypeError:
            raise TypeError(f"to() takes 'cpu' or a dtype, got {given!r:.80}") from None
    return found


def check_device(device: Any) -> None:
    """Raise TypeError for any device but the CPU, which None is too."""
    if device is not None and str(device).partition(":")[0] != HERE:
        no_device(str(device))


def no_device(device: str) -> NoReturn:
    raise TypeError(
        f"there is no device {device!r} here: chainrule computes on the CPU, device='cpu'"
    )
