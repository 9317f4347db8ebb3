"""Copies of a model's state: kept while it is good, and what training goes back to."""

import numpy as np
import pytest

import chainrule as cr
from chainrule import _core, nn, optim
from chainrule.execute.state_block import StateBlock


def aligned(nbytes):
    whole = np.zeros(nbytes + 64, np.uint8)
    start = -whole.ctypes.data % 64
    return whole[start : start + nbytes]


SIZES = [3, 100_000, 1_000_003]


@pytest.fixture
def state():
    """The block, its parts as float32 arrays, and their spans; gaps hold NaN."""
    offsets = np.cumsum([0, *[(4 * n // 64 + 2) * 64 for n in SIZES]])
    block = aligned(int(offsets[-1]))
    block[:] = 0xFF
    random = np.random.default_rng(0)
    parts = []
    for offset, n in zip(offsets, SIZES, strict=False):
        part = block[offset : offset + 4 * n].view(np.float32)
        part[:] = random.standard_normal(n)
        parts.append(part)
    spans = [(int(o), 4 * n, "float32") for o, n in zip(offsets, SIZES, strict=False)]
    return block, parts, spans


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_restore_brings_back_what_was_kept_last(state, threads):
    block, parts, spans = state
    copies = _core.StateCopies(block, spans)
    for _ in range(3):
        before = [part.copy() for part in parts]
        assert copies.keep(threads, False)
        for part in parts:
            part += 1
        copies.restore(threads)
        for part, old in zip(parts, before, strict=True):
            np.testing.assert_array_equal(part, old)
            part *= 2
    assert (block[-64:] == 0xFF).all()  # a gap


def test_refresh_takes_some_bytes_over(state):
    block, parts, spans = state
    copies = _core.StateCopies(block, spans)
    assert copies.keep(1, False)
    expected = [part.copy() for part in parts]
    for part in parts:
        part += 1
    expected[0][:] = parts[0]
    expected[2][99_998:100_004] += 1
    copies.refresh(spans[0][0], 4 * SIZES[0])
    copies.refresh(spans[2][0] + 4 * 99_998, 24)
    copies.refresh(spans[0][0] + 4 * SIZES[0], 64)  # a gap
    copies.restore(1)
    for part, one in zip(parts, expected, strict=True):
        np.testing.assert_array_equal(part, one)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(("part", "place"), [(0, 0), (0, 2), (1, 77_777), (2, 0), (2, 1_000_002)])
def test_what_is_not_finite_does_not_take_the_place_of_the_good_copy(
    state, threads, bad, part, place
):
    block, parts, spans = state
    copies = _core.StateCopies(block, spans)
    good = [p.copy() for p in parts]
    assert copies.keep(threads, False) and copies.is_finite(threads)
    parts[part][place] = bad
    assert not copies.keep(threads, False) and not copies.is_finite(threads)
    copies.restore(threads)
    for p, old in zip(parts, good, strict=True):
        np.testing.assert_array_equal(p, old)
    parts[part][place] = bad
    assert not copies.keep(threads, True)
    parts[part][place] = 0
    copies.restore(threads)
    np.testing.assert_array_equal(parts[part][place], np.float32(bad))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_largest_numbers_are_finite(dtype):
    block = aligned(64)
    block.view(dtype)[:] = np.finfo(dtype).max
    block.view(dtype)[1] = np.finfo(dtype).smallest_subnormal
    copies = _core.StateCopies(block, [(0, 64, dtype)])
    assert copies.keep(1, False)
    block.view(dtype)[-1] = np.inf
    assert not copies.keep(1, False)


def test_whole_numbers_are_always_good():
    block = aligned(64)
    block[:] = 0xFF
    copies = _core.StateCopies(block, [(0, 32, "int64"), (32, 32, "bool")])
    assert copies.keep(1, False)
    block[:] = 0
    copies.restore(1)
    assert (block == 0xFF).all()


@pytest.mark.parametrize("span", [(-4, 4, "float32"), (0, 68, "float32"), (64, 4, "float32")])
def test_spans_lie_within_the_state(span):
    with pytest.raises(ValueError, match="the state has 64"):
        _core.StateCopies(aligned(64), [span])
    with pytest.raises(ValueError, match="a span of 6 bytes"):
        _core.StateCopies(aligned(64), [(0, 6, "float32")])


def test_training_goes_back_to_what_was_assigned_last():
    x = np.ones((8, 2), np.float32)
    model = nn.Linear(2, 1)
    sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    trainer = cr.Trainer(model, nn.MSELoss(), sgd)
    trainer.fit(x, x[:, :1], epochs=2, batch_size=4, progress=False)
    model.weight.assign(np.full((1, 2), 3e38, np.float32))
    bias = model.bias.numpy().copy()
    with pytest.raises(cr.NonFiniteError):
        trainer.fit(x, x[:, :1], epochs=1, batch_size=4, progress=False)
    np.testing.assert_array_equal(model.weight.numpy(), np.full((1, 2), 3e38, np.float32))
    np.testing.assert_array_equal(model.bias.numpy(), bias)


@pytest.mark.parametrize(("accumulate", "bad", "steps"), [(1, 6, 3), (2, 4, 1), (2, 6, 1)])
def test_what_other_plans_changed_is_kept(accumulate, bad, steps):
    """A short last batch has a plan of its own, and so has a batch without an update."""
    x = np.linspace(-1, 1, 14, dtype=np.float32).reshape(7, 2)
    x[bad] = 1e30
    found = {}
    for backend in ("reference", "native"):
        cr.manual_seed(0)
        model = nn.Linear(2, 1)
        sgd = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        trainer = cr.Trainer(model, nn.MSELoss(), sgd, accumulate=accumulate, backend=backend)
        with pytest.raises(cr.NonFiniteError):
            trainer.fit(x, x[:, :1], epochs=1, batch_size=2, shuffle=False, progress=False)
        assert trainer.step == steps
        found[backend] = [
            state.numpy().copy()
            for state in (*model.parameters(), *trainer.state.accumulated.buffers)
        ]
    for native, reference in zip(found["native"], found["reference"], strict=True):
        np.testing.assert_allclose(native, reference, rtol=1e-6)


def test_a_block_tells_assignments_from_what_a_run_changes():
    w, lr = cr.Parameter(np.ones(3)), cr.Buffer(np.zeros(()))
    block = StateBlock([w, lr])
    block.copy_assigned()
    before = block.version

    def since(version):
        return [id(state) for state in block.assigned_since(version)]

    assert since(before) == []
    lr.assign(np.asarray(0.5))
    block.copy_assigned()
    w.assign(np.zeros(3))
    block.copy_assigned()
    assert since(before) == [id(lr), id(w)]
    assert since(before + 1) == [id(w)]
    block.version += 1  # as a run does
    assert block.assigned_since(before) is None
