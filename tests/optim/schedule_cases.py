"""Schedules of two groups, and several at once."""

import pytest

import chainrule as cr
from chainrule import optim

BASE_LRS = [0.5, 0.03]


def make_optimizer():
    return optim.SGD([{"params": [cr.Parameter([1.0])], "lr": lr} for lr in BASE_LRS])


def rates(optimizer):
    return [group["lr"] for group in optimizer.param_groups]


def walk(optimizer, schedule, steps=50):
    """The learning rates before each of `steps` calls of `schedule.step()`."""
    seen = []
    for _ in range(steps):
        seen.append(rates(optimizer))
        schedule.step()
    return seen


CYCLIC = {
    "cyclic": {"base_lr": 0.1, "max_lr": 0.9, "step_size_up": 7},
    "cyclic halved": {
        "base_lr": [0.1, 0.01], "max_lr": [0.9, 0.05], "step_size_up": 5, "step_size_down": 8,
        "mode": "triangular2",
    },
    "cyclic exponential": {
        "base_lr": 0.0, "max_lr": 1.0, "step_size_up": 3, "mode": "exp_range", "gamma": 0.95,
    },
    "cyclic scaled": {
        "base_lr": 0.2, "max_lr": 1.0, "step_size_up": 6, "scale_fn": lambda x: 1 / (1 + x),
        "scale_mode": "iterations",
    },
}  # fmt: skip


def _cyclic(options):
    return lambda o, **unit: optim.CyclicLR(o, **options, cycle_momentum=False, **unit)


SCHEDULES = {
    "constant": lambda o, **unit: optim.ConstantLR(o, 0.3, total_iters=9, **unit),
    "step": lambda o, **unit: optim.StepLR(o, step_size=7, gamma=0.3, **unit),
    "exponential": lambda o, **unit: optim.ExponentialLR(o, gamma=0.9, **unit),
    "inverse time": lambda o, **unit: optim.InverseTimeLR(o, decay=0.2, **unit),
    "cosine": lambda o, **unit: optim.CosineAnnealingLR(o, T_max=50, eta_min=0.01, **unit),
    "multi step": lambda o, **unit: optim.MultiStepLR(o, [30, 4, 11, 4], gamma=0.3, **unit),
    "linear": lambda o, **unit: optim.LinearLR(o, 0.2, 0.9, total_iters=23, **unit),
    "polynomial": lambda o, **unit: optim.PolynomialLR(o, total_iters=40, power=1.7, **unit),
    "restarts": lambda o, **unit: optim.CosineAnnealingWarmRestarts(o, 7, 1, 0.01, **unit),
    "longer restarts": lambda o, **unit: optim.CosineAnnealingWarmRestarts(o, 3, 2, **unit),
    "one cycle": lambda o, **unit: optim.OneCycleLR(o, 2.0, 50, cycle_momentum=False, **unit),
    "three phases": lambda o, **unit: optim.OneCycleLR(
        o, [2.0, 0.1], None, 5, 10, 0.35, "linear", False, 0.8, 0.9, 10.0, 100.0, True, **unit
    ),
    "lambda": lambda o, **unit: optim.LambdaLR(
        o, [lambda t: 1 / (1 + t), lambda t: 0.9**t], **unit
    ),
    "multiplicative": lambda o, **unit: optim.MultiplicativeLR(
        o, lambda t: 1 - 1 / (t + 3), **unit
    ),
    **{name: _cyclic(options) for name, options in CYCLIC.items()},
    "flat cosine": lambda o, **unit: optim.FlatCosineLR(o, total_iters=50, **unit),
    "coslog4": lambda o, **unit: optim.Coslog4LR(o, total_iters=50, **unit),
    "warm-up": lambda o, **unit: optim.WarmupLR(
        optim.CosineAnnealingLR(o, T_max=30, **unit), steps=6
    ),
}
every_schedule = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


def make_adamw(params=None):
    return optim.AdamW(params or [cr.Parameter([1.0, -2.0], "float64")], lr=0.5, weight_decay=0.3)


def combined(optimizer, unit="step"):
    return optim.ChainedScheduler(
        [
            optim.Coslog4LR(optimizer, 20, unit=unit),
            optim.FlatCosineLR(optimizer, 20, unit=unit, parameter="weight_decay"),
        ]
    )
