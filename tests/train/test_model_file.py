"""chainrule.save and load: a model alone in a file, and the model of a training's file."""

import tracemalloc

import numpy as np
import pytest
import safetensors
import safetensors.numpy
from training_cases import assert_same_bits, classification, fit, network, trainer_of, weights

import chainrule as cr
from chainrule import nn, optim
from chainrule.train import tensor_file


class Own(nn.Module):
    """A class that the library does not know."""

    def __init__(self, outputs=3):
        super().__init__()
        self.linear = nn.Linear(4, outputs)

    def forward(self, x):
        return self.linear(x)


def test_the_way_there_and_back(path):
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.ReLU(), nn.Linear(5, 3))
    model(cr.tensor(np.ones((8, 4), "float32")))  # changes the running statistics
    cr.save(model, path, metadata={"classes": ["a", "b"], "count": np.int64(3)})
    assert model.training
    loaded = cr.load(path)
    assert repr(loaded) == repr(model) and not loaded.training
    assert_same_bits(weights(loaded), weights(model))
    assert cr.read_metadata(path) == {"classes": ["a", "b"], "count": 3}


def test_a_file_without_metadata(path):
    cr.save(nn.Linear(2, 1), str(path))
    assert cr.read_metadata(path) == {}


def test_what_can_not_be_saved_is_refused(path):
    model = network()
    with pytest.raises(TypeError, match=r"nn.Module or a dict, got <.*a Trainer, an Ensemble"):
        cr.save(trainer_of(model), path)
    with pytest.raises(TypeError, match=r"metadata is a dict that JSON can hold, got \['a', 'b'\]"):
        cr.save(model, path, metadata=["a", "b"])
    with pytest.raises(TypeError, match=r"metadata is a dict"):
        trainer_of(model, metadata="digits")
    assert not path.exists()


def test_the_model_of_a_training_is_the_averaged_one(path):
    model = network()
    trainer = trainer_of(model, ema=optim.EMA(model.parameters(), 0.5), metadata={"a": 1})
    x, y = classification()
    fit(trainer, x, y)
    trainer.save(path)
    loaded = cr.load(path)
    np.testing.assert_array_equal(
        cr.Evaluator(loaded, nn.CrossEntropyLoss()).predict(x), trainer.predict(x)
    )
    assert cr.read_metadata(path) == {"a": 1}


def test_a_class_of_ones_own(path):
    model = Own()
    cr.save(model, path)
    reason = (
        r"model.safetensors.*Own' is not a layer of this library, so it can't be built from a "
        r"description. Make it by your own code. Load into a model that you have made: "
        r"chainrule.load\(path, model\)"
    )
    with pytest.raises(ValueError, match=reason):
        cr.load(path)
    other = Own()
    assert cr.load(path, other) is other and not other.training
    assert_same_bits(weights(other), weights(model))
    wrong = Own(outputs=2)
    before = weights(wrong)
    with pytest.raises(RuntimeError, match=r"model.safetensors does not fit .*\n\tsize mismatch"):
        cr.load(path, wrong)
    assert_same_bits(weights(wrong), before)
    assert wrong.training


def test_a_file_that_stands_there_stays_if_saving_fails(path):
    cr.save(nn.Linear(2, 1), path)
    before = path.read_bytes()
    with pytest.raises(TypeError, match="can't keep"):
        cr.save(nn.Linear(2, 1), path, metadata={"model": nn.Linear})
    assert path.read_bytes() == before
    with pytest.raises(OSError, match="can't save"):
        cr.save(nn.Linear(2, 1), path / "below")


def test_files_that_are_none(path):
    for read in (cr.load, cr.read_metadata):
        with pytest.raises(FileNotFoundError, match="there is no file"):
            read(path)
    path.write_bytes(b"no such thing")
    for read in (cr.load, cr.read_metadata):
        with pytest.raises(cr.FileError, match="truncated, damaged or of another kind"):
            read(path)


def test_a_trainer_does_not_load_a_model_alone(path):
    cr.save(network(), path)
    with pytest.raises(ValueError, match="holds a model but no training"):
        trainer_of(network()).load(path)


def test_what_is_frozen_stays_frozen(path):
    frozen = nn.Embedding.from_pretrained(np.ones((5, 4), "f"))
    model = nn.Sequential(frozen, nn.Flatten(), nn.Linear(8, 3))
    cr.save(model, path)
    loaded = cr.load(path)
    assert [p.requires_grad for p in loaded.parameters()] == [False, True, True]
    trainer = cr.Trainer(loaded, nn.CrossEntropyLoss(), optim.SGD(loaded.parameters(), lr=0.1))
    trainer.fit(np.ones((6, 2), int), np.arange(6) % 3, epochs=1, batch_size=3, progress=False)
    np.testing.assert_array_equal(loaded[0].weight.numpy(), frozen.weight.numpy())
    trainer.save(path)
    assert not cr.load(path)[0].weight.requires_grad
    mine = nn.Sequential(nn.Embedding(5, 4), nn.Flatten(), nn.Linear(8, 3))
    assert cr.load(path, mine)[0].weight.requires_grad  # a model that is given stays as it is


def test_the_library_of_the_format_reads_what_is_written(path):
    tensors = {
        "b": np.ones((2, 3), "float32"),
        'é"\n': np.arange(3.0),
        "number": np.array(7),
        "none": np.zeros((0, 3), bool),
        "truths": np.array([True, False, True]),
        "bytes": np.arange(5, dtype="uint8"),
        "half": np.ones(3, "float16"),
    }
    texts = {'x"é\n\x01': "y/", "z": ""}
    path.write_bytes(b"".join(tensor_file.parts(tensors, texts)))
    found = safetensors.numpy.load_file(path)
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array, strict=True)
    with safetensors.safe_open(path, "np") as file:
        assert file.metadata() == texts
    assert safetensors.numpy.load(b"".join(tensor_file.parts({}, {}))) == {}


def test_files_take_little_more_memory_than_they_hold(path):
    model = nn.Linear(500, 500)
    cr.save(model, path)
    cr.load(path)  # imports what it needs

    def peak(do):
        tracemalloc.start()
        do()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return peak / 1e6

    assert peak(lambda: cr.save(model, path)) < 1.5  # one copy of the weights
    assert peak(lambda: cr.load(path)) < 3.5  # the file's, the first ones, and their copy
