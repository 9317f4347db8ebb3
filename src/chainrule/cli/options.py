"""Types of option values, and options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import click

MAX_WIDTH = 1 << 20
"""The largest width of a layer or a vector, and the longest context."""
MAX_SIDE = 1 << 14
"""The most pixels along a side of an image."""

ROW_MODELS = ("realmlp", "mlp", "cnn")
MODELS = (*ROW_MODELS, "gpt", "word2vec")

LETTERS = ("boulder", "cs3780", "4al3", "cornell", "row", "deep-learning")

LEARNING_RATES = {
    "sgd": 0.1,
    "adam": 0.001,
    "adamw": 0.001,
    "nadam": 0.001,
    "rmsprop": 0.001,
    "adagrad": 0.01,
    "lion": 0.0001,
}
SMALL_BATCH, LARGE_BATCH, MANY_ROWS = 32, 64, 10_000
"""The default batch sizes of mlp and cnn; the number of rows from which the larger is used."""

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
part_option = click.option(
    "--part",
    type=click.Choice(["train", "test"]),
    help="The rows to use, of data with a training and a test part.  [default: test]",
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


class Option(click.Option):
    """An option of one section of a command's help, and of some models alone.

    Attributes:
        section: the heading that it stands under.
        models: the models that have it; all where there are none.
    """

    def __init__(
        self, *names: Any, section: str = "Options", models: tuple[str, ...] = (), **rest: Any
    ) -> None:
        super().__init__(*names, **rest)
        self.section, self.models = section, models


def option(*names: str, **rest: Any) -> Callable[[Any], Any]:
    """A decorator that adds an `Option`."""
    return click.option(*names, cls=Option, **rest)


mnist_option = option(
    "--data",
    "folder",
    metavar="FOLDER",
    section="Data",
    models=ROW_MODELS,
    help="The folder with the files of mnist, fashion-mnist or cifar10.",
)
header_option = option(
    "--header/--no-header",
    default=None,
    section="Data",
    models=ROW_MODELS,
    help="Whether the first line of a .csv file holds the names of its columns.  [default: yes if "
    "it holds any text, or counts the columns over rows with decimal points]",
)


class SectionedCommand(click.Command):
    """A command whose help lists its options by sections.

    It names the models of each option that not all models of rows have.
    """

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None and isinstance(parameter, click.Option):
                heading = getattr(parameter, "section", "Other options")
                name, text = record
                models = getattr(parameter, "models", ())
                if models and not {*ROW_MODELS} <= {*models}:
                    text += f" (for {', '.join(models)})"
                sections.setdefault(heading, []).append((name, text))
        for heading, records in sections.items():
            with formatter.section(heading):
                formatter.write_dl(records)


def check_models(ctx: click.Context, model: str) -> None:
    """Raise UsageError where an option is given that the model does not have."""
    for parameter in ctx.command.params:
        models = getattr(parameter, "models", ())
        source = ctx.get_parameter_source(str(parameter.name))
        if models and model not in models and source is click.core.ParameterSource.COMMANDLINE:
            having = " and ".join(filter(None, [", ".join(models[:-1]), models[-1]]))
            remedy = "Leave it out"
            if model == "realmlp" and "mlp" in models:
                remedy += ", or take --model mlp"
            raise click.UsageError(
                f"{parameter.opts[0]} is an option of --model {having}; this trains --model "
                f"{model}. {remedy}."
            )


class Size(click.ParamType):
    """Height and width of images: "64", or "48x64"."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        sides = value.lower().split("x")
        if len(sides) > 2 or not all(s.isdecimal() and 1 <= int(s) <= MAX_SIDE for s in sides):
            self.fail(
                f"{value!r} is no size of images. Give 64 for 64 x 64 pixels, or height and "
                "width, as in 48x64.",
                param,
                ctx,
            )
        return int(sides[0]), int(sides[-1])


class Widths(click.ParamType):
    """Widths of layers: "512,512", or "none"."""

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
