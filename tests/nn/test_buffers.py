"""Buffers of modules: which of them are saved, as in PyTorch."""

import copy
import pickle

import numpy as np
import pytest

import chainrule as cr
from chainrule import nn

torch = pytest.importorskip("torch")


def test_a_buffer_that_is_not_persistent_is_not_saved():
    ours, theirs = nn.Module(), torch.nn.Module()
    for model, tensor in ((ours, cr.tensor), (theirs, torch.tensor)):
        model.register_buffer("kept", tensor([1.0]))
        model.register_buffer("mask", tensor([2.0]), persistent=False)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["kept"]
    assert [n for n, _ in ours.named_buffers()] == ["kept", "mask"]
    ours.load_state_dict({"kept": np.ones(1, "f")})
    assert list(ours.state_dict(prefix="net.")) == ["net.kept"]
    for model, kind, array in (
        (ours, nn.Buffer, np.ones(1, "f")),
        (theirs, torch.nn.Buffer, torch.ones(1)),
    ):
        model.cache = kind(array, persistent=False)
        model.mask = kind(array)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["kept", "mask"]
    assert list(copy.deepcopy(ours).state_dict()) == ["kept", "mask"]


@pytest.mark.parametrize("is_deleted", [False, True])
def test_a_parameter_under_the_name_of_a_buffer_that_is_not_persistent_is_saved(is_deleted):
    ours, theirs = nn.Module(), torch.nn.Module()
    for model, library, array in ((ours, nn, np.ones(1, "f")), (theirs, torch.nn, torch.ones(1))):
        model.register_buffer("scale", array, persistent=False)
        if is_deleted:
            del model.scale
        model.scale = library.Parameter(array)
    assert list(ours.state_dict()) == list(theirs.state_dict()) == ["scale"]
    ours.load_state_dict({"scale": np.full(1, 5.0, "f")})
    assert ours.scale.tolist() == [5.0]


def with_mask(library, array):
    model = library.Module()
    model.register_buffer("mask", array, persistent=False)
    return model


def set_again(model, library, array):
    model.mask = model.mask


def share(model, library, array):
    model.mask = with_mask(library, array).mask


def set_a_new_one(model, library, array):
    model.mask = None
    model.mask = library.Buffer(array)


def set_a_copy(model, library, array):
    model.mask = copy.deepcopy(library.Buffer(array, persistent=False))


def set_a_pickle(model, library, array):
    model.mask = pickle.loads(pickle.dumps(library.Buffer(array, persistent=False)))


def register_a_persistent_one(model, library, array):
    model.register_buffer("mask", library.Buffer(array), persistent=False)


def register_one_that_is_not_persistent(model, library, array):
    model.register_buffer("mask", library.Buffer(array, persistent=False))


@pytest.mark.parametrize(
    ("change", "is_saved"),
    [
        (set_again, False),
        (share, False),
        (set_a_new_one, True),
        (set_a_copy, False),
        (set_a_pickle, False),
        (register_a_persistent_one, False),
        (register_one_that_is_not_persistent, True),
    ],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_a_buffer_is_saved_or_not_as_in_pytorch(change, is_saved):
    for library, array in ((nn, np.ones(1, "f")), (torch.nn, torch.ones(1))):
        model = with_mask(library, array)
        change(model, library, array)
        assert list(model.state_dict()) == ["mask"] * is_saved


def test_an_array_for_a_buffer_that_is_not_persistent_is_refused_with_what_keeps_it_so():
    model = with_mask(nn, None)
    with pytest.raises(TypeError, match="Assign a Buffer with persistent=False or None"):
        model.mask = cr.tensor([1.0])


class Resetting(nn.Module):
    """Sets its buffers anew in forward; `kept` is all that it saves."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1)
        self.nothing = None
        self.register_buffer("cache", None, persistent=False)
        self.register_buffer("mask", np.ones(2, "f"), persistent=False)
        self.register_buffer("given", nn.Buffer(np.ones(2, "f")), persistent=False)
        self.register_buffer("kept", np.ones(2, "f"))

    def forward(self, x):
        for name in ("nothing", "cache", "mask", "given"):
            setattr(self, name, nn.Buffer(np.ones(2, "f")))
        self.kept = nn.Buffer(np.ones(2, "f"), persistent=False)
        return self.layer(x + self.mask)


def test_buffers_are_saved_after_explain_as_before():
    model = Resetting()
    before = list(model.state_dict()), list(model._buffers.items())
    cr.explain(model, np.ones((3, 2), "f"), np.ones((3, 1), "f"), nn.MSELoss())
    assert (list(model.state_dict()), list(model._buffers.items())) == before
    assert model.nothing is None
    model.nothing = "an attribute that is no buffer"


def test_a_buffer_that_a_function_sets_is_as_before_where_its_capture_fails():
    model = with_mask(nn, np.ones(2, "f"))

    @cr.compile
    def fails(x):
        model.mask = nn.Buffer(np.ones(2, "f"))
        raise ValueError("on purpose")

    before = model.mask
    with pytest.raises(ValueError, match="on purpose"):
        fails(np.ones(2, "f"))
    assert model.mask is before
    assert list(model.state_dict()) == []
