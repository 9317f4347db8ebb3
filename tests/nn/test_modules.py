"""Module: registration, state, printing and paths, beside PyTorch's."""

import collections
import copy
import pickle

import numpy as np
import pytest
from nn_parity import torch

import chainrule as cr
from chainrule import nn


def define_network(nn):
    """The class of PyTorch's tutorial, for either library."""

    class NeuralNetwork(nn.Module):
        def __init__(self):
            super().__init__()
            self.flatten = nn.Flatten()
            self.linear_relu_stack = nn.Sequential(
                nn.Linear(28 * 28, 512),
                nn.ReLU(),
                nn.Linear(512, 512),
                nn.ReLU(),
                nn.Linear(512, 10),
            )

        def forward(self, x):
            return self.linear_relu_stack(self.flatten(x))

    return NeuralNetwork()


def define_parts(nn, tensor):
    """Shared layers, shared parameters, buffers, parts that are None."""

    class Parts(nn.Module):
        def __init__(self):
            super().__init__()
            self.a = nn.Linear(2, 2)
            self.again = self.a
            self.tied = nn.Linear(2, 2, bias=False)
            self.tied.weight = self.a.weight
            self.scale = nn.Parameter(tensor([1.0, 2.0]))
            self.register_parameter("missing", None)
            self.register_buffer("count", tensor([0.0]))
            self.register_buffer("nothing", None)
            self.stack = nn.Sequential(nn.Sequential(), nn.Sequential(nn.ReLU(), nn.Tanh()))
            self.gone = nn.ReLU()
            self.gone = None

        def extra_repr(self):
            return "first=1,\nsecond=2"

    return Parts()


@pytest.fixture
def network():
    return define_network(nn)


@pytest.fixture
def parts():
    return define_parts(nn, cr.tensor)


@pytest.fixture
def torch_parts():
    return define_parts(torch.nn, torch.tensor)


def test_network_prints_as_in_pytorch(network):
    assert repr(network) == repr(define_network(torch.nn))


def test_network_runs(network):
    assert network(np.zeros((2, 28, 28), "f")).shape == (2, 10)
    assert sum(p.size for p in network.parameters()) == 669706


def test_parts_print_as_in_pytorch(parts, torch_parts):
    assert repr(parts) == repr(torch_parts)


def test_names_are_pytorchs(parts, torch_parts):
    for listing in ("named_parameters", "named_buffers", "named_modules", "named_children"):
        ours = [name for name, _ in getattr(parts, listing)()]
        assert ours == [name for name, _ in getattr(torch_parts, listing)()], listing
    assert list(parts.state_dict()) == list(torch_parts.state_dict())
    assert next(n for n, _ in parts.named_parameters("net")) == "net.scale"
    assert [n for n, _ in parts.named_parameters(recurse=False)] == ["scale"]
    assert [n for n, _ in parts.named_buffers(recurse=False)] == ["count"]
    assert len(list(parts.parameters())) == len(list(torch_parts.parameters()))
    assert len(list(parts.modules())) == len(list(torch_parts.modules()))
    assert len(list(parts.children())) == len(list(torch_parts.children()))
    assert len(list(parts.buffers())) == 1


def test_parameters_know_their_path(parts):
    assert parts.a.weight.name == "a.weight" and parts.scale.name == "scale"
    inner = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    given = cr.Parameter([1.0], name="W1")
    inner[0].register_parameter("own", given)
    model = nn.Module()
    model.layers = nn.ModuleList()  # which is filled from above
    model.layers.append(inner)
    model.layers.append(inner[0])  # a second place
    named = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    assert [state.name for state in named.values() if state is not given] == [
        name for name in named if name != "layers.0.0.own"
    ]
    assert given.name == "W1"
    model.layers.insert(0, nn.Linear(1, 1))
    assert model.layers[0].bias.name == "layers.0.bias"
    assert inner[1].running_mean.name == "layers.1.1.running_mean"
    graph = str(cr.capture(lambda x: inner(x), cr.placeholder((3, 2))))
    assert "state layers.1.0.weight" in graph


# Registration


def test_assignment_before_init_is_refused():
    class Early(nn.Module):
        def __init__(self):
            self.layer = nn.ReLU()

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\) before assigning layer"):
        Early()


def test_a_registered_name_takes_only_its_kind(parts):
    for name, value in [("scale", cr.tensor([1.0])), ("count", 3), ("a", "Linear")]:
        with pytest.raises(TypeError, match=name):
            setattr(parts, name, value)
    parts.scale = cr.Parameter([3.0])
    assert parts.state_dict()["scale"].tolist() == [3.0]
    parts.scale = None
    assert parts.scale is None and "scale" not in parts.state_dict()


def test_a_name_moves_between_kinds():
    module = nn.Module()
    module.part = 3
    module.part = cr.Parameter([1.0])
    module.part = nn.Linear(1, 1)
    assert list(module.state_dict()) == ["part.weight", "part.bias"]
    del module.part
    assert not module.state_dict() and not hasattr(module, "part")
    with pytest.raises(AttributeError):
        del module.part


def test_register_refuses():
    module = nn.Linear(1, 1)
    with pytest.raises(ValueError, match="already"):
        module.register_parameter("forward", cr.Parameter([1.0]))
    with pytest.raises(ValueError, match="already"):
        module.register_buffer("weight", [1.0])
    with pytest.raises(ValueError, match="dot"):
        module.add_module("a.b", nn.ReLU())
    with pytest.raises(TypeError, match="Parameter"):
        module.register_parameter("new", cr.tensor([1.0]))
    with pytest.raises(TypeError, match="Module"):
        module.add_module("new", cr.tensor([1.0]))


def test_forward_is_needed():
    with pytest.raises(NotImplementedError, match="Module has no forward"):
        nn.Module()(1)


# State


def test_state_dict_is_a_copy(network):
    state = network.state_dict()
    name = "linear_relu_stack.0.bias"
    before = state[name].copy()
    network.linear_relu_stack[0].bias.assign(np.zeros(512, "f"))
    assert np.array_equal(state[name], before)
    network.load_state_dict(state)
    state[name][:] = 7
    assert np.array_equal(network.state_dict()[name], before)


def test_state_goes_to_pytorch_and_back(network):
    x = np.random.default_rng(0).random((3, 28, 28), "f")

    def agree():
        with torch.no_grad():
            wanted = theirs(torch.as_tensor(x)).numpy()
        return np.allclose(network(x).numpy(), wanted, rtol=1e-4, atol=1e-6)

    theirs = define_network(torch.nn)
    assert not agree()
    theirs.load_state_dict({k: torch.tensor(v) for k, v in network.state_dict().items()})
    assert agree()
    theirs = define_network(torch.nn)
    network.load_state_dict(theirs.state_dict())
    assert agree()


def test_load_names_all_faults_and_changes_nothing():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1), nn.Linear(1, 1))
    before = module.state_dict()
    state = {name: value + 1 for name, value in before.items()}
    state["extra"] = state.pop("1.bias")
    state["1.weight"] = np.zeros((2, 1), "f")
    state["2.weight"] = np.zeros((1, 1))
    with pytest.raises(RuntimeError) as caught:
        module.load_state_dict(state)
    assert str(caught.value).split("\n\t") == [
        "Error(s) in loading state_dict for Sequential:",
        'Unexpected key(s) in state_dict: "extra".',
        'Missing key(s) in state_dict: "1.bias".',
        "size mismatch for 1.weight: the state_dict has shape (2, 1), the current model (1, 2).",
        "dtype mismatch for 2.weight: the state_dict has float64, the current model float32; "
        "convert with .astype('float32').",
    ]
    with pytest.raises(RuntimeError, match="size mismatch"):
        module.load_state_dict(state, strict=False)
    assert all(np.array_equal(before[k], v) for k, v in module.state_dict().items())
    del state["1.weight"], state["2.weight"]
    keys = module.load_state_dict(state, strict=False)
    assert keys == (["1.weight", "1.bias", "2.weight"], ["extra"])
    assert np.array_equal(module.state_dict()["0.bias"], before["0.bias"] + 1)


def test_modes(network):
    assert network.eval() is network
    assert not any(m.training for m in network.modules())
    assert network.train() is network
    assert all(m.training for m in network.modules())
    with pytest.raises(ValueError, match="boolean"):
        network.train("yes")


def test_frozen_layers_get_no_gradient_and_zero_grad_forgets():
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 1))
    model[0].requires_grad_(False)
    model(np.ones((3, 2), "f")).sum().backward()
    assert model[0].weight.grad is None and model[1].weight.grad is not None
    model.zero_grad()
    assert model[1].weight.grad is None
    model[0].requires_grad_()
    model(np.ones((3, 2), "f")).sum().backward()
    assert model[0].weight.grad is not None


def test_apply_goes_from_the_leaves_to_the_root(network):
    seen = []
    assert network.apply(seen.append) is network
    assert seen[0] is network.flatten and seen[-1] is network
    assert seen[-2] is network.linear_relu_stack
    with pytest.raises(TypeError, match="fn is a function of a module, got None"):
        network.apply(None)


def test_a_copy_is_its_own():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    twin = copy.deepcopy(model)
    twin[0].weight.assign(np.zeros((2, 2), "f"))
    assert model[0].weight.numpy().any()
    assert repr(twin) == repr(model)
    assert next(twin.parameters()) is twin[0].weight


# Paths


def test_nodes_carry_their_layers_path(network):
    graph = cr.capture(network, np.zeros((2, 28, 28), "f"))
    paths = collections.Counter(node.path for node in graph.nodes if node.operation)
    assert set(paths) == {"flatten", *(f"linear_relu_stack.{i}" for i in range(5))}
    eager = network(np.zeros((2, 28, 28), "f"))
    assert eager.path == "linear_relu_stack.4"
    assert (eager + 1.0).path == ""


def test_an_error_says_which_layer_and_keeps_its_type():
    class Outer(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = nn.Sequential(nn.ReLU(), nn.Sequential(nn.Linear(3, 2)))

        def forward(self, x):
            return self.body(x)

    with pytest.raises(cr.ShapeError) as caught:
        Outer()(np.zeros((1, 2), "f"))
    assert str(caught.value).startswith("body.1.0 (Linear): the input's last axis")
    assert caught.value.layer == "body.1.0 (Linear)"
    assert nn.ReLU()(cr.tensor([1.0])).path == ""  # the path is as before

    class Branch(nn.Module):
        def forward(self, x):
            return x if x.sum() > 0 else -x

    with pytest.raises(cr.SymbolicError, match=r"^0 \(Branch\): "):
        nn.Sequential(Branch())(cr.placeholder((2,)))


def test_a_shared_layer_keeps_its_first_name():
    model = nn.Sequential(nn.Tanh(), nn.Tanh())
    tail = model[1:]
    wrapped = nn.Sequential({"other": model[1]})
    for module in (model, tail, wrapped):
        assert module(cr.tensor([1.0])).path == "1"


def test_keywords_reach_forward():
    class Scaled(nn.Module):
        def forward(self, x, *, by):
            return x * by

    assert Scaled()(cr.tensor([2.0]), by=3.0).tolist() == [6.0]


def test_gradients_of_a_network_by_finite_differences():
    model = nn.Sequential(
        nn.Linear(4, 5, dtype="float64"),
        nn.GELU(),
        nn.Linear(5, 5, dtype="float64"),
        nn.ELU(),
        nn.Linear(5, 3, dtype="float64"),
    )
    loss_fn = nn.CrossEntropyLoss(weight=np.array([1.0, 2.0, 0.5]), label_smoothing=0.1)
    rng = np.random.default_rng(5)
    x, labels = rng.standard_normal((6, 4)), rng.integers(0, 3, 6)
    loss_fn(model(x), labels).backward()
    for parameter in model.parameters():
        value, step = parameter.numpy(), 1e-6 * rng.standard_normal(parameter.shape)
        losses = []
        for sign in (1, -1):
            parameter.assign(value + sign * step)
            losses.append(loss_fn(model(x), labels).item())
        parameter.assign(value)
        slope = (parameter.grad.numpy() * step).sum()
        assert (losses[0] - losses[1]) / 2 == pytest.approx(slope, rel=1e-5, abs=1e-13)


def test_parts_by_path(parts, torch_parts):
    assert parts.get_submodule("stack.1.0") is parts.stack[1][0]
    assert parts.get_submodule("") is parts
    assert parts.get_parameter("a.weight") is parts.a.weight
    assert parts.get_buffer("count") is parts.count
    for name, path in [
        ("get_submodule", "stack.7"),
        ("get_submodule", "gone"),
        ("get_submodule", "scale"),
        ("get_parameter", "a.nothing"),
        ("get_parameter", "missing"),
        ("get_parameter", "count"),
        ("get_buffer", "scale"),
        ("get_buffer", "b.c"),
    ]:
        for model in (parts, torch_parts):
            with pytest.raises(AttributeError):
                getattr(model, name)(path)


def test_zero_grad_to_zeros():
    layer = nn.Linear(2, 1)
    layer(np.ones((1, 2), "f")).sum().backward()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad.tolist() == [[0.0, 0.0]]
    layer.zero_grad()
    layer.zero_grad(set_to_none=False)
    assert layer.weight.grad is None


def test_conversions_that_ask_for_what_there_is():
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    for same in (
        model.to("cpu"),
        model.to(torch.device("cpu"), non_blocking=True),
        model.to(device="cpu", dtype=np.float32),
        model.to("float32"),
        model.cpu(),
        model.float(),
        nn.ReLU().double(),
    ):
        assert isinstance(same, nn.Module)
    assert nn.Linear(1, 1, dtype="float64").double().weight.dtype == np.float64


@pytest.mark.parametrize(
    ("convert", "match"),
    [
        (lambda m: m.to("cuda"), "no device 'cuda'"),
        (lambda m: m.to("cuda:0"), "no device 'cuda:0'"),
        (lambda m: m.to(device="mps"), "no device 'mps'"),
        (lambda m: m.cuda(), "no device 'cuda'"),
        (lambda m: m.cuda(0), "no device 'cuda'"),
        (lambda m: m.to("float64"), "dtype='float64'"),
        (lambda m: m.to(dtype=np.float16), "float32 or float64"),
        (lambda m: m.double(), "dtype='float64'"),
        (lambda m: m.half(), "float32 or float64"),
        (lambda m: m.bfloat16(), "float32 or float64"),
        (lambda m: m.to("elsewhere"), "'cpu' or a dtype"),
        (lambda m: m.to("cpu", memory=1), "not 'memory'"),
    ],
)
def test_conversions_that_there_are_not(convert, match):
    with pytest.raises(TypeError, match=match):
        convert(nn.Linear(2, 2))


def test_identity_stands_in_place_of_any_layer():
    layer = nn.Identity(54, unused_argument=0.1)
    assert repr(layer) == "Identity()" and layer(cr.ones(2)).tolist() == [1.0, 1.0]
    assert nn.to_description(nn.Sequential(layer))["children"]["0"] == {"class": "Identity"}


def test_shared_parts_are_listed_under_each_path():
    model = nn.Sequential(nn.BatchNorm1d(2))
    model.append(model[0])
    assert [n for n, _ in model.named_modules(remove_duplicate=False)] == ["", "0", "1"]
    both = ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert [n for n, _ in model.named_parameters(remove_duplicate=False)] == both
    assert len(list(model.named_buffers(remove_duplicate=False))) == 6
    assert [n for n, _ in model.named_parameters()] == both[:2]


def test_the_parameters_of_a_module_of_pytorch_are_loaded():
    torch = pytest.importorskip("torch")
    theirs, ours = torch.nn.Linear(3, 2), nn.Linear(3, 2)
    ours.load_state_dict(dict(theirs.named_parameters()), assign=True)
    assert np.array_equal(ours.weight.numpy(), theirs.weight.detach().numpy())
    again = nn.Linear(3, 2)
    again.load_state_dict(dict(ours.named_parameters()))
    assert np.array_equal(ours.weight.numpy(), again.weight.numpy())
    with pytest.raises(TypeError, match=r"^weight of the state_dict is no array.*float32"):
        ours.load_state_dict(theirs.bfloat16().state_dict())


def test_lists_in_a_state_dict_take_the_dtype_of_the_parameter():
    for dtype in ("float32", "float64"):
        layer = nn.Linear(2, 1, dtype=dtype)
        layer.load_state_dict({"weight": [[np.float64(0.1), 2]], "bias": [0.3]})
        assert (layer.weight.dtype, layer.bias.dtype) == (dtype, dtype)
        assert np.array_equal(layer.weight.numpy(), np.array([[0.1, 2]], dtype))
        assert np.array_equal(layer.bias.numpy(), np.array([0.3], dtype))
        layer.load_state_dict({"weight": [np.array([0.1, 2])], "bias": [np.float32(0.3)]})
        assert np.array_equal(layer.weight.numpy(), np.array([[0.1, 2]], dtype))
        assert np.array_equal(layer.bias.numpy(), np.array([np.float32(0.3)], dtype))
        layer.load_state_dict({"weight": [[0.1, 2]], "bias": [0.3]})
        before = layer.state_dict()
        for wrong in ([[1.0, None]], [["1", "2"]], [[1.0], [1.0, 2.0]]):
            with pytest.raises(TypeError, match=r"^weight of the state_dict is no array, but list"):
                layer.load_state_dict({"weight": wrong, "bias": [0.0]})
        assert np.array_equal(layer.weight.numpy(), before["weight"])
    with pytest.raises(RuntimeError, match="dtype mismatch"):
        nn.Linear(2, 1).load_state_dict({"weight": np.ones((1, 2)), "bias": [0.0]})


@pytest.mark.parametrize("value", [None, "text", [None], {}])
def test_what_is_no_array_in_a_state_dict_is_not_to_be_converted_to_float32(value):
    with pytest.raises(TypeError, match=r"^weight of the state_dict is no array") as raised:
        nn.Linear(2, 1).load_state_dict({"weight": value, "bias": [0.0]})
    assert "to float32 first" not in str(raised.value)


def test_a_state_dict_may_hold_the_parameters_themselves():
    model = nn.BatchNorm1d(2)
    kept = model.state_dict(keep_vars=True, prefix="a.")
    assert kept["a.weight"] is model.weight and kept["a.running_mean"] is model.running_mean
    assert list(kept) == list(model.state_dict(prefix="a.", keep_vars=False))
    other = nn.BatchNorm1d(2)
    model.weight.assign(cr.tensor([2.0, 3.0]))
    other.load_state_dict(model.state_dict(keep_vars=True))
    assert other.weight.tolist() == [2.0, 3.0]


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("x.clone()", "x itself: an array of its own"),
        ("x.cpu()", "x itself"),
        ("x.detach().clone()", "x itself"),
        ("x.to('cpu')", r"x itself, or x\.astype\(dtype\)"),
        ("x.numel()", r"x\.size"),
        ("x.size()", r"x\.shape"),
        ("x.view(-1)", r"x\.reshape"),
        ("x.view(3, 2)", r"x\.reshape"),
        ("x.copy_(0)", r"x\[\.\.\.\] = value"),
        ("x.float()", r"x\.astype\('float32'\)"),
        ("x.abs()", r"cr\.as_tensor\(x\)\.abs"),
        ("x.frobnicate()", "have no 'frobnicate'$"),
    ],
)
def test_arrays_of_a_state_dict_answer_the_names_of_tensors(code, said):
    state = nn.Linear(3, 2).state_dict()
    for x in (state["weight"], state["weight"][0], state["weight"].copy()):
        with pytest.raises((AttributeError, TypeError), match=said):
            eval(code, {"x": x})


def test_arrays_of_a_state_dict_are_arrays():
    x = nn.Linear(3, 2).state_dict()["weight"]
    plain = np.array(x)
    assert isinstance(x, np.ndarray) and repr(x) == repr(plain) and str(x) == str(plain)
    assert x.size == 6 and x.view("int32").dtype == np.int32 and not hasattr(x, "detach")
    for made in (x * 2, np.abs(x), x @ x.T, x > 0, cr.tensor(x).numpy(), cr.as_tensor(x).numpy()):
        assert type(made) is np.ndarray
    assert type(x.mean()) is type(x[0, 0]) is np.float32
    assert type(pickle.loads(pickle.dumps(x))) is np.ndarray
    before = x
    x += 1
    assert x is before
    np.testing.assert_array_equal(x, plain + 1)


def test_set_submodule_puts_a_module_at_a_path():
    model = nn.Sequential(nn.Linear(2, 2), nn.Sequential(nn.ReLU()))
    model.set_submodule("1.0", nn.Tanh())
    assert isinstance(model[1][0], nn.Tanh) and len(model) == 2
    model.set_submodule("0", nn.Linear(2, 3), strict=True)
    assert list(model.state_dict()) == ["0.weight", "0.bias"] and model[0].out_features == 3
    model.set_submodule("more", nn.Identity())
    assert isinstance(model.more, nn.Identity)
    for wrong, kind in [
        (lambda: model.set_submodule("2.0", nn.ReLU()), AttributeError),
        (lambda: model.set_submodule("7", nn.ReLU(), strict=True), AttributeError),
        (lambda: model.set_submodule("0.weight", nn.ReLU()), AttributeError),
        (lambda: model.set_submodule("0", "relu"), TypeError),
        (lambda: model.set_submodule("", nn.ReLU()), ValueError),
    ]:
        with pytest.raises(kind):
            wrong()
    assert isinstance(model[0].weight, cr.Parameter)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("type", "dtype= where its layers are made"),
        ("share_memory", "threads share memory"),
        ("_flat_weights_names", r"the names of named_parameters\(\)"),
        ("_reset_parameters", "here it is reset_parameters"),
        ("device", "'cpu'"),
        ("register_backward_hook", "register_full_backward_hook"),
    ],
)
def test_what_a_module_lacks_of_pytorchs_says_what_to_write(name, said):
    layer = nn.Linear(2, 2)
    with pytest.raises(AttributeError, match=f"'Linear' object has no attribute '{name}'.*{said}"):
        getattr(layer, name)
    assert not hasattr(layer, name)
    setattr(layer, name, "mine")  # one's own module may have such a name
    assert getattr(layer, name) == "mine"
