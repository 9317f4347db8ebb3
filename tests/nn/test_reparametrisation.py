"""Weight and spectral normalisation beside PyTorch's, eagerly and in captured steps."""

import copy
import pickle

import numpy as np
import pytest
from compiled_steps import compiled_step
from nn_parity import torch

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.*is deprecated")

X = np.random.default_rng(0).standard_normal((5, 4))
Y = np.random.default_rng(1).standard_normal((5, 3))

KINDS = [
    ("weight_norm", {}),
    ("weight_norm", {"dim": 1}),
    ("weight_norm", {"dim": None}),
    ("spectral_norm", {}),
    ("spectral_norm", {"n_power_iterations": 3, "dim": 1}),
]


def pair(name, options):
    """The same layer in both libraries, with the same state."""
    ours = getattr(nn.utils, name)(nn.Linear(4, 3, dtype="float64"), **options)
    theirs = getattr(torch.nn.utils, name)(torch.nn.Linear(4, 3).double(), **options)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        assert ours.state_dict()[key].shape == tuple(value.shape), key
    theirs.load_state_dict({k: torch.as_tensor(v) for k, v in ours.state_dict().items()})
    return ours, theirs


def check_same(ours, theirs):
    for key, value in theirs.state_dict().items():
        np.testing.assert_allclose(ours.state_dict()[key], value.numpy(), rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("layer", ["Conv1d", "ConvTranspose1d", "Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_convolutions_have_pytorchs_axis(name, layer):
    ours = getattr(nn.utils, name)(getattr(nn, layer)(4, 6, 3, groups=2, dtype="float64"))
    theirs = getattr(torch.nn.utils, name)(getattr(torch.nn, layer)(4, 6, 3, groups=2).double())
    theirs.load_state_dict({k: torch.as_tensor(v) for k, v in ours.state_dict().items()})
    x = np.random.default_rng(0).standard_normal((2, 4, 5, 5)[: 2 + int(layer[-2])])
    expected = theirs(torch.as_tensor(x)).detach().numpy()
    np.testing.assert_allclose(ours(x).numpy(), expected, rtol=1e-9, atol=1e-12)
    check_same(ours, theirs)


@pytest.mark.parametrize("way", ["eager", "native", "reference"])
@pytest.mark.parametrize(("name", "options"), KINDS)
def test_training_is_pytorchs(name, options, way):
    ours, theirs = pair(name, options)
    optimizer = optim.SGD(ours.parameters(), 0.1)
    sgd = torch.optim.SGD(theirs.parameters(), 0.1)
    backend = None if way == "eager" else way
    step = compiled_step(ours, nn.MSELoss(), optimizer, backend=backend)
    for _ in range(4):
        sgd.zero_grad()
        torch.nn.MSELoss()(theirs(torch.as_tensor(X)), torch.as_tensor(Y)).backward()
        sgd.step()
        if way == "eager":
            optimizer.zero_grad()
            nn.MSELoss()(ours(cr.tensor(X)), Y).backward()
            optimizer.step()
        else:
            step(X, Y)
    check_same(ours, theirs)
    ours.eval(), theirs.eval()
    expected = theirs(torch.as_tensor(X)).detach().numpy()
    np.testing.assert_allclose(ours(X).numpy(), expected, rtol=1e-9)
    check_same(ours, theirs)
    for copied in (copy.deepcopy(ours), pickle.loads(pickle.dumps(ours))):
        np.testing.assert_array_equal(copied(X).numpy(), ours(X).numpy())


def test_a_new_spectral_norm_is_that_of_pytorchs_parametrizations():
    weight = np.diag([3.0, 1.0, 0.5, 0.25])[:3] + 0.1
    ours, theirs = nn.Linear(4, 3, dtype="float64"), torch.nn.Linear(4, 3).double()
    ours.weight.assign(weight)
    theirs.weight.data = torch.as_tensor(weight)
    ours = nn.utils.parametrizations.spectral_norm(ours).eval()
    theirs = torch.nn.utils.parametrizations.spectral_norm(theirs).eval()
    np.testing.assert_allclose(ours.weight.numpy(), theirs.weight.detach().numpy(), rtol=1e-9)
    np.testing.assert_allclose(np.linalg.norm(ours.weight.numpy(), 2), 1, rtol=1e-9)


@pytest.mark.parametrize(("name", "options"), KINDS)
def test_taken_away(name, options):
    ours, _ = pair(name, options)
    ours(X)
    before = ours.eval()(X).numpy()
    assert getattr(nn.utils, f"remove_{name}")(ours) is ours
    assert sorted(ours.state_dict()) == ["bias", "weight"]
    np.testing.assert_allclose(ours.train()(X).numpy(), before, rtol=1e-12)
    with pytest.raises(ValueError, match=f"no 'weight' of {name}"):
        getattr(nn.utils, f"remove_{name}")(ours)


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_what_can_not_be_normalised(name):
    normalise = getattr(nn.utils, name)
    with pytest.raises(ValueError, match="ReLU has no parameter 'weight'"):
        normalise(nn.ReLU())
    with pytest.raises(ValueError, match="no axis 2"):
        normalise(nn.Linear(2, 2), dim=2)
    with pytest.raises(ValueError, match="has no parameter 'weight'"):
        normalise(normalise(nn.Linear(2, 2)))


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_a_frozen_weight_stays_frozen_as_pytorchs(name):
    ours, theirs = nn.Linear(4, 3), torch.nn.Linear(4, 3)
    for layer, library in ((ours, nn), (theirs, torch.nn)):
        layer.weight.requires_grad = False
        getattr(library.utils.parametrizations, name)(layer)
    trained = [[p.requires_grad for p in layer.parameters()] for layer in (ours, theirs)]
    assert sorted(trained[0]) == sorted(trained[1])
    assert getattr(nn.utils, f"remove_{name}")(ours).weight.requires_grad is False
    assert ours.bias.requires_grad


@pytest.mark.parametrize("name", ["weight_norm", "spectral_norm"])
def test_a_name_that_is_taken_changes_nothing(name):
    layer = nn.Linear(4, 3)
    layer.weight_v = 1.0
    weight = layer.weight
    with pytest.raises(ValueError, match="has an attribute 'weight_v' already"):
        getattr(nn.utils, name)(layer)
    assert layer.weight is weight and layer.weight_v == 1.0
    assert list(layer.state_dict()) == ["weight", "bias"]


def test_other_attributes_are_missing_as_before():
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'weigth'"):
        nn.Linear(1, 1).weigth  # noqa: B018

    class Early(nn.Module):
        def __init__(self):
            self.missing  # noqa: B018

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\) before reading missing"):
        Early()


@pytest.mark.parametrize("normalise", [nn.utils.weight_norm, nn.utils.spectral_norm])
def test_a_file_says_that_a_weight_is_computed(normalise, tmp_path):
    def network():
        return nn.Sequential(normalise(nn.Linear(3, 4)), nn.ReLU(), nn.Linear(4, 1))

    x = np.ones((2, 3), "float32")
    model, path = network(), tmp_path / "model.safetensors"
    cr.save(model, path)
    with pytest.raises(
        cr.FileError, match=r"0 is a Linear with a computed weight, which a file can't hold"
    ):
        cr.load(path)
    loaded = cr.load(path, network())
    np.testing.assert_array_equal(loaded(x).numpy(), model.eval()(x).numpy())


def test_pytorchs_module_of_parametrizations_has_both():
    from chainrule.nn.utils.parametrizations import spectral_norm, weight_norm

    assert weight_norm(nn.Linear(3, 2)).weight_g.shape == (2, 1)
    assert spectral_norm(nn.Linear(3, 2), "weight", 2).weight_u.shape == (2,)
    assert nn.utils.parametrizations.weight_norm is nn.utils.weight_norm
