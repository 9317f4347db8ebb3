"""`save` and `load` of dicts: what a script for PyTorch writes with `torch.save`."""

import math

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim


@pytest.fixture
def path(tmp_path):
    return tmp_path / "saved.safetensors"


def same(one, other):
    if isinstance(one, np.ndarray):
        assert one.dtype == other.dtype and one.shape == other.shape
        np.testing.assert_array_equal(one, other)
        return
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert list(one) == list(other)
        for key in one:
            same(one[key], other[key])
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for pair in zip(one, other, strict=True):
            same(*pair)
    else:
        assert one == other or (math.isnan(one) and math.isnan(other))


def test_a_state_dict_comes_back(path):
    model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    cr.save(model.state_dict(), path)
    same(cr.load(path), model.state_dict())
    other = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    other.load_state_dict(cr.load(path, map_location="cpu", weights_only=True))
    same(other.state_dict(), model.state_dict())


VALUES = {
    "nested": {"a": {"b": np.arange(3.0), 7: [np.int64(3).item(), None, (True, "x")]}},
    "names that meet": {"a.b": np.zeros(1), "a": {"b": np.ones(2)}},
    "names like kinds": {"array": "a", "dict": {"list": 1}, "tuple": np.ones(1)},
    "keys": {(1, "a"): 1, None: 2, 2.5: 3, True: 4, "": np.ones(2), ".": np.zeros(3)},
    "dtypes": {d: np.ones(2, d) for d in ("bool", "int8", "uint16", "int64", "float16", "float64")},
    "shapes": {"0-d": np.array(2, "f"), "empty": np.zeros((0, 3))},
    "numbers": {"a": float("inf"), "b": float("nan"), "c": 2**70, "d": -0.0},
    "nothing": {},
}


@pytest.mark.parametrize("name", VALUES)
def test_what_is_saved_is_loaded(path, name):
    cr.save(VALUES[name], path, metadata={"a": 1})
    same(cr.load(path), VALUES[name])
    assert cr.read_metadata(path) == {"a": 1}


def test_tensors_become_arrays(path):
    cr.save({"w": cr.Parameter([1.0, 2.0]), "n": np.float32(0.5)}, path)
    same(cr.load(path), {"w": np.float32([1, 2]), "n": 0.5})


LAYOUTS = {
    "big-endian": np.arange(6, dtype=">f8").reshape(2, 3),
    "big-endian integers": np.arange(6, dtype=">i2"),
    "big-endian 0-d": np.array(2, ">f4"),
    "transposed": np.arange(6.0).reshape(2, 3).T,
    "in Fortran's order": np.asfortranarray(np.arange(24.0).reshape(2, 3, 4)),
    "every other": np.arange(9)[::2],
    "turned": np.arange(9)[::-1],
    "broadcast": np.broadcast_to(np.float32(3), (2, 3)),
    "read-only": np.frombuffer(b"abc", np.uint8),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_arrays_are_saved_as_they_lie(path, name):
    cr.save({"a": LAYOUTS[name], "t": cr.tensor(LAYOUTS[name]).T}, path)
    found = cr.load(path)
    for array, want in [(found["a"], LAYOUTS[name]), (found["t"], LAYOUTS[name].T)]:
        assert array.dtype == want.dtype.newbyteorder("=") and array.dtype.isnative
        np.testing.assert_array_equal(array, want, strict=array.dtype == want.dtype)


def test_a_dtype_that_tensors_cannot_have_is_refused(path):
    with pytest.raises(TypeError, match=r"can't keep a\.b: .*wider than float64"):
        cr.save({"a": {"b": np.ones(2, np.longdouble)}}, path)
    with pytest.raises(TypeError, match=r"can't keep a: .*take \.real"):
        cr.save({"a": np.ones(2, complex)}, path)
    assert not path.exists()


def test_dtypes_that_numpy_does_not_have_are_named(path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    for dtype, name in [(torch.bfloat16, "BF16"), (torch.float8_e5m2, "F8_E5M2")]:
        save_file({"w": torch.ones(2).to(dtype)}, path)
        with pytest.raises(cr.FileError, match=f"'w' has dtype {name}.*Convert it to float32"):
            cr.load(path)


def test_a_training_goes_on_to_the_same_bits(path):
    """The checkpoint of PyTorch's tutorial: model, optimiser, schedule and epoch in one dict."""
    x, y = np.random.default_rng(0).random((8, 3), "f"), np.arange(8) % 2

    def make():
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
        optimizer = optim.AdamW(model.parameters(), lr=0.01)
        return model, optimizer, optim.OneCycleLR(optimizer, max_lr=0.1, total_steps=9)

    def train(model, optimizer, scheduler, steps):
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            scheduler.step()

    one = make()
    train(*one, 4)
    names = ("model", "optimizer", "scheduler")
    checkpoint = {name: part.state_dict() for name, part in zip(names, one, strict=True)}
    cr.save({"epoch": 4, **checkpoint}, path)
    other = make()
    loaded = cr.load(path)
    for name, part in zip(names, other, strict=True):
        part.load_state_dict(loaded[name])
    for parts in (one, other):
        train(*parts, 9 - loaded["epoch"])
    same(other[0].state_dict(), one[0].state_dict())


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ({"a": {"f": print}}, r"a\.f of type builtin_function_or_method"),
        ({"model": nn.Linear(1, 1)}, "model of type Linear"),
        ({"a": [np.array(["x"])]}, r"a\.0: .*dtype <U1"),
        ({"a": np.zeros(1, "complex64")}, "a: .*dtype complex64"),
        ({"a": [np.ma.masked_less([1.0, 2.0], 2)]}, r"a\.0 has masked values"),
        ([1, 2], r"nn.Module or a dict, got \[1, 2\]; a Tensor or a list goes into a dict"),
    ],
)
def test_what_no_file_holds_is_refused(path, value, match):
    with pytest.raises((TypeError, ValueError), match=match):
        cr.save(value, path)
    assert not path.exists()


def test_a_dict_within_itself_is_refused(path):
    value = {}
    value["a"] = value
    with pytest.raises(TypeError, match="within itself"):
        cr.save(value, path)


def test_a_dict_is_no_model(path):
    cr.save(nn.Linear(2, 1).state_dict(), path)
    with pytest.raises(TypeError, match="load_state_dict"):
        cr.load(path, nn.Linear(2, 1))
    model = nn.Linear(2, 1)
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(cr.FileError):
        trainer.load(path)
    with pytest.raises(TypeError, match="no device 'cuda'"):
        cr.load(path, map_location="cuda")
