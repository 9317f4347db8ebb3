"""Every rule step for step as PyTorch's, eagerly and captured, with and without gradients."""

import numpy as np
import pytest
from optimizer_cases import (
    CASES,
    DEFAULTS,
    OF_OTHER_FORM,
    SHAPES,
    Case,
    assert_close,
    gradients,
    make,
    run_captured,
    run_step,
    run_torch,
    run_update,
    starts,
    values,
)

import chainrule as cr
from chainrule import nn, optim


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
        assert set(make(Case(name, {})).defaults) - tried <= {"betas", "eps", "maximize"}


@pytest.mark.parametrize(
    "case", [Case(c.name, {}) for c in DEFAULTS if c.name != "Lion"] + [Case("LBFGS", {})], ids=str
)
def test_arguments_and_defaults_are_pytorchs(case):
    torch = pytest.importorskip("torch")
    theirs = getattr(torch.optim, case.name)([torch.zeros(1)]).defaults
    for key, value in make(case).defaults.items():
        assert theirs.get(key, False) == value
    assert set(theirs) - set(make(case).defaults) <= {
        *("foreach", "capturable", "differentiable", "fused"),  # how PyTorch computes
        "decoupled_weight_decay",  # of Adam, where it is AdamW
    }


@pytest.mark.parametrize("case", [c for c in CASES if c.name != "Adafactor"], ids=str)
def test_rules_are_elementwise(case):
    """The native core fuses the elementwise operations over one parameter's shape."""
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


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_centred_rmsprop_of_a_constant_gradient(dtype):
    """Its variance falls to 0; rounded below that, the root would be NaN."""
    w = cr.Parameter(np.ones(50), dtype)
    optimizer = optim.RMSprop([w], lr=1e-4, alpha=0.9, centered=True)
    w.grad = cr.tensor(np.linspace(-3, 3, 50), dtype)
    for _ in range(600):
        optimizer.step()
    assert np.isfinite(w.numpy()).all()


@pytest.mark.parametrize("run", [run_step, run_captured])
def test_rprop_of_gradients_whose_product_vanishes(run):
    grads = [[1e-24 * g for g in grads] for grads in gradients("float32", steps=5)]
    large = gradients("float32", steps=5)
    found, expected = (make(Case("Rprop", {"lr": 0.1}), "float32") for _ in range(2))
    run(found, [[g.astype(np.float32) for g in step] for step in grads])
    run_step(expected, large)
    assert_close(values(found), values(expected), rtol=1e-6)


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


@pytest.mark.parametrize("of_model", [True, False])
def test_gradients_that_a_compiled_step_used_up_become_zero(of_model):
    layer, other = nn.Linear(2, 1), nn.Linear(2, 1)
    optimizer = optim.SGD(layer.parameters(), lr=0.1)

    @cr.compile
    def step(x):
        optimizer.zero_grad()
        layer(x).sum().backward()
        optimizer.step()

    step(cr.ones((3, 2)))
    with pytest.raises(cr.SymbolicError, match="used up"):
        (other(cr.ones((3, 2))) * layer(cr.ones((3, 2)))).sum().backward()
    assert [p.grad for p in other.parameters()] == [None, None]  # none of them is filled
    (layer if of_model else optimizer).zero_grad(set_to_none=False)
    assert [p.grad.tolist() for p in layer.parameters()] == [[[0.0, 0.0]], [0.0]]


# Errors

W = cr.Parameter([1.0])


def fit_errors():
    good = cr.tensor([1.0, 1.0])
    yield cr.ShapeError, [good, cr.tensor([[1.0]])], r"gradient of parameter 1 \(bias\) has shape"
    yield cr.DTypeError, [good, cr.tensor([1.0], "float64")], r"parameter 1 \(bias\) is float64"
    yield TypeError, [good, np.ones(1, "float32")], r"parameter 1 \(bias\) is a ndarray"


@pytest.mark.parametrize(("error", "grads", "message"), list(fit_errors()))
def test_gradients_that_do_not_fit_change_nothing(error, grads, message):
    params = [cr.Parameter([1.0, 2.0], name="weight"), cr.Parameter([3.0], name="bias")]
    optimizer = optim.Adam(params)
    with pytest.raises(error, match=message):
        optimizer.update(grads)
    assert [p.tolist() for p in params] == [[1.0, 2.0], [3.0]]
    assert optimizer.states()["0.step"].item() == 0


def test_update_takes_one_gradient_for_each_parameter():
    with pytest.raises(ValueError, match="each of 1 parameters, not 2"):
        optim.SGD([W]).update([None, None])


def test_step_inside_a_capture_is_refused():
    with pytest.raises(cr.SymbolicError, match="call update"):
        cr.capture(lambda: optim.SGD([W]).step())


def test_an_optimiser_without_a_rule():
    with pytest.raises(NotImplementedError, match="Optimizer has no rule"):
        optim.Optimizer([W]).update([cr.tensor([1.0])])
