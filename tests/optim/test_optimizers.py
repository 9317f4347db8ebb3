"""Every optimiser step for step as PyTorch's, eagerly and captured; groups, errors, checkpoints."""

import itertools
import json
from typing import NamedTuple

import numpy as np
import pytest
from optimizer_peers import lion

import chainrule as cr
from chainrule import optim
from chainrule.execute.reference import Interpreter
from chainrule.optim import optimizer as optimizer_module


class Case(NamedTuple):
    name: str
    options: dict

    def __str__(self):
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])


def every(name, **choices):
    """The case of each combination of the options' choices."""
    combinations = itertools.product(*choices.values())
    return [Case(name, dict(zip(choices, values, strict=True))) for values in combinations]


CASES = [
    *every("SGD", lr=[0.1], weight_decay=[0, 0.01]),
    *every("SGD", lr=[0.1], momentum=[0.9], dampening=[0, 0.3], weight_decay=[0, 0.01]),
    *every("SGD", lr=[0.1], momentum=[0.9], nesterov=[True], weight_decay=[0, 0.01]),
    *every("SGD", lr=[0.1], dampening=[0.3]),
    *every("Adam", lr=[0.1], weight_decay=[0, 0.01], amsgrad=[False, True]),
    *every("Adam", lr=[0.1], betas=[(0.8, 0.9), (0.0, 0.99)], eps=[1e-3]),
    *every("AdamW", lr=[0.1], weight_decay=[0, 0.1], amsgrad=[False, True]),
    *every("NAdam", lr=[0.1], weight_decay=[0, 0.1], decoupled_weight_decay=[False, True]),
    *every("NAdam", lr=[0.1], betas=[(0.8, 0.9), (0.0, 0.99)], momentum_decay=[0, 0.5]),
    *every("Adagrad", lr=[0.1], lr_decay=[0, 0.1], weight_decay=[0, 0.01]),
    *every("Adagrad", lr=[0.1], initial_accumulator_value=[0.5], eps=[1e-3]),
    *every("Adadelta", lr=[1.0, 0.3], rho=[0.8], weight_decay=[0, 0.01]),
    *every("Lion", lr=[0.01], weight_decay=[0, 0.1]),
    *every("Lion", lr=[0.01], betas=[(0.8, 0.7), (0.0, 0.99)]),
    *every(
        "RMSprop",
        lr=[0.01],
        alpha=[0.9],
        weight_decay=[0, 0.01],
        momentum=[0, 0.9],
        centered=[False, True],
    ),
]
DEFAULTS = [Case(name, {}) for name in dict.fromkeys(case.name for case in CASES)]
OF_OTHER_FORM = {"LBFGS", "Muon"}  # tested in files of their own
SHAPES = [(3, 4), (4,), (), (2, 1, 3)]
STEPS = 20


def starts(dtype="float64", seed=0):
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape).astype(dtype) for shape in SHAPES]


def gradients(dtype="float64", steps=STEPS):
    """One list of gradients a step."""
    return [starts(dtype, seed=step + 1) for step in range(steps)]


def make(case, dtype="float64", **options):
    params = [cr.Parameter(value) for value in starts(dtype)]
    return getattr(optim, case.name)(params, **{**case.options, **options})


def run_torch(case, steps, dtype="float64", change=lambda optimizer, step: None):
    torch = pytest.importorskip("torch")
    params = [torch.tensor(value, requires_grad=True) for value in starts(dtype)]
    peer = lion(torch) if case.name == "Lion" else getattr(torch.optim, case.name)
    optimizer = peer(params, **case.options)
    torch.set_default_dtype(getattr(torch, dtype))  # of NAdam's product of mu, too
    try:
        for step, grads in enumerate(steps):
            change(optimizer, step)
            for param, grad in zip(params, grads, strict=True):
                param.grad = None if grad is None else torch.tensor(grad)
            optimizer.step()
    finally:
        torch.set_default_dtype(torch.float32)
    return [param.detach().numpy() for param in params]


def as_tensors(grads):
    return [None if grad is None else cr.as_tensor(grad) for grad in grads]


def run_step(optimizer, steps, change=lambda optimizer, step: None):
    """By `.grad` and `step()`."""
    for step, grads in enumerate(steps):
        change(optimizer, step)
        optimizer.zero_grad()
        for parameter, grad in zip(optimizer.params, as_tensors(grads), strict=True):
            parameter.grad = grad
        optimizer.step()


def run_update(optimizer, steps):
    """By `update` on values, node by node."""
    for grads in steps:
        optimizer.update(as_tensors(grads))


def run_captured(optimizer, steps):
    """By `update` as a part of a captured graph, as `Trainer` does."""
    interpreter = Interpreter(cr.capture(optimizer.update, steps[0]))
    for grads in steps:
        interpreter(grads)


def values(optimizer):
    return [parameter.numpy() for parameter in optimizer.params]


def assert_close(got, expected, rtol):
    for a, b in zip(got, expected, strict=True):
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol)


@pytest.mark.parametrize("run", [run_step, run_update, run_captured])
@pytest.mark.parametrize("case", [*CASES, *DEFAULTS], ids=str)
def test_equals_pytorch_in_float64(case, run):
    optimizer = make(case)
    run(optimizer, gradients())
    assert_close(values(optimizer), run_torch(case, gradients()), rtol=1e-12)


@pytest.mark.parametrize("case", [*CASES, *DEFAULTS], ids=str)
def test_equals_pytorch_in_float32(case):
    optimizer = make(case, "float32")
    run_step(optimizer, gradients("float32"))
    assert_close(values(optimizer), run_torch(case, gradients("float32"), "float32"), rtol=5e-6)


def test_the_table_has_every_optimiser_and_option():
    optimisers = {
        name
        for name in optim.__all__
        if isinstance(getattr(optim, name), type)
        and issubclass(getattr(optim, name), optim.Optimizer)
    } - {"Optimizer"}
    optimisers -= OF_OTHER_FORM
    assert {case.name for case in CASES} == optimisers
    for name in optimisers:
        tried = {option for case in CASES if case.name == name for option in case.options}
        assert set(make(Case(name, {})).defaults) - tried <= {"betas", "eps"}


@pytest.mark.parametrize(
    "case", [Case(c.name, {}) for c in DEFAULTS if c.name != "Lion"] + [Case("LBFGS", {})], ids=str
)
def test_arguments_and_defaults_are_pytorchs(case):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, case.name)([torch.zeros(1)]).defaults
    for key, value in make(case).defaults.items():
        assert theirs[key] == value
    assert set(theirs) - set(make(case).defaults) <= {
        *("foreach", "maximize", "capturable", "differentiable", "fused"),  # how PyTorch computes
        *("max_iter", "max_eval", "tolerance_grad", "tolerance_change"),  # a step is one iteration
        "decoupled_weight_decay",  # of Adam, where it is AdamW
    }


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rules_are_elementwise(case):
    """The native core fuses what is elementwise over one parameter's shape."""
    optimizer = make(case)
    graph = cr.capture(optimizer.update, starts())
    for node in graph.nodes:
        if node.operation is not None:
            assert all(i.shape == node.shape for i in node.inputs) or (
                node.operation.name == "broadcast_to" and node.inputs[0].shape == ()
            )


def test_scalars_are_computed_once_for_a_group():
    optimizer = make(Case("Adam", {}), "float32")
    graph = cr.capture(optimizer.update, starts("float32"))
    names = [node.operation.name for node in graph.nodes if node.operation is not None]
    assert names.count("power") == 2
    assert names.count("astype") == 6  # beta1, beta2, 1 - beta1, 1 - beta2, step size, eps


def test_momentum_by_hand():
    """GOLDEN L7: G <- beta G + dL/dW; W <- W - alpha G, with L = W^2 / 2, so dL/dW = W.

    beta = 1/2, alpha = 1/4 and W = 8 give G = 8, W = 6; G = 10, W = 7/2; G = 17/2, W = 11/8.
    """
    W = cr.Parameter([8.0], "float64")
    optimizer = optim.SGD([W], lr=0.25, momentum=0.5)
    seen = []
    for _ in range(3):
        optimizer.zero_grad()
        (0.5 * W * W).sum().backward()
        optimizer.step()
        seen.append((optimizer.state[W]["momentum_buffer"].item(), W.item()))
    assert seen == [(8.0, 6.0), (10.0, 3.5), (8.5, 1.375)]


def test_adam_first_step_by_hand():
    """m-hat = g and v-hat = g^2 at t = 1: the step is lr g / (|g| + eps), for any betas."""
    W = cr.Parameter([1.0, 1.0], "float64")
    optimizer = optim.Adam([W], lr=0.5, eps=1.0)
    optimizer.update([cr.tensor([3.0, -1.0], "float64")])
    np.testing.assert_allclose(W.numpy(), [1 - 0.5 * 3 / 4, 1 + 0.5 * 1 / 2], rtol=1e-14)


# Groups


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_centred_rmsprop_of_a_constant_gradient(dtype):
    """Its variance falls to 0; rounded below that, the root would be NaN."""
    w = cr.Parameter(np.ones(50), dtype)
    optimizer = optim.RMSprop([w], lr=1e-4, alpha=0.9, centered=True)
    w.grad = cr.tensor(np.linspace(-3, 3, 50), dtype)
    for _ in range(600):
        optimizer.step()
    assert np.isfinite(w.numpy()).all()


def test_hyper_parameters_may_be_numpys():
    """They are kept as plain numbers, which JSON can hold."""
    given = {"history_size": np.int64(3), "lr": np.float64(0.5)}
    group = optim.LBFGS([cr.Parameter([1.0])], **given).param_groups[0]
    assert json.dumps(group.numbers()) == ('{"lr": 0.5, "history_size": 3, "line_search_fn": null}')
    group = optim.RMSprop([cr.Parameter([1.0])], centered=np.bool_(True)).param_groups[0]
    assert group["centered"] is True
    group["centered"] = np.bool_(True)


def test_groups_equal_pytorchs():
    torch = pytest.importorskip("torch")
    first, second = starts()[:2], starts()[2:]

    def groups(leaf):
        return [
            {"params": [leaf(v) for v in first], "lr": 0.05, "nesterov": True},
            {"params": [leaf(v) for v in second], "weight_decay": 0.1},
        ]

    ours = optim.SGD(groups(cr.Parameter), lr=0.1, momentum=0.9)
    theirs = torch.optim.SGD(
        groups(lambda v: torch.tensor(v, requires_grad=True)), lr=0.1, momentum=0.9
    )
    params = [p for group in theirs.param_groups for p in group["params"]]
    for grads in gradients():
        for param, grad in zip(params, grads, strict=True):
            param.grad = torch.tensor(grad)
        theirs.step()
    run_step(ours, gradients())
    assert_close(values(ours), [p.detach().numpy() for p in params], rtol=1e-12)
    assert [group["lr"] for group in ours.param_groups] == [0.05, 0.1]


def test_one_parameter_may_stand_for_a_group():
    w = cr.Parameter([1.0])
    assert optim.SGD([{"params": w}]).param_groups[0]["params"] == [w]


def test_parameters_of_several_dtypes():
    params = [cr.Parameter([1.0], dtype) for dtype in ("float32", "float64")]
    optimizer = optim.Adam(params, lr=0.5)
    optimizer.update([cr.as_tensor(np.ones(1, p.dtype)) for p in params])
    assert [p.dtype for p in params] == ["float32", "float64"]
    np.testing.assert_allclose([p.item() for p in params], 0.5, rtol=1e-6)


def test_a_group_is_a_mapping():
    group = make(Case("Adam", {"lr": 0.1})).param_groups[0]
    assert list(group) == ["params", "lr", "betas", "eps", "weight_decay", "amsgrad"]
    assert len(group) == 6
    assert dict(group)["betas"] == (0.9, 0.999)
    assert isinstance(group["lr"], float)
    assert "lr: 0.1" in repr(group)
    with pytest.raises(
        KeyError, match="'momentum' is no hyper-parameter here; there are params, lr"
    ):
        group["momentum"]
    with pytest.raises(KeyError, match="no hyper-parameter"):
        group["momentum"] = 0.1
    with pytest.raises(TypeError, match="not deleted"):
        del group["lr"]
    with pytest.raises(ValueError, match="add_param_group"):
        group["params"] = []


def test_added_groups_start_their_own_count():
    torch = pytest.importorskip("torch")
    ours = optim.Adam([cr.Parameter(starts()[0])], lr=0.1)
    theirs = torch.optim.Adam([torch.tensor(starts()[0], requires_grad=True)], lr=0.1)
    run_step(ours, [grads[:1] for grads in gradients()[:5]])
    ours.add_param_group({"params": [cr.Parameter(starts()[1])], "lr": 0.2})
    run_step(ours, [grads[:2] for grads in gradients()[5:]])
    for step, grads in enumerate(gradients()):
        if step == 5:
            new = torch.tensor(starts()[1], requires_grad=True)
            theirs.add_param_group({"params": [new], "lr": 0.2})
        params = [p for group in theirs.param_groups for p in group["params"]]
        for param, grad in zip(params, grads[: len(params)], strict=True):
            param.grad = torch.tensor(grad)
        theirs.step()
    assert_close(values(ours), [p.detach().numpy() for p in params], rtol=1e-12)


# Missing gradients


@pytest.mark.parametrize("run", [run_step, run_update, run_captured])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_parameter_without_gradient_is_skipped(case, run):
    steps = [[g, None, *rest] for g, _, *rest in gradients()]
    optimizer = make(case)
    moments = optimizer.state[optimizer.params[1]]
    before = {name: moment.numpy() for name, moment in moments.items()}
    run(optimizer, steps)
    assert np.array_equal(optimizer.params[1].numpy(), starts()[1])
    assert all(np.array_equal(moments[name].numpy(), first) for name, first in before.items())
    assert_close(values(optimizer), run_torch(case, steps), rtol=1e-12)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_step_without_gradients_is_none(case):
    steps = gradients()
    steps.insert(3, [None] * len(SHAPES))
    optimizer = make(case)
    run_step(optimizer, steps)
    assert_close(values(optimizer), run_torch(case, steps), rtol=1e-12)


def test_gradients_may_come_and_go():
    """Without a count of steps even a parameter that is skipped now and then equals PyTorch's."""
    steps = [[None if (i + step) % 3 == 0 else g for i, g in enumerate(grads)]
             for step, grads in enumerate(gradients())]  # fmt: skip
    case = Case("SGD", {"lr": 0.1, "momentum": 0.9})
    optimizer = make(case)
    run_step(optimizer, steps)
    assert_close(values(optimizer), run_torch(case, steps), rtol=1e-12)


def test_zero_grad():
    optimizer = make(DEFAULTS[0])
    run_step(optimizer, gradients(steps=1))
    optimizer.zero_grad()
    assert [p.grad for p in optimizer.params] == [None] * len(SHAPES)


# Hyper-parameters that change


@pytest.fixture
def captures(monkeypatch):
    """The graphs that `step()` captured."""
    graphs = []

    def counted(*arguments):
        graphs.append(cr.capture(*arguments))
        return graphs[-1]

    monkeypatch.setattr(optimizer_module, "capture", counted)
    return graphs


CHANGES = [
    (Case("SGD", {"momentum": 0.9, "dampening": 0.1, "weight_decay": 0.1}),
     {"lr": 0.03, "momentum": 0.5, "dampening": 0.2, "weight_decay": 0.0}),
    (Case("Adam", {"weight_decay": 0.1}),
     {"lr": 0.03, "betas": (0.7, 0.8), "eps": 1e-2, "weight_decay": 0.2}),
    (Case("AdamW", {}), {"lr": 0.03, "betas": (0.7, 0.8), "eps": 1e-2, "weight_decay": 0.0}),
    (Case("NAdam", {"weight_decay": 0.1}),
     {"lr": 0.03, "betas": (0.7, 0.8), "eps": 1e-2, "weight_decay": 0.2, "momentum_decay": 0.1}),
    (Case("Adagrad", {"weight_decay": 0.1, "lr_decay": 0.1}),
     {"lr": 0.03, "lr_decay": 0.2, "eps": 1e-2, "weight_decay": 0.0}),
    (Case("Adadelta", {"weight_decay": 0.1}),
     {"lr": 0.3, "rho": 0.5, "eps": 1e-2, "weight_decay": 0.0}),
    (Case("Lion", {"weight_decay": 0.1}), {"lr": 0.03, "betas": (0.7, 0.8), "weight_decay": 0.0}),
    (Case("RMSprop", {"momentum": 0.9, "weight_decay": 0.1}),
     {"lr": 0.03, "alpha": 0.8, "eps": 1e-2, "momentum": 0.5, "weight_decay": 0.2}),
]  # fmt: skip


@pytest.mark.parametrize(("case", "changes"), CHANGES, ids=lambda value: str(value)[:7])
def test_a_change_needs_no_new_capture(case, changes, captures):
    def change(optimizer, step):
        if step == 7:
            for group in optimizer.param_groups:
                group.update(changes)

    optimizer = make(case)
    run_step(optimizer, gradients(), change)
    assert len(captures) == 1
    assert_close(values(optimizer), run_torch(case, gradients(), change=change), rtol=1e-12)
    assert {key: optimizer.param_groups[0][key] for key in changes} == changes


def test_step_captures_once_for_each_set_of_gradients(captures):
    optimizer = make(DEFAULTS[0])
    full, partial = gradients(steps=1)[0], [None, *gradients(steps=1)[0][1:]]
    run_step(optimizer, [full, partial, full, partial])
    assert len(captures) == 2


def test_step_does_not_keep_captures_without_end():
    params = [cr.Parameter([0.0]) for _ in range(6)]
    optimizer = optim.SGD(params)
    one = cr.tensor([1.0])
    for present in itertools.product([None, one], repeat=6):
        for param, grad in zip(params, present, strict=True):
            param.grad = grad
        optimizer.step()
    assert len(list(optimizer._captured)) <= optimizer_module._CACHED_UPDATES


@pytest.mark.parametrize(
    ("case", "key", "value"),
    [
        (Case("SGD", {}), "momentum", 0.9),
        (Case("SGD", {}), "weight_decay", 0.1),
        (Case("SGD", {"momentum": 0.9}), "nesterov", True),
        (Case("SGD", {"momentum": 0.9}), "dampening", 0.1),
        (Case("Adam", {}), "amsgrad", True),
        (Case("RMSprop", {}), "centered", True),
        (Case("RMSprop", {"centered": True}), "centered", False),
        (Case("NAdam", {}), "decoupled_weight_decay", True),
        (Case("Adagrad", {}), "lr_decay", 0.1),
        (Case("Adagrad", {}), "initial_accumulator_value", 0.5),
    ],
    ids=str,
)
def test_what_the_graph_depends_on_is_fixed(case, key, value):
    group = make(case).param_groups[0]
    before = group[key]
    with pytest.raises(ValueError, match=f"Construct a new optimiser with {key}={value}"):
        group[key] = value
    assert group[key] == before
    group[key] = before  # no change


# Errors


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("SGD", {"lr": -0.1}, "lr must be >= 0, got -0.1"),
        ("SGD", {"lr": float("nan")}, "lr is finite, got nan"),
        ("SGD", {"lr": float("inf")}, "lr is finite, got inf"),
        ("SGD", {"lr": "0.1"}, "lr is a number, got '0.1'"),
        ("SGD", {"lr": None}, "lr is a number, got None"),
        ("SGD", {"momentum": -0.1}, "momentum must be >= 0"),
        ("SGD", {"weight_decay": -0.1}, "weight_decay must be >= 0"),
        ("SGD", {"nesterov": True}, "nesterov needs a momentum above 0"),
        ("SGD", {"nesterov": True, "momentum": 0.9, "dampening": 0.1}, "a dampening of 0"),
        ("SGD", {"nesterov": 1, "momentum": 0.9}, "nesterov is True or False, not 1"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas must be in \[0, 1\), got 1.0"),
        ("Adam", {"betas": 0.9}, "betas are two numbers, not 0.9"),
        ("Adam", {"eps": -1}, "eps must be >= 0"),
        ("AdamW", {"weight_decay": -1}, "weight_decay must be >= 0"),
        ("RMSprop", {"alpha": 1}, r"alpha must be in \[0, 1\), got 1"),
        ("RMSprop", {"momentum": -1}, "momentum must be >= 0"),
        ("NAdam", {"lr": -1}, "lr must be >= 0, got -1"),
        ("NAdam", {"betas": (1.0, 0.9)}, r"betas must be in \[0, 1\), got 1.0"),
        ("NAdam", {"momentum_decay": -1}, "momentum_decay must be >= 0, got -1"),
        ("NAdam", {"decoupled_weight_decay": 1}, "decoupled_weight_decay is True or False, not 1"),
        ("Adagrad", {"lr": -1}, "lr must be >= 0, got -1"),
        ("Adagrad", {"lr_decay": -1}, "lr_decay must be >= 0, got -1"),
        ("Adagrad", {"initial_accumulator_value": -1}, "initial_accumulator_value must be >= 0"),
        ("Adagrad", {"initial_accumulator_value": "1"}, "initial_accumulator_value is a number"),
        ("Adadelta", {"lr": -1}, "lr must be >= 0, got -1"),
        ("Adadelta", {"rho": 1}, r"rho must be in \[0, 1\), got 1"),
        ("Adadelta", {"eps": -1}, "eps must be >= 0"),
        ("Lion", {"lr": -1}, "lr must be >= 0, got -1"),
        ("Lion", {"betas": (0.9, -0.1)}, r"betas must be in \[0, 1\), got -0.1"),
        ("Lion", {"betas": (0.9, 0.99, 0.999)}, "betas are two numbers"),
        ("Lion", {"weight_decay": -1}, "weight_decay must be >= 0"),
    ],
)
def test_arguments_are_checked(name, options, message):
    with pytest.raises((TypeError, ValueError), match=message):
        make(Case(name, {}), **options)


def test_values_set_later_are_checked_too():
    group = make(DEFAULTS[1]).param_groups[0]
    with pytest.raises(ValueError, match="lr must be >= 0"):
        group["lr"] = -1
    with pytest.raises(ValueError, match="betas must be in"):
        group["betas"] = (0.5, 2)
    assert (group["lr"], group["betas"]) == (1e-3, (0.9, 0.999))


W = cr.Parameter([1.0], name="w")


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ([], "got no parameters"),
        (iter([]), "got no parameters"),
        ([{"params": []}], "trains Parameters; there are none"),
        ([{"params": cr.tensor([1.0])}], "make it a chainrule.Parameter"),
        ([W, W], "parameter w of shape .* was given twice"),
        ([{"params": [W]}, {"params": [W]}], "parameter w .* was given twice"),
        (W, "pass model.parameters"),
        (None, "pass model.parameters"),
        ({"params": [W]}, "pass model.parameters"),
        (
            [cr.tensor([1.0], requires_grad=True)],
            "number 0 is tensor.* make it a chainrule.Parameter",
        ),
        ([W, np.ones(3)], "number 1 is array"),
        ([{"lr": 0.1}], "with the key 'params'"),
        ([{"params": [W]}, W], "a parameter group is a dict"),
        ([{"params": [W], "betas": (0, 0)}], "SGD has no hyper-parameter betas; it has lr"),
        ([{"params": [W], "lr": -1}], "lr must be >= 0"),
    ],
)
def test_parameters_are_checked(params, message):
    with pytest.raises((TypeError, ValueError), match=message):
        optim.SGD(params)


def test_a_refused_group_changes_nothing():
    optimizer = optim.SGD([W])
    with pytest.raises(ValueError, match="lr must be"):
        optimizer.add_param_group({"params": [cr.Parameter([2.0])], "lr": -1})
    assert optimizer.params == [W]
    assert len(optimizer.param_groups) == 1


def fit_errors():
    good = cr.tensor([1.0, 1.0])
    yield cr.ShapeError, [good, cr.tensor([[1.0]])], r"gradient of parameter 1 \(bias\) has shape"
    yield cr.DTypeError, [good, cr.tensor([1.0], "float64")], r"parameter 1 \(bias\) is float64"
    yield TypeError, [good, np.ones(1, "float32")], r"parameter 1 \(bias\) is a ndarray"


@pytest.mark.parametrize(("error", "grads", "message"), list(fit_errors()))
def test_gradients_that_do_not_fit_change_nothing(error, grads, message):
    params = [cr.Parameter([1.0, 2.0], name="weight"), cr.Parameter([3.0], name="bias")]
    optimizer = optim.Adam(params)
    for parameter, grad in zip(params, grads, strict=True):
        parameter.grad = grad
    for call in (optimizer.step, lambda: optimizer.update(grads)):
        with pytest.raises(error, match=message):
            call()
    assert [p.tolist() for p in params] == [[1.0, 2.0], [3.0]]
    assert optimizer.param_groups[0].step_count.item() == 0


def test_update_takes_one_gradient_for_each_parameter():
    with pytest.raises(ValueError, match="each of 1 parameters, not 2"):
        optim.SGD([W]).update([None, None])


def test_step_inside_a_capture_is_refused():
    with pytest.raises(cr.SymbolicError, match="call update"):
        cr.capture(lambda: optim.SGD([W]).step())


def test_an_optimiser_without_a_rule():
    with pytest.raises(NotImplementedError, match="Optimizer has no rule"):
        optim.Optimizer([W]).update([cr.tensor([1.0])])


# State


def test_arrays_that_nodes_saw_are_never_written():
    optimizer = make(Case("Adam", {"amsgrad": True}))
    before = values(optimizer)
    copies = [value.copy() for value in before]
    grads = gradients(steps=2)
    kept = [[grad.copy() for grad in step] for step in grads]
    run_step(optimizer, grads)
    assert all(np.array_equal(a, b) for a, b in zip(before, copies, strict=True))
    for step, copy in zip(grads, kept, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(step, copy, strict=True))


def test_the_update_is_not_differentiated():
    optimizer = make(Case("SGD", {"momentum": 0.9}))
    graph = cr.capture(optimizer.update, starts())
    assert any(node.requires_grad for node in graph.reads.values())
    assert not any(node.requires_grad for node in graph.nodes if node.operation is not None)


def test_names_of_states():
    params = [cr.Parameter([1.0]), cr.Parameter([2.0])]
    optimizer = optim.Adam([{"params": params[:1]}, {"params": params[1:], "amsgrad": True}])
    assert list(optimizer.states()) == [
        "0.exp_avg",
        "0.exp_avg_sq",
        "1.exp_avg",
        "1.exp_avg_sq",
        "1.max_exp_avg_sq",
        "group0.step",
        "group1.step",
    ]
    assert all(isinstance(state, cr.Buffer) for state in optimizer.states().values())
    assert list(optim.SGD(params, momentum=0.9).states()) == [
        "0.momentum_buffer",
        "1.momentum_buffer",
    ]
    assert optim.SGD(params).states() == {}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_state_dict_goes_on_with_equal_bits(case):
    straight = make(case)
    run_step(straight, gradients())
    first = make(case)
    run_step(first, gradients()[:7])
    saved, weights = first.state_dict(), values(first)
    run_step(first, gradients()[7:9])  # what was saved are copies
    second = make(case, lr=0.5)
    for parameter, weight in zip(second.params, weights, strict=True):
        parameter.assign(weight)
    second.load_state_dict(saved)
    run_step(second, gradients()[7:])
    for a, b in zip(values(second), values(straight), strict=True):
        assert np.array_equal(a, b)
    for name, state in second.states().items():
        assert np.array_equal(state.numpy(), straight.states()[name].numpy())


def test_arrays_of_a_state_dict_are_copies():
    """The native core writes into the arrays of states while it runs."""
    optimizer = make(Case("Adam", {}))
    saved = optimizer.state_dict()
    optimizer.load_state_dict(saved)
    for name, state in optimizer.states().items():
        assert not np.shares_memory(saved[name], state.numpy())
        assert not np.shares_memory(optimizer.state_dict()[name], state.numpy())


def test_numbers_of_a_state_dict_are_json():
    optimizer = make(Case("AdamW", {}), betas=(0.5, 0.6))
    state = optimizer.state_dict()
    state["param_groups"] = json.loads(json.dumps(state["param_groups"]))
    other = make(Case("AdamW", {}))
    other.load_state_dict(state)
    assert other.param_groups[0]["betas"] == (0.5, 0.6)


def changed(state, **entries):
    return {**state, **entries}


STATE = make(Case("SGD", {"momentum": 0.9})).state_dict()
GROUP = STATE["param_groups"][0]


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({}, "the state is of None, this optimiser is SGD"),
        (changed(STATE, optimizer="Adam"), "the state is of Adam, this optimiser is SGD"),
        (changed(STATE, param_groups=[]), "param_groups are"),
        (changed(STATE, param_groups=None), "param_groups are None"),
        (changed(STATE, param_groups=[{"lr": 0.1}]), "param_groups are"),
        (changed(STATE, param_groups=[{**GROUP, "params": [0]}]), "has the parameters"),
        (changed(STATE, param_groups=[{**GROUP, "lr": -1}]), "lr must be"),
        (changed(STATE, param_groups=[{**GROUP, "nesterov": True}]), "chooses the operations"),
        (changed(STATE, param_groups=[{**GROUP, "weight_decay": 0.1}]), "was 0 at construction"),
        (make(Case("SGD", {})).state_dict(), "the state holds no arrays"),
        (changed(STATE, more=np.ones(3)), "more; this optimiser has 0.momentum_buffer"),
        (changed(STATE, **{"3.momentum_buffer": np.ones(3)}), "3.momentum_buffer has shape"),
        (changed(STATE, **{"1.momentum_buffer": np.ones(4, "f")}), "1.momentum_buffer has dtype"),
    ],
)
def test_a_state_that_does_not_fit_changes_nothing(state, message):
    optimizer = make(Case("SGD", {"momentum": 0.9}))
    run_step(optimizer, gradients(steps=1))
    before = optimizer.state_dict()
    with pytest.raises((TypeError, ValueError), match=message):
        optimizer.load_state_dict(state)
    after = optimizer.state_dict()
    assert after["param_groups"] == before["param_groups"]
    assert all(np.array_equal(after[name], before[name]) for name in optimizer.states())


def test_repr():
    assert repr(optim.SGD([cr.Parameter([1.0])], lr=0.1)) == (
        "SGD(\n0: ParameterGroup(\n    lr: 0.1\n    momentum: 0.0\n    dampening: 0.0\n"
        "    weight_decay: 0.0\n    nesterov: False\n)\n)"
    )
