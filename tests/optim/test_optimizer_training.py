"""Every optimiser in a Trainer, natively and by the reference, step for step as PyTorch's."""

import numpy as np
import pytest
from optimizer_peers import lion, orthogonal

import chainrule as cr
from chainrule import nn, optim

CASES = [
    ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}),
    ("Adagrad", {"lr": 0.1}),
    ("Adagrad", {"lr": 0.1, "lr_decay": 0.1, "weight_decay": 0.01}),
    ("Adagrad", {"lr": 0.1, "initial_accumulator_value": 0.1}),
    ("Adadelta", {}),
    ("Adadelta", {"lr": 0.5, "weight_decay": 0.01}),
    ("Adam", {"lr": 0.05, "weight_decay": 0.01}),
    ("AdamW", {"lr": 0.05, "weight_decay": 0.1}),
    ("NAdam", {"lr": 0.05}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.01}),
    ("NAdam", {"lr": 0.05, "weight_decay": 0.01, "decoupled_weight_decay": True}),
    ("RMSprop", {"lr": 0.01, "weight_decay": 0.01, "momentum": 0.9, "centered": True}),
    ("RAdam", {"lr": 0.05, "weight_decay": 0.01}),
    ("Adamax", {"lr": 0.05, "weight_decay": 0.01}),
    ("ASGD", {"lr": 0.05, "lambd": 0.01, "t0": 5.0}),
    ("Rprop", {"lr": 0.05}),
    ("Lion", {"lr": 0.01}),
    ("Lion", {"lr": 0.01, "weight_decay": 0.1}),
]
STEPS = 12


def model(dtype="float64"):
    with cr.use_generator(cr.Generator(3)):
        return nn.Sequential(
            nn.Linear(4, 5, dtype=dtype),
            nn.Tanh(),
            nn.Linear(5, 6, dtype=dtype),
            nn.Tanh(),
            nn.Linear(6, 3, dtype=dtype),
        )


def data(dtype="float64"):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((40, 4)).astype(dtype)
    return x, np.argmax(x[:, :3], axis=1)


def trained(name, options, backend, net=None):
    net = net or model()
    optimizer = getattr(optim, name)(net.parameters(), **options)
    trainer = cr.Trainer(net, nn.CrossEntropyLoss(), optimizer, backend=backend)
    trainer.fit(*data(), epochs=STEPS, batch_size=40, shuffle=False, progress=False)
    return trainer


def torch_trained(torch, name, options):
    net = torch.nn.Sequential(
        torch.nn.Linear(4, 5), torch.nn.Tanh(), torch.nn.Linear(5, 6), torch.nn.Tanh(),
        torch.nn.Linear(6, 3),
    ).double()  # fmt: skip
    net.load_state_dict({k: torch.tensor(v) for k, v in model().state_dict().items()})
    peer = lion(torch) if name == "Lion" else getattr(torch.optim, name)
    optimizer = peer(net.parameters(), **options)
    x, y = map(torch.tensor, data())
    torch.set_default_dtype(torch.float64)  # of NAdam's product of mu, too
    try:
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(net(x), y).backward()
            optimizer.step()
    finally:
        torch.set_default_dtype(torch.float32)
    return {name: value.numpy() for name, value in net.state_dict().items()}


@pytest.mark.parametrize("backend", ["native", "reference"])
@pytest.mark.parametrize(
    ("name", "options"), [*CASES, ("Adafactor", {"lr": 0.05, "weight_decay": 0.01})], ids=str
)
def test_equals_pytorch(name, options, backend):
    torch = pytest.importorskip("torch")
    expected = torch_trained(torch, name, options)
    for key, value in trained(name, options, backend).model.state_dict().items():
        np.testing.assert_allclose(value, expected[key], rtol=1e-10, atol=1e-10)


def test_the_cases_have_every_elementwise_optimiser():
    assert {name for name, _ in CASES} | {
        "Adafactor",
        "Muon",
        "LBFGS",
        "Optimizer",
        "SparseAdam",
    } == {
        name
        for name in optim.__all__
        if isinstance(getattr(optim, name), type)
        and issubclass(getattr(optim, name), optim.Optimizer)
    }


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_the_update_is_one_program(name, options):
    """Of all weights together, whose places in memory follow one another."""
    with cr.use_generator(cr.Generator(3)):  # sizes of whole cache lines: no gaps
        net = nn.Sequential(nn.Linear(16, 32), nn.Tanh(), nn.Linear(32, 64), nn.Linear(64, 16))
    optimizer = getattr(optim, name)(net.parameters(), **options)
    trainer = cr.Trainer(net, nn.MSELoss(), optimizer)
    x = np.ones((8, 16), "float32")
    trainer.fit(x, x, epochs=1, batch_size=8, progress=False)
    rows = [line.split() for line in trainer.describe_plan().splitlines()]
    weights = sum(parameter.size for parameter in net.parameters())
    flops = [int(row[-2].replace(",", "")) for row in rows if row[1:2] == ["program"]]
    updates = [number for number in flops if number >= weights // 10]
    assert len(updates) == 1
    assert updates[0] >= weights


@pytest.mark.parametrize("backend", ["native", "reference"])
def test_muon(backend):
    net = nn.Sequential(nn.Linear(4, 3, bias=False, dtype="float64"))
    weight = net[0].weight.numpy()
    x = data()[0]
    y = x[:, :3] - 1.0
    trainer = cr.Trainer(net, nn.MSELoss(), optim.Muon(net.parameters(), lr=0.05), backend=backend)
    trainer.fit(x, y, epochs=STEPS, batch_size=40, shuffle=False, progress=False)
    B = np.zeros_like(weight)
    for _ in range(STEPS):
        G = 2 * (x @ weight.T - y).T @ x / y.size
        B = 0.95 * B + 0.05 * G
        weight = weight * (1 - 0.05 * 0.1) - 0.05 * orthogonal(0.95 * B + 0.05 * G)
    np.testing.assert_allclose(net[0].weight.numpy(), weight, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("shape", [(2, 3), (3, 1)])
@pytest.mark.parametrize(
    "name", sorted({name for name, _ in CASES} | {"SparseAdam", "Adafactor", "Muon"})
)
def test_a_gradient_that_is_no_number_reaches_the_parameter(name, shape):
    parameter = cr.Parameter(np.ones(shape))
    optimizer = getattr(optim, name)([parameter], lr=0.1)
    for bad in (1.0, np.nan):
        optimizer.zero_grad()
        factors = np.ones(shape)
        factors[0] = bad
        (parameter * cr.tensor(factors)).sum().backward()
        optimizer.step()
    assert np.isnan(parameter.numpy()[0]).all()
