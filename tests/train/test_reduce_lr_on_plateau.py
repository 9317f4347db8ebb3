"""ReduceLROnPlateau: PyTorch's rule, schedules, checkpoints."""

import numpy as np
import pytest
from training_cases import Scripted, network, regression, trainer_of

import chainrule as cr
from chainrule import nn, optim

NAN, INF = float("nan"), float("inf")
RNG = np.random.default_rng(2)
SEQUENCES = {
    "falls, then rests": [3, 2, 1, 1, 1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
    "noise": RNG.random(40).tolist(),
    "below zero": [-1, -2, -2.0001, -2.0003, -2.1, -2.1, -2, -3, -3, -3, -3],
    "small gains": (1 - np.arange(30) * 3e-5).tolist(),
    "no numbers": [NAN, 1, NAN, NAN, NAN, INF, 0.5, 0.5, 0.5],
    "infinite first": [INF, INF, INF, 3, 3, 3],
    "rises": np.linspace(0.1, 0.9, 15).tolist(),
}
OPTIONS = [
    {},
    {"patience": 0},
    {"patience": 1, "factor": 0.5, "cooldown": 2},
    {"patience": 1, "factor": 0.5, "min_lr": 0.02},
    {"patience": 1, "threshold": 0.2},
    {"patience": 1, "threshold": 0.2, "threshold_mode": "abs"},
    {"patience": 0, "factor": 0.01},  # soon below the least change
    {"patience": 2, "mode": "max"},
    {"patience": 0, "mode": "max", "threshold_mode": "abs", "cooldown": 1},
    {"patience": 0, "mode": "max", "threshold": 0.3},
]


def two_groups(model):
    return [
        {"params": list(model[0].parameters()), "lr": 0.1},
        {"params": list(model[2].parameters()), "lr": 0.03},
    ]


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("values", SEQUENCES.values(), ids=SEQUENCES)
def test_learning_rates_are_those_of_pytorch(values, options):
    """Also if at each epoch another callback takes over from a checkpoint."""
    torch = pytest.importorskip("torch")
    parameters = [torch.nn.Parameter(torch.zeros(1)) for _ in range(2)]
    theirs = torch.optim.SGD(
        [{"params": [p], "lr": lr} for p, lr in zip(parameters, (0.1, 0.03), strict=True)]
    )
    scheduler = torch.optim.lr_scheduler.ReduceLROnPlateau(theirs, **options)
    model = network()
    trainer = trainer_of(model, optimizer=optim.SGD(two_groups(model)))
    state = cr.ReduceLROnPlateau(**options).state_dict()
    for value in values:
        scheduler.step(value)
        callback = cr.ReduceLROnPlateau(**options)
        callback.load_state_dict(state)
        callback.on_epoch_end(trainer, {"validation_loss": value})
        state = callback.state_dict()
        found = [group["lr"] for group in trainer.optimizer.param_groups]
        assert found == [group["lr"] for group in theirs.param_groups]


def scripted_fit(values, schedule=None, higher_is_better=False, **options):
    """The learning rate of each epoch of a fit in which the metric has these values."""
    model = network(outputs=1)
    optimizer = optim.SGD(model.parameters(), lr=0.8, weight_decay=0.1)
    trainer = trainer_of(
        model,
        nn.MSELoss(),
        optimizer,
        schedule=schedule and schedule(optimizer),
        metrics=[Scripted(values, higher_is_better)],
        callbacks=[cr.ReduceLROnPlateau("scripted", factor=0.5, patience=1, **options)],
    )
    history = trainer.fit(*regression(8), epochs=len(values), batch_size=4, progress=False)
    return history["lr"]


def test_a_fit_trains_on_with_the_lower_rate(backend):
    assert scripted_fit([3, 2, 2, 2, 2, 1, 1]) == [0.8, 0.8, 0.8, 0.8, 0.4, 0.4, 0.4]
    rising = {"higher_is_better": True}
    assert scripted_fit([1, 2, 3, 4], **rising) == [0.8] * 4
    assert scripted_fit([1, 2, 3, 4]) == [0.8, 0.8, 0.8, 0.4]
    assert scripted_fit([1, 2, 3, 4], mode="min", **rising) == [0.8, 0.8, 0.8, 0.4]


@pytest.mark.parametrize(
    ("schedule", "wanted"),
    [
        (lambda o: optim.StepLR(o, 2, 0.5), [0.8, 0.8, 0.4, 0.2, 0.1, 0.05]),
        # An epoch's record has the rate after its last step.
        (lambda o: optim.StepLR(o, 4, 0.5, unit="step"), [0.8, 0.4, 0.4, 0.1, 0.1, 0.025]),
        (
            lambda o: optim.WarmupLR(optim.ConstantLR(o, 1), 3),
            [0.2, 0.4, 0.6, 0.4, 0.4, 0.2],
        ),
        (
            lambda o: optim.ChainedScheduler(
                [
                    optim.StepLR(o, 1, 0.5, parameter="weight_decay"),
                    optim.StepLR(o, 2, 0.5),
                ]
            ),
            [0.8, 0.8, 0.4, 0.2, 0.1, 0.05],
        ),
        (
            lambda o: optim.StepLR(o, 2, 0.5, parameter="weight_decay"),
            [0.8, 0.8, 0.8, 0.4, 0.4, 0.2],
        ),
    ],
    ids=["epoch", "step", "warm-up", "combined", "of another hyper-parameter"],
)
def test_with_a_schedule_the_rates_it_starts_from_are_lowered(backend, schedule, wanted):
    """After the third epoch and after the fifth. A schedule of another hyper-parameter stays."""
    np.testing.assert_allclose(scripted_fit([1] * 6, schedule), wanted, rtol=1e-12)


@pytest.mark.parametrize("combined", [False, True])
def test_a_schedule_of_another_hyper_parameter_is_left_alone(combined):
    model = network()
    optimizer = optim.AdamW(model.parameters(), lr=0.8, weight_decay=0.5)
    schedule = optim.StepLR(optimizer, 1, 0.5, parameter="weight_decay")
    if combined:
        schedule = optim.ChainedScheduler([schedule])
    trainer = trainer_of(model, nn.MSELoss(), optimizer, schedule=schedule)
    callback = cr.ReduceLROnPlateau(factor=0.5, patience=0)
    for loss in (1.0, 1.0):
        callback.on_epoch_end(trainer, {"loss": loss, "validation_loss": loss})
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.4, 0.5)
    schedule.step()
    assert (group["lr"], group["weight_decay"]) == (0.4, 0.25)


def test_a_group_that_the_schedule_does_not_know_is_lowered_itself():
    model = network()
    first, second = two_groups(model)
    optimizer = optim.SGD([first])
    schedule = optim.StepLR(optimizer, 9)
    optimizer.add_param_group(second)
    callback = cr.ReduceLROnPlateau("loss", factor=0.5, patience=0)
    trainer = trainer_of(model, optimizer=optimizer, schedule=schedule, callbacks=[callback])
    for _ in range(2):
        callback.on_epoch_end(trainer, {"loss": 1.0})
    assert [group["lr"] for group in optimizer.param_groups] == [0.05, 0.015]


def test_another_trainer_begins_anew_and_a_second_fit_goes_on(backend):
    callback = cr.ReduceLROnPlateau("loss", patience=0, threshold=1e9)
    model = network(outputs=1)
    trainer = trainer_of(model, nn.MSELoss(), callbacks=[callback])
    for _ in range(2):
        trainer.fit(*regression(8), epochs=1, batch_size=4, progress=False)
    assert trainer.optimizer.param_groups[0]["lr"] == pytest.approx(0.01)
    other = trainer_of(network(outputs=1), nn.MSELoss(), callbacks=[callback])
    other.fit(*regression(8), epochs=1, batch_size=4, progress=False)
    assert other.optimizer.param_groups[0]["lr"] == 0.1


def test_a_monitor_that_an_epoch_does_not_have():
    trainer = trainer_of(network(outputs=1), nn.MSELoss(), callbacks=[cr.ReduceLROnPlateau()])
    with pytest.raises(ValueError, match=r"ReduceLROnPlateau monitors 'validation_loss'.*loss, lr"):
        trainer.fit(*regression(8), epochs=1, batch_size=4, progress=False)


@pytest.mark.parametrize(
    "options",
    [
        {"factor": 1.0},
        {"factor": 0.0},
        {"patience": -1},
        {"threshold": -1e-3},
        {"threshold_mode": "relative"},
        {"cooldown": -1},
        {"min_lr": -1.0},
        {"mode": "best"},
    ],
)
def test_bad_arguments(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        cr.ReduceLROnPlateau(**options)
