"""lr_scheduler.ReduceLROnPlateau as PyTorch's, and what PyTorch's schedules take besides."""

import itertools

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.optim import lr_scheduler

VALUES = {
    "rests": [3, 2, 1, 1, 1, 1, 1, 0.5, *[0.5] * 22],
    "noise": np.random.default_rng(2).random(30).tolist(),
    "below zero": (-np.random.default_rng(3).random(30)).tolist(),
}
OPTIONS = [
    {},
    {"mode": "max", "patience": 0, "factor": 0.5, "min_lr": [0.01, 0.0]},
    {"patience": 1, "factor": 0.5, "cooldown": 2, "threshold": 0.2},
    {"patience": 1, "threshold": 0.1, "threshold_mode": "abs", "min_lr": 1e-3},
    {"patience": 0, "factor": 0.9, "eps": 1e-2},
]


def make_optimizer():
    return optim.SGD([{"params": [cr.Parameter([1.0])], "lr": lr} for lr in (0.5, 0.03)])


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("values", VALUES.values(), ids=VALUES)
def test_rates_are_pytorchs(values, options):
    """Also where at every step another takes over from a state dict."""
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": lr} for lr in (0.5, 0.03)])
    peer = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    optimizer = make_optimizer()
    state = lr_scheduler.ReduceLROnPlateau(optimizer, **options).state_dict()
    for epoch, value in enumerate(values, 1):
        schedule = lr_scheduler.ReduceLROnPlateau(optimizer, **options)
        schedule.load_state_dict(state)
        peer.step(value)
        schedule.step(value)
        state = schedule.state_dict()
        assert schedule.get_last_lr() == pytest.approx(peer.get_last_lr(), rel=1e-12)
        assert schedule.last_epoch == peer.last_epoch == epoch


def test_a_metric_may_be_a_tensor_or_numpys():
    for metric in (cr.tensor(1.0), np.float32(1.0), np.array(1.0), 1):
        optimizer = make_optimizer()
        schedule = optim.ReduceLROnPlateau(optimizer, patience=0)
        schedule.step(metric)
        schedule.step(metric)
        assert schedule.get_last_lr() == pytest.approx([0.05, 0.003])


def test_another_schedule_goes_on_from_the_lower_rate():
    optimizer = make_optimizer()
    schedule = optim.ExponentialLR(optimizer, gamma=0.5)
    plateau = optim.ReduceLROnPlateau(optimizer, factor=0.1, patience=0)
    for _ in range(2):
        plateau.step(1.0)
        schedule.step()
    assert plateau.get_last_lr() == pytest.approx([0.5 * 0.1 * 0.25, 0.03 * 0.1 * 0.25])


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda o: optim.ReduceLROnPlateau(optim.SGD), "got <class .*give an object of it"),
        (lambda o: optim.ReduceLROnPlateau(o, "best"), "mode is 'min' or 'max'"),
        (lambda o: optim.ReduceLROnPlateau(o, factor=1.0), "factor lies between 0 and 1"),
        (lambda o: optim.ReduceLROnPlateau(o, min_lr=[0.1]), "1 numbers for 2 parameter groups"),
        (lambda o: optim.ReduceLROnPlateau(o, min_lr="low"), "min_lr is a number, got 'low'"),
        (lambda o: optim.ReduceLROnPlateau(o, min_lr=np.array(0.1)), "min_lr is a number, got arr"),
        (lambda o: optim.ReduceLROnPlateau(o, threshold_mode="x"), "'rel' or 'abs'"),
        (lambda o: optim.ReduceLROnPlateau(o, eps=-1), "eps is not negative"),
        (lambda o: optim.ReduceLROnPlateau(o).step(None), "metrics is a number, got None"),
        (lambda o: optim.ReduceLROnPlateau(o).step(cr.tensor([1.0, 2.0])), "one number"),
        (lambda o: optim.ReduceLROnPlateau(o).step(1.0, 3), "step\\(\\) counts by itself"),
        (lambda o: optim.ReduceLROnPlateau(o).load_state_dict(None), "state_dict is a dict"),
        (
            lambda o: optim.ReduceLROnPlateau(o).load_state_dict({}),
            "the state holds nothing; ",
        ),
        (lambda o: optim.SequentialLR(o, [optim.ReduceLROnPlateau(o)], []), "takes a metric"),
        (lambda o: optim.ChainedScheduler([optim.ReduceLROnPlateau(o)]), "takes a metric"),
        (lambda o: optim.StepLR(o, 3, 0.1, 4), "begins at t = 0, got last_epoch=4"),
        (lambda o: optim.StepLR(o, 3, last_epoch=1.5), "last_epoch is a whole number"),
        (lambda o: optim.StepLR(o, 3).step(2), "step\\(\\) counts by itself"),
        (lambda o: optim.StepLR(o, 3).step(0.5), "ReduceLROnPlateau"),
        (lambda o: optim.StepLR(o, 3).load_state_dict(None), "state_dict is a dict.*got None"),
        (
            lambda o: optim.ChainedScheduler([optim.StepLR(o, 3)]).load_state_dict(None),
            "state_dict is a dict.*got None",
        ),
    ],
)
def test_what_is_wrong_is_refused(call, message):
    with pytest.raises((TypeError, ValueError), match=message):
        call(make_optimizer())


def test_a_trainer_names_the_callback():
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(TypeError, match=r"callbacks=\[chainrule.ReduceLROnPlateau"):
        cr.Trainer(
            model, nn.MSELoss(), optimizer, schedule=lr_scheduler.ReduceLROnPlateau(optimizer)
        )


# PyTorch's other schedules: all its arguments by position, with its default for last_epoch

POSITIONAL = {
    "LambdaLR": (lambda t: 0.9**t, -1),
    "MultiplicativeLR": (lambda t: 0.9, -1),
    "StepLR": (7, 0.3, -1),
    "MultiStepLR": ([3, 9, 20], 0.5, -1),
    "ConstantLR": (0.3, 9, -1),
    "LinearLR": (0.2, 0.9, 12, -1),
    "ExponentialLR": (0.9, -1),
    "PolynomialLR": (20, 1.7, -1),
    "CosineAnnealingLR": (40, 0.001, -1),
    "CosineAnnealingWarmRestarts": (5, 2, 0.001, -1),
    "OneCycleLR": (0.7, 40, None, None, 0.3, "cos", False, 0.85, 0.95, 20.0, 1e3, True, -1),
    "CyclicLR": (0.01, 0.5, 4, 6, "triangular2", 1.0, None, "cycle", False, 0.8, 0.9, -1),
    "ReduceLROnPlateau": ("min", 0.5, 1, 0.1, "abs", 1, 1e-3, 1e-9),
}
COMBINED = {"SequentialLR", "ChainedScheduler"}
NOT_HERE = {
    "LRScheduler": "the base, which is `Schedule` here",
    "SWALR": "of torch.optim.swa_utils; LinearLR and ConstantLR in sequence",
}


@pytest.mark.parametrize("name", POSITIONAL)
def test_arguments_are_pytorchs_by_place(name):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": lr} for lr in (0.5, 0.03)])
    peer = getattr(torch.optim.lr_scheduler, name)(theirs, *POSITIONAL[name])
    schedule = getattr(lr_scheduler, name)(make_optimizer(), *POSITIONAL[name])
    values = itertools.cycle([3.0, 2.0, 1.0, 1.0, 1.0, 1.5, 1.0])
    theirs.step()  # PyTorch warns where a schedule comes first
    for _ in range(30):
        if name == "ReduceLROnPlateau":
            value = next(values)
            peer.step(value)
            schedule.step(value)
        else:
            peer.step()
            schedule.step()
        assert schedule.get_last_lr() == pytest.approx(peer.get_last_lr(), rel=1e-9, abs=1e-15)
        assert schedule.last_epoch == peer.last_epoch


def test_every_schedule_of_pytorch_is_here():
    torch = pytest.importorskip("torch")
    names = set(torch.optim.lr_scheduler.__all__)
    assert names <= set(POSITIONAL) | COMBINED | set(NOT_HERE)
    assert names - set(NOT_HERE) <= set(lr_scheduler.__all__)
