"""Model, loss, optimiser and schedule from the options of `chainrule train`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chainrule import nn, optim
from chainrule.cli.options import ACTIVATIONS
from chainrule.cli.sources import SourceData
from chainrule.cli.tasks import Task
from chainrule.graph.tensor import Array, Tensor


@dataclass(frozen=True)
class Options:
    """The settings of a training, all defaults filled in; saved with the model."""

    model: str
    hidden: tuple[int, ...]
    channels: tuple[int, ...]
    activation: str
    batch_norm: bool
    dropout: float
    optimizer: str
    lr: float
    momentum: float
    weight_decay: float
    schedule: str
    warmup: float
    clip_norm: float | None
    batch_size: int
    epochs: int
    validation_fraction: float
    patience: int | None
    seed: int

    def to_json(self) -> dict[str, Any]:
        """The options as JSON holds them."""
        return {**asdict(self), "hidden": list(self.hidden), "channels": list(self.channels)}


def build_model(
    x: Array, y: Array, task: Task, options: Options, *, standardize: bool
) -> nn.Sequential:
    """A network for rows of x: (standardised) inputs, hidden layers, one output per class or value.

    A hidden layer is a linear map, a batch normalisation if asked for, the activation, and dropout.
    A cnn has convolutions before them.

    Args:
        x, y: the rows to train on, y encoded: what standardising layers are fitted to.
        standardize: whether inputs are brought to mean 0 and variance 1; a cnn's always are.
            Targets of a regression always are, within the model.
    """
    layers: list[nn.Module] = []
    shape = x.shape[1:]
    if options.model == "cnn":
        layers, shape = _convolutions(shape, options)
        standardize = False
    width = math.prod(shape)
    if len(shape) != 1:
        layers.append(nn.Flatten())
    if standardize:
        layers.append(nn.Standardize(width).fit(x.reshape(len(x), width)))
    for hidden in options.hidden:
        # A normalisation takes away what a bias adds.
        layers.append(nn.Linear(width, hidden, bias=not options.batch_norm))
        layers += [nn.BatchNorm1d(hidden)] * options.batch_norm
        layers.append(_activation(options))
        layers += [nn.Dropout(options.dropout)] * (options.dropout > 0)
        width = hidden
    if task.classes is not None:
        layers.append(nn.Linear(width, len(task.classes)))
    else:
        units = nn.Unstandardize(y.shape[1], _target_dtype(y)).fit(y)
        layers += [nn.Linear(width, y.shape[1]), units]
    return nn.Sequential(*layers)


def _convolutions(
    shape: tuple[int, ...], options: Options
) -> tuple[list[nn.Module], tuple[int, ...]]:
    """The layers of a cnn up to its hidden ones, and the shape of what they give for a row.

    The first normalises each channel of the images. While an image has two pixels in each
    direction, a maximum over 2 x 2 of them follows a convolution.
    """
    layers: list[nn.Module] = []
    if len(shape) == 2:
        layers.append(nn.Unflatten(1, (1, shape[0])))
        shape = (1, *shape)
    channels, height, width = shape
    layers.append(nn.BatchNorm2d(channels, momentum=None, affine=False))
    for out in options.channels:
        # A normalisation takes away what a bias adds.
        layers.append(nn.Conv2d(channels, out, 3, padding=1, bias=False))
        layers += [nn.BatchNorm2d(out), _activation(options)]
        if min(height, width) > 1:
            layers.append(nn.MaxPool2d(2))
            height, width = height // 2, width // 2
        channels = out
    return layers, (channels, height, width)


def default_channels(shape: tuple[int, ...]) -> tuple[int, ...]:
    """16, 32 and, until at most 7 pixels are left in each direction, twice as many each."""
    channels, side = [16, 32], max(shape[-2:]) // 4
    while side > 7:
        channels.append(min(2 * channels[-1], 256))
        side //= 2
    return tuple(channels)


def check_images(data: SourceData) -> None:
    """Raise ValueError where rows are no images, which a cnn takes."""
    shape = data.x.shape[1:]
    if len(shape) == 3 and shape[-1] in (1, 3, 4) and shape[0] not in (1, 3, 4):
        raise ValueError(
            f"{data.name} has rows of shape {shape}, with the channels last. --model cnn takes "
            "(channels, height, width): save x.transpose(0, 3, 1, 2)."
        )
    if len(shape) not in (2, 3):
        row = f"{shape[0]} numbers" if len(shape) == 1 else f"shape {shape}"
        raise ValueError(
            f"--model cnn takes images, (height, width) or (channels, height, width); a row of "
            f"{data.name} has {row}. Use --model mlp, or save an .npz file whose x has the shape "
            "of images."
        )


def _activation(options: Options) -> nn.Module:
    layer: nn.Module = getattr(nn, ACTIVATIONS[options.activation])()
    return layer


def build_loss(model: nn.Sequential, task: Task) -> Callable[[Any, Any], Tensor]:
    """Cross-entropy; or the mean squared error in standard units, which suits any learning rate."""
    if task.classes is not None:
        return nn.CrossEntropyLoss()
    units = model[-1]
    assert isinstance(units, nn.Unstandardize)
    mse = nn.MSELoss()

    def standardized_mse(output: Tensor, target: Tensor) -> Tensor:
        return mse(output / units.scale, target / units.scale)

    return standardized_mse


def build_optimizer(model: nn.Module, options: Options) -> optim.Optimizer:
    """The optimiser by its name."""
    parameters = list(model.parameters())
    common: dict[str, Any] = {"lr": options.lr, "weight_decay": options.weight_decay}
    if options.optimizer == "sgd":
        return optim.SGD(parameters, momentum=options.momentum, **common)
    if options.optimizer == "rmsprop":
        return optim.RMSprop(parameters, momentum=options.momentum, **common)
    return {
        "adam": optim.Adam,
        "adamw": optim.AdamW,
        "nadam": optim.NAdam,
        "adagrad": optim.Adagrad,
        "lion": optim.Lion,
    }[options.optimizer](parameters, **common)


def build_schedule(optimizer: optim.Optimizer, options: Options, rows: int) -> optim.Schedule:
    """The schedule by its name, over all steps of the training."""
    steps_per_epoch = -(-rows // options.batch_size)
    warmup = round(options.warmup * steps_per_epoch)
    steps = max(1, options.epochs * steps_per_epoch - warmup)
    schedules: dict[str, Callable[[], optim.Schedule]] = {
        "constant": lambda: optim.ConstantLR(optimizer, 1.0, unit="step"),
        "step": lambda: optim.StepLR(optimizer, -(-steps // 3), gamma=0.1, unit="step"),
        "exponential": lambda: optim.ExponentialLR(optimizer, 0.01 ** (1 / steps), unit="step"),
        "inverse-time": lambda: optim.InverseTimeLR(optimizer, 9 / steps, unit="step"),
        "linear": lambda: optim.LinearLR(optimizer, 1.0, 0.0, steps, unit="step"),
        "cosine": lambda: optim.CosineAnnealingLR(optimizer, steps, unit="step"),
    }
    schedule = schedules[options.schedule]()
    return optim.WarmupLR(schedule, warmup) if warmup else schedule


def as_input(x: Array) -> Array:
    """Inputs as the model takes them: floats and uint8 as they are (a batch is cast at a time)."""
    return x if x.dtype.kind == "f" or x.dtype == np.uint8 else np.asarray(x, np.float64)


_MOST_SPREADS = 2**13
"""float32 has 2^24 steps below a number: targets that are so many standard deviations large have
some thousand steps within one, too few to predict them."""


def _target_dtype(y: Array) -> str:
    """The dtype that tells targets apart."""
    spread = y.std(axis=0)
    is_far = (np.abs(y).max(axis=0) > _MOST_SPREADS * spread) & (spread > 0)
    return "float64" if is_far.any() else "float32"
