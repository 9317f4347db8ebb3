"""Groups of parameters: their hyper-parameters, set, changed, fixed and checked."""

import inspect
import itertools
import json
import threading

import numpy as np
import pytest
from optimizer_cases import (
    DEFAULTS,
    Case,
    assert_close,
    gradients,
    make,
    run_step,
    run_torch,
    starts,
    values,
)

import chainrule as cr
from chainrule import nn, optim
from chainrule.optim import optimizer as optimizer_module


def test_hyper_parameters_may_be_numpys():
    """They are kept as plain numbers, which JSON can hold."""
    given = {"history_size": np.int64(3), "lr": np.float64(0.5)}
    group = optim.LBFGS([cr.Parameter([1.0])], **given).param_groups[0]
    assert json.dumps(group.numbers()) == (
        '{"lr": 0.5, "max_iter": 20, "max_eval": 25, "tolerance_grad": 1e-07, '
        '"tolerance_change": 1e-09, "history_size": 3, "line_search_fn": null, "maximize": false}'
    )
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
    assert list(group) == ["params", "lr", "betas", "eps", "weight_decay", "amsgrad", "maximize"]
    assert len(group) == 7
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
        ("SGD", {"nesterov": 1, "momentum": 0.9}, "nesterov is True or False, got 1"),
        ("Adam", {"betas": (0.9, 1.0)}, r"betas must be in \[0, 1\), got 1.0"),
        ("Adam", {"betas": 0.9}, "betas are two numbers, not 0.9"),
        ("Adam", {"eps": -1}, "eps must be >= 0"),
        ("AdamW", {"weight_decay": -1}, "weight_decay must be >= 0"),
        ("RMSprop", {"alpha": 1}, r"alpha must be in \[0, 1\), got 1"),
        ("RMSprop", {"momentum": -1}, "momentum must be >= 0"),
        ("NAdam", {"lr": -1}, "lr must be >= 0, got -1"),
        ("NAdam", {"betas": (1.0, 0.9)}, r"betas must be in \[0, 1\), got 1.0"),
        ("NAdam", {"momentum_decay": -1}, "momentum_decay must be >= 0, got -1"),
        ("NAdam", {"decoupled_weight_decay": 1}, "decoupled_weight_decay is True or False, got 1"),
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

    class Matrices(optim.SGD):
        def moments_of(self, group, W):
            if W.shape == (2,):
                raise ValueError("a vector")
            return super().moments_of(group, W)

    optimizer = Matrices([cr.Parameter([1.0])])
    with pytest.raises(ValueError, match="a vector"):
        optimizer.add_param_group({"params": [cr.Parameter(1.0), cr.Parameter([1.0, 2.0])]})
    assert len(optimizer.params) == len(optimizer.state) == 1


@pytest.mark.parametrize("kind", [nn.Sequential, lambda layer: nn.ModuleList([layer])])
def test_a_model_in_place_of_its_parameters(kind):
    with pytest.raises(TypeError, match=r"not (Sequential|ModuleList): pass model.parameters\(\)"):
        optim.Adam(kind(nn.Linear(2, 1)))


def test_a_group_has_keys_of_its_own():
    """PyTorch's scripts tell groups apart by a "name"."""
    body, head = cr.Parameter([1.0]), cr.Parameter([2.0])
    groups = [{"params": [body], "name": "body", "lr_scale": 0.1}]
    optimizer = optim.SGD(groups, lr=0.5)
    optimizer.add_param_group(param_group={"params": head, "name": "head"})
    assert [group["name"] for group in optimizer.param_groups] == ["body", "head"]
    group = optimizer.param_groups[0]
    assert group["lr_scale"] == 0.1 and "lr_scale" in group and len(group) == len([*group])
    group["name"] = "trunk"
    assert group["name"] == "trunk"
    del group["name"]
    assert "name" not in group
    optimizer.load_state_dict(optimizer.state_dict())
    (body * head).sum().backward()
    optimizer.step()
    assert body.tolist() == [0.0] and head.tolist() == [1.5]


@pytest.mark.parametrize(
    "key",
    [
        "decay",
        "no_decay",
        "beta",
        "eta",
        "rho",
        "alpha",
        "lrr",
        "layer_decay",
        "no_weight_decay",
        3,
    ],
)
def test_any_key_is_one_of_the_users_as_in_pytorch(key):
    """SAM keeps its "rho" in the groups of SGD."""
    optimizer = optim.Adam([{"params": [cr.Parameter([1.0])], key: "a"}])
    group = optimizer.param_groups[0]
    assert group[key] == "a"
    group[key] = group["new"] = None
    assert (group[key], group["new"]) == (None, None)


def test_a_state_dict_holds_the_users_keys():
    def made(**own):
        return optim.SGD([{"params": [cr.Parameter([1.0])], **own}], lr=0.5)

    before, after = made(name="a", scale=0.1), made(name="b", other=2)
    state = before.state_dict()
    assert state["param_groups"][0]["name"] == "a"
    after.load_state_dict(state)
    group = after.param_groups[0]
    assert (group["name"], group["scale"], group["other"], group["lr"]) == ("a", 0.1, 2, 0.5)
    for wrong in ({"momentun": 1}, {"learning_rate": 1}):
        state["param_groups"] = [{**state["param_groups"][0], **wrong, "name": "c"}]
        with pytest.raises(ValueError, match="the state's param_groups are"):
            after.load_state_dict(state)
    assert group["name"] == "a"


def test_a_state_dict_shares_none_of_the_users_values(tmp_path):
    def made(**own):
        return optim.SGD([{"params": [cr.Parameter([1.0])], **own}], lr=0.5)

    before, after = made(layers=[1], table=np.zeros(2)), made()
    state = before.state_dict()
    before.param_groups[0]["layers"].append(2)
    before.param_groups[0]["table"][0] = 7.0
    assert state["param_groups"][0]["layers"] == [1]
    assert state["param_groups"][0]["table"].tolist() == [0.0, 0.0]
    after.load_state_dict(state)
    after.param_groups[0]["layers"].append(3)
    assert state["param_groups"][0]["layers"] == [1]
    cr.save(state, tmp_path / "state.safetensors")
    kept = cr.load(tmp_path / "state.safetensors")["param_groups"][0]
    assert (kept["layers"], kept["table"].tolist()) == ([1], [0.0, 0.0])
    state = made(rule=lambda lr: lr / 2).state_dict()
    with pytest.raises(
        TypeError, match=r"keep param_groups\.0\.rule of type function.*; take it out"
    ):
        cr.save(state, tmp_path / "state.safetensors")


def test_a_state_with_a_value_that_can_not_be_copied_changes_nothing():
    optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.5, momentum=0.9)
    state = optimizer.state_dict()
    state["0.momentum_buffer"] = np.ones(1, "float32")
    state["param_groups"][0]["lock"] = threading.Lock()
    with pytest.raises(TypeError, match="lock"):
        optimizer.load_state_dict(state)
    assert optimizer.state_dict()["0.momentum_buffer"] == [0.0]


def test_a_compiled_function_notices_a_users_key_that_changes():
    w = cr.Parameter([1.0])
    optimizer = optim.SGD([{"params": [w], "scale": 1.0}], lr=0.5)

    @cr.compile
    def step():
        optimizer.zero_grad()
        (w.sum() * optimizer.param_groups[0]["scale"]).backward()
        optimizer.step()

    step()
    step()
    assert w.tolist() == [0.0]
    optimizer.param_groups[0]["scale"] = 2.0
    step()
    assert w.tolist() == [-1.0]


@pytest.mark.parametrize("key", ["weight_decya", "weigt_decay", "momentun", "LR", "Momentum"])
def test_a_misspelt_key_is_not_set(key):
    group = optim.SGD([cr.Parameter([1.0])]).param_groups[0]
    with pytest.raises(KeyError, match="no hyper-parameter here; there are params, lr"):
        group[key] = 0.1


def test_a_hyper_parameter_of_another_optimiser_is_not_kept_and_ignored():
    kinds = [
        k for k in vars(optim).values() if isinstance(k, type) and issubclass(k, optim.Optimizer)
    ]
    names = {name for kind in kinds for name in inspect.signature(kind).parameters}
    for name in names - {"params", "defaults", "options", "alpha", "d", "rho", "t0"}:
        for kind in (optim.SGD, optim.Adam):
            optimizer = kind([cr.Parameter([1.0])])
            group = optimizer.param_groups[0]
            if name in group:
                continue
            with pytest.raises(TypeError, match=f"has no hyper-parameter {name}; it has lr"):
                optimizer.add_param_group({"params": [cr.Parameter([1.0])], name: 0.1})
            with pytest.raises(KeyError, match="no hyper-parameter here; there are params, lr"):
                group[name] = 0.1
            state = optimizer.state_dict()
            state["param_groups"][0][name] = 0.1
            with pytest.raises(ValueError, match="the state's param_groups are"):
                optimizer.load_state_dict(state)


@pytest.mark.parametrize("key", ["weight_decya", "nestrov", "learning_rate", "betas", "Momentum"])
def test_a_key_that_is_meant_to_be_a_hyper_parameter_is_not_kept(key):
    with pytest.raises(TypeError, match=f"SGD has no hyper-parameter {key}; it has lr"):
        optim.SGD([{"params": [cr.Parameter([1.0])], key: 0.1}])
