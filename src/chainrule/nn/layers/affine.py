"""Augmentation of images by affine maps: turned, shifted, scaled, sheared."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from chainrule import checks
from chainrule.errors import DTypeError
from chainrule.graph.tensor import Tensor, as_tensor
from chainrule.nn.functional.sampling import sampled
from chainrule.nn.layers.augmentation import Augmentation, drawn, for_lines, interval
from chainrule.ops import cos, rint, sin, tan


class RandomAffine(Augmentation):
    """Each image turned, shifted, scaled and sheared around its middle; in evaluation as it is.

    Pixel p of the output, seen from the middle, is the pixel q = A^-1 (p - t) of the input, with
    A = s [[cos a, -sin a], [sin a, cos a]] [[1, 0], [-tan v, 1]] [[1, -tan u], [0, 1]], x before y
    and y downwards, as in torchvision: what is seen turns clockwise by a; what is below the middle
    is sheared to the left by u, what is right of it upwards by v. What comes from outside is
    `fill`.

    Args:
        degrees: the angle a, clockwise, is uniform from the first number to the second; one number
            d means (-d, d).
        translate: the largest shifts t, as shares of width and height; they are whole pixels. None
            is no shift.
        scale: the least and the largest s; None is 1.
        shear: the least and the largest angle u in degrees, and of v, if there are four; one number
            d means (-d, d). None is no shear.
        interpolation: "nearest" takes the nearest pixel, "bilinear" weighs the four around q.
        fill: the number outside.

    Shapes:
        Input and output (N, C, H, W).

    Raises:
        ShapeError, DTypeError: when called on an input of another shape, or on integers.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.RandomAffine(10, translate=(0.1, 0.1), interpolation="bilinear")
        >>> layer(cr.ones((5, 3, 8, 8))).shape
        (5, 3, 8, 8)
    """

    unnamed_arguments = 1
    _is_clockwise = True

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: str = "nearest",
        fill: float = 0,
    ) -> None:
        super().__init__()
        self.degrees = _angles("degrees", degrees)
        self.translate = None
        if translate is not None:
            if not isinstance(translate, (list, tuple)) or len(translate) != 2:
                raise ValueError(f"translate is a pair of shares, got {translate!r}")
            self.translate = tuple([checks.probability("translate", t) for t in translate])
        self.scale = None if scale is None else interval("scale", scale, 0)
        if self.scale is not None and self.scale[0] == 0:
            raise ValueError(f"scale is positive, got {scale}")
        self.shear = None
        if shear is not None:
            four = isinstance(shear, (list, tuple)) and len(shear) == 4
            parts = (shear[:2], shear[2:]) if four else (shear, (0.0, 0.0))  # type: ignore[index]
            self.shear = (*_angles("shear", parts[0]), *_angles("shear", parts[1]))
        self.interpolation = checks.one_of("interpolation", interpolation, ("nearest", "bilinear"))
        self.fill = checks.number("fill", fill)

    def augmented(self, x: Tensor) -> Tensor:
        if x.dtype.kind != "f":
            raise DTypeError(f"the images are floating, not {x.dtype}: cast them, x.astype('f')")
        height, width = x.shape[2:]
        (xx, xy, yx, yy), (shift_x, shift_y) = self._maps(x)
        middle_x, middle_y = (width - 1) / 2, (height - 1) / 2
        line = as_tensor((np.arange(height) - middle_y).astype(x.dtype))  # along axis 1
        column = as_tensor(np.arange(width).astype(x.dtype))
        below, aside = line - shift_y, -middle_x - shift_x
        columns = _along(xx, xx * aside + xy * below + middle_x, column, height)
        rows = _along(yx, yx * aside + yy * below + middle_y, column, height)
        return sampled(x, rows, columns, height, self.interpolation, self.fill)

    def _maps(self, x: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The elements of A^-1 and t, columns of a number for each image."""
        turn, size, shear_x, shear_y, right, down = drawn(x, 6)
        angle = _between(turn, *(math.radians(a) for a in self.degrees))
        if not self._is_clockwise:
            angle = -angle
        c, s = cos(angle), sin(angle)
        factor = 1.0 / _between(size, *(self.scale or (1.0, 1.0)))
        inverse = [c * factor, s * factor, -s * factor, c * factor]
        if self.shear is not None:
            low, high, low_y, high_y = (math.radians(a) for a in self.shear)
            u, v = tan(_between(shear_x, low, high)), tan(_between(shear_y, low_y, high_y))
            a, b, d, e = inverse
            d, e = d + v * a, e + v * b
            inverse = [a + u * d, b + u * e, d, e]
        most = self.translate or (0.0, 0.0)
        shifts = [
            rint((number * 2.0 - 1.0) * (share * n))
            for number, share, n in zip((right, down), most, x.shape[:1:-1], strict=True)
        ]
        return inverse, shifts


def _between(number: Tensor, low: float, high: float) -> Tensor:
    return number * (high - low) + low


def _along(slope: Tensor, start: Tensor, column: Tensor, height: int) -> Tensor:
    """start + slope times the column, for each line of each image."""
    return for_lines(slope, height) * column + start.reshape(-1, 1)


def _angles(name: str, value: float | Sequence[float]) -> tuple[float, float]:
    """The least and the largest angle; of one number d that is -d and d."""
    if isinstance(value, (list, tuple)):
        return interval(name, value)
    most = checks.not_negative(name, value)
    return -most, most


class RandomRotation(RandomAffine):
    """Each image turned around its middle by a random angle; in evaluation as it is.

    Args:
        degrees: the angle, counter-clockwise as in torchvision, is uniform from the first number to
            the second; one number d means (-d, d). `RandomAffine` turns clockwise, there as here.
        interpolation, fill: as of `RandomAffine`.

    Shapes:
        Input and output (N, C, H, W).

    Raises:
        ShapeError, DTypeError: as `RandomAffine`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> layer = nn.RandomRotation((90, 90))
        >>> layer(cr.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])).tolist()
        [[[[2.0, 4.0], [1.0, 3.0]]]]
    """

    _is_clockwise = False

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: str = "nearest",
        fill: float = 0,
    ) -> None:
        super().__init__(degrees, interpolation=interpolation, fill=fill)
