"""What a file does not hold, or can't be given, is said."""

import warnings

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

X = np.random.default_rng(0).normal(size=(6, 3)).astype("float32")
Y = np.array([0, 1, 0, 1, 1, 0])


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, x):
        return self.layer(x)


def doubled(module, inputs, output):
    return output * 2


def shifted(module, inputs):
    return (inputs[0] + 1,)


def trainer_of(model):
    return cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(model.parameters(), lr=0.1))


@pytest.mark.parametrize("kind", ["forward", "forward_pre"])
def test_a_forward_hook_that_is_missing_after_loading_is_named(kind, tmp_path):
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    hook = {"forward": doubled, "forward_pre": shifted}[kind]

    def register(module):
        return getattr(module, f"register_{kind}_hook")(hook)

    register(model[0])
    cr.save(model, tmp_path / "model")
    trainer_of(model).save(tmp_path / "training")
    for name in ("model", "training"):
        with pytest.warns(RuntimeWarning, match="saved with forward hooks on 0, which"):
            cr.load(tmp_path / name)
        with pytest.warns(RuntimeWarning, match="saved with forward hooks on 0, which"):
            cr.load(tmp_path / name, nn.Sequential(nn.Linear(3, 2), nn.ReLU()))
    plain = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    with pytest.warns(RuntimeWarning, match="saved with forward hooks on 0, which"):
        trainer_of(plain).load(tmp_path / "training")
    register(plain[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer_of(plain).load(tmp_path / "training")
        cr.load(tmp_path / "model", plain)
    np.testing.assert_array_equal(trainer_of(plain).predict(X), trainer_of(model).predict(X))


def test_hooks_that_are_gone_or_see_gradients_alone_are_not_named(tmp_path):
    model = nn.Sequential(nn.Linear(3, 2))
    model[0].register_forward_hook(doubled).remove()
    model.register_full_backward_hook(lambda module, given, out: None)
    cr.save(model, tmp_path / "model")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cr.load(tmp_path / "model")


def test_a_hook_of_the_whole_model_is_named(tmp_path):
    model = nn.Linear(3, 2)
    model.register_forward_hook(doubled)
    cr.save(model, tmp_path / "model")
    with pytest.warns(RuntimeWarning, match="hooks on the model itself"):
        cr.load(tmp_path / "model")


def test_a_class_or_path_in_place_of_the_model_to_load_into(tmp_path):
    cr.save(Own(), tmp_path / "own")
    with pytest.raises(TypeError, match=r"give an object of it, Own\(\.\.\.\)"):
        cr.load(tmp_path / "own", Own)
    with pytest.raises(TypeError, match=r"model is a nn\.Module to load into, got 'own'"):
        cr.load(tmp_path / "own", "own")
    assert isinstance(cr.load(tmp_path / "own", Own()), Own)


def test_batches_with_targets_in_a_list_are_not_inputs():
    trainer = trainer_of(nn.Linear(3, 2))
    with pytest.raises(TypeError, match=r"predict\(x for x, y in batches\)"):
        trainer.predict([(X, Y)])
    found = trainer.predict(x for x, y in [(X, Y)])
    np.testing.assert_array_equal(found, trainer.predict(X))
    rows = [(np.float32(a), np.float32(b), np.float32(c)) for a, b, c in X]  # a list of rows stays
    np.testing.assert_array_equal(trainer.predict(rows), found)
