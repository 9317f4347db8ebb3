"""Types of option values, and options that several commands share."""

from __future__ import annotations

import math
from typing import Any

import click

MAX_WIDTH = 1 << 20

ACTIVATIONS = {
    "relu": "ReLU",
    "leaky-relu": "LeakyReLU",
    "elu": "ELU",
    "selu": "SELU",
    "gelu": "GELU",
    "silu": "SiLU",
    "mish": "Mish",
    "softplus": "Softplus",
    "sigmoid": "Sigmoid",
    "tanh": "Tanh",
}
"""Activations and their layers in `chainrule.nn`, which is not imported for --help."""

data_argument = click.argument("data", metavar="DATA")
model_argument = click.argument("model", metavar="MODEL")
mnist_option = click.option(
    "--data", "folder", metavar="FOLDER", help="The folder with the four files of MNIST."
)
part_option = click.option(
    "--part",
    type=click.Choice(["train", "test"]),
    help="The rows to use, of data with a training and a test part.  [default: test]",
)
header_option = click.option(
    "--header/--no-header",
    default=None,
    help="Whether the first line of a .csv file holds the names of its columns.  [default: yes if "
    "it holds any text, or counts the columns over rows with decimal points]",
)


class Number(click.ParamType):
    """A finite number in low ... high; `above` and `below` exclude the bound itself."""

    name = "number"

    def __init__(
        self,
        low: float,
        high: float = math.inf,
        *,
        above: bool = False,
        below: bool = False,
    ) -> None:
        self.low, self.high = low, high
        self.above, self.below = above, below

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        try:
            number = float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number", param, ctx)
        fits = self.low < number if self.above else self.low <= number
        fits &= number < self.high if self.below else number <= self.high
        if not (fits and math.isfinite(number)):
            self.fail(f"{value} is not {self._range()}", param, ctx)
        return number

    def _range(self) -> str:
        text = f"a number {'above' if self.above else 'of at least'} {self.low:g}"
        if self.high < math.inf:
            text += f" and {'below' if self.below else 'at most'} {self.high:g}"
        return text


class HiddenLayers(click.ParamType):
    """Widths of hidden layers: "512,512", or "none"."""

    name = "widths"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        if value.strip().lower() == "none":
            return ()
        widths = []
        for text in value.split(","):
            try:
                width = int(text)
            except ValueError:
                width = 0
            if not 1 <= width <= MAX_WIDTH:
                self.fail(
                    f"{text.strip()!r} in {value!r} is not the width of a layer. Give whole "
                    f"numbers from 1 to {MAX_WIDTH}, as in 512,512, or none for no hidden layer.",
                    param,
                    ctx,
                )
            widths.append(width)
        return tuple(widths)
