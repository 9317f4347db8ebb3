"""Pixels as files hold them, and as models take them."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

PixelDtype = Literal["float32", "uint8"]


def check_pixel_dtype(dtype: str) -> None:
    """Raise ValueError for a dtype that images are not read in."""
    if dtype not in ("float32", "uint8"):
        raise ValueError(f"dtype is {dtype!r}. Use 'float32' (scaled to [0, 1]) or 'uint8'.")


def scaled(images: NDArray[Any], dtype: PixelDtype) -> NDArray[Any]:
    """The values 0..255 as they are, or as floats of [0, 1]."""
    if dtype == "uint8":
        return images
    return np.divide(images, np.float32(255), dtype=np.float32)
