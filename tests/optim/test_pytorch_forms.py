"""What a PyTorch user types: closures, parameters with names, 0-d numbers, states, zero_grad."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim


def pairs():
    return [("weight", cr.Parameter([1.0, 2.0])), ("bias", cr.Parameter([3.0]))]


@pytest.mark.parametrize(
    "form",
    [
        lambda found: found,
        lambda found: (p for _, p in found),
        lambda found: iter(found),
        lambda found: [{"params": found}],
        lambda found: [{"params": [found[0]]}, {"params": found[1][1]}],
        lambda found: ({"params": (p for _, p in [pair])} for pair in found),
    ],
)
def test_forms_of_parameters(form):
    found = pairs()
    optimizer = optim.SGD(form(found), lr=0.5)
    assert optimizer.params == [p for _, p in found]
    assert [p for g in optimizer.param_groups for p in g["params"]] == optimizer.params


def test_named_parameters_of_a_model_and_a_group_more():
    model, more = nn.Linear(2, 1), nn.Linear(1, 1)
    optimizer = optim.Adam(model.named_parameters())
    optimizer.add_param_group({"params": more.named_parameters(), "lr": np.float32(0.5)})
    assert optimizer.params == [*model.parameters(), *more.parameters()]
    assert optimizer.param_groups[1]["lr"] == 0.5


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([*pairs(), cr.Parameter([1.0])], "number 2 has none, and number 0 has one"),
        ([cr.Parameter([1.0]), *pairs()], "number 0 has none, and number 1 has one"),
        ({cr.Parameter([1.0])}, "a set, whose order differs"),
        ([{"params": {cr.Parameter([1.0])}}], "a set, whose order differs"),
        ([("weight", 3.0)], "an optimiser trains Parameters; number 0 is 3.0"),
        ([nn.Linear(2, 2)], r"number 0 is Linear\(.*: unpack its parameters\(\)"),
    ],
)
def test_other_forms_are_refused(params, message):
    with pytest.raises((TypeError, ValueError), match=message):
        optim.SGD(params)


@pytest.mark.parametrize("lr", [np.float32(0.5), np.array(0.5), np.array([0.5]), cr.tensor(0.5)])
def test_a_number_may_have_0_axes_or_one_element(lr):
    w = cr.Parameter([1.0])
    optimizer = optim.AdamW([w], lr=lr, betas=(cr.tensor(0.5), np.float64(0.75)))
    assert optimizer.param_groups[0]["lr"] == 0.5
    assert optimizer.param_groups[0]["betas"] == (0.5, 0.75)
    optimizer.param_groups[0]["lr"] = lr
    assert type(optimizer.param_groups[0]["lr"]) is float


@pytest.mark.parametrize("lr", [np.ones(2), cr.tensor([1.0, 2.0]), np.ones(0)])
def test_several_numbers_are_no_number(lr):
    with pytest.raises(ValueError, match="lr is one number"):
        optim.SGD([cr.Parameter([1.0])], lr=lr)


# Closures


def closure_of(optimizer, w, seen):
    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        seen.append(loss)
        return loss

    return closure


@pytest.mark.parametrize("make", [optim.SGD, optim.Adam, optim.Lion, optim.Rprop])
def test_a_closure_is_called_once_with_gradients_enabled(make):
    w, same = cr.Parameter([1.0, -2.0]), cr.Parameter([1.0, -2.0])
    a, b = make([w], lr=0.1), make([same], lr=0.1)
    for _ in range(3):
        seen = []
        with cr.no_grad():
            loss = a.step(closure_of(a, w, seen))
            assert not (w * w).requires_grad
        assert seen == [loss]
        closure_of(b, same, [])()
        assert b.step() is None
    assert w.tolist() == same.tolist()


def test_a_closure_in_a_compiled_function():
    w, same = cr.Parameter([1.0, -2.0]), cr.Parameter([1.0, -2.0])
    a, b = optim.Adam([w], lr=0.1), optim.Adam([same], lr=0.1)
    step = cr.compile(lambda: a.step(closure_of(a, w, [])))
    for _ in range(4):
        assert step().item() == b.step(closure_of(b, same, [])).item()
    np.testing.assert_allclose(w.numpy(), same.numpy(), rtol=1e-6)


def test_a_closure_may_return_anything_where_no_rule_compares():
    w = cr.Parameter([1.0])
    optimizer = optim.SGD([w], lr=0.5)
    w.grad = cr.tensor([1.0])
    for given in (None, {"loss": 1}, cr.tensor(3), cr.tensor([1.0, 2.0])):
        assert optimizer.step(lambda given=given: given) is given
    assert w.tolist() == [-1.0]


@pytest.mark.parametrize("wrong", [1.0, "loss", nn.MSELoss])
def test_what_is_no_closure(wrong):
    w = cr.Parameter([1.0])
    w.grad = cr.tensor([1.0])
    with pytest.raises(TypeError, match="closure"):
        optim.SGD([w]).step(wrong)
    assert w.tolist() == [1.0]


def test_a_closure_that_raises_leaves_the_mode_of_gradients():
    def closure():
        raise KeyError

    optimizer = optim.SGD([cr.Parameter([1.0])])
    with cr.no_grad(), pytest.raises(KeyError):
        optimizer.step(closure)
    assert (cr.Parameter([1.0]) * 2.0).requires_grad


# zero_grad and states


def test_zero_grad():
    w, other = cr.Parameter([1.0, 2.0]), cr.Parameter([1.0])
    optimizer = optim.SGD([w, other], lr=1.0, momentum=0.5)
    w.grad = cr.tensor([4.0, 4.0])
    optimizer.step()
    optimizer.zero_grad(set_to_none=False)
    assert w.grad.tolist() == [0.0, 0.0]
    assert other.grad is None
    optimizer.step()  # by momentum alone
    assert w.tolist() == [1.0 - 4.0 - 2.0, 2.0 - 4.0 - 2.0]
    optimizer.zero_grad(set_to_none=True)
    assert w.grad is None


def test_state_of_a_parameter():
    w = cr.Parameter([1.0, 2.0])
    optimizer = optim.Adam([w])
    w.grad = cr.tensor([1.0, 1.0])
    optimizer.step()
    assert optimizer.state[w]["step"].item() == 1
    assert set(optimizer.state[w]) == {"step", "exp_avg", "exp_avg_sq"}
    assert optimizer.param_groups[0]["params"] == [w]


def test_a_state_dict_of_pytorch_is_refused_by_name():
    torch = pytest.importorskip("torch")
    theirs = torch.optim.Adam([torch.zeros(1)]).state_dict()
    with pytest.raises(ValueError, match=r"PyTorch's form.*0\.exp_avg"):
        optim.Adam([cr.Parameter([1.0])]).load_state_dict(theirs)


def test_names_that_are_not_here_say_what_is():
    optimizer = optim.SGD([cr.Parameter([1.0])])
    for name in ("register_step_pre_hook", "register_step_post_hook"):
        with pytest.raises(AttributeError, match=rf"{name}.*a subclass whose step\(\)"):
            getattr(optimizer, name)
        assert not hasattr(optimizer, name)
    with pytest.raises(AttributeError, match=r"'StepLR'.*'get_lr'; here it is get_last_lr\(\)"):
        optim.lr_scheduler.StepLR(optimizer, 1).get_lr()

    for schedule in (
        optim.lr_scheduler.StepLR(optimizer, 1), optim.lr_scheduler.ReduceLROnPlateau(optimizer),
    ):  # fmt: skip
        with pytest.raises(AttributeError, match=r"'_last_lr'; here it is get_last_lr\(\)"):
            schedule._last_lr  # noqa: B018
    for plateau in (schedule, cr.ReduceLROnPlateau()):
        for theirs, name in (
            ("num_bad_epochs", "waited"),
            ("cooldown_counter", "cooling"),
            ("in_cooldown", "cooling > 0"),
        ):
            with pytest.raises(AttributeError, match=f"'{theirs}'; here it is {name}"):
                getattr(plateau, theirs)
    with pytest.raises(KeyError, match=r"'initial_lr' is no hyper-parameter here.* its base_lrs"):
        optimizer.param_groups[0]["initial_lr"]

    class Ported(optim.Schedule):
        def get_lr(self):
            return [0.1]

    with pytest.raises(NotImplementedError, match=r"define lr\(self, base_lr, t\)"):
        Ported(optimizer)


# Attributes of an optimiser of your own


BUILT = []


class Scaled(optim.Optimizer):
    lr = optim.Number(low=0)
    power = 1

    def __init__(self, params, lr=1.0):
        super().__init__(params, lr=lr)
        self.scale = 1.0
        self.steps = [1.0]
        self.table = np.ones(1)

    def rule(self, W, grad, moments, h):
        BUILT.append(W)
        factor = self.scale * sum(self.steps) * float(self.table[0]) * self.power
        W.assign(W - h.lr * factor * grad)


def test_a_changed_attribute_is_noticed():
    w = cr.Parameter([0.0])
    optimizer = Scaled([w])
    w.grad = cr.tensor([-1.0])

    def moved():
        before = w.item()
        optimizer.step()
        return w.item() - before

    assert moved() == 1
    optimizer.scale = 2.0
    assert moved() == 2
    optimizer.steps.append(1.0)
    assert moved() == 4
    optimizer.table[0] = 3.0
    assert moved() == 12
    Scaled.power = 2
    try:
        assert moved() == 24
    finally:
        Scaled.power = 1
    assert moved() == 12
    BUILT.clear()
    assert moved() == 12
    assert BUILT == []  # what is unchanged is not captured anew
