"""An optimiser of one's own: hyper-parameters of every kind, declared, checked, saved, trained."""

import json

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.reference import Interpreter


class Own(optim.Optimizer):
    """W <- W - lr (a + b) g + shift, or one of its variants."""

    lr = optim.Number(low=0)
    shift = optim.Number()
    alpha = optim.Number(low=1, high=3)
    weights = optim.Numbers("a", "b", low=-1, high=1)
    noise = optim.Term()
    start = optim.Number(fixed=True)
    ascend = optim.Flag()
    mode = optim.OneOf(None, "fast", "exact")
    repeats = optim.Count()

    def __init__(self, params, **options):
        defaults = {
            **{"lr": 0.5, "shift": -1.0, "alpha": 2.0, "weights": (0.5, 0.25), "noise": 0},
            **{"start": -2.0, "ascend": False, "mode": "fast", "repeats": 1},
        }
        super().__init__(params, **{**defaults, **options})

    def moments(self, group):
        return {"seen": group["start"]}

    def rule(self, W, grad, moments, h):
        moments["seen"].assign(moments["seen"] + grad)
        step = h.lr * (h.a + h.b) * grad
        for _ in range(h.repeats):
            step = step * h.alpha
        if h.noise is not None:
            step = step + h.noise
        if h.mode == "exact":
            step = -step
        W.assign((W + step if h.ascend else W - step) + h.shift)


def own(**options):
    w = cr.Parameter([4.0], "float64")
    optimizer = Own([w], **options)
    optimizer.update([cr.tensor([2.0], "float64")])
    return w.item(), optimizer.state[w]["seen"].item()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, 4 - 0.5 * 0.75 * 2 * 2 - 1),
        ({"shift": 3.0}, 4 - 1.5 + 3),
        ({"alpha": 1}, 4 - 0.75 - 1),
        ({"weights": [-0.5, 0.5]}, 4 - 0 - 1),
        ({"noise": 0.25}, 4 - 1.75 - 1),
        ({"ascend": True}, 4 + 1.5 - 1),
        ({"mode": "exact"}, 4 + 1.5 - 1),
        ({"mode": None}, 4 - 1.5 - 1),
        ({"repeats": 2}, 4 - 3.0 - 1),
    ],
)
def test_a_rule_reads_each_kind(options, expected):
    assert own(**options) == (expected, 0.0)


def test_a_fixed_number_is_a_first_state():
    assert own(start=7)[1] == 9.0


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"lr": -1}, ValueError, "lr must be >= 0, got -1"),
        ({"shift": float("nan")}, ValueError, "shift is finite, got nan"),
        ({"shift": None}, TypeError, "shift is a number, got None"),
        ({"alpha": 3}, ValueError, r"alpha must be in \[1, 3\), got 3"),
        ({"alpha": 0.9}, ValueError, r"alpha must be in \[1, 3\), got 0.9"),
        ({"weights": (0, 1)}, ValueError, r"weights must be in \[-1, 1\), got 1"),
        ({"weights": (0, 0, 0)}, TypeError, r"weights are two numbers, not \(0, 0, 0\)"),
        ({"weights": 0}, TypeError, "weights are two numbers, not 0"),
        ({"noise": -1}, ValueError, "noise must be >= 0, got -1"),
        ({"ascend": 1}, TypeError, "ascend is True or False, got 1"),
        ({"mode": "slow"}, ValueError, "mode is None or 'fast' or 'exact', not 'slow'"),
        ({"mode": np.zeros(2)}, ValueError, "mode is None or 'fast' or 'exact', not array"),
        ({"repeats": 0}, ValueError, "repeats is at least 1, got 0"),
        ({"repeats": 1.5}, TypeError, "repeats is a whole number"),
        ({"start": "2"}, TypeError, "start is a number, got '2'"),
    ],
)
def test_wrong_values_are_refused_everywhere(options, error, message):
    """At construction, in a group, set later, and in a state; nothing has changed then."""
    w = cr.Parameter([1.0])
    with pytest.raises(error, match=message):
        Own([w], **options)
    with pytest.raises(error, match=message):
        Own([{"params": [w], **options}])
    optimizer = Own([w], noise=1)
    state = optimizer.state_dict()
    ((key, value),) = options.items()
    with pytest.raises(error, match=message):
        optimizer.param_groups[0][key] = value
    state["param_groups"][0][key] = value
    with pytest.raises(error, match=message):
        optimizer.load_state_dict(state)
    assert optimizer.param_groups[0].numbers() == Own([w], noise=1).param_groups[0].numbers()


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("noise", 0.5, "was 0 at construction, so its term is not in the update's graph"),
        ("ascend", True, "chooses the operations of the update's graph, or its first state"),
        ("mode", "exact", "chooses the operations"),
        ("repeats", 2, "chooses the operations"),
        ("start", 1.0, "or its first state"),
    ],
)
def test_what_is_fixed_can_not_be_set(key, value, reason):
    group = Own([cr.Parameter([1.0])]).param_groups[0]
    with pytest.raises(ValueError, match=f"{key} .*{reason}.*Construct a new .* with {key}="):
        group[key] = value
    group[key] = group[key]


def test_numbers_can_be_set_between_steps_without_a_new_graph():
    w = cr.Parameter([4.0], "float64")
    optimizer = Own([w], noise=0.5)
    grad = cr.tensor([2.0], "float64")
    graph = cr.capture(optimizer.update, [grad])
    run = Interpreter(graph)
    optimizer.param_groups[0].update(shift=0.0, alpha=1, weights=(0.5, 0.5), noise=0)
    run([grad])
    assert w.item() == 4 - 0.5 * 2


def test_a_state_goes_on_by_way_of_json():
    def state_after_a_step(**options):
        w = cr.Parameter([4.0])
        optimizer = Own([w], **options)
        w.grad = cr.tensor([1.0])
        optimizer.step()
        return optimizer.state_dict()

    options = {"shift": -3.0, "weights": (0.25, -0.5), "noise": 2, "mode": "exact", "repeats": 3}
    saved = state_after_a_step(**options)
    saved["param_groups"] = json.loads(json.dumps(saved["param_groups"]))
    optimizer = Own([cr.Parameter([4.0])], noise=1, mode="exact", repeats=3)
    optimizer.load_state_dict(saved)
    assert {key: optimizer.param_groups[0][key] for key in options} == options
    assert optimizer.states()["0.seen"].item() == -1.0
    with pytest.raises(ValueError, match="mode chooses the operations"):
        Own([cr.Parameter([4.0])], noise=1, repeats=3).load_state_dict(saved)


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_a_trainer_trains_with_it_and_a_schedule_sets_its_numbers(backend):
    """Every W moves by shift alone where lr is 0: by -1, -1/2, -1/4 in three epochs."""
    model = nn.Linear(1, 1)
    optimizer = Own(model.parameters(), lr=0)
    schedule = optim.ExponentialLR(optimizer, gamma=0.5, parameter="shift")
    before = model.weight.item()
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer, schedule=schedule, backend=backend)
    x = np.ones((4, 1), "float32")
    trainer.fit(x, x, epochs=3, batch_size=4, progress=False)
    assert model.weight.item() == pytest.approx(before - 1.75, abs=1e-6)


@pytest.mark.parametrize("key", ["ascend", "mode", "weights", "noise"])
def test_a_schedule_sets_single_numbers_alone(key):
    with pytest.raises(ValueError, match=f"can't set {key}"):
        optim.ExponentialLR(Own([cr.Parameter([1.0])]), gamma=0.5, parameter=key)


def test_a_schedule_that_leaves_the_range_is_refused():
    class Rise(optim.Schedule):
        def lr(self, base_lr, t):
            return base_lr + t

    schedule = Rise(Own([cr.Parameter([1.0])]), parameter="alpha")
    for use in (schedule.step, lambda: schedule.scalars(1)):
        with pytest.raises(ValueError, match=r"alpha must be in \[1, 3\), got 3.0"):
            use()


def test_what_is_given_must_be_declared_and_what_is_declared_given():
    class Undeclared(optim.Optimizer):
        def __init__(self, params):
            super().__init__(params, rate=0.1)

    class NotGiven(Undeclared):
        rate = optim.Number()
        other = optim.Flag()

    w = cr.Parameter([1.0])
    with pytest.raises(TypeError, match=r"does not declare .* rate.* rate = optim.Number\(low=0\)"):
        Undeclared([w])
    with pytest.raises(TypeError, match="declares the hyper-parameter other, but got no value"):
        NotGiven([w])


def test_every_number_is_declared_once():
    class OneObject(optim.Optimizer):
        momentum = dampening = optim.Term()

        def __init__(self, params):
            super().__init__(params, momentum=0.9, dampening=0)

    class OneName(optim.Optimizer):
        lr = optim.Number()
        rates = optim.Numbers("lr", "other")

        def __init__(self, params):
            super().__init__(params, lr=0.1, rates=(1, 2))

    w = cr.Parameter([1.0])
    with pytest.raises(TypeError, match="declares momentum and dampening by one object"):
        OneObject([w])
    with pytest.raises(TypeError, match="a number 'lr', which is declared twice"):
        OneName([w])


def test_declarations_are_inherited_and_replaced():
    class Wider(optim.SGD):
        lr = optim.Number()

    w = cr.Parameter([1.0])
    assert Wider([w], lr=-0.5).param_groups[0]["lr"] == -0.5
    with pytest.raises(ValueError, match="momentum must be >= 0"):
        Wider([w], momentum=-1)


def test_an_attribute_of_the_optimiser_is_no_way_to_a_hyper_parameter():
    optimizer = optim.SGD([cr.Parameter([1.0])])
    for use in (lambda: optimizer.lr, lambda: setattr(optimizer, "lr", 0.1)):
        with pytest.raises(AttributeError, match=r"SGD has its own lr: use .*param_groups\[0\]"):
            use()


@pytest.mark.parametrize(
    "construct",
    [
        lambda base, params: base(params, {"lr": 0.1, "decay": 0.9}),
        lambda base, params: base(params, defaults={"lr": 0.1}),
    ],
)
def test_an_optimiser_in_pytorchs_form_is_told_this_form(construct):
    class Descent(optim.Optimizer):
        def __init__(self, params):
            construct(super().__init__, params)

    said = r"Descent has no .*lr = optim\.Number\(low=0\).*super\(\).*rule\(self, W, grad"
    with pytest.raises(TypeError, match=said):
        Descent([cr.Parameter([1.0])])


def test_a_schedule_of_ones_own_passes_last_epoch_on():
    class Halves(optim.Schedule):
        def __init__(self, optimizer, last_epoch=-1):
            super().__init__(optimizer, last_epoch)

        def lr(self, base_lr, t):
            return base_lr / 2**t

    optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5)
    assert Halves(optimizer).lrs(2) == [0.125]
    with pytest.raises(ValueError, match="a schedule begins at t = 0, got last_epoch=3"):
        Halves(optimizer, 3)
