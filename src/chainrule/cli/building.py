"""Model, loss, optimiser and schedule from the options of `chainrule train`."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chainrule import nn, optim
from chainrule.cli.options import ACTIVATIONS
from chainrule.cli.tasks import Task
from chainrule.graph.tensor import Array, Tensor


@dataclass(frozen=True)
class Options:
    """The settings of a training, all defaults filled in; saved with the model."""

    hidden: tuple[int, ...]
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
        return {**asdict(self), "hidden": list(self.hidden)}


def build_model(
    x: Array, y: Array, task: Task, options: Options, *, standardize: bool
) -> nn.Sequential:
    """A network for rows of x: (standardised) inputs, hidden layers, one output per class or value.

    A hidden layer is a linear map, a batch normalisation if asked for, the activation, and dropout.

    Args:
        x, y: the rows to train on, y encoded: what standardising layers are fitted to.
        standardize: whether inputs are brought to mean 0 and variance 1. Targets of a regression
            always are, within the model.
    """
    layers: list[nn.Module] = []
    width = math.prod(x.shape[1:])
    if x.ndim != 2:
        layers.append(nn.Flatten())
    if standardize:
        layers.append(nn.Standardize(width).fit(x.reshape(len(x), width)))
    for hidden in options.hidden:
        # A normalisation takes away what a bias adds.
        layers.append(nn.Linear(width, hidden, bias=not options.batch_norm))
        layers += [nn.BatchNorm1d(hidden)] * options.batch_norm
        layers.append(getattr(nn, ACTIVATIONS[options.activation])())
        layers += [nn.Dropout(options.dropout)] * (options.dropout > 0)
        width = hidden
    if task.classes is not None:
        layers.append(nn.Linear(width, len(task.classes)))
    else:
        units = nn.Unstandardize(y.shape[1], _target_dtype(y)).fit(y)
        layers += [nn.Linear(width, y.shape[1]), units]
    return nn.Sequential(*layers)


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
    schedule: optim.Schedule = {
        "constant": lambda: optim.ConstantLR(optimizer, 1.0, unit="step"),
        "step": lambda: optim.StepLR(optimizer, -(-steps // 3), gamma=0.1, unit="step"),
        "exponential": lambda: optim.ExponentialLR(optimizer, 0.01 ** (1 / steps), unit="step"),
        "inverse-time": lambda: optim.InverseTimeLR(optimizer, 9 / steps, unit="step"),
        "linear": lambda: optim.LinearLR(optimizer, 1.0, 0.0, steps, unit="step"),
        "cosine": lambda: optim.CosineAnnealingLR(optimizer, steps, unit="step"),
    }[options.schedule]()
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
