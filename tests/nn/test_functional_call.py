"""`functional_call`: a module with other Tensors in place of its parameters."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim
from chainrule.nn.utils import functional_call


class Lists(nn.Module):
    def __init__(self):
        super().__init__()
        self.list = nn.ParameterList([nn.Parameter(np.ones(8, np.float32))])
        self.dict = nn.ParameterDict({"a": nn.Parameter(np.ones(8, np.float32))})

    def forward(self, x):
        return x * self.list[0] + self.dict["a"]


MODULES = {
    "linear": lambda: nn.Sequential(nn.Linear(8, 3), nn.Tanh()),
    "recurrent": lambda: nn.LSTM(8, 5, 2, batch_first=True, bidirectional=True),
    "conv": lambda: nn.Conv1d(6, 3, 3),
    "normalised": lambda: nn.BatchNorm1d(6),
    "transformer": lambda: nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True),
    "reparametrised": lambda: nn.utils.weight_norm(nn.Linear(8, 3)),
    "lists": Lists,
}


@pytest.mark.parametrize("name", MODULES)
def test_it_gives_what_the_module_gives_with_these_weights(name):
    module = MODULES[name]().eval()
    own = dict(module.named_parameters())
    before = {path: parameter.numpy().copy() for path, parameter in own.items()}
    new = {path: parameter.detach() * 1.5 + 0.01 for path, parameter in own.items()}
    x = np.random.default_rng(0).normal(size=(4, 6, 8)).astype(np.float32)
    found = functional_call(module, new, cr.tensor(x))
    for path, parameter in module.named_parameters():
        assert parameter is own[path] and np.array_equal(parameter, before[path])
        parameter.assign(new[path])
    wanted = module(cr.tensor(x))
    if name == "recurrent":
        found, wanted = found[0], wanted[0]
    np.testing.assert_array_equal(found, wanted)


def adapted(net, x, y):
    """The loss after one step of gradient descent, which is part of its graph."""
    weights = dict(net.named_parameters())
    loss = ((functional_call(net, weights, (x,)) - y) ** 2).mean()
    grads = cr.grad(loss, weights)
    weights = {name: w - 0.1 * grads[name] for name, w in weights.items()}
    return ((functional_call(net, weights, (x,)) - y) ** 2).mean()


@pytest.mark.parametrize("backend", ["native", "reference", "eager"])
def test_model_agnostic_meta_learning_is_that_of_pytorch(backend):
    torch = pytest.importorskip("torch")
    cr.manual_seed(0)
    net = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 1))
    theirs = torch.nn.Sequential(torch.nn.Linear(2, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    theirs.load_state_dict({k: torch.tensor(v) for k, v in net.state_dict().items()})
    optimizer = optim.SGD(net.parameters(), lr=0.1)
    random = np.random.default_rng(0)
    x, y = (random.normal(size=(5, n)).astype(np.float32) for n in (2, 1))

    def step(x, y):
        loss = adapted(net, x, y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    def their_loss():
        call = torch.func.functional_call
        weights = dict(theirs.named_parameters())
        loss = ((call(theirs, weights, (torch.tensor(x),)) - torch.tensor(y)) ** 2).mean()
        grads = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        weights = {k: w - 0.1 * g for (k, w), g in zip(weights.items(), grads, strict=True)}
        return ((call(theirs, weights, (torch.tensor(x),)) - torch.tensor(y)) ** 2).mean()

    run = step if backend == "eager" else cr.compile(step, backend=backend)
    their_optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    for _ in range(3):
        loss = their_loss()
        their_optimizer.zero_grad()
        loss.backward()
        their_optimizer.step()
        assert run(cr.tensor(x), cr.tensor(y)).item() == pytest.approx(loss.item(), rel=1e-5)


def test_tied_parameters_are_replaced_together():
    net = nn.Sequential(nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False))
    net[1].weight = net[0].weight
    x = cr.tensor([[1.0, 2.0]])
    assert functional_call(net, {"1.weight": 3 * cr.eye(2)}, x).tolist() == [[9.0, 18.0]]
    with pytest.raises(ValueError, match="tied"):
        functional_call(net, [{"0.weight": cr.eye(2)}, {"1.weight": cr.eye(2)}], x)


def test_an_error_leaves_the_module_as_it_was():
    layer = nn.Linear(2, 3)
    weight = layer.weight
    with pytest.raises(cr.ShapeError):
        functional_call(layer, {"weight": cr.ones((3, 4))}, cr.ones((1, 2)))
    assert layer.weight is weight and dict(layer.named_parameters())["weight"] is weight
    with pytest.raises(KeyError, match="no parameter or buffer 'w'; it has weight, bias"):
        functional_call(layer, {"w": cr.ones(2)}, cr.ones((1, 2)))


def test_buffers_that_the_call_changes():
    layer, x = nn.BatchNorm1d(2), cr.tensor([[1.0, 2.0], [3.0, 6.0]])
    mean = nn.Buffer([0.0, 0.0])
    functional_call(layer, {"running_mean": mean}, x)
    np.testing.assert_allclose(mean, [0.2, 0.4], rtol=1e-6)
    assert layer.running_mean.tolist() == [0.0, 0.0]
    state = layer.state_dict()
    assert functional_call(layer, state, x).tolist() == layer(x).tolist()
    assert state["num_batches_tracked"] == 1 and layer.num_batches_tracked.item() == 2
    with pytest.raises(TypeError, match=r"running statistics are Buffers.*Make them"):
        functional_call(layer, {"running_mean": cr.zeros(2)}, x)
    assert layer.num_batches_tracked.item() == 2


def test_pytorchs_homes_of_the_name_say_where_it_is():
    for owner, name in ((cr, "functional_call"), (cr, "func"), (nn.utils, "stateless")):
        with pytest.raises(AttributeError, match=r"nn\.utils\.functional_call"):
            getattr(owner, name)
