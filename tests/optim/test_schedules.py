"""Every schedule against its formula and PyTorch's."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

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


SCHEDULES = {
    "constant": lambda o, **unit: optim.ConstantLR(o, **unit),
    "step": lambda o, **unit: optim.StepLR(o, step_size=7, gamma=0.3, **unit),
    "exponential": lambda o, **unit: optim.ExponentialLR(o, gamma=0.9, **unit),
    "inverse time": lambda o, **unit: optim.InverseTimeLR(o, decay=0.2, **unit),
    "cosine": lambda o, **unit: optim.CosineAnnealingLR(o, T_max=50, eta_min=0.01, **unit),
    "multi step": lambda o, **unit: optim.MultiStepLR(o, [30, 4, 11, 4], gamma=0.3, **unit),
    "linear": lambda o, **unit: optim.LinearLR(o, 0.2, 0.9, total_iters=23, **unit),
    "polynomial": lambda o, **unit: optim.PolynomialLR(o, total_iters=40, power=1.7, **unit),
    "restarts": lambda o, **unit: optim.CosineAnnealingWarmRestarts(o, 7, 1, 0.01, **unit),
    "longer restarts": lambda o, **unit: optim.CosineAnnealingWarmRestarts(o, 3, 2, **unit),
    "one cycle": lambda o, **unit: optim.OneCycleLR(o, 2.0, 50, **unit),
    "three phases": lambda o, **unit: optim.OneCycleLR(
        o, [2.0, 0.1], 50, 0.35, "linear", 10.0, 100.0, three_phase=True, **unit
    ),
    "flat cosine": lambda o, **unit: optim.FlatCosineLR(o, total_iters=50, **unit),
    "coslog4": lambda o, **unit: optim.Coslog4LR(o, total_iters=50, **unit),
    "warm-up": lambda o, **unit: optim.WarmupLR(
        optim.CosineAnnealingLR(o, T_max=30, **unit), steps=6
    ),
}
every_schedule = pytest.mark.parametrize("make", SCHEDULES.values(), ids=SCHEDULES)


def test_the_table_has_every_schedule():
    found = {type(make(make_optimizer())).__name__ for make in SCHEDULES.values()}
    assert found | {"Schedule", "ChainedScheduler"} == {
        name
        for name in optim.__all__
        if isinstance(getattr(optim, name), type)
        and issubclass(getattr(optim, name), optim.Schedule)
    }


def torchs(name, optimizer):
    from torch.optim import lr_scheduler as peers

    if name == "constant":
        return peers.LambdaLR(optimizer, lambda t: 1.0)
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
    assert ahead == [[schedule.lr(base_lr, t) for base_lr in schedule.base_lrs] for t in range(50)]
    assert walk(optimizer, schedule) == ahead
    assert [schedule.lrs(t) for t in range(50)] == ahead


def test_formulas_by_hand():
    optimizer = make_optimizer()
    assert optim.ConstantLR(optimizer).lr(0.5, 1000) == 0.5
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
    cycle = optim.OneCycleLR(optimizer, 8.0, 21, 1 / 3, div_factor=4, final_div_factor=8)
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
    schedule = optim.OneCycleLR(optimizer, [1.0, 0.5], 20)
    assert schedule.base_lrs == [1.0, 0.5]
    assert rates(optimizer) == pytest.approx([1 / 25, 0.5 / 25])


def test_cosine_stays_at_its_end():
    cosine = optim.CosineAnnealingLR(make_optimizer(), T_max=5, eta_min=0.02)
    assert [cosine.lr(0.5, t) for t in (5, 6, 9, 10, 1000)] == [0.02] * 5


def test_warm_up_rises_to_the_schedules_beginning():
    optimizer = make_optimizer()
    warmup = optim.WarmupLR(optim.ExponentialLR(optimizer, 0.5, unit="step"), steps=4)
    assert [warmup.lr(1.0, t) for t in range(7)] == [0.2, 0.4, 0.6, 0.8, 1.0, 0.5, 0.25]
    assert warmup.base_lrs == BASE_LRS
    assert warmup.unit == "step"


def test_warm_up_of_a_warm_up_keeps_the_base():
    optimizer = make_optimizer()
    inner = optim.WarmupLR(optim.ConstantLR(optimizer), steps=3)
    assert rates(optimizer) != BASE_LRS
    assert optim.WarmupLR(inner, steps=2).base_lrs == BASE_LRS


@every_schedule
@pytest.mark.parametrize("unit", ["epoch", "step"])
def test_unit(make, unit):
    assert make(make_optimizer(), unit=unit).unit == unit
    default = make(make_optimizer())
    assert default.unit == ("step" if isinstance(default, optim.OneCycleLR) else "epoch")


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


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"schedule": "StepLR"}, "the state is of StepLR, this is of ExponentialLR"),
        ({"parameter": "momentum"}, "the state is of momentum, this is of lr"),
        ({"base_lrs": [0.1]}, "the state has 1 groups, this schedule 2"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(changes, message):
    optimizer = make_optimizer()
    schedule = optim.ExponentialLR(optimizer, 0.5)
    with pytest.raises(ValueError, match=message):
        schedule.load_state_dict({**schedule.state_dict(), "t": 5, **changes})
    assert schedule.t == 0
    assert rates(optimizer) == BASE_LRS


@pytest.mark.parametrize("make", [lambda o: optim.ExponentialLR(o, 0.5), lambda o: combined(o)])
def test_a_state_without_its_time_changes_nothing(make):
    optimizer = make_adamw()
    schedule = make(optimizer)
    schedule.step()
    state = schedule.state_dict()
    del state["t"]
    fresh = make(make_adamw())
    before = fresh.state_dict()
    with pytest.raises(ValueError, match=r"the state holds schedule, .*; it must be schedule, .*t"):
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
        (lambda o: optim.OneCycleLR(o, [1.0], 50), "1 learning rates for 2 parameter groups"),
        (lambda o: optim.OneCycleLR(o, 1.0, 0), "total_steps is at least 1"),
        (lambda o: optim.OneCycleLR(o, 1.0, 3), "phases would end at steps -0.1, 2: take more"),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, 1.0), "take more total_steps, or another pct_start"),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, 0.6, three_phase=True), "another pct_start"),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, 1.5), "pct_start .* from 0 to 1; got 1.5"),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, 0.5, "lin"), "anneal_strategy is 'cos' or 'linear'"),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, div_factor=0), "div_factor is positive"),
        (lambda o: optim.OneCycleLR([1], 1.0, 9), "a schedule needs an optimiser, not list"),
        (lambda o: optim.OneCycleLR(o, 1.0, 9, unit="batch"), "unit is 'epoch' or 'step'"),
        (lambda o: optim.FlatCosineLR(o, 0), "total_iters is at least 1"),
        (lambda o: optim.Coslog4LR(o, 1.5), "total_iters is a whole number"),
        (lambda o: optim.ConstantLR(o, unit="batch"), "unit is 'epoch' or 'step', not 'batch'"),
        (lambda o: optim.WarmupLR(optim.ConstantLR(o), 0), "steps is at least 1"),
        (lambda o: optim.WarmupLR(o, 5), r"WarmupLR\(ConstantLR\(optimizer\), steps\)"),
        (lambda o: optim.ConstantLR([0.1]), "a schedule needs an optimiser, not list"),
        (lambda o: optim.Schedule(o), "Schedule has no formula"),
    ],
)
def test_arguments_are_checked(make, message):
    optimizer = make_optimizer()
    with pytest.raises((TypeError, ValueError, NotImplementedError), match=message):
        make(optimizer)
    assert rates(optimizer) == BASE_LRS


def test_numbers_may_be_numpys():
    optimizer = make_optimizer()
    assert optim.StepLR(optimizer, np.int64(2), np.float32(0.5)).lrs(2) == [0.25, 0.015]
    assert optim.MultiStepLR(optimizer, np.array([2, 3]), 0.5).lrs(2) == [0.25, 0.015]
    cycle = optim.OneCycleLR(optimizer, np.float32(0.5), np.int64(50))
    assert cycle.base_lrs == [0.5, 0.5]
    cycle = optim.OneCycleLR(optimizer, np.array([0.5, 0.25]), 50)
    assert cycle.base_lrs == [0.5, 0.25]


def test_warm_up_comes_before_a_schedules_first_step():
    schedule = optim.ConstantLR(make_optimizer())
    schedule.step()
    with pytest.raises(ValueError, match="has begun already"):
        optim.WarmupLR(schedule, 5)


# Other hyper-parameters


def make_adamw(params=None):
    return optim.AdamW(params or [cr.Parameter([1.0, -2.0], "float64")], lr=0.5, weight_decay=0.3)


def combined(optimizer, unit="step"):
    return optim.ChainedScheduler(
        [
            optim.Coslog4LR(optimizer, 20, unit=unit),
            optim.FlatCosineLR(optimizer, 20, unit=unit, parameter="weight_decay"),
        ]
    )


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
    ],
)
def test_a_combined_state_that_does_not_fit_changes_nothing(change, message):
    schedule = combined(make_adamw())
    schedule.step()
    state = schedule.state_dict()
    fresh = combined(make_adamw())
    with pytest.raises(ValueError, match=message):
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
        (lambda o: optim.ConstantLR(o, parameter="betas"), ValueError, "no single number"),
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
        (lambda o: optim.ChainedScheduler([]), ValueError, "needs at least one"),
        (lambda o: optim.ChainedScheduler([o]), TypeError, "is of schedules, not AdamW"),
        (lambda o: optim.ChainedScheduler([combined(o)]), TypeError, "not ChainedScheduler"),
        (
            lambda o: optim.ChainedScheduler([optim.ConstantLR(o), optim.ConstantLR(o)]),
            ValueError,
            "set different hyper-parameters, got lr, lr",
        ),
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
        (lambda o: optim.WarmupLR(combined(o), 5), TypeError, "precedes one schedule, not Chained"),
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
