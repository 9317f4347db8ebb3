"""Penalties of a regularised objective, and choosing the parameters that they are on."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.testing import check_gradient


def network(dtype="float64", seed=0):
    with cr.use_generator(cr.Generator(seed)):
        return nn.Sequential(nn.Linear(3, 4, dtype=dtype), nn.Tanh(), nn.Linear(4, 1, dtype=dtype))


def data(rows=12):
    random = np.random.default_rng(0)
    return random.standard_normal((rows, 3)), random.standard_normal((rows, 1))


def penalised(loss, *penalties):
    """J = L + the sum of penalties."""

    def objective(output, target):
        total = loss(output, target)
        for penalty in penalties:
            total = total + penalty()
        return total

    return objective


def trained(objective, model, optimizer, backend="native", epochs=4):
    x, y = data()
    trainer = cr.Trainer(model, objective, optimizer, backend=backend)
    history = trainer.fit(x, y, epochs=epochs, batch_size=5, shuffle=False, progress=False)
    return model.state_dict(), history


def assert_close(found, wanted, rtol=1e-10):
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=rtol, err_msg=name)


# W holds -1, 2 and 0; b is 3: sum |.| = 6, sum of squares = 14.
PENALTIES = [
    (lambda p: nn.L1Penalty(p, 0.5), 3.0, [-0.5, 0.5, 0.0], 0.5),
    (lambda p: nn.L2Penalty(p, 0.5), 7.0, [-1.0, 2.0, 0.0], 3.0),
    (lambda p: nn.ElasticNetPenalty(p, l1=0.5, l2=0.25), 6.5, [-1.0, 1.5, 0.0], 2.0),
]
every_penalty = pytest.mark.parametrize(
    ("make", "value", "dW", "db"), PENALTIES, ids=["L1", "L2", "elastic net"]
)


@every_penalty
def test_values_and_gradients(make, value, dW, db):
    W, b = cr.Parameter(np.array([-1.0, 2.0, 0.0])), cr.Parameter(np.array(3.0))
    omega = make([W, b])()
    assert omega.shape == () and omega.dtype == np.float64
    assert omega.item() == value
    grad_W, grad_b = cr.grad(omega, [W, b])
    assert grad_W.tolist() == dW
    assert grad_b.item() == db


@every_penalty
def test_gradients_agree_with_finite_differences(make, value, dW, db):
    model = network()
    penalty = make(model.parameters())
    check_gradient(lambda: penalty(), parameters=model.parameters())


@every_penalty
def test_parameters_of_several_dtypes(make, value, dW, db):
    W, b = cr.Parameter(np.array([-1.0, 2.0, 0.0], "f")), cr.Parameter(np.array(3.0))
    omega = make([W, b])()
    assert omega.dtype == np.float64 and omega.item() == value
    assert [g.dtype for g in cr.grad(omega, [W, b])] == [np.float32, np.float64]
    alone = make([W])()
    assert alone.dtype == np.float32


@every_penalty
def test_training_with_a_penalty_is_native_and_equals_pytorchs(make, value, dW, db):
    torch = pytest.importorskip("torch")
    model = network()
    linears = [torch.nn.Linear(*s, dtype=torch.float64) for s in ((3, 4), (4, 1))]
    theirs = torch.nn.Sequential(linears[0], torch.nn.Tanh(), linears[1])
    theirs.load_state_dict({k: torch.tensor(v) for k, v in model.state_dict().items()})

    reference = network()
    results = []
    for ours, backend in ((model, "native"), (reference, "reference")):
        objective = penalised(nn.MSELoss(), make(nn.select_parameters(ours, "weights")))
        optimizer = optim.SGD(ours.parameters(), lr=0.05)
        results.append(trained(objective, ours, optimizer, backend)[0])

    kind = type(make([model[0].bias]))
    l1 = {nn.L1Penalty: 0.5, nn.ElasticNetPenalty: 0.5}.get(kind, 0)
    l2 = {nn.L2Penalty: 0.5, nn.ElasticNetPenalty: 0.25}.get(kind, 0)
    sgd = torch.optim.SGD(theirs.parameters(), lr=0.05)
    x, y = map(torch.tensor, data())
    for _ in range(4):
        for rows in (slice(0, 5), slice(5, 10), slice(10, 12)):
            sgd.zero_grad()
            J = torch.nn.functional.mse_loss(theirs(x[rows]), y[rows])
            for p in (linears[0].weight, linears[1].weight):
                J = J + l1 * p.abs().sum() + l2 * (p * p).sum()
            J.backward()
            sgd.step()
    wanted = {name: value.numpy() for name, value in theirs.state_dict().items()}
    for found in results:
        assert_close(found, wanted)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_l9_gradients_of_weights_and_biases_include_the_penaltys(dtype):
    """Of J = L + lambda Omega: dJ/db = g + lambda dOmega/db, dJ/dW = g h' + lambda dOmega/dW."""
    rate = 0.25
    layer = nn.Linear(2, 1, dtype=dtype)
    layer.weight.assign(np.array([[0.5, -1.0]], dtype))
    layer.bias.assign(np.array([2.0], dtype))
    x, t = np.array([[1.0, 2.0]], dtype), np.array([[3.0]], dtype)

    # w = (0.5, -1), b = 2: error 0.5 - 2 + 2 - 3 = -2.5; of L = error^2, g = dL/dz = -5.
    # Omega = sum of squares, without the factor 1/2: lambda dOmega = 0.5 theta.
    J = (
        nn.MSELoss(reduction="sum")(layer(cr.tensor(x)), t)
        + nn.L2Penalty(layer.parameters(), rate)()
    )
    dW, db = cr.grad(J, [layer.weight, layer.bias])
    assert dW.tolist() == [[-5 + 0.25, -10 - 0.5]]
    assert db.tolist() == [-5 + 1.0]

    # Omega = sum of absolute values: lambda dOmega = 0.25 sign(theta). By a native step of lr 1.
    objective = penalised(nn.MSELoss(), nn.L1Penalty(layer.parameters(), rate))
    trainer = cr.Trainer(layer, objective, optim.SGD(layer.parameters(), lr=1.0))
    trainer.fit(x, t, epochs=1, batch_size=1, progress=False)
    assert layer.weight.tolist() == [[0.5 - (-5 + 0.25), -1 - (-10 - 0.25)]]
    assert layer.bias.tolist() == [2 - (-5 + 0.25)]


def test_strengths_change_between_steps_without_a_new_plan():
    x, y = data()
    model = network()
    penalty = nn.ElasticNetPenalty(model.parameters(), l1=0.0, l2=0.0)
    trainer = cr.Trainer(
        model, penalised(nn.MSELoss(), penalty), optim.SGD(model.parameters(), lr=0.0)
    )
    fit = {"epochs": 1, "batch_size": 12, "progress": False}
    plain = trainer.fit(x, y, **fit)["loss"][-1]
    plan = trainer.backend.last_step
    flat = np.concatenate([p.numpy().ravel() for p in model.parameters()])
    for l1, l2 in ((0.5, 0.0), (0.0, 2.0), (0.25, 0.125)):
        penalty.l1, penalty.l2 = l1, l2
        assert (penalty.l1, penalty.l2) == (l1, l2) and isinstance(penalty.l1, float)
        wanted = plain + l1 * np.abs(flat).sum() + l2 * (flat**2).sum()
        assert trainer.fit(x, y, **fit)["loss"][-1] == pytest.approx(wanted, rel=1e-12)
        assert trainer.backend.last_step is plan


def test_an_l2_penalty_is_weight_decay_for_sgd():
    strength = 0.03
    for momentum in (0.0, 0.9):
        model, decayed = network(), network()
        with_penalty = penalised(nn.MSELoss(), nn.L2Penalty(model.parameters(), strength))
        sgd = optim.SGD(model.parameters(), lr=0.1, momentum=momentum)
        found, history = trained(with_penalty, model, sgd)
        sgd = optim.SGD(decayed.parameters(), lr=0.1, momentum=momentum, weight_decay=2 * strength)
        wanted, plain_history = trained(nn.MSELoss(), decayed, sgd)
        assert_close(found, wanted)
        assert history["loss"][0] > plain_history["loss"][0]  # the penalty is in the loss


def test_an_l2_penalty_is_weight_decay_for_adam_but_not_for_adamw():
    strength = 0.05
    results = {}
    for name, make in {
        "penalty": lambda p: optim.Adam(p, lr=0.05),
        "adam": lambda p: optim.Adam(p, lr=0.05, weight_decay=2 * strength),
        "adamw": lambda p: optim.AdamW(p, lr=0.05, weight_decay=2 * strength),
    }.items():
        model = network()
        omega = [nn.L2Penalty(model.parameters(), strength)] if name == "penalty" else []
        objective = penalised(nn.MSELoss(), *omega)
        results[name], _ = trained(objective, model, make(model.parameters()))
    assert_close(results["penalty"], results["adam"], rtol=1e-8)
    for name, value in results["adamw"].items():
        assert not np.allclose(results["penalty"][name], value, rtol=1e-3), name


def test_a_users_own_omega():
    model = network()

    def spread(W=model[0].weight):  # the rows of W shall have length 1
        return 0.1 * (((W * W).sum(1) - 1.0) ** 2).sum()

    trained(penalised(nn.MSELoss(), spread), model, optim.SGD(model.parameters(), lr=0.1))
    plain = network()
    trained(nn.MSELoss(), plain, optim.SGD(plain.parameters(), lr=0.1))

    def distance(W):
        return np.abs((W.numpy() ** 2).sum(1) - 1.0).sum()

    assert distance(model[0].weight) < distance(plain[0].weight)


def test_a_penalty_prints_what_it_is():
    model = network()
    assert repr(nn.L1Penalty(model.parameters(), 0.01)) == "L1Penalty(4 parameters, strength=0.01)"
    elastic = nn.ElasticNetPenalty([model[0].bias], 1, 2)
    assert repr(elastic) == "ElasticNetPenalty(1 parameter, l1=1, l2=2)"


W = cr.Parameter([1.0])


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: nn.L2Penalty([], 1.0), ValueError, "there are none"),
        (lambda: nn.L2Penalty(nn.Linear(1, 1), 1.0), TypeError, "not Linear"),
        (lambda: nn.L2Penalty(W, 1.0), TypeError, "not Parameter"),
        (lambda: nn.L2Penalty(3, 1.0), TypeError, "not int"),
        (lambda: nn.L2Penalty([cr.tensor([1.0])], 1.0), TypeError, "number 0 is tensor"),
        (lambda: nn.L2Penalty([W, W], 1.0), ValueError, "twice"),
        (lambda: nn.L1Penalty([W], -0.1), ValueError, "strength is not negative, got -0.1"),
        (lambda: nn.L1Penalty([W], np.nan), ValueError, "strength is finite"),
        (lambda: nn.L1Penalty([W], "much"), TypeError, "strength is a number, got 'much'"),
        (lambda: nn.ElasticNetPenalty([W], 0.1, -1), ValueError, "l2 is not negative"),
    ],
)
def test_bad_penalties_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make()


def test_a_bad_strength_leaves_the_old_one():
    penalty = nn.L1Penalty([W], 0.5)
    for bad in (-1, np.inf, None):
        with pytest.raises((ValueError, TypeError), match="strength"):
            penalty.strength = bad
    assert penalty.strength == 0.5


def test_select():
    model = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Sequential(nn.Linear(3, 1)))
    first, last = model[0], model[2][0]

    def same(found, wanted):
        return list(map(id, found)) == list(map(id, wanted))

    assert same(nn.select_parameters(model, "*.weight"), [first.weight, last.weight])
    assert same(nn.select_parameters(model, "0.*"), [first.weight, first.bias])
    assert same(nn.select_parameters(model, "2.0.bias"), [last.bias])
    assert same(nn.select_parameters(model, "weights"), [first.weight, last.weight])
    assert same(nn.select_parameters(model, "biases"), [first.bias, last.bias])
    wide = nn.select_parameters(model, lambda path, p: path.endswith("weight") and p.shape[1] > 2)
    assert same(wide, [last.weight])
    assert same(nn.select_parameters(first, "weight"), [first.weight])


def test_select_lists_a_shared_parameter_once():
    layer = nn.Linear(2, 2)
    assert len(nn.select_parameters(nn.Sequential(layer, nn.Tanh(), layer), "*.weight")) == 1


def test_a_vector_called_weight_is_no_weight():
    class Scale(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = cr.Parameter([1.0, 1.0])

    model = nn.Sequential(nn.Linear(2, 2), Scale())
    assert [p.shape for p in nn.select_parameters(model, "weights")] == [(2, 2)]
    assert [p.shape for p in nn.select_parameters(model, "biases")] == [(2,), (2,)]


def test_selected_parameters_make_groups():
    model = network()
    optimizer = optim.AdamW(
        [
            {"params": nn.select_parameters(model, "weights"), "weight_decay": 0.1},
            {"params": nn.select_parameters(model, "biases"), "weight_decay": 0.0},
        ]
    )
    assert {id(p) for p in optimizer.params} == {id(p) for p in model.parameters()}


def test_select_refuses():
    model = network()
    with pytest.raises(ValueError, match=r"fits 'x\.\*'; it has 0\.weight, 0\.bias, 2\.weight"):
        nn.select_parameters(model, "x.*")
    with pytest.raises(ValueError, match=r"it has 0\.weight"):
        nn.select_parameters(model, lambda path, p: False)
    with pytest.raises(ValueError, match="it has none at all"):
        nn.select_parameters(nn.Tanh(), "weights")
    with pytest.raises(TypeError, match="takes a Module, not list"):
        nn.select_parameters(list(model.parameters()), "weights")
    with pytest.raises(TypeError, match="not 3"):
        nn.select_parameters(model, 3)
