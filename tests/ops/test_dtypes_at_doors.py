"""Byte order and dtypes at every door: made native, or refused with the reason and the remedy."""

import pickle
from fractions import Fraction

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn, optim

SWAPPED = [">f4", ">f8", ">i2", ">i4", ">i8", ">u2", ">u4", ">u8"]


def swapped(dtype):
    """The numbers 1, 2, 3 in the byte order that is not the machine's."""
    return np.array([1, 2, 3], np.dtype(dtype).newbyteorder("S"))


@pytest.mark.parametrize("name", SWAPPED)
@pytest.mark.parametrize("door", [cr.tensor, cr.as_tensor, cr.Buffer, cr.negative])
def test_foreign_byte_order_is_made_native(name, door):
    result = door(swapped(name))
    assert result.dtype.isnative
    assert (-result if door is cr.negative else result).tolist() == [1, 2, 3]


def test_foreign_dtypes_are_made_native():
    swap = np.dtype("f8").newbyteorder("S")
    x = cr.tensor([1.0])
    for result in (
        cr.tensor([1.0], dtype=swap),
        cr.placeholder((2,), dtype=swap),
        x.astype(swap),
        cr.one_hot([0], 2, dtype=swap),
        cr.uniform((2,), dtype=swap),
        cr.Parameter([1.0], dtype=swap),
        nn.Linear(2, 1, dtype=swap).weight,
    ):
        assert result.dtype == np.float64 and result.dtype.isnative


def test_none_means_float32():
    x = cr.tensor([1.0], dtype="float64")
    for result in (
        cr.tensor([1.0], dtype=None),
        cr.placeholder((2,), dtype=None),
        x.astype(None),
        cr.one_hot([0], 2, dtype=None),
        cr.uniform((2,), dtype=None),
        cr.normal((2,), dtype=None),
        nn.Linear(2, 1, dtype=None).weight,
    ):
        assert result.dtype == np.float32


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.ones(2, complex), "real"),
        (np.ones(2, "longdouble"), "float64"),
        (np.array(["a", "b"]), "text"),
        (np.array([b"a", b"b"]), "text"),
        (np.array([None, 1]), "objects"),
        (np.zeros(2, "datetime64[s]"), "duration"),
        (np.zeros(2, "timedelta64[s]"), "unit"),
        (np.zeros(2, [("a", "f4"), ("b", "f4")]), "columns"),
    ],
    ids=lambda value: str(value.dtype)[:12] if isinstance(value, np.ndarray) else None,
)
def test_other_dtypes_are_refused_with_the_reason(data, reason):
    x = cr.tensor([1.0, 2.0])
    for door in (
        cr.tensor,
        cr.as_tensor,
        cr.Parameter,
        cr.Buffer,
        lambda d: x + d,
        lambda d: x.astype(d.dtype),
        lambda d: cr.placeholder((2,), d.dtype),
        lambda d: cr.Buffer([1.0, 2.0]).assign(d),
        lambda d: nn.MSELoss()(x, d),
        lambda d: nn.CrossEntropyLoss(weight=d),
        lambda d: cr.capture(cr.abs, d),
    ):
        if np.dtype("longdouble") == np.float64 and data.dtype.kind == "f":
            continue
        with pytest.raises(cr.DTypeError, match=reason):
            door(data)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (None, "not None: NaN stands"),
        ([1.0, None], "not None: NaN stands"),
        ((i for i in range(3)), "make a list of it"),
        ({1.0: 2.0}, "no places"),
        ({1.0, 2.0}, "no places"),
        (2**70, "64 bits"),
        ([1, -(2**70)], "64 bits"),
        (Fraction(1, 3), r"float\(...\)"),
        ([object()], "array of numbers"),
    ],
)
def test_objects_that_are_no_numbers_are_named(data, reason):
    for door in (cr.tensor, cr.Parameter, cr.abs):
        with pytest.raises(cr.DTypeError, match=reason):
            door(data)


def test_a_word_that_is_no_dtype():
    with pytest.raises(cr.DTypeError, match="float32"):
        cr.tensor([1.0], dtype="float33")


def test_half_precision_state_is_refused():
    half = np.ones(2, "float16")
    for door in (cr.Parameter, cr.Buffer, lambda d: nn.BCEWithLogitsLoss(pos_weight=d)):
        with pytest.raises(cr.DTypeError, match="dtype='float32'"):
            door(half)
    assert cr.Parameter(half, dtype="float32").dtype == np.float32


@pytest.mark.parametrize("order", ["<", ">"])
def test_training_with_weights_of_either_order(order, tmp_path):
    random = np.random.default_rng(0)
    x = random.standard_normal((40, 3)).astype("float32")
    y = random.integers(0, 3, 40)
    weight = np.array([1.0, 2.0, 0.5], order + "f4")
    found = {}
    for backend in ("reference", "native"):
        cr.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 3))
        model.load_state_dict(
            {
                "0.weight": np.arange(9).reshape(3, 3).astype(order + "f4"),
                "0.bias": np.arange(3).astype(order + "f4"),
            }
        )
        assert model[0].bias.tolist() == [0.0, 1.0, 2.0]
        loss = nn.CrossEntropyLoss(weight=weight)
        trainer = cr.Trainer(
            model, loss, optim.SGD(model.parameters(), lr=0.1), seed=0, backend=backend
        )
        trainer.fit(x, y, epochs=2, batch_size=8)
        found[backend] = model[0].weight.numpy()
        trainer.save(tmp_path / f"{backend}.safetensors")
        cr.load(tmp_path / f"{backend}.safetensors")
    np.testing.assert_allclose(found["native"], found["reference"], rtol=1e-5)


def test_states_of_optimisers_and_averages_of_either_order():
    w = cr.Parameter([1.0, 2.0])
    adam, average = optim.Adam([w], lr=0.1), optim.EMA([w], 0.5)
    for owner in (adam, average):
        state = {
            key: value.astype(value.dtype.newbyteorder("S")) if hasattr(value, "dtype") else value
            for key, value in owner.state_dict().items()
        }
        owner.load_state_dict(state)
        assert all(buffer.dtype.isnative for buffer in owner.states().values())
        assert all(buffer.value.dtype.isnative for buffer in owner.states().values())


def test_a_pickle_of_another_machine():
    function, (kind, value, *rest) = cr.Parameter([1.0, 2.0]).__reduce__()
    foreign = value.astype(value.dtype.newbyteorder("S"))
    found = pickle.loads(pickle.dumps(function(kind, foreign, *rest)))
    assert found.dtype.isnative and found.tolist() == [1.0, 2.0]


def test_arrays_held_by_a_layer():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.scale = np.array([1.0, 10.0], np.dtype("f4").newbyteorder("S"))

        def forward(self, x):
            return cr.as_tensor(x) * self.scale

    graph = cr.capture(Scaled(), cr.placeholder((2,)))
    assert graph(np.ones(2, "float32")).tolist() == [1.0, 10.0]
    trainer = cr.Evaluator(Scaled(), nn.MSELoss())
    assert trainer.predict(np.ones((4, 2), "float32"))[0].tolist() == [1.0, 10.0]
