"""The modules and losses of PyTorch's databases, in its words and in ours: no disagreement.

What is refused here is refused for a reason, which stands in `REFUSED`.
"""

import inspect
import re

import numpy as np
import pytest
from pytorch_databases import criterion_tests, module_db, module_inputs, new_module_tests, torch

import chainrule as cr
from chainrule import nn
from chainrule.execute.native import NativeStep
from chainrule.execute.state_block import StateBlock
from chainrule.trees import leaves, map_leaves

CLOSE = {"rtol": 1e-10, "atol": 1e-11}
ROUNDED = {"rtol": 1e-6, "atol": 1e-9}
"""Where PyTorch computes a part of a float64 formula in float32."""

pytestmark = [
    pytest.mark.filterwarnings("ignore"),  # PyTorch's own, of deprecated arguments
]

REFUSED = [
    # (class, the message, why)
    (".*Loss", "They must be equal, because broadcasting", "a wrong shape is a fault, not a sum"),
    ("L1Loss|MSELoss", "must be floating, not complex", "there are no complex numbers here"),
    (".*", "complex", "there are no complex numbers here"),
    ("CrossEntropyLoss|NLLLoss", "labels must lie in", "a label out of range has to be declared"),
    ("CrossEntropyLoss", "ignore_index is a label", "it can't be meant with probabilities"),
    ("KLDivLoss", "batchmean needs an axis of rows", "there are no rows to divide by"),
    ("KLDivLoss", "which are probabilities, must be at least 0", "a probability is not negative"),
    ("PoissonNLLLoss", "which are counts, must be at least 0", "a count is not negative"),
    ("BCEWithLogitsLoss|MultiLabelSoftMarginLoss", "targets must lie in 0", "no probability"),
    ("MultiMarginLoss", "has shape .N, C. or .C,.", "one row, or rows"),
    ("GaussianNLLLoss", "the variance has that shape", "no other broadcasting"),
    ("(Adaptive)?MaxPool[12]d", "return_indices", "there is no MaxUnpool that would take them"),
    ("BatchNorm[12]d", "more than one element for each feature", "its variance would be 0"),
    ("Softplus", "beta", "the formula divides by it"),
    ("(Log)?Softm(ax|in)", "missing 1 required", "PyTorch guesses the axis, and warns"),
    (".*Loss", "size_average|reduce'|legacy", "deprecated by PyTorch in 2018"),
]


def reason(name, error):
    """Why a class refuses what PyTorch takes; the error is raised again if that is not known."""
    for kind, message, why in REFUSED:
        if re.fullmatch(kind, name) and re.search(message, str(error)):
            return why
    raise error


def ours_of(value):
    """Arguments of PyTorch as ours."""
    if isinstance(value, torch.Tensor):
        return value.detach().numpy().copy()
    if isinstance(value, torch.Size):
        return tuple(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map(ours_of, value))
    return value


def built(kind, args, kwargs):
    """Our module for PyTorch's constructor arguments, in float64."""
    kwargs = {k: ours_of(v) for k, v in kwargs.items() if k not in ("dtype", "device")}
    try:
        return kind(*map(ours_of, args), **kwargs, dtype="float64")
    except TypeError as error:
        if "'dtype'" not in str(error):
            raise
    return kind(*map(ours_of, args), **kwargs)


def theirs_of(inputs):
    """New leaves of PyTorch."""
    return map_leaves(
        lambda x: (
            x.detach().clone().requires_grad_(x.requires_grad) if isinstance(x, torch.Tensor) else x
        ),
        inputs,
    )


def meaningful(name, inputs, kwargs):
    """Weights that are not negative, targets that are not between -1 and 1: the lists draw any."""
    kwargs = {k: v.abs() if k in ("weight", "pos_weight") else v for k, v in kwargs.items()}
    if name in ("MarginRankingLoss", "HingeEmbeddingLoss", "SoftMarginLoss"):
        inputs = [*inputs[:-1], torch.where(inputs[-1] > 0, 1.0, -1.0).double()]
    return inputs, kwargs


def results(module, inputs, parameters, projections):
    """The outputs, and the gradients by the floating inputs and the parameters."""
    outputs = list(leaves(module(*inputs)))
    given = [x for x in leaves(inputs) if isinstance(x, cr.Tensor) and x.requires_grad]
    return [*outputs, *cr.grad(projected(outputs, projections), given + parameters)]


def projected(outputs, projections):
    """One number of all outputs; integers have no part in it."""
    pairs = zip(outputs, projections, strict=True)
    return sum((y * p).sum() for y, p in pairs)


def native(function, states):
    graph = cr.capture(function)
    step = NativeStep(graph, StateBlock([*states, *graph.reads]))
    step.run(None, 0, 1)
    return step.outputs()


def compare(name, ours, theirs, inputs, close=CLOSE):
    """Check one call of a module, eagerly and natively; returns a reason if it is refused."""
    wanted_inputs = theirs_of(inputs)
    wanted = list(leaves(theirs(*wanted_inputs)))
    rng = np.random.default_rng(1)
    projections = [rng.standard_normal(tuple(y.shape)) for y in wanted]
    state = ours.state_dict()
    try:
        given = map_leaves(
            lambda x: (
                (cr.Parameter if x.requires_grad else cr.Buffer)(ours_of(x))
                if isinstance(x, torch.Tensor)
                else x
            ),
            inputs,
        )
        parameters = list(ours.parameters())
        eager = [t.numpy() for t in results(ours, given, parameters, projections)]
        after = ours.state_dict()
    except (cr.ShapeError, cr.DTypeError, ValueError, IndexError, TypeError) as error:
        return reason(name, error)
    ours.load_state_dict(state)
    states = [x for x in leaves(given) if isinstance(x, cr.Tensor)]
    planned = native(lambda: results(ours, given, parameters, projections), states)
    found = leaves(wanted_inputs)
    targets = [x for x in found if isinstance(x, torch.Tensor) and x.requires_grad]
    targets += list(theirs.parameters())
    grads = [torch.zeros_like(t) for t in targets]
    if any(y.requires_grad for y in wanted):
        projected(wanted, map(torch.as_tensor, projections)).backward()
        grads = [torch.zeros_like(t) if t.grad is None else t.grad.to_dense() for t in targets]
    expected = [*wanted, *grads]
    assert len(eager) == len(planned) == len(expected)
    for way in (eager, planned):
        for found, value in zip(way, expected, strict=True):
            assert found.shape == tuple(value.shape), (found.shape, value.shape)
            np.testing.assert_allclose(found, value.detach().numpy(), equal_nan=True, **close)
    for key, value in theirs.state_dict().items():  # running statistics
        np.testing.assert_allclose(after[key], value.numpy(), **close)
    return None


_ATTENTION = re.compile(".*(Attention|Transformer)")  # test_attention has these
KNOWN = [
    info
    for info in module_db
    if hasattr(nn, info.module_cls.__name__) and not _ATTENTION.match(info.module_cls.__name__)
]
ROUNDED_BY_PYTORCH = ("CELU", "ELU", "SELU", "Hardswish", "Hardsigmoid")


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("info", KNOWN, ids=[info.module_cls.__name__ for info in KNOWN])
def test_modules(info, training):
    name, checked = info.module_cls.__name__, 0
    for given in module_inputs(info, training):
        if given.forward_input is None:
            continue
        arguments = given.constructor_input
        inputs = [*given.forward_input.args, *given.forward_input.kwargs.values()]
        inputs, kwargs = meaningful(name, inputs, arguments.kwargs)
        theirs = info.module_cls(*arguments.args, **kwargs).double().train(training)
        try:
            ours = built(getattr(nn, name), arguments.args, kwargs).train(training)
        except (TypeError, ValueError, cr.ShapeError) as error:
            reason(name, error)
            continue
        ours.load_state_dict({k: ours_of(v) for k, v in theirs.state_dict().items()})
        close = ROUNDED if name in ROUNDED_BY_PYTORCH else CLOSE
        checked += compare(name, ours, theirs, inputs, close) is None
    assert checked > 0


def data_of(test):
    """The inputs of one of the older tests: its tensors, or random ones of its sizes."""
    inputs = []
    for kind in ("input", "extra_args", "target"):
        if f"{kind}_fn" in test:
            found = test[f"{kind}_fn"]()
        elif f"{kind}_size" in test:
            found = torch.randn(test[f"{kind}_size"]).double()
        elif kind in test:
            found = test[kind]
        else:
            continue
        inputs += found if isinstance(found, tuple) else [found]
    inputs = [x.double() if x.is_floating_point() else x for x in inputs]
    return [inputs[0].requires_grad_(inputs[0].is_floating_point()), *inputs[1:]]


def old_tests():
    """(id, name, test) of the older lists, for the classes that there are here."""
    counts = {}
    for test in [*criterion_tests(), *new_module_tests()]:
        full = test.get("fullname") or test["module_name"]
        name = full.split("_")[0]
        if "module_name" in test:
            name = test["module_name"]
        if hasattr(nn, name) and hasattr(torch.nn, name) and not _ATTENTION.match(name):
            counts[full] = counts.get(full, 0) + 1
            yield pytest.param(name, test, id=f"{full}-{counts[full]}")


@pytest.mark.parametrize(("name", "test"), list(old_tests()))
def test_older_lists(name, test):
    torch.manual_seed(0)
    if name == "RReLU":
        pytest.skip("drawn at random; test_rrelu has its bounds")
    arguments = test.get("constructor_args", ())
    if "constructor" in test:
        theirs = test["constructor"](*arguments)
    else:
        theirs = getattr(torch.nn, name)(*arguments)
    if not isinstance(theirs, torch.nn.Module) or type(theirs).__name__ != name:
        pytest.skip("a function, which closes over its own target")
    theirs = theirs.double()
    inputs, _ = meaningful(name, data_of(test), {})
    ours = twin(name, theirs)
    ours.load_state_dict({k: ours_of(v) for k, v in theirs.state_dict().items()})
    compare(name, ours, theirs, inputs, ROUNDED if name in ROUNDED_BY_PYTORCH else CLOSE)


def twin(name, theirs):
    """Our module with the constructor arguments that one of PyTorch keeps as attributes."""
    kind = getattr(nn, name)
    found = {}
    for argument in inspect.signature(kind).parameters:
        kept = "norm" if (name, argument) == ("PairwiseDistance", "p") else argument
        value = getattr(theirs, kept, None)
        if argument == "bias" and name != "Identity":
            value = value is not None
        if argument not in ("dtype", "device", "inplace") and value is not None:
            found[argument] = value
    return built(kind, (), found)


def test_enough_of_the_database_is_known():
    assert len(KNOWN) >= 83
