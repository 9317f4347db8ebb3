"""Schedules of other hyper-parameters, and several at once."""

import numpy as np
import pytest
from schedule_cases import combined, make_adamw

import chainrule as cr
from chainrule import nn, optim


def test_a_schedule_of_another_hyper_parameter_leaves_the_rate():
    optimizer = make_adamw()
    schedule = optim.ExponentialLR(optimizer, 0.5, parameter="weight_decay")
    schedule.step()
    group = optimizer.param_groups[0]
    assert (group["lr"], group["weight_decay"]) == (0.5, 0.15)
    assert schedule.scalars(2) == {group.scalars["weight_decay"]: 0.075}


@pytest.mark.parametrize(
    "make",
    [
        lambda o, **p: optim.ConstantLR(o, **p),
        lambda o, **p: optim.StepLR(o, 7, **p),
        lambda o, **p: optim.MultiStepLR(o, [3], **p),
        lambda o, **p: optim.ExponentialLR(o, 0.9, **p),
        lambda o, **p: optim.InverseTimeLR(o, 0.2, **p),
        lambda o, **p: optim.LinearLR(o, **p),
        lambda o, **p: optim.PolynomialLR(o, **p),
        lambda o, **p: optim.CosineAnnealingLR(o, 9, **p),
        lambda o, **p: optim.CosineAnnealingWarmRestarts(o, 9, **p),
        lambda o, **p: optim.FlatCosineLR(o, 9, **p),
        lambda o, **p: optim.Coslog4LR(o, 9, **p),
        lambda o, **p: optim.WarmupLR(optim.ConstantLR(o, **p), 5),
    ],
)
def test_every_formula_is_for_any_hyper_parameter(make):
    optimizer, other = make_adamw(), make_adamw()
    other.param_groups[0]["lr"] = 0.3
    of_decay, of_rate = make(optimizer, parameter="weight_decay"), make(other)
    for _ in range(12):
        assert optimizer.param_groups[0]["weight_decay"] == other.param_groups[0]["lr"]
        assert optimizer.param_groups[0]["lr"] == 0.5
        of_decay.step()
        of_rate.step()


def test_combined_schedules_each_go_their_way():
    optimizer = make_adamw()
    schedule = combined(optimizer)
    group = optimizer.param_groups[0]
    rate, decay = optim.Coslog4LR(make_adamw(), 20), optim.FlatCosineLR(make_adamw(), 20)
    for t in range(22):
        assert schedule.t == t
        assert schedule.lrs(t) == [group["lr"]] == rate.lrs(t)
        assert group["weight_decay"] == decay.lr(0.3, t)
        assert schedule.scalars(t) == {
            group.scalars["lr"]: group["lr"],
            group.scalars["weight_decay"]: group["weight_decay"],
        }
        schedule.step()


def test_combined_state_goes_on():
    optimizer, again = make_adamw(), make_adamw()
    schedule, resumed = combined(optimizer), combined(again)
    for _ in range(13):
        schedule.step()
    resumed.load_state_dict(schedule.state_dict())
    for _ in range(5):
        for key in ("lr", "weight_decay"):
            assert again.param_groups[0][key] == optimizer.param_groups[0][key]
        schedule.step()
        resumed.step()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: {**s, "schedule": "Constant"}, "the state is of Constant of 2 schedules"),
        (lambda s: {**s, "schedules": s["schedules"][:1]}, "ChainedScheduler of 1 schedules"),
        (lambda s: {**s, "schedules": s["schedules"][::-1]}, "of FlatCosineLR, this is of Coslog4"),
        (lambda s: {**s, "schedules": 5}, "schedules is a list of states, got 5"),
        (lambda s: {**s, "t": -1}, "t is at least 0, got -1"),
    ],
)
def test_a_combined_state_that_does_not_fit_changes_nothing(change, message):
    schedule = combined(make_adamw())
    schedule.step()
    state = schedule.state_dict()
    fresh = combined(make_adamw())
    with pytest.raises((TypeError, ValueError), match=message):
        fresh.load_state_dict(change(state))
    assert fresh.state_dict() == combined(make_adamw()).state_dict()


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize("unit", ["step", "epoch"])
def test_a_training_follows_combined_schedules(unit, backend):
    """Against AdamW's formula by hand; 4 steps an epoch."""
    x = np.random.default_rng(0).standard_normal((20, 3))
    y = x @ [[1.0], [2.0], [3.0]]
    model = nn.Linear(3, 1, bias=False, dtype="float64")
    w = model.weight.numpy()
    optimizer = optim.AdamW(model.parameters(), lr=0.5, weight_decay=0.3)
    trainer = cr.Trainer(
        model, nn.MSELoss(), optimizer, schedule=combined(optimizer, unit), backend=backend
    )
    trainer.fit(x, y, epochs=5, batch_size=5, shuffle=False, progress=False)
    rate, decay = optim.Coslog4LR(make_adamw(), 20), optim.FlatCosineLR(make_adamw(), 20)
    m = v = np.zeros_like(w)
    for step in range(20):
        t = step if unit == "step" else step // 4
        lr, weight_decay = rate.lr(0.5, t), decay.lr(0.3, t)
        rows = slice(5 * (step % 4), 5 * (step % 4) + 5)
        g = 2 * (x[rows] @ w.T - y[rows]).T @ x[rows] / 5
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        root = np.sqrt(v / (1 - 0.999 ** (step + 1))) + 1e-8
        w = w * (1 - lr * weight_decay) - lr * m / (1 - 0.9 ** (step + 1)) / root
    np.testing.assert_allclose(model.weight.numpy(), w, rtol=1e-10)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda o: optim.ConstantLR(o, parameter="momentum"), KeyError, "no hyper-parameter here"),
        (lambda o: optim.ConstantLR(o, parameter="betas"), ValueError, "set betas, 2 numbers"),
        (
            lambda o: optim.ConstantLR(o, parameter="amsgrad"),
            ValueError,
            "a schedule can't set amsg",
        ),
        (
            lambda o: optim.ConstantLR(optim.SGD(o.params), parameter="momentum"),
            ValueError,
            "not in the update's graph. Construct the optimiser with one above 0",
        ),
        (lambda o: optim.ChainedScheduler([]), ValueError, "takes at least one"),
        (lambda o: optim.ChainedScheduler([o]), TypeError, "is of single schedules, got "),
        (lambda o: optim.ChainedScheduler([combined(o)]), TypeError, "got ChainedScheduler"),
        (
            lambda o: optim.ChainedScheduler(
                [optim.ConstantLR(o), optim.ConstantLR(o, unit="step", parameter="eps")]
            ),
            ValueError,
            "one optimiser and one unit",
        ),
        (
            lambda o: optim.ChainedScheduler([optim.ConstantLR(o), optim.ConstantLR(make_adamw())]),
            ValueError,
            "one optimiser and one unit",
        ),
        (
            lambda o: optim.WarmupLR(combined(o), 5),
            TypeError,
            "precedes one .*got Chained",
        ),
    ],
)
def test_arguments_of_other_hyper_parameters_are_checked(make, error, message):
    with pytest.raises(error, match=message):
        make(make_adamw())


def test_a_combination_comes_before_its_schedules_first_step():
    schedule = optim.ConstantLR(make_adamw())
    schedule.step()
    with pytest.raises(ValueError, match="has begun already"):
        optim.ChainedScheduler([schedule])
