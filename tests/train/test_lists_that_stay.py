"""Lists and attributes that a training was made with: a change has its effect, or is refused."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import data, nn, optim

X = np.linspace(-1, 1, 16, dtype=np.float32).reshape(8, 2)
Y = X.sum(1, keepdims=True)


def trainer_of(**options):
    model = nn.Linear(2, 1)
    optimizer = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    return cr.Trainer(model, nn.MSELoss(), optimizer, **options)


METHODS = {
    "append": lambda held, new: held.append(new),
    "extend": lambda held, new: held.extend([new]),
    "insert": lambda held, new: held.insert(0, new),
    "remove": lambda held, new: held.remove(held[0]),
    "pop": lambda held, new: held.pop(),
    "clear": lambda held, new: held.clear(),
    "place": lambda held, new: held.__setitem__(0, new),
    "delete": lambda held, new: held.__delitem__(0),
}


@pytest.mark.parametrize("change", METHODS)
def test_a_list_that_would_change_without_effect_says_what_to_do(change):
    trainer = trainer_of(metrics=["mae"])
    optimizer = trainer.optimizer
    ema = optim.EMA(trainer.model.parameters())
    held = [
        (trainer.metrics, "mse", "at construction"),
        (optimizer.param_groups, {"params": [cr.Parameter([1.0])]}, "add_param_group"),
        (optimizer.params, cr.Parameter([1.0]), "add_param_group"),
        (optimizer.param_groups[0]["params"], cr.Parameter([1.0]), "add_param_group"),
        (optimizer.param_groups[0].params, cr.Parameter([1.0]), "add_param_group"),
        (ema.parameters, cr.Parameter([1.0]), "another EMA"),
    ]
    for members, new, remedy in held:
        before = [*members]
        with pytest.raises(TypeError, match=remedy):
            METHODS[change](members, new)
        assert all(a is b for a, b in zip(members, before, strict=True))


def test_adding_in_place_is_refused():
    trainer = trainer_of(metrics=["mae"])
    with pytest.raises(TypeError, match="at construction"):
        trainer.metrics += ["mse"]
    with pytest.raises(TypeError, match="add_param_group"):
        trainer.optimizer.param_groups += [{}]


@pytest.mark.parametrize("name", ["param_groups", "params", "state"])
def test_what_an_optimizer_trains_is_not_set(name):
    optimizer = trainer_of().optimizer
    with pytest.raises(AttributeError, match=f"{name} can't be set"):
        setattr(optimizer, name, [])


def test_moments_are_not_taken_out():
    optimizer = trainer_of().optimizer
    with pytest.raises(TypeError, match="make another optimiser"):
        optimizer.state.clear()
    with pytest.raises(TypeError, match="make another optimiser"):
        del optimizer.state[optimizer.params[0]]


@pytest.mark.parametrize(
    "name",
    [
        "loss", "penalties", "constraints", "accumulate", "clip_norm", "clip_value", "lr", "epochs",
        "batch_size", "metrics", "seed", "model", "optimizer", "ema", "schedule", "history",
    ],
)  # fmt: skip
def test_what_a_trainer_was_made_with_is_not_set(name):
    trainer = trainer_of()
    with pytest.raises(AttributeError, match=f"a Trainer's {name} can't be set: "):
        setattr(trainer, name, getattr(trainer, name, 1))


class Counts(cr.Callback):
    def __init__(self):
        self.epochs = 0

    def on_epoch_end(self, trainer, record):
        self.epochs += 1


def test_callbacks_may_come_later():
    trainer, first, second = trainer_of(), Counts(), Counts()
    trainer.fit(X, Y, epochs=1, progress=False)
    trainer.callbacks.append(first)
    trainer.fit(X, Y, epochs=1, progress=False)
    trainer.callbacks = [second]
    trainer.fit(X, Y, epochs=1, progress=False)
    assert (first.epochs, second.epochs) == (1, 1)


@pytest.mark.parametrize("wrong", [Counts, "counts", 3])
def test_callbacks_that_come_later_are_checked(wrong):
    trainer = trainer_of()
    trainer.callbacks.append(wrong)
    before = trainer.model.state_dict()
    with pytest.raises(TypeError, match="a callback is an object of a Callback class"):
        trainer.fit(X, Y, epochs=1, progress=False)
    np.testing.assert_array_equal(trainer.model.weight.numpy(), before["weight"])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))])
def test_a_copy_stays_too(copied):
    trainer = trainer_of(metrics=["mae"])
    trainer.fit(X, Y, epochs=1, progress=False)
    twin = copied(trainer)
    twin.fit(X, Y, epochs=1, progress=False)
    twin.optimizer.add_param_group({"params": [cr.Parameter([1.0])]})
    assert len(twin.optimizer.param_groups) == 2 == len(trainer.optimizer.param_groups) + 1
    for members in (twin.metrics, twin.optimizer.params, twin.optimizer.param_groups):
        with pytest.raises(TypeError, match=r"stay"):
            members.clear()


@pytest.mark.parametrize(
    "name", ["dataset", "batch_size", "sampler", "batch_sampler", "drop_last", "num_workers"]
)
def test_a_loader_is_settled(name):
    loader = data.DataLoader(data.TensorDataset(X, Y), batch_size=4)
    with pytest.raises(ValueError, match=f"the {name} of a DataLoader is settled"):
        setattr(loader, name, 2)
    assert [len(x) for x, _ in loader] == [4, 4]
