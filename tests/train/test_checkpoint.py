"""Checkpoints: all of a training is in the file; what does not fit changes nothing."""

import os

import numpy as np
import pytest
from training_cases import (
    assert_same_bits,
    classification,
    everything,
    network,
    trained,
    trainer_of,
    weights,
)

import chainrule as cr
from chainrule import nn, optim


def test_the_way_there_and_back(path):
    trainer = trained(metadata={"classes": ["a", "b", "c"], "count": np.int64(3)})
    trainer.save(path)
    other = trainer_of(network(seed=9), metadata={})
    other.load(path)
    assert_same_bits(everything(other), everything(trainer))
    assert other.history.epochs == trainer.history.epochs
    x, _ = classification(20)
    np.testing.assert_array_equal(other.predict(x), trainer.predict(x))


def test_the_model_alone_can_be_built_from_the_file(path):
    trainer = trained(metadata={"classes": ["a", "b", "c"]})
    trainer.save(str(path))
    model, metadata = cr.load(path), cr.read_metadata(path)
    assert_same_bits(weights(model), weights(trainer.model))
    assert metadata == {"classes": ["a", "b", "c"]}
    assert not model.training
    assert repr(model) == repr(trainer.model)


def test_other_tools_can_read_the_tensors(path):
    from safetensors.numpy import load_file

    trainer = trained()
    trainer.save(path)
    found = load_file(path)
    for name, array in weights(trainer.model).items():
        np.testing.assert_array_equal(found[f"model.{name}"], array)


def test_keys_of_the_users_in_a_group_are_no_part_of_the_file(path):
    def made(name):
        model = network()
        groups = [{"params": model.parameters(), "name": name, "rule": lambda lr: lr / 2}]
        return cr.Trainer(model, nn.CrossEntropyLoss(), optim.SGD(groups, lr=0.1))

    before, after = made("a"), made("b")
    before.fit(*classification(20), epochs=1)
    before.save(path)
    after.load(path)
    assert_same_bits(weights(after.model), weights(before.model))
    assert after.optimizer.param_groups[0]["name"] == "b"


def test_a_file_is_replaced_and_nothing_else_is_left(path):
    for epochs in (1, 2):
        trainer = trained(epochs)
        trainer.save(path)
    assert os.listdir(path.parent) == [path.name]
    other = trainer_of(network())
    other.load(path)
    assert other.epoch == 2
    mask = os.umask(0)
    os.umask(mask)
    assert path.stat().st_mode & 0o777 == 0o666 & ~mask


def test_whole_numbers_of_numpy_are_numbers(path):
    x, y = classification(20)
    trainer = trainer_of(network(), seed=np.int64(3), accumulate=np.int32(2))
    trainer.fit(
        x, y, epochs=np.int64(2), batch_size=np.int64(8), shuffle=np.True_, checkpoint=path,
        checkpoint_steps=np.int8(1), progress=False,
    )  # fmt: skip
    other = trainer_of(network(), seed=3, accumulate=2)
    other.load(path)
    assert other.epoch == 2


# What does not fit


class Other(cr.Callback):
    pass


class Wrong(cr.Callback):
    """Refuses to take up its state, at the very end of a loading."""

    def state_dict(self):
        return {"a": 1}

    def load_state_dict(self, state):
        if "b" not in state:
            raise ValueError("no b")


def other_trainer(kind):
    model = network(
        hidden=6 if kind == "shape" else 5, dtype="float32" if kind == "dtype" else "float64"
    )
    if kind == "layers":
        model = nn.Sequential(nn.Linear(4, 3, dtype="float64"))
    options = {"lr": 0.1, "momentum": 0.9}
    optimizer = optim.SGD(model.parameters(), **options)
    if kind == "optimizer":
        optimizer = optim.Adam(model.parameters())
    if kind == "momentum":
        optimizer = optim.SGD(model.parameters(), lr=0.1)
    if kind == "groups":
        optimizer = optim.SGD([{"params": list(m.parameters())} for m in model[::2]], **options)
    schedule = optim.StepLR(optimizer, 1, 0.9) if kind != "no schedule" else None
    if kind == "schedule":
        schedule = optim.ExponentialLR(optimizer, 0.9)
    callbacks = [cr.EarlyStopping("loss", patience=9)]
    if kind == "callbacks":
        callbacks = [Other()]
    return trainer_of(
        model,
        optimizer=optimizer,
        schedule=schedule,
        callbacks=callbacks,
        seed=1 if kind == "seed" else 0,
        accumulate={"accumulate": 3, "no accumulate": 1}.get(kind, 2),
    )


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("shape", r"size mismatch for 0\.weight.*\(5, 4\).*\(6, 4\)"),
        ("dtype", "dtype mismatch.*float64.*float32"),
        ("layers", "Unexpected key"),
        ("optimizer", "optimizer SGD.*has Adam"),
        ("momentum", "momentum"),
        ("groups", "param_groups|group of the state|groups"),
        ("schedule", "schedule StepLR.*has ExponentialLR"),
        ("no schedule", "schedule StepLR.*has None"),
        ("callbacks", r"callbacks \['EarlyStopping'\].*has \['Other'\]"),
        ("seed", "seed 0.*has 1"),
        ("accumulate", "accumulate 2.*has 3"),
        ("no accumulate", "accumulate 2.*has 1"),
    ],
)
def test_a_file_of_another_training_changes_nothing(path, kind, text):
    x, y = classification(20)
    saved = other_trainer("the same")
    saved.fit(x, y, epochs=2, batch_size=8, progress=False)
    saved.save(path)
    other_trainer("the same").load(path)
    trainer = other_trainer(kind)
    if kind != "groups":
        trainer.fit(x.astype(trainer.graphs.dtype), y, epochs=1, batch_size=4, progress=False)
    before = everything(trainer)
    with pytest.raises(ValueError, match=text) as caught:
        trainer.load(path)
    assert str(path) in str(caught.value)
    assert_same_bits(everything(trainer), before)
    with pytest.raises(ValueError, match=text):
        trainer.fit(x, y, epochs=5, batch_size=8, checkpoint=path, resume=True, progress=False)
    assert_same_bits(everything(trainer), before)


def test_a_callback_that_refuses_its_state_leaves_all_as_it_was(path):
    trained(callbacks=[Wrong()]).save(path)

    class Later(Wrong):
        pass

    Later.__name__ = "Wrong"
    trainer = trained(1, callbacks=[Later()])
    trainer.callbacks[0].state_dict = lambda: {"b": 2}
    before = everything(trainer)
    with pytest.raises(ValueError, match="no b"):
        trainer.load(path)
    assert_same_bits(everything(trainer), before)


def test_metrics_count_within_an_epoch_only(path):
    x, y = classification(20)
    trained(metrics=["accuracy"]).save(path)
    trainer_of(network()).load(path)  # between epochs other metrics may be wanted

    class Stop(cr.Callback):
        def on_step_end(self, trainer, loss):
            trainer.stop("")

    trainer = trainer_of(network(), metrics=["accuracy"])
    trainer.callbacks.append(Stop())
    trainer.fit(x, y, epochs=1, batch_size=8, progress=False)
    trainer.callbacks.clear()
    trainer.save(path)
    with pytest.raises(ValueError, match=r"metrics \['accuracy'\].*has \[\]"):
        trainer_of(network()).load(path)
    other = trainer_of(network(), metrics=["accuracy"])
    with pytest.raises(ValueError, match=r"middle of an epoch.*'batch_size': 8.*'batch_size': 4"):
        other.fit(x, y, epochs=1, batch_size=4, checkpoint=path, resume=True, progress=False)
    assert other.state.position == other.step == 0


@pytest.mark.parametrize("lr", [0.01, 0.3])
def test_layers_unfrozen_after_the_trainer_was_made(path, lr):
    x, y = classification()

    def made():
        model = network()
        first, last = model[0].parameters(), list(model.parameters())[2:]
        return model, optim.Adam(last, lr=0.1), list(first)

    model, optimizer, frozen = made()
    model[0].requires_grad_(False)
    trainer = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer)
    trainer.fit(x, y, epochs=1, progress=False)
    model[0].requires_grad_(True)
    optimizer.add_param_group({"params": frozen, "lr": lr})
    trainer.fit(x, y, epochs=1, progress=False)
    optimizer.param_groups[1]["lr"] = 0.02
    trainer.save(path)

    model, optimizer, frozen = made()
    optimizer.add_param_group({"params": frozen, "lr": lr})
    other = cr.Trainer(model, nn.CrossEntropyLoss(), optimizer)
    other.load(path)
    for one in (trainer, other):
        one.fit(x, y, epochs=1, progress=False)
    assert_same_bits(weights(other.model), weights(trainer.model))
    assert optimizer.param_groups[1]["lr"] == 0.02
