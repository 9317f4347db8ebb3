"""Every schedule against its formula and PyTorch's."""

import math

import numpy as np
import pytest
from schedule_cases import (
    BASE_LRS,
    CYCLIC,
    SCHEDULES,
    combined,
    every_schedule,
    make_adamw,
    make_optimizer,
    rates,
    walk,
)

import chainrule as cr
from chainrule import optim


def test_the_table_has_every_schedule():
    found = {type(make(make_optimizer())).__name__ for make in SCHEDULES.values()}
    assert found | {"Schedule", "ChainedScheduler", "SequentialLR"} == {
        name
        for name in optim.__all__
        if isinstance(getattr(optim, name), type)
        and issubclass(getattr(optim, name), optim.Schedule)
    }


def torchs(name, optimizer):
    from torch.optim import lr_scheduler as peers

    if name == "constant":
        return peers.ConstantLR(optimizer, 0.3, total_iters=9)
    if name == "step":
        return peers.StepLR(optimizer, step_size=7, gamma=0.3)
    if name == "exponential":
        return peers.ExponentialLR(optimizer, gamma=0.9)
    if name == "inverse time":
        return peers.LambdaLR(optimizer, lambda t: 1 / (1 + 0.2 * t))
    if name == "cosine":
        return peers.CosineAnnealingLR(optimizer, T_max=50, eta_min=0.01)
    if name == "multi step":
        return peers.MultiStepLR(optimizer, [30, 4, 11, 4], gamma=0.3)
    if name == "linear":
        return peers.LinearLR(optimizer, 0.2, 0.9, total_iters=23)
    if name == "polynomial":
        return peers.PolynomialLR(optimizer, total_iters=40, power=1.7)
    if name == "restarts":
        return peers.CosineAnnealingWarmRestarts(optimizer, 7, 1, 0.01)
    if name == "longer restarts":
        return peers.CosineAnnealingWarmRestarts(optimizer, 3, 2)
    if name == "one cycle":
        return peers.OneCycleLR(optimizer, 2.0, 50, cycle_momentum=False)
    if name == "lambda":
        return peers.LambdaLR(optimizer, [lambda t: 1 / (1 + t), lambda t: 0.9**t])
    if name == "multiplicative":
        return peers.MultiplicativeLR(optimizer, lambda t: 1 - 1 / (t + 3))
    if name.startswith("cyclic"):
        return peers.CyclicLR(optimizer, **CYCLIC[name], cycle_momentum=False)
    if name == "three phases":
        return peers.OneCycleLR(
            optimizer, [2.0, 0.1], 50, pct_start=0.35, anneal_strategy="linear", div_factor=10.0,
            final_div_factor=100.0, three_phase=True, cycle_momentum=False,
        )  # fmt: skip
    if name == "flat cosine":
        return peers.LambdaLR(
            optimizer, lambda t: (1 + math.cos(math.pi * (max(1, 2 * t / 50) - 1))) / 2
        )
    if name == "coslog4":
        return peers.LambdaLR(
            optimizer, lambda t: (1 - math.cos(2 * math.pi * math.log2(1 + 15 * t / 50))) / 2
        )
    rise = peers.LinearLR(optimizer, start_factor=1 / 7, total_iters=6)
    return peers.SequentialLR(
        optimizer, [rise, peers.CosineAnnealingLR(optimizer, T_max=30)], milestones=[6]
    )


# SequentialLR calls step(epoch), of which PyTorch itself warns.
@pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")
@pytest.mark.filterwarnings("ignore:Detected call of:UserWarning")
@pytest.mark.parametrize("name", SCHEDULES)
def test_equals_pytorch(name):
    torch = pytest.importorskip("torch")
    theirs = torch.optim.SGD([{"params": [torch.zeros(1)], "lr": lr} for lr in BASE_LRS])
    peer = torchs(name, theirs)
    steps = 36 if name == "warm-up" else 50  # after which PyTorch's cosine climbs again
    expected = []
    for _ in range(steps):
        expected.append([group["lr"] for group in theirs.param_groups])
        peer.step()
    ours = make_optimizer()
    np.testing.assert_allclose(walk(ours, SCHEDULES[name](ours), steps), expected, rtol=1e-12)


@every_schedule
def test_construction_sets_the_first_rates(make):
    optimizer = make_optimizer()
    schedule = make(optimizer)
    assert schedule.t == 0
    assert rates(optimizer) == schedule.lrs(0)


@every_schedule
def test_rates_are_a_pure_function_of_t(make):
    optimizer = make_optimizer()
    schedule = make(optimizer)
    ahead = [schedule.lrs(t) for t in range(50)]
    assert walk(optimizer, schedule) == ahead
    assert [schedule.lrs(t) for t in range(50)] == ahead


def test_formulas_by_hand():
    optimizer = make_optimizer()
    assert [optim.ConstantLR(optimizer).lr(0.75, t) for t in (4, 5)] == [0.25, 0.75]
    assert optim.StepLR(optimizer, 10).lr(1.0, 29) == pytest.approx(0.01)
    assert optim.ExponentialLR(optimizer, 0.5).lr(1.0, 3) == 0.125
    assert optim.InverseTimeLR(optimizer, 0.5).lr(1.0, 6) == 0.25
    cosine = optim.CosineAnnealingLR(optimizer, 3, eta_min=0.2)
    assert cosine.lr(1.0, 1) == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 3)) / 2)


def test_more_formulas_by_hand():
    optimizer = make_optimizer()
    assert [optim.MultiStepLR(optimizer, [3, 1], 0.5).lr(8.0, t) for t in (0, 1, 2, 3)] == [
        8, 4, 4, 2,
    ]  # fmt: skip
    assert optim.LinearLR(optimizer, 1.0, 3.0, 4).lr(0.5, 2) == 1.0
    assert optim.PolynomialLR(optimizer, 4, power=2).lr(1.0, 2) == 0.25
    restarts = optim.CosineAnnealingWarmRestarts(optimizer, T_0=2, T_mult=3, eta_min=0.25)
    # falls of 2, 6 and 18: they begin at 0, 2, 8 and 26
    assert [restarts.lr(1.0, t) for t in (0, 2, 8, 26)] == [1.0] * 4
    assert [restarts.lr(1.0, t) for t in (1, 5, 17)] == pytest.approx([0.625] * 3)
    cycle = optim.OneCycleLR(
        optimizer, 8.0, 21, pct_start=1 / 3, div_factor=4, final_div_factor=8, cycle_momentum=False
    )
    assert [cycle.lr(8.0, t) for t in (0, 3, 6, 13, 20, 99)] == pytest.approx(
        [2.0, 5.0, 8.0, 4.125, 0.25, 0.25]
    )
    flat = optim.FlatCosineLR(optimizer, 8)
    assert [flat.lr(2.0, t) for t in (0, 4, 6, 8, 9)] == pytest.approx([2, 2, 1, 0, 0], abs=1e-15)
    coslog4 = optim.Coslog4LR(optimizer, 15)
    assert [coslog4.lr(1.0, t) for t in (0, 1, 3, 7, 15, 99)] == pytest.approx([0] * 6, abs=1e-15)
    top = 15 * (2**2.5 - 1) / 15  # p where 1 + 15 p = 2^2.5: the third wave's top
    assert optim.Coslog4LR(optimizer, 15000).lr(1.0, round(1000 * top)) == pytest.approx(1.0)


def test_one_cycle_begins_at_max_lr_over_div_factor():
    optimizer = make_optimizer()
    schedule = optim.OneCycleLR(optimizer, [1.0, 0.5], 20, cycle_momentum=False)
    assert schedule.base_lrs == [1.0, 0.5]
    assert rates(optimizer) == pytest.approx([1 / 25, 0.5 / 25])


def test_cosine_stays_at_its_end():
    cosine = optim.CosineAnnealingLR(make_optimizer(), T_max=5, eta_min=0.02)
    assert [cosine.lr(0.5, t) for t in (5, 6, 9, 10, 1000)] == [0.02] * 5


def test_warm_up_rises_to_the_schedules_beginning():
    optimizer = make_optimizer()
    warmup = optim.WarmupLR(optim.ExponentialLR(optimizer, 0.5, unit="step"), steps=4)
    assert [warmup.group_lr(0, 1.0, t) for t in range(7)] == [0.2, 0.4, 0.6, 0.8, 1.0, 0.5, 0.25]
    assert warmup.base_lrs == BASE_LRS
    assert warmup.unit == "step"


def test_warm_up_of_a_warm_up_keeps_the_base():
    optimizer = make_optimizer()
    inner = optim.WarmupLR(optim.ConstantLR(optimizer, 1), steps=3)
    assert rates(optimizer) != BASE_LRS
    assert optim.WarmupLR(inner, steps=2).base_lrs == BASE_LRS


@every_schedule
@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_unit(make, unit):
    assert make(make_optimizer(), unit=unit).unit == unit
    default = make(make_optimizer())
    assert default.unit == (
        "step" if isinstance(default, (optim.OneCycleLR, optim.CyclicLR)) else "epoch"
    )


@every_schedule
def test_state_dict_goes_on(make):
    optimizer = make_optimizer()
    schedule = make(optimizer)
    walk(optimizer, schedule, 11)
    saved = schedule.state_dict()
    expected = walk(optimizer, schedule, 20)
    again = make_optimizer()
    for group in again.param_groups:  # as after loading an optimiser whose rate has fallen
        group["lr"] = 0.001
    resumed = make(again)
    resumed.load_state_dict(saved)
    assert walk(again, resumed, 20) == expected


@pytest.mark.parametrize("optimizer_first", [True, False, None])
@every_schedule
def test_a_state_keeps_a_rate_that_something_else_has_set(make, optimizer_first):
    optimizer = make_optimizer()
    schedule = make(optimizer)
    walk(optimizer, schedule, 11)
    optimizer.param_groups[0]["lr"] = 0.02
    saved = schedule.state_dict()
    of_optimizer = optimizer.state_dict()
    again = make_optimizer()
    resumed = make(again)
    if optimizer_first:
        again.load_state_dict(of_optimizer)
    resumed.load_state_dict(saved)
    if optimizer_first is False:
        again.load_state_dict(of_optimizer)
    expected = walk(optimizer, schedule, 30)
    assert expected[0][0] == 0.02
    assert walk(again, resumed, 30) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "StepLR"}, "the state is of StepLR, this is of ExponentialLR"),
        ({"parameter": "momentum"}, "the state is of momentum, this is of lr"),
        ({"base_lrs": [0.1]}, "the state has 1 groups, this schedule 2"),
        ({"lrs": [0.1]}, "the state has 1 groups, this schedule 2"),
        ({"lrs": [0.1, -1.0]}, "lr must be >= 0, got -1"),
        ({"base_lrs": [0.1, -1.0]}, "lr must be >= 0, got -"),
        ({"base_lrs": 0.1}, "base_lrs is a list of numbers, got 0.1"),
        ({"t": 2.5}, "t is a whole number, at least 0; got 2.5"),
        ({"t": -1}, "t is at least 0, got -1"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(changes, message):
    optimizer = make_optimizer()
    schedule = optim.ExponentialLR(optimizer, 0.5)
    with pytest.raises((TypeError, ValueError), match=message):
        schedule.load_state_dict({**schedule.state_dict(), "t": 5, **changes})
    assert schedule.t == 0
    assert schedule.base_lrs == rates(optimizer) == BASE_LRS
    both = optim.ChainedScheduler([schedule, optim.ExponentialLR(optimizer, 0.5)])
    state = both.state_dict()
    state["schedules"][0]["t"] = 5
    state["schedules"][1] |= {"t": 5, **changes}
    with pytest.raises((TypeError, ValueError), match=message):
        both.load_state_dict(state)
    assert schedule.t == 0
    assert schedule.base_lrs == rates(optimizer) == BASE_LRS


@pytest.mark.parametrize("make", [lambda o: optim.ExponentialLR(o, 0.5), lambda o: combined(o)])
def test_a_state_without_its_time_changes_nothing(make):
    optimizer = make_adamw()
    schedule = make(optimizer)
    schedule.step()
    state = schedule.state_dict()
    del state["t"]
    fresh = make(make_adamw())
    before = fresh.state_dict()
    with pytest.raises(
        ValueError, match=r"the state holds schedule, .*; this schedule has schedule, .*t"
    ):
        fresh.load_state_dict(state)
    assert fresh.state_dict() == before


def test_a_group_added_later_keeps_its_rate():
    optimizer = make_optimizer()
    schedule = optim.ExponentialLR(optimizer, 0.5)
    optimizer.add_param_group({"params": [cr.Parameter([1.0])], "lr": 0.7})
    schedule.step()
    assert rates(optimizer) == [0.25, 0.015, 0.7]


def test_the_rate_acts_on_the_next_step():
    w = cr.Parameter([1.0])
    optimizer = optim.SGD([w], lr=0.5)
    schedule = optim.ExponentialLR(optimizer, 0.5)
    seen = []
    for _ in range(3):
        w.grad = cr.tensor([1.0])
        optimizer.step()
        schedule.step()
        seen.append(w.item())
    assert seen == [0.5, 0.25, 0.125]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: optim.StepLR(o, 0), "step_size is at least 1, got 0"),
        (lambda o: optim.StepLR(o, 2.5), "step_size is a whole number"),
        (lambda o: optim.StepLR(o, True), "step_size is a whole number"),
        (lambda o: optim.StepLR(o, 1, gamma=-1), "gamma is not negative, got -1"),
        (lambda o: optim.ExponentialLR(o, float("nan")), "gamma is finite, got nan"),
        (lambda o: optim.InverseTimeLR(o, -0.1), "decay is not negative"),
        (lambda o: optim.CosineAnnealingLR(o, 0), "T_max is at least 1"),
        (lambda o: optim.CosineAnnealingLR(o, 5, eta_min=-1), "eta_min is not negative"),
        (lambda o: optim.MultiStepLR(o, []), "needs at least one milestone"),
        (lambda o: optim.MultiStepLR(o, 5), "milestones are a list of whole numbers"),
        (lambda o: optim.MultiStepLR(o, [3, 0]), "a milestone is at least 1"),
        (lambda o: optim.MultiStepLR(o, [3], gamma=-1), "gamma is not negative"),
        (lambda o: optim.LinearLR(o, -1), "start_factor is not negative"),
        (lambda o: optim.LinearLR(o, end_factor=-1), "end_factor is not negative"),
        (lambda o: optim.LinearLR(o, total_iters=0), "total_iters is at least 1"),
        (lambda o: optim.PolynomialLR(o, 0), "total_iters is at least 1"),
        (lambda o: optim.PolynomialLR(o, 5, power=0), "power is positive, got 0"),
        (lambda o: optim.CosineAnnealingWarmRestarts(o, 0), "T_0 is at least 1"),
        (lambda o: optim.CosineAnnealingWarmRestarts(o, 1, 0), "T_mult is at least 1"),
        (lambda o: optim.CosineAnnealingWarmRestarts(o, 1, 1, -1), "eta_min is not negative"),
        (lambda o: optim.OneCycleLR(o, -1.0, 50), "max_lr is not negative, got -1.0"),
        (lambda o: optim.OneCycleLR(o, [1.0], 50), "max_lr: 1 numbers for 2 parameter groups"),
        (lambda o: optim.OneCycleLR(o, cr.tensor(1.0), 50), "max_lr is a number, got tensor"),
        (lambda o: optim.OneCycleLR(o, 1.0, 0), "total_steps is at least 1"),
        (lambda o: optim.OneCycleLR(o, 1.0, 3), "phases would end at steps -0.1, 2: take more"),
        (
            lambda o: optim.OneCycleLR(o, 1.0, 9, pct_start=1.0),
            "take more total_steps, or another pct_start",
        ),
        (
            lambda o: optim.OneCycleLR(o, 1.0, 9, pct_start=0.6, three_phase=True),
            "another pct_start",
        ),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, pct_start=1.5), "pct_start .* from 0 to 1; got 1.5"),
        (
            lambda o: optim.OneCycleLR(o, 1.0, 9, anneal_strategy="lin"),
            "anneal_strategy is 'cos' or 'linear'",
        ),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, div_factor=0), "div_factor is positive"),
        (lambda o: optim.OneCycleLR([1], 1.0, 9), r"a schedule needs an optimiser, got \["),
        (
            lambda o: optim.OneCycleLR(o, 1.0, 9, cycle_momentum=False, unit="batch"),
            "unit is 'epoch' or 'step'",
        ),
        (lambda o: optim.FlatCosineLR(o, 0), "total_iters is at least 1"),
        (lambda o: optim.Coslog4LR(o, 1.5), "total_iters is a whole number"),
        (lambda o: optim.ConstantLR(o, unit="batch"), "unit is 'epoch' or 'step', got 'batch'"),
        (lambda o: optim.WarmupLR(optim.ConstantLR(o, 1), 0), "steps is at least 1"),
        (lambda o: optim.WarmupLR(o, 5), r"WarmupLR\(ConstantLR\(optimizer, factor=1\), steps\)"),
        (lambda o: optim.ConstantLR([0.1]), r"a schedule needs an optimiser, got \["),
        (lambda o: optim.Schedule(o), "Schedule has no formula"),
    ],
)
def test_arguments_are_checked(make, message):
    optimizer = make_optimizer()
    with pytest.raises((TypeError, ValueError, NotImplementedError), match=message):
        make(optimizer)
    assert rates(optimizer) == BASE_LRS


@pytest.mark.parametrize(
    "make",
    [
        lambda optimizer: optim.StepLR(optimizer, 1),
        lambda optimizer: optim.ReduceLROnPlateau(optimizer),
        lambda optimizer: optim.ChainedScheduler([optim.StepLR(optimizer, 1)]),
        lambda optimizer: optim.SequentialLR(
            optimizer, [optim.StepLR(optimizer, 1), optim.ConstantLR(optimizer)], [3]
        ),
    ],
    ids=["StepLR", "ReduceLROnPlateau", "ChainedScheduler", "SequentialLR"],
)
def test_a_schedule_makes_no_step_in_a_captured_graph(make):
    optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5)
    schedule = make(optimizer)
    metric = [2.0] if isinstance(schedule, optim.ReduceLROnPlateau) else []

    @cr.compile
    def step(x):
        schedule.step(*metric)
        return x * 2.0

    before = schedule.state_dict()
    with pytest.raises(cr.SymbolicError, match="call it after the compiled function"):
        step(np.ones(2))
    assert schedule.state_dict() == before
    assert optimizer.param_groups[0]["lr"] == 0.5


def test_a_refused_schedule_changes_nothing():
    class Broken(optim.Schedule):
        def lr(self, base_lr, t):
            raise ZeroDivisionError

    optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5)
    with pytest.raises(ZeroDivisionError):
        Broken(optimizer)
    optimizer.param_groups[0]["lr"] = 0.25
    optim.SequentialLR(optimizer, [optim.StepLR(optimizer, 1), optim.StepLR(optimizer, 1)], [3])
    assert optimizer.param_groups[0]["lr"] == 0.25


def test_numbers_may_be_numpys():
    optimizer = make_optimizer()
    assert optim.StepLR(optimizer, np.int64(2), np.float32(0.5)).lrs(2) == [0.25, 0.015]
    assert optim.MultiStepLR(optimizer, np.array([2, 3]), 0.5).lrs(2) == [0.25, 0.015]
    cycle = optim.OneCycleLR(optimizer, np.float32(0.5), np.int64(50), cycle_momentum=False)
    assert cycle.base_lrs == [0.5, 0.5]
    cycle = optim.OneCycleLR(optimizer, np.array([0.5, 0.25]), 50, cycle_momentum=False)
    assert cycle.base_lrs == [0.5, 0.25]


def test_warm_up_comes_before_a_schedules_first_step():
    schedule = optim.ConstantLR(make_optimizer())
    schedule.step()
    with pytest.raises(ValueError, match="has begun already"):
        optim.WarmupLR(schedule, 5)
