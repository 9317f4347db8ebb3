"""Every loss beside PyTorch: values, gradients, ten native training steps, extreme inputs."""

import numpy as np
import pytest
from loss_cases import CASES, NAMES, Model, training_data

import chainrule as cr
from chainrule import nn, optim
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.testing import check_gradient

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:reduction. 'mean' divides the total loss")

every_case = pytest.mark.parametrize("case", CASES, ids=NAMES)
CLOSE = {"rtol": 1e-10, "atol": 1e-10}
LR = 0.05
STEPS = 10


def test_every_loss_has_a_case():
    # A triplet has no target: test_pytorch_databases has it.
    triplets = {"TripletMarginLoss", "TripletMarginWithDistanceLoss"}
    assert {name.split("(")[0] for name in NAMES} == set(nn.losses.__all__) - triplets


@every_case
def test_values_and_gradients_are_pytorchs(case):
    x, y = case.data()
    for reduction in case.reductions:
        ours, theirs = case.loss(reduction), case.theirs(torch, reduction)
        wanted_x = torch.tensor(x, requires_grad=True)
        wanted = theirs(case.head(torch, wanted_x), torch.as_tensor(y))
        found_x = cr.tensor(x, requires_grad=True)
        found = ours(case.head(cr, found_x), y)
        assert found.shape == wanted.shape and found.dtype == np.float64
        assert found.ndim == (case.row_ndim if reduction == "none" else 0)
        np.testing.assert_allclose(found.numpy(), wanted.detach().numpy(), **CLOSE)
        scales = np.random.default_rng(2).random(found.shape)
        (wanted * torch.as_tensor(scales)).sum().backward()
        grad = cr.grad((found * scales).sum(), found_x)
        np.testing.assert_allclose(grad.numpy(), wanted_x.grad.numpy(), **CLOSE)


@every_case
def test_gradients_agree_with_finite_differences(case):
    x, y = case.data(rows=3)
    for reduction in case.reductions:
        loss = case.loss(reduction)
        check_gradient(lambda x, loss=loss: loss(case.head(cr, x), y), x, full=True)


@every_case
def test_ten_native_steps_are_pytorchs(case):
    x, y = training_data(case)
    model = Model(case)
    linear = torch.nn.Linear(5, 4, dtype=torch.float64)
    linear.load_state_dict({k: torch.tensor(v) for k, v in model.linear.state_dict().items()})
    optimizer = optim.SGD(model.parameters(), lr=LR)
    trainer = cr.Trainer(model, case.loss(), optimizer)
    trainer.fit(x, y, epochs=STEPS // 2, batch_size=8, shuffle=False, progress=False)
    assert trainer.step == STEPS

    theirs = case.theirs(torch, "mean")
    sgd = torch.optim.SGD(linear.parameters(), lr=LR)
    for step in range(STEPS):
        rows = slice(0, 8) if step % 2 == 0 else slice(8, 16)
        sgd.zero_grad()
        theirs(case.head(torch, linear(torch.tensor(x[rows]))), torch.as_tensor(y[rows])).backward()
        sgd.step()
    for name, value in linear.state_dict().items():
        np.testing.assert_allclose(model.linear.state_dict()[name], value.numpy(), **CLOSE)


def native(function, *arrays):
    """The function's results by a native plan whose inputs are state."""
    buffers = [cr.Buffer(a) for a in arrays]
    graph = cr.capture(lambda: function(*[buffer.node() for buffer in buffers]))
    step = NativeStep(graph, StateBlock([*buffers, *graph.reads]))
    step.run(None, 0, 1)
    return step.outputs()


inf, nan = np.inf, np.nan
EXTREMES = [
    (nn.MSELoss(), [1e4, -1e4], [0.0, 0.0]),
    (nn.HuberLoss(), [1e30, -1e30, 0.0], [0.0, 0.0, 0.0]),
    (nn.SmoothL1Loss(beta=1e-4), [1e30, -1e30, 0.0], [0.0, 0.0, 0.0]),
    (nn.CrossEntropyLoss(), [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], [0, 0]),
    (nn.CrossEntropyLoss(label_smoothing=0.1), [[1e4, -1e4, 0.0]], [1]),
    (nn.CrossEntropyLoss([1.0, 0.0, 2.0]), [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], [1, 0]),
    (nn.CrossEntropyLoss(), [[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]], [[0.0, 1.0, 0.0]] * 2),
    (nn.NLLLoss(), [[0.0, -inf, -1e4]], [2]),
    (nn.MultiMarginLoss(p=2), [[1e4, -1e4, 0.0]], [1]),
    (nn.BCEWithLogitsLoss(), [1e4, -1e4, 1e4, -1e4], [0.0, 0.0, 1.0, 1.0]),
    (nn.BCELoss(), [0.0, 1.0, 0.0, 1.0], [0.0, 0.0, 1.0, 1.0]),
    (nn.PoissonNLLLoss(full=True), [-1e4, 50.0, 0.0], [0.0, 1.0, 1e4]),
    (nn.PoissonNLLLoss(log_input=False, full=True), [0.0, 0.0, 1e4], [0.0, 3.0, 0.0]),
    (nn.KLDivLoss(), [[0.0, -1e4], [-1e4, 0.0]], [[1.0, 0.0], [1.0, 0.0]]),
    (nn.KLDivLoss(log_target=True), [[0.0, -1e4]], [[-1e4, 0.0]]),
]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("loss", "x", "y"), EXTREMES, ids=[f"{type(e[0]).__name__}-{e[2]}" for e in EXTREMES]
)
def test_extreme_inputs_have_pytorchs_values_and_finite_gradients(loss, x, y, dtype):
    x = np.array(x, dtype)
    y = np.array(y) if isinstance(y[0], int) else np.array(y, dtype)
    options = {
        k: getattr(loss, k)
        for k in ("beta", "label_smoothing", "p", "full", "log_input", "log_target")
        if hasattr(loss, k)
    }
    if getattr(loss, "weight", None) is not None:
        options["weight"] = torch.tensor(loss.weight.numpy().astype(dtype))
    wanted_x = torch.tensor(x, requires_grad=True)
    wanted = getattr(torch.nn, type(loss).__name__)(**options)(wanted_x, torch.as_tensor(y))
    wanted.backward()
    assert torch.isfinite(wanted) and torch.isfinite(wanted_x.grad).all()

    def value_and_gradient(x):
        value = loss(x, y)
        return value, cr.grad(value, x)

    close = {"rtol": 1e-5 if dtype == "float32" else 1e-10}
    eager = [t.numpy() for t in value_and_gradient(cr.tensor(x, requires_grad=True))]
    parameter = cr.Parameter(x)
    in_plan = native(lambda: value_and_gradient(parameter))
    wanted_gradient = wanted_x.grad.numpy()
    if isinstance(loss, nn.BCELoss):  # the derivative at x = y; PyTorch has 0 at 0 and at 1
        wanted_gradient = np.array([0.25, 0.25e12, -0.25e12, -0.25])
    for value, gradient in (eager, in_plan):
        np.testing.assert_allclose(value, wanted.item(), **close)
        np.testing.assert_allclose(gradient, wanted_gradient, **close)


def test_bce_learns_from_probabilities_that_are_nearly_0():
    z = cr.tensor(np.array([-80.0]), requires_grad=True)
    assert cr.grad(nn.BCELoss()(cr.sigmoid(z), [1.0]), z).item() == pytest.approx(-1.0)


def test_bce_bounds_the_logarithm_where_pytorch_does():
    x = np.exp([-99.9, -100.1, -100.5, -101.5])
    wanted = torch.nn.BCELoss(reduction="none")(torch.tensor(x), torch.ones(4, dtype=torch.float64))
    found = nn.BCELoss(reduction="none")(cr.tensor(x), np.ones(4))
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-12)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_variances_of_0_and_vectors_of_0(dtype):
    x, y, v = (np.array(a, dtype) for a in ([1.0, 2.0], [1.0, 3.0], [0.0, 0.0]))
    ours, theirs = nn.GaussianNLLLoss(), torch.nn.GaussianNLLLoss()
    ours_v, theirs_v = cr.tensor(v, requires_grad=True), torch.tensor(v, requires_grad=True)
    found = ours(x, y, ours_v)
    wanted = theirs(torch.tensor(x), torch.tensor(y), theirs_v)
    wanted.backward()
    np.testing.assert_allclose(found.item(), wanted.item(), rtol=1e-5)
    np.testing.assert_allclose(cr.grad(found, ours_v).numpy(), theirs_v.grad.numpy(), rtol=1e-5)

    a, b = np.array([[0.0, 0.0], [1e4, 0.0]], dtype), np.array([[1.0, 0.0], [0.0, 0.0]], dtype)
    for sign in (1.0, -1.0):
        target = np.full(2, sign, dtype)
        ours_a, theirs_a = cr.tensor(a, requires_grad=True), torch.tensor(a, requires_grad=True)
        found = nn.CosineEmbeddingLoss()(ours_a, b, target)
        wanted = torch.nn.CosineEmbeddingLoss()(theirs_a, torch.tensor(b), torch.tensor(target))
        wanted.backward()
        np.testing.assert_allclose(found.item(), wanted.item(), rtol=1e-5)
        gradient = cr.grad(found, ours_a).numpy()
        np.testing.assert_allclose(gradient, theirs_a.grad.numpy(), rtol=1e-5)
