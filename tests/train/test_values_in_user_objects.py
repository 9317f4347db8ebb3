"""Values that a captured step reads through a user's objects, classes and functions."""

import argparse
import array
import collections
import dataclasses
import functools
import importlib
import logging
import optparse
import threading
import types

import numpy as np
import pytest
from training_cases import regression

import chainrule as cr
from chainrule import nn, optim

pytestmark = pytest.mark.usefixtures("backend")

X, Y = regression(12)


class Settings:
    scale = 1.0


class Slotted:
    __slots__ = ("scale",)

    def __init__(self):
        self.scale = 1.0


@dataclasses.dataclass(slots=True)
class Record:
    scale: float = 1.0


class Helper:
    def __init__(self):
        self.values = [1.0]

    def __getitem__(self, index):
        return self.values[index]

    def product(self):
        return self.values[0]


class Own:
    """An object of a user's class."""

    def __init__(self):
        self.scale = 1.0


def gain():
    return GAIN


GAIN = 1.0
OWN_MODULE = types.ModuleType("own_module")
OWN_MODULE.own = Own()


class Reader(nn.Module):
    settings = Settings
    own = Own()

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 1, dtype="float64")
        self.slotted, self.record, self.helper = Slotted(), Record(), Helper()
        self.array, self.bytes = array.array("d", [1.0]), bytearray([1])
        self.user_dict, self.chained = collections.UserDict(s=1.0), collections.ChainMap({"s": 1.0})
        self.dict = {"s": 1.0}
        self.view = types.MappingProxyType(self.dict)

    @property
    def by_property(self):
        return gain()

    @functools.cached_property
    def by_cached_property(self):
        return 1.0

    @staticmethod
    def by_static_method():
        return GAIN

    @classmethod
    def by_class_method(cls):
        return cls.settings.scale

    def forward(self, x):
        x = self.linear(x) * self.slotted.scale * self.record.scale * self.helper[0]
        x = x * self.helper.product() * self.array[0] * self.bytes[0] * self.own.scale
        x = x * self.user_dict["s"] * self.chained["s"] * self.view["s"] * OWN_MODULE.own.scale
        x = x * self.by_property * self.by_cached_property * self.by_static_method()
        return x * self.by_class_method() * Settings.scale


CHANGES = {
    "slot": lambda m, p: setattr(m.slotted, "scale", 0.5),
    "slot of a dataclass": lambda m, p: setattr(m.record, "scale", 0.5),
    "item of an object": lambda m, p: m.helper.values.__setitem__(0, 0.5),
    "method of an object": lambda m, p: p.setattr(Helper, "product", lambda self: 0.5),
    "operator of an object": lambda m, p: p.setattr(Helper, "__getitem__", lambda self, i: 0.5),
    "array": lambda m, p: m.array.__setitem__(0, 0.5),
    "bytearray": lambda m, p: m.bytes.__setitem__(0, 2),
    "UserDict": lambda m, p: m.user_dict.update(s=0.5),
    "ChainMap": lambda m, p: m.chained.update(s=0.5),
    "MappingProxyType": lambda m, p: m.dict.update(s=0.5),
    "object of a class": lambda m, p: p.setattr(Reader.own, "scale", 0.5),
    "object of a Python module": lambda m, p: p.setattr(OWN_MODULE.own, "scale", 0.5),
    "class as a namespace": lambda m, p: p.setattr(Settings, "scale", 0.5),
    "what a property reads": lambda m, p: p.setitem(globals(), "GAIN", 0.5),
    "what a property calls": lambda m, p: p.setitem(globals(), "gain", lambda: 0.5),
    "property": lambda m, p: p.setattr(Reader, "by_property", property(lambda self: 0.5)),
    "cached property": lambda m, p: setattr(m, "by_cached_property", 0.5),
    "static method": lambda m, p: p.setattr(Reader, "by_static_method", staticmethod(lambda: 0.5)),
    "class method": lambda m, p: p.setattr(
        Reader, "by_class_method", classmethod(lambda kind: 0.5)
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_counts_from_the_next_call_on(name, monkeypatch):
    model = Reader()
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    compiled = cr.compile(lambda x: model(x))
    before, value = trainer.predict(X), compiled(X).numpy()
    CHANGES[name](model, monkeypatch)
    wanted = model(X).numpy()
    assert not np.allclose(wanted, before)
    np.testing.assert_allclose(trainer.predict(X), wanted, rtol=1e-12)
    np.testing.assert_allclose(value, before, rtol=1e-12)
    np.testing.assert_allclose(compiled(X).numpy(), wanted, rtol=1e-12)


class Wrapped:
    """A mapping whose items are attributes, as of many libraries for settings."""

    def __init__(self):
        self.__dict__["store"] = {"scale": 1.0}

    def __getattr__(self, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return vars(self)["store"][name]


def by_made_up_name(model):
    return getattr(model, f"mask{model.number}")


BY_NAME = {
    "getattr": (lambda m: getattr(m, "values")[0], lambda m: m.values.__setitem__(0, 0.5)),  # noqa: B009
    "attribute of a dict": (
        lambda m: m.__dict__["values"][0],
        lambda m: m.values.__setitem__(0, 0.5),
    ),
    "made-up name": (by_made_up_name, lambda m: m.mask1.__setitem__(0, 0.5)),
    "wrapped": (lambda m: m.wrapped.scale, lambda m: vars(m.wrapped)["store"].update(scale=0.5)),
}


class ByName(nn.Module):
    def __init__(self, read):
        super().__init__()
        self.linear = nn.Linear(4, 1, dtype="float64")
        self.read, self.number = read, 1
        self.values, self.mask1, self.wrapped = [1.0], np.ones(1), Wrapped()

    def forward(self, x):
        return self.linear(x) * self.read(self)


@pytest.mark.parametrize("name", BY_NAME)
def test_values_that_are_read_by_a_name_in_a_string(name):
    read, change = BY_NAME[name]
    model = ByName(read)
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.1))
    compiled = cr.compile(lambda x: model(x))
    trainer.predict(X), compiled(X)
    change(model)
    wanted = model(X).numpy()
    np.testing.assert_allclose(trainer.predict(X), wanted, rtol=1e-12)
    np.testing.assert_allclose(compiled(X).numpy(), wanted, rtol=1e-12)


class HalfUsed(nn.Module):
    """A model with a layer that takes no part while `second` is False."""

    def __init__(self):
        super().__init__()
        self.used, self.spare = (nn.Linear(X.shape[1], Y.shape[1]) for _ in range(2))
        self.second = False

    def forward(self, x):
        return self.used(x) + self.spare(x) if self.second else self.used(x)


@pytest.mark.parametrize("optimizer", [optim.AdamW, optim.Adam, optim.SGD])
def test_a_layer_that_takes_no_part_yet(optimizer):
    """An optimiser parts its parameters when it meets one without a gradient: no change by users,
    so no warning; and when the layer takes part, it is trained."""
    model = HalfUsed()
    trainer = cr.Trainer(model, nn.MSELoss(), optimizer(model.parameters(), lr=0.01), seed=0)
    before = model.spare.weight.numpy().copy()
    trainer.fit(X, Y, epochs=2, batch_size=4, progress=False)
    assert np.array_equal(model.spare.weight.numpy(), before)
    model.second = True
    trainer.fit(X, Y, epochs=1, batch_size=4, progress=False)
    assert np.abs(model.spare.weight.numpy() - before).max() > 1e-4


def helper(x):
    return x * helper.scale


HOLDERS = {
    "argparse": lambda: argparse.Namespace(other=[1]),
    "optparse": lambda: optparse.Values({"other": [1]}),
    "logger": lambda: logging.Logger("of a test"),
    "thread": threading.Thread,
    "exception": ValueError,
    "function": lambda: lambda: None,
}
READS = {
    "attribute": lambda held: held.scale,
    "nested": lambda held: held.inner.scale,
    "item": lambda held: held.options["scale"],
    "getattr": lambda held: getattr(held, "scale"),  # noqa: B009
    "vars": lambda held: vars(held)["scale"],
}


def put(held, value):
    held.scale = value
    held.inner = argparse.Namespace(scale=value)
    held.options = {"scale": value}


class Holder(nn.Module):
    def __init__(self, held, read):
        super().__init__()
        self.linear = nn.Linear(4, 1, dtype="float64")
        self.held, self.read = held, read

    def forward(self, x):
        return self.linear(x) * self.read(self.held)


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("kind", HOLDERS)
def test_attributes_of_objects_of_other_classes(kind, read, monkeypatch):
    held, read = HOLDERS[kind](), READS[read]
    put(held, 1.0)
    model = Holder(held, read)
    trainer = cr.Trainer(model, nn.MSELoss(), optim.SGD(model.parameters(), lr=0.0))
    compiled = cr.compile(lambda x: model.linear(x) * read(held))
    for value in (1.0, 2.0, 0.5, 1.0):
        put(held, value)
        wanted = model.linear(X).numpy() * value
        np.testing.assert_allclose(compiled(X).numpy(), wanted, rtol=1e-12)
        np.testing.assert_allclose(trainer.predict(X), wanted, rtol=1e-12)


@pytest.mark.parametrize("is_in_place", [False, True])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({1}, {True}),
        ({0.0}, {-0.0}),
        ({(0.0,)}, {(-0.0,)}),
        ({1: 2.0}, {True: 2.0}),
        ({0.0: 2.0}, {-0.0: 2.0}),
        ({"a": 1.0, "b": 2.0}, {"b": 2.0, "a": 1.0}),
    ],
    ids=str,
)
def test_elements_and_keys_that_are_equal_and_yet_differ(before, after, is_in_place):
    """A sum by the sign, the type and the order of what is held; as uncompiled code gives it."""
    held = types.SimpleNamespace(all=before.copy())

    def shift(x):
        first = next(iter(held.all))
        (number,) = first if isinstance(first, tuple) else (first,)
        if isinstance(number, float):
            return x + float(np.copysign(3.0, number))
        return x + ["a", "b", 1].index(number) + 5.0 * (type(number) is bool)

    compiled = cr.compile(lambda x: shift(x))
    x = np.ones(2)
    for now in (before, after, before):
        if is_in_place:
            held.all.clear()
            held.all.update(now)
        else:
            held.all = now.copy()
        np.testing.assert_array_equal(compiled(x).numpy(), shift(x))


@pytest.mark.parametrize("kinds", [(np.float64, np.float32), (float, int), (set, tuple)])
def test_a_class_that_is_held(kinds):
    held = types.SimpleNamespace(kind=kinds[0])
    compiled = cr.compile(lambda x: x * (1 + kinds.index(held.kind)))
    for kind in (*kinds, kinds[0]):
        held.kind = kind
        assert compiled(np.ones(1)).item() == 1 + kinds.index(kind)


@pytest.mark.parametrize("kind", ["argparse", "optparse"])
def test_settings_of_any_name(kind):
    held = argparse.Namespace(w0=1.0) if kind == "argparse" else optparse.Values({"w0": 1.0})
    compiled = cr.compile(lambda x: x * sum(getattr(held, f"w{i}") for i in range(1)))
    assert compiled(np.ones(1)).item() == 1
    held.w0 = 2.0
    assert compiled(np.ones(1)).item() == 2


@pytest.mark.parametrize("kind", ["argparse", "logger", "thread", "exception"])
def test_what_no_code_names_may_change(kind, monkeypatch):
    captured = []
    module = importlib.import_module("chainrule.train.compile")
    original = module.record
    monkeypatch.setattr(module, "record", lambda *a: captured.append(1) or original(*a))
    held = HOLDERS[kind]()
    held.scale, held.log, held.lock = 2.0, [], threading.Lock()

    @cr.compile
    def step(x):
        return x * held.scale * (held.log is not None)

    for number in range(4):
        held.seen = held.calls = number
        assert step(np.ones(1)).item() == 2
    assert len(captured) == 1


def test_attributes_of_functions():
    helper.scale = 1.0
    compiled = cr.compile(lambda x: helper(x))
    for value in (1.0, 2.0, np.ones(2) * 3, cr.ones(2) * 4):
        helper.scale = value
        np.testing.assert_array_equal(compiled(np.ones(2)).numpy(), np.asarray(value) * np.ones(2))

    def count(x):
        count.calls = getattr(count, "calls", 0) + 1
        return x * count.calls

    def remember(x):
        remember.h = 0.5 * remember.h + x
        return remember.h

    remember.h = cr.zeros(2, dtype="float64")
    for function, name in ((count, "calls"), (remember, "h")):
        with pytest.raises(
            cr.SymbolicError, match=rf"changes {name} of the function .*{function.__name__}"
        ):
            cr.compile(function)(np.ones(2))


def test_attributes_that_objects_get_while_they_are_captured_are_named():
    """Layers of plain classes keep their output, as in many a lecture: it is named once."""

    class Linear:
        def __init__(self):
            self.weight = cr.Parameter(np.eye(2))

        def __call__(self, x):
            self.out = x @ self.weight
            return self.out

    layers = [Linear(), Linear()]

    def forward(x):
        for layer in layers:
            x = layer(x)
        return x

    said = r"changes out of a Linear while it is captured, .* an attribute of an nn\.Module$"
    for _ in range(2):  # the second time there are such attributes
        with pytest.raises(cr.SymbolicError, match=said):
            cr.compile(forward)(np.ones((3, 2)))
        forward(cr.ones((3, 2), dtype="float64"))


def test_what_a_first_call_keeps_says_how_it_can_be_there():
    class Positions(nn.Module):
        table = None

        def __init__(self):
            super().__init__()
            self.attention = []

        def forward(self, x):
            if self.table is None:
                self.table = cr.arange(len(x))[:, None]
            return x + self.table

    class Attention(Positions):
        def forward(self, x):
            self.attention = [x.softmax(0), x.softmax(1)]
            return self.attention[0]

    positions = Positions()
    compiled = cr.compile(lambda x: positions(x))
    with pytest.raises(cr.SymbolicError, match="or set it before, as by a call of the module"):
        compiled(X)
    expected = positions(cr.tensor(X)).numpy()
    np.testing.assert_array_equal(compiled(X).numpy(), expected)
    with pytest.raises(cr.SymbolicError, match=r"Return what is in it.*an attribute of its own"):
        cr.compile(Attention())(X)
