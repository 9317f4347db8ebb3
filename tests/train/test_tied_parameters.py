"""Tied parameters: one Parameter under several names, through files, copies and trainings."""

import copy
import json
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

rng = np.random.default_rng(0)
X = rng.normal(size=(64, 4)).astype(np.float32)
Y = rng.normal(size=(64, 4)).astype(np.float32)


def tied_weight():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4))
    model[2].weight = model[0].weight
    return model


def tied_thrice_in_depth():
    model = nn.Sequential(
        nn.Linear(4, 4), nn.Residual(nn.Sequential(nn.Linear(4, 4))), nn.Linear(4, 4)
    )
    model[1].block[0].weight = model[2].weight = model[0].weight
    model[2].bias = model[1].block[0].bias
    return model


def weight_of_another_shape_of_layer():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.BatchNorm1d(4))
    model[2].weight = model[1].weight
    return model


def shared_buffer():
    model = nn.Sequential(nn.BatchNorm1d(4), nn.Linear(4, 4), nn.BatchNorm1d(4))
    model[2].running_var = model[0].running_var
    return model


def shared_layer():
    layer = nn.Linear(4, 4)
    return nn.Sequential(layer, nn.Tanh(), layer)


def shared_container():
    container = nn.Sequential(nn.Linear(4, 4), nn.Tanh())
    return nn.Sequential(container, container)


def shared_layer_with_a_child():
    layer = nn.ParametricActivation(nn.Softplus(1.0), 4)
    return nn.Sequential(nn.Linear(4, 4), layer, nn.Linear(4, 4), layer)


class Autoencoder(nn.Module):
    """A class of the user's."""

    def __init__(self, tie=True):
        super().__init__()
        self.encoder, self.decoder = nn.Linear(4, 4), nn.Linear(4, 4)
        if tie:
            self.decoder.weight = self.encoder.weight

    def forward(self, x):
        return self.decoder(self.encoder(x).tanh())


LIBRARY = [
    tied_weight,
    tied_thrice_in_depth,
    weight_of_another_shape_of_layer,
    shared_buffer,
    shared_layer,
    shared_container,
    shared_layer_with_a_child,
]
ALL = [*LIBRARY, Autoencoder]


def groups(model):
    """The names of each state, by the oracle of identity."""
    found = {}
    for module_path, module in model._walk("", None):
        for name, state in {**module._parameters, **module._buffers}.items():
            if state is not None:
                found.setdefault(id(state), set()).add(f"{module_path}.{name}".lstrip("."))
    return {frozenset(names) for names in found.values()}


def trainer_of(model, **options):
    return cr.Trainer(model, nn.MSELoss(), optim.Adam(model.parameters(), lr=0.01), **options)


@pytest.mark.parametrize("make", LIBRARY)
def test_a_file_keeps_what_is_tied(make, tmp_path):
    model, path = make(), tmp_path / "model.safetensors"
    assert any(len(names) > 1 for names in groups(model))
    cr.save(model, path)
    loaded = cr.load(path)
    assert groups(loaded) == groups(model)
    np.testing.assert_array_equal(loaded(X).numpy(), model.eval()(X).numpy())
    again = nn.from_description(json.loads(json.dumps(nn.to_description(model))))
    assert groups(again) == groups(model)
    trainer = trainer_of(make())
    trainer.fit(X, Y, epochs=1, progress=False)
    trainer.save(path)
    loaded = cr.load(path)
    assert groups(loaded) == groups(model)
    np.testing.assert_allclose(loaded(X).numpy(), trainer.predict(X), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("averaged", [False, True])
def test_a_training_goes_on_with_the_same_bits(make, averaged, tmp_path):
    def trained(epochs, path=None):
        cr.manual_seed(3)
        model = make()
        ema = optim.EMA(model.parameters(), 0.9) if averaged else None
        trainer = trainer_of(model, ema=ema)
        if path is not None:
            trainer.load(path)
        trainer.fit(X, Y, epochs=epochs, batch_size=16, progress=False)
        return trainer

    path = tmp_path / "training.safetensors"
    trained(1).save(path)
    resumed, whole = trained(1, path), trained(2)
    assert groups(resumed.model) == groups(make())
    for name, value in whole.model.state_dict().items():
        np.testing.assert_array_equal(resumed.model.state_dict()[name], value)


@pytest.mark.parametrize("make", ALL)
@pytest.mark.parametrize("copied", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_a_copy_keeps_what_is_tied(make, copied):
    model = make()
    assert groups(copied(model)) == groups(model)


@pytest.mark.parametrize("make", ALL)
def test_a_tied_parameter_counts_once(make):
    model = make()
    size = sum({id(p): p.size for p in model.parameters()}.values())
    assert nn.utils.parameters_to_vector(model.parameters()).shape == (size,)
    optimizer = optim.Adam(model.parameters())
    assert len(optimizer.params) == len({id(p) for p in model.parameters()})
    assert cr.summary(model, (4,)).parameters == size


def test_the_gradient_of_a_tied_weight_is_that_of_both_uses():
    torch = pytest.importorskip("torch")
    model = tied_weight()
    theirs = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.Tanh(), torch.nn.Linear(4, 4))
    theirs[2].weight = theirs[0].weight
    theirs.load_state_dict({k: torch.tensor(v) for k, v in model.state_dict().items()})
    optimizer = torch.optim.SGD(theirs.parameters(), lr=0.1)
    ours = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    ours.fit(X, Y, epochs=5, batch_size=64, shuffle=False, progress=False)
    for _ in range(5):
        optimizer.zero_grad()
        torch.nn.functional.mse_loss(theirs(torch.tensor(X)), torch.tensor(Y)).backward()
        optimizer.step()
    for name, value in theirs.state_dict().items():
        np.testing.assert_allclose(model.state_dict()[name], value.numpy(), atol=1e-6)


def test_two_values_for_one_parameter_are_refused():
    model = tied_weight()
    before = model.state_dict()
    other = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)).state_dict()
    for strict in (True, False):
        with pytest.raises(RuntimeError, match=r"0.weight and 2.weight are one and the same"):
            model.load_state_dict(other, strict=strict)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    model.load_state_dict({**other, "2.weight": other["0.weight"]})
    del other["0.weight"]
    model.load_state_dict(other, strict=False)
    np.testing.assert_array_equal(model[0].weight.numpy(), other["2.weight"])


def test_a_tied_file_is_not_loaded_into_a_model_that_has_two(tmp_path):
    path, apart = tmp_path / "model.safetensors", Autoencoder(tie=False)
    cr.save(Autoencoder(), path)
    before = apart.state_dict()
    with pytest.raises(RuntimeError, match=r"model.decoder.weight = model.encoder.weight"):
        cr.load(path, apart)
    for name, value in apart.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert groups(cr.load(path, Autoencoder())) == groups(Autoencoder())
    cr.save(tied_weight(), path)
    with pytest.raises(RuntimeError, match=r"model\[2\].weight = model\[0\].weight"):
        cr.load(path, nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)))


@pytest.mark.parametrize("first", [True, False])
def test_a_training_goes_on_only_with_the_same_ties(first, tmp_path):
    path = tmp_path / "training.safetensors"
    trainer = trainer_of(Autoencoder(tie=first))
    trainer.fit(X, Y, epochs=1, progress=False)
    trainer.save(path)
    with pytest.raises(ValueError, match=r"encoder.weight and decoder.weight (as one|apart)"):
        trainer_of(Autoencoder(tie=not first)).load(path)


@pytest.mark.parametrize(
    "shared",
    [
        {"weight": "0.bias"},
        {"weight": "7.weight"},
        {"weight": 3},
        {"nothing": "0.weight"},
        {"weight": "1.weight"},
        ["weight"],
        None,
    ],
)
def test_a_description_of_a_tie_that_can_not_be(shared):
    description = nn.to_description(nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4)))
    description["children"]["2"]["shared"] = shared
    with pytest.raises(ValueError, match=r"share|malformed|another kind"):
        nn.from_description(description)
