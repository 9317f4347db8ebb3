"""Several schedules of one learning rate, and rates that are set by hand: as in PyTorch."""

import numpy as np
import pytest
from schedule_cases import make_optimizer, rates, walk

import chainrule as cr
from chainrule import nn, optim

BASE = 1.0


def ours(lr=BASE, **options):
    return optim.SGD([cr.Parameter([1.0])], lr=lr, **options)


def theirs(torch, lr=BASE, **options):
    return torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=lr, **options)


def members(kind, optimizer):
    """The same two schedules of either library."""
    return {
        "constant, exponential": lambda: [
            kind.ConstantLR(optimizer, 0.1, 3), kind.ExponentialLR(optimizer, 0.9)
        ],
        "step, cosine": lambda: [
            kind.StepLR(optimizer, 2, 0.1), kind.CosineAnnealingLR(optimizer, 30, eta_min=0.01)
        ],
        "linear, polynomial": lambda: [
            kind.LinearLR(optimizer, 0.2, 1.0, 4), kind.PolynomialLR(optimizer, 40, 2.0)
        ],
        "lambda, several steps": lambda: [
            kind.MultiplicativeLR(optimizer, lambda t: 1 - 0.01 * t),
            kind.MultiStepLR(optimizer, [2, 5], 0.5),
        ],
    }  # fmt: skip


PAIRS = list(members(None, None))


def walk_theirs(optimizer, schedules, steps=20):
    seen = []
    for _ in range(steps):
        seen.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        for schedule in schedules:
            schedule.step()
    return seen


# SequentialLR calls step(epoch), of which PyTorch itself warns.
quiet = pytest.mark.filterwarnings("ignore:The epoch parameter:UserWarning")


@pytest.mark.parametrize("pair", PAIRS)
def test_two_schedules_in_turn_multiply_their_factors(pair):
    torch = pytest.importorskip("torch")
    optimizer, reference = ours(), theirs(torch)
    first, second = members(optim, optimizer)[pair]()
    expected = walk_theirs(reference, members(torch.optim.lr_scheduler, reference)[pair]())
    for rate in expected:
        np.testing.assert_allclose(rates(optimizer), rate, rtol=1e-10)
        assert second.get_last_lr() == rates(optimizer)
        first.step()
        second.step()


@pytest.mark.parametrize("pair", PAIRS)
def test_a_chain_multiplies_their_factors(pair):
    torch = pytest.importorskip("torch")
    optimizer, reference = ours(), theirs(torch)
    chain = optim.ChainedScheduler(members(optim, optimizer)[pair]())
    peer = torch.optim.lr_scheduler.ChainedScheduler(
        members(torch.optim.lr_scheduler, reference)[pair]()
    )
    expected = walk_theirs(reference, [peer])
    coming = [step[optimizer.param_groups[0].scalars["lr"]] for step in chain.ahead(20)]
    np.testing.assert_allclose(coming, np.ravel(expected), rtol=1e-10)
    np.testing.assert_allclose([chain.lrs(t) for t in range(20)], expected, rtol=1e-10)
    np.testing.assert_allclose(walk(optimizer, chain, 20), expected, rtol=1e-10)


@quiet
@pytest.mark.parametrize("pair", PAIRS)
def test_a_sequence_begins_each_from_the_base(pair):
    torch = pytest.importorskip("torch")
    optimizer, reference = ours(), theirs(torch)
    sequence = optim.SequentialLR(optimizer, members(optim, optimizer)[pair](), [6])
    peer = torch.optim.lr_scheduler.SequentialLR(
        reference, members(torch.optim.lr_scheduler, reference)[pair](), [6]
    )
    np.testing.assert_allclose(
        walk(optimizer, sequence, 20), walk_theirs(reference, [peer]), rtol=1e-10
    )


@pytest.mark.parametrize("options", [{"momentum": 0.5}, {"momentum": 0.5, "nesterov": True}])
@pytest.mark.parametrize("name", ["OneCycleLR", "CyclicLR"])
def test_the_momentum_goes_against_the_rate(name, options):
    torch = pytest.importorskip("torch")
    arguments = {
        "OneCycleLR": {"max_lr": 2.0, "epochs": 4, "steps_per_epoch": 5, "base_momentum": 0.7},
        "CyclicLR": {"base_lr": 0.1, "max_lr": 0.9, "step_size_up": 3, "mode": "triangular2"},
    }[name]
    optimizer, reference = ours(**options), theirs(torch, **options)
    schedule = getattr(optim, name)(optimizer, **arguments)
    peer = getattr(torch.optim.lr_scheduler, name)(reference, **arguments)
    for _ in range(19):
        for key in ("lr", "momentum"):
            np.testing.assert_allclose(
                optimizer.param_groups[0][key], reference.param_groups[0][key], rtol=1e-12
            )
        reference.step()
        peer.step()
        schedule.step()


def test_adams_beta1_is_its_momentum():
    torch = pytest.importorskip("torch")
    optimizer = optim.AdamW([cr.Parameter([1.0])], betas=(0.5, 0.99))
    schedule = optim.OneCycleLR(optimizer, 0.1, 20)
    reference = torch.optim.AdamW([torch.nn.Parameter(torch.ones(1))], betas=(0.5, 0.99))
    peer = torch.optim.lr_scheduler.OneCycleLR(reference, 0.1, 20)
    for _ in range(19):
        np.testing.assert_allclose(
            optimizer.param_groups[0]["betas"], reference.param_groups[0]["betas"], rtol=1e-12
        )
        reference.step()
        peer.step()
        schedule.step()


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_training_follows_rate_and_momentum_of_a_cycle(backend):
    """By the formula of SGD, by hand."""
    x, y = np.eye(4), np.arange(4.0).reshape(-1, 1)
    model = nn.Linear(4, 1, bias=False, dtype="float64")
    w, G = model.weight.numpy(), 0.0
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    schedule = optim.OneCycleLR(optimizer, 0.5, 24)
    expected = optim.OneCycleLR(ours(momentum=0.9), 0.5, 24)
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, schedule=schedule, backend=backend)
    trainer.fit(x, y, epochs=12, batch_size=2, shuffle=False, progress=False)
    for t in range(24):
        rows = slice(2 * (t % 2), 2 * (t % 2) + 2)
        g = 2 * (x[rows] @ w.T - y[rows]).T @ x[rows] / 2
        G = expected.others(0, t)["momentum"] * G + g
        w = w - expected.lrs(t)[0] * G
    np.testing.assert_allclose(model.weight.numpy(), w, rtol=1e-10)


HAND_SET = {
    "exponential": lambda kind, o: kind.ExponentialLR(o, 0.9),
    "step": lambda kind, o: kind.StepLR(o, 3, 0.5),
    "cosine": lambda kind, o: kind.CosineAnnealingLR(o, 30, eta_min=0.05),
    "linear": lambda kind, o: kind.LinearLR(o, 0.1, 1.0, 10),
    "polynomial": lambda kind, o: kind.PolynomialLR(o, 30, 2.0),
    "constant": lambda kind, o: kind.ConstantLR(o, 0.5, 8),
}


@pytest.mark.parametrize("name", HAND_SET)
def test_a_rate_set_by_hand_is_gone_on_from(name):
    torch = pytest.importorskip("torch")
    optimizer, reference = ours(), theirs(torch)
    schedule = HAND_SET[name](optim, optimizer)
    peer = HAND_SET[name](torch.optim.lr_scheduler, reference)
    for t in range(20):
        for group in (optimizer.param_groups[0], reference.param_groups[0]):
            if t == 5:
                group["lr"] = 0.3
        np.testing.assert_allclose(rates(optimizer), [reference.param_groups[0]["lr"]], rtol=1e-10)
        reference.step()
        peer.step()
        schedule.step()


def test_a_rate_set_by_hand_after_the_end_of_a_fall_stays():
    optimizer = ours()
    schedule = optim.PolynomialLR(optimizer, 3)
    for _ in range(4):
        schedule.step()
    assert rates(optimizer) == [0.0]
    optimizer.param_groups[0]["lr"] = 0.25
    assert walk(optimizer, schedule, 5) == [[0.25]] * 5


class Own(optim.Schedule):
    """A restart with an offset: a low rate belongs to a base below 0."""

    def lr(self, base_lr, t):
        return 0.1 + (base_lr - 0.1) * (1 - t % 10 / 10)


RISES = {
    "restarts": lambda o: optim.CosineAnnealingWarmRestarts(o, 10, eta_min=0.001),
    "lambda": lambda o: optim.LambdaLR(o, lambda t: 0.01 + abs(10 - t % 20) / 10),
    "coslog4": lambda o: optim.Coslog4LR(o, 40),
    "warm-up": lambda o: optim.WarmupLR(optim.ExponentialLR(o, 1.0), 30),
    "sequence": lambda o: optim.SequentialLR(
        o, [optim.PolynomialLR(o, 10, 3.0), optim.ExponentialLR(o, 1.0)], [10]
    ),
    "own": Own,
}


@pytest.mark.parametrize("when", [1, 5, 8, 9, 10, 19])
@pytest.mark.parametrize("rate", [0.0005, 0.01, 0.3, 1.0])
@pytest.mark.parametrize("name", RISES)
def test_a_formula_that_rises_again_does_not_carry_a_rate_above_the_first(name, rate, when):
    optimizer = ours()
    schedule = RISES[name](optimizer)
    walk(optimizer, schedule, when)
    optimizer.param_groups[0]["lr"] = rate
    coming = [step[optimizer.param_groups[0].scalars["lr"]] for step in schedule.ahead(40)]
    seen = np.ravel(walk(optimizer, schedule, 40))
    np.testing.assert_array_equal(seen, coming)
    assert seen.min() >= 0 and seen.max() <= BASE * 1.02  # the lambda is 1.01 at most


def test_a_lower_rate_lowers_what_follows_a_higher_one_holds_for_one_step():
    optimizer = ours()
    schedule = optim.CosineAnnealingWarmRestarts(optimizer, 10)
    walk(optimizer, schedule, 9)
    optimizer.param_groups[0]["lr"] /= 4
    schedule.step()
    assert rates(optimizer) == pytest.approx([BASE / 4])
    walk(optimizer, schedule, 9)
    optimizer.param_groups[0]["lr"] = BASE / 2
    schedule.step()
    assert rates(optimizer) == [BASE]


@pytest.mark.parametrize("schedule", ["lambda", "restarts"])
def test_a_higher_rate_is_overwritten_where_pytorch_does(schedule):
    torch = pytest.importorskip("torch")
    make = {
        "lambda": lambda kind, o: kind.LambdaLR(o, lambda t: 0.9**t),
        "restarts": lambda kind, o: kind.CosineAnnealingWarmRestarts(o, 10, eta_min=0.001),
    }[schedule]
    optimizer, reference = ours(), theirs(torch)
    schedule, peer = make(optim, optimizer), make(torch.optim.lr_scheduler, reference)
    reference.step()
    for t in range(25):
        for group in (optimizer.param_groups[0], reference.param_groups[0]):
            if t in (9, 15):
                group["lr"] = 2.0
        schedule.step()
        peer.step()
        np.testing.assert_allclose(rates(optimizer), [reference.param_groups[0]["lr"]], rtol=1e-12)


@pytest.mark.parametrize("chained", [True, False])
def test_restarts_beside_steps_fall_with_them(chained):
    """PyTorch's go back to 0.1 each time."""
    optimizer = ours(lr=0.1)
    parts = [
        optim.CosineAnnealingWarmRestarts(optimizer, 4, eta_min=0.001),
        optim.StepLR(optimizer, 3),
    ]
    steps = [optim.ChainedScheduler(parts).step] if chained else [part.step for part in parts]
    seen = []
    for _ in range(24):
        seen.append(rates(optimizer)[0])
        for step in steps:
            step()
    assert min(seen) > 0 and max(seen) == 0.1
    height = (1 + np.cos(3 * np.pi / 4)) / 2
    assert seen[3] == pytest.approx(0.1 * (0.001 + 0.099 * height))
    assert seen[4] == pytest.approx(0.001 + (seen[3] - 0.001) / height)


@pytest.mark.parametrize("unit", ["epoch", "step"])
@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_training_goes_on_from_a_rate_that_a_callback_sets(backend, unit):
    class Halve(cr.Callback):
        def on_epoch_end(self, trainer, record):
            if trainer.epoch == 2:
                trainer.optimizer.param_groups[0]["lr"] /= 2

    x, y = np.eye(4), np.arange(4.0).reshape(-1, 1)

    def trained(halve):
        model = nn.Linear(4, 1, bias=False, dtype="float64")
        model.weight.assign(np.zeros((1, 4)))
        optimizer = optim.SGD(model.parameters(), lr=0.4)
        schedule = optim.ExponentialLR(optimizer, 0.9, unit=unit)
        trainer = cr.Trainer(
            model, nn.MSELoss(), optimizer, schedule=schedule, backend=backend,
            callbacks=[Halve()] if halve else [],
        )  # fmt: skip
        trainer.fit(x, y, epochs=5, batch_size=2, shuffle=False, progress=False)
        return model.weight.numpy(), optimizer.param_groups[0]["lr"]

    w, lr, factor = np.zeros((1, 4)), 0.4, 0.9
    for epoch in range(5):
        for rows in (slice(0, 2), slice(2, 4)):
            w = w - lr * 2 * (x[rows] @ w.T - y[rows]).T @ x[rows] / 2
            lr *= factor if unit == "step" else 1
        lr *= factor if unit == "epoch" else 1
        lr /= 2 if epoch == 1 else 1
    found, rate = trained(halve=True)
    np.testing.assert_allclose(found, w, rtol=1e-10)
    assert rate == pytest.approx(lr, rel=1e-10)
    assert not np.allclose(trained(halve=False)[0], w)


@quiet
@pytest.mark.parametrize("kind", ["chain", "sequence"])
def test_a_combination_that_is_saved_goes_on(kind):
    def make():
        optimizer = make_optimizer()
        parts = [optim.ConstantLR(optimizer, 0.5, 4), optim.ExponentialLR(optimizer, 0.9)]
        if kind == "chain":
            return optimizer, optim.ChainedScheduler(parts)
        return optimizer, optim.SequentialLR(optimizer, parts, [6])

    optimizer, schedule = make()
    walk(optimizer, schedule, 3)
    optimizer.param_groups[1]["lr"] *= 2
    walk(optimizer, schedule, 5)
    again, resumed = make()
    resumed.load_state_dict(schedule.state_dict())
    assert walk(again, resumed, 10) == walk(optimizer, schedule, 10)


def test_a_sequence_that_is_refused_leaves_its_schedules():
    optimizer = ours()
    parts = [optim.ConstantLR(optimizer, 0.5), optim.ExponentialLR(optimizer, 0.5)]
    before = [schedule.base_lrs for schedule in parts]
    with pytest.raises(ValueError, match="begins at t = 0, got last_epoch=4"):
        optim.SequentialLR(optimizer, parts, [2], last_epoch=4)
    assert [schedule.base_lrs for schedule in parts] == before


def test_a_sequence_of_a_warm_up_before_a_cycle_has_the_rates_of_the_cycle():
    def warm_up(optimizer):
        cycle = optim.OneCycleLR(optimizer, 1.0, 20, cycle_momentum=False, unit="epoch")
        return optim.WarmupLR(cycle, 5)

    optimizer = ours(lr=0.1)
    parts = [warm_up(optimizer), optim.ConstantLR(optimizer, 0.5, 99)]
    schedule, alone = optim.SequentialLR(optimizer, parts, [25]), warm_up(ours(lr=0.1))
    expected = [alone.lrs(t)[0] for t in range(25)]
    assert max(expected) == 1.0
    assert [schedule.lrs(t)[0] for t in range(26)] == [*expected, 0.05]
    optimizer.param_groups[0]["lr"] = 0.3  # which holds for one step, as with the cycle alone
    assert walk(optimizer, schedule, 26) == [[0.3], *([lr] for lr in [*expected[1:], 0.05])]


def test_a_chain_with_a_cycle_knows_its_rates_in_advance():
    def chain():
        optimizer = ours(lr=0.2)
        cycle = optim.CyclicLR(optimizer, 0.1, 0.5, 3, cycle_momentum=False, unit="epoch")
        return optimizer, optim.ChainedScheduler([cycle, optim.ExponentialLR(optimizer, 0.9)])

    expected = walk(*chain(), 14)
    assert expected[0] == [0.1]
    np.testing.assert_allclose([chain()[1].lrs(t) for t in range(14)], expected, rtol=1e-12)


def test_a_chain_with_a_sequence_knows_its_rates_in_advance():
    """A sequence begins with the optimiser's rate, whatever schedules were made before it."""

    def chain():
        optimizer = ours(lr=0.2)
        schedules = [optim.LinearLR(optimizer, 0.5, 1.0, 4)]
        parts = [optim.ConstantLR(optimizer, 0.5, 2), optim.ExponentialLR(optimizer, 0.5)]
        return optimizer, optim.ChainedScheduler(
            [*schedules, optim.SequentialLR(optimizer, parts, [3])]
        )

    expected = walk(*chain(), 8)
    assert expected[0] == [0.1]
    np.testing.assert_allclose([chain()[1].lrs(t) for t in range(8)], expected, rtol=1e-12)


def test_a_sequence_takes_groups_that_came_after_its_schedules():
    optimizer = ours(lr=0.4)
    parts = [optim.ConstantLR(optimizer, 0.5, 2), optim.ExponentialLR(optimizer, 0.5)]
    optimizer.add_param_group({"params": [cr.Parameter([1.0])], "lr": 0.8})
    schedule = optim.SequentialLR(optimizer, parts, [2])
    assert [schedule.lrs(t) for t in range(4)] == [[0.2, 0.4]] * 2 + [[0.4, 0.8], [0.2, 0.4]]


@pytest.mark.parametrize(
    ("make", "of_new", "of_sequence"),
    [
        (
            lambda o: optim.CyclicLR(o, 0.1, 0.5, 2, cycle_momentum=False, unit="epoch"),
            [0.8, 0.8],
            [0.1, 0.3],
        ),
        (
            lambda o: optim.WarmupLR(optim.OneCycleLR(o, 0.5, 10, unit="epoch"), 1),
            [0.8, 0.8],
            [0.25, 0.02],
        ),
        (lambda o: optim.LambdaLR(o, lambda t: 1 / (2 + t)), [0.4, 0.8 / 3], [0.2, 0.4 / 3]),
        (lambda o: optim.LambdaLR(o, [lambda t: 1 / (2 + t)]), [0.8, 0.8], [0.2, 0.4 / 3]),
        (lambda o: optim.MultiplicativeLR(o, lambda t: 0.5), [0.8, 0.4], [0.4, 0.2]),
    ],
)
def test_a_sequence_leaves_groups_that_came_later_what_is_not_theirs(make, of_new, of_sequence):
    """The rates of a cycle, and functions for each group; a function for all is theirs, too."""
    optimizer = ours(lr=0.4, momentum=0.9)
    parts = [optim.ExponentialLR(optimizer, 0.5), make(optimizer)]
    optimizer.add_param_group({"params": [cr.Parameter([1.0])], "lr": 0.8})
    rates = walk(optimizer, optim.SequentialLR(optimizer, parts, [2]), 4)
    expected = [[0.4, 0.8], [0.2, 0.4], *zip(of_sequence, of_new, strict=True)]
    np.testing.assert_allclose(rates, expected, rtol=1e-12)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda o: optim.SequentialLR(o, [], []), "takes at least one schedule"),
        (lambda o: optim.SequentialLR(o, [o], []), "got an object of type SGD"),
        (lambda o: optim.SequentialLR(o, [optim.ConstantLR(o)], [3]), "need 0 milestones"),
        (
            lambda o: optim.SequentialLR(o, [optim.ConstantLR(o) for _ in range(3)], [3, 3]),
            "milestones rise",
        ),
        (
            lambda o: optim.SequentialLR(o, [optim.ConstantLR(o), optim.ConstantLR(ours())], [3]),
            "another optimiser",
        ),
        (
            lambda o: optim.SequentialLR(
                o, [optim.ConstantLR(o), optim.ConstantLR(o, unit="step")], [3]
            ),
            "one unit",
        ),
        (
            lambda o: optim.ChainedScheduler([optim.ConstantLR(o)], ours()),
            "another optimiser than the one given",
        ),
        (lambda o: optim.LambdaLR(o, [abs, abs]), "2 functions for 1 parameter groups"),
        (lambda o: optim.LambdaLR(o, [0.5]), "lr_lambda is a function"),
        (lambda o: optim.LambdaLR(o, lambda t: "a"), "the factor of lr_lambda is a number"),
        (lambda o: optim.OneCycleLR(o, 1.0), "total_steps, or epochs and steps_per_epoch"),
        (lambda o: optim.OneCycleLR(o, 1.0, 20), "construct it with momentum above 0, or pass"),
        (
            lambda o: optim.OneCycleLR(optim.Adagrad(o.params), 1.0, 20),
            "Adagrad has no momentum to cycle: pass cycle_momentum=False",
        ),
        (lambda o: optim.CyclicLR(o, 0.1, 1.0, mode="saw"), "mode is 'triangular'"),
        (
            lambda o: optim.CyclicLR(ours(momentum=0.9), 0.1, 1.0, max_momentum=1.5),
            r"max_momentum must be in \[0, 1\)",
        ),
        (lambda o: optim.ConstantLR(optim.SGD), "an optimiser, got <class .*SGD'>: give an object"),
    ],
)
def test_what_can_not_work_is_refused(make, message):
    optimizer = ours()
    with pytest.raises((TypeError, ValueError), match=message):
        make(optimizer)


def test_a_cycle_that_has_been_halved_a_thousand_times():
    schedule = optim.CyclicLR(ours(), 0.1, 1.0, 1, mode="triangular2", cycle_momentum=False)
    assert schedule.lrs(2 * 5000 + 1) == [0.1]


def test_a_step_to_a_rate_out_of_range_changes_nothing():
    optimizer = ours()
    schedule = optim.LambdaLR(optimizer, lambda t: 1.0 - t)
    schedule.step()
    with pytest.raises(ValueError, match="lr must be >= 0"):
        schedule.step()
    assert schedule.t == 1 and optimizer.param_groups[0]["lr"] == 0.0


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("CyclicLR", {"base_lr": 0.01, "max_lr": 0.1, "step_size_up": 3, "cycle_momentum": False}),
        ("OneCycleLR", {"max_lr": 0.1, "total_steps": 20, "cycle_momentum": False}),
    ],
)
def test_a_rate_set_by_hand_holds_for_one_step_of_a_cycle(name, arguments):
    """Before, a rate below base_lr led to rates below 0."""
    torch = pytest.importorskip("torch")
    optimizer, reference = ours(), theirs(torch)
    schedule = getattr(optim, name)(optimizer, **arguments)
    peer = getattr(torch.optim.lr_scheduler, name)(reference, **arguments)
    for step in range(16):
        assert rates(optimizer) == pytest.approx([g["lr"] for g in reference.param_groups])
        reference.step()
        schedule.step()
        peer.step()
        if step in (4, 5, 11):
            for group in (optimizer.param_groups[0], reference.param_groups[0]):
                group["lr"] *= 0.1


@quiet
def test_a_rate_set_by_hand_in_a_sequence_with_a_cycle():
    torch = pytest.importorskip("torch")

    def sequence(kind, optimizer, **unit):
        members = [
            kind.ConstantLR(optimizer, 0.1, 2, **unit),
            kind.CyclicLR(optimizer, 0.01, 0.1, 3, cycle_momentum=False),
            kind.ExponentialLR(optimizer, 0.5, **unit),
        ]
        return kind.SequentialLR(optimizer, members, [2, 9])

    optimizer, reference = ours(), theirs(torch)
    schedule = sequence(optim, optimizer, unit="step")
    peer = sequence(torch.optim.lr_scheduler, reference)
    for step in range(7):
        reference.step()
        schedule.step()
        peer.step()
        assert rates(optimizer) == pytest.approx([g["lr"] for g in reference.param_groups])
        if step == 5:
            optimizer.param_groups[0]["lr"] *= 0.1
            reference.param_groups[0]["lr"] *= 0.1
    with pytest.raises(ValueError, match="unit='step' or unit='epoch' of each"):
        sequence(optim, ours())
