"""Runs: scalars, totals, time limits, profiles, memory."""

import math
import time

import numpy as np
import pytest
from bench import ARENA, STATE, Bench, block, counter, load, op, store

from chainrule import _core


def test_scalars_and_totals(bench):
    a, _ = bench.room(1, "float64")
    b, _ = bench.room(1, "float64", STATE)
    out, _ = bench.room(1, "float64")
    whole, count = bench.room(2, "int64")
    count[...] = [3, 4]
    bench.plan.add(
        "program",
        "product",
        dtype="float64",
        rows=1,
        columns=1,
        registers=3,
        loads=[load(a, "float64", 0, 0, 0), load(b, "float64", 0, 0, 1)],
        ops=[op("multiply", 2, 0, 1)],
        stores=[store(out, "float64", 0, 2)],
    )
    bench.plan.scalar(a)
    bench.plan.scalar(b)
    bench.plan.total(out, "float64", 1, 0.5)
    bench.plan.total(whole, "int64", 2)
    scalars = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    result = bench.run(steps=3, scalars=scalars)
    assert (result.steps, result.status, result.label) == (3, "ok", "")
    assert result.totals.tolist() == [0.5 * (2 + 12 + 30), 9, 12]
    assert result.last.tolist() == [30, 3, 4]
    begun = bench.run(scalars=scalars[2:], totals=result.totals)
    assert begun.totals.tolist() == [0.5 * (2 + 12 + 30 + 30), 12, 16]
    assert result.totals.tolist() == [0.5 * (2 + 12 + 30), 9, 12]
    with pytest.raises(ValueError, match="totals must have 3 numbers, got 2"):
        bench.run(scalars=scalars, totals=np.zeros(2))
    for few in (2, 0):
        with pytest.raises(ValueError, match="scalars must have 3 rows of 2"):
            bench.run(steps=3, scalars=scalars[:few])
    assert bench.run(steps=3).totals.tolist() == [0.5 * 3 * 30, 9, 12]  # as their places hold them


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_total_that_is_not_finite_ends_the_run(bench, bad):
    place, _ = bench.room(1, "float64")
    out, _ = bench.room(1, "float32")
    bench.plan.add(
        "program",
        "loss",
        dtype="float32",
        rows=1,
        columns=1,
        registers=1,
        loads=[load(place, "float64", 0, 0, 0)],
        stores=[store(out, "float32", 0, 0)],
    )
    bench.plan.scalar(place)
    bench.plan.total(out, "float32", 1, 1.0, True)
    result = bench.run(steps=4, scalars=np.array([[1.0], [2.0], [bad], [3.0]]))
    assert (result.steps, result.status, result.label) == (3, "non-finite", "loss")
    assert not math.isfinite(result.last[0])
    loose = Bench()
    place, value = loose.room(1, "float64")
    value[0] = bad
    loose.plan.total(place, "float64", 1, 1.0, False)
    assert loose.run(steps=4).steps == 4


def test_time_limit(bench):
    _, value = counter(bench)
    begin = time.perf_counter()
    result = bench.run(steps=10**9, seconds=0.05)
    assert 0.05 <= time.perf_counter() - begin < 5
    assert result.status == "ok"
    assert 1 < result.steps < 10**9
    assert value[0] == min(result.steps, 2**24)
    assert bench.run(steps=5, seconds=0.0).steps >= 1


def test_no_steps(bench):
    _, value = counter(bench)
    assert bench.run(steps=0).steps == 0
    assert value[0] == 0


def test_profile(bench):
    counter(bench)
    bench.run(steps=3)
    assert bench.plan.times() == [("count", 0, 0.0)]
    bench.plan.profile(True)
    bench.run(steps=4)
    bench.plan.profile(False)
    bench.run(steps=5)
    [(label, calls, seconds)] = bench.plan.times()
    assert (label, calls) == ("count", 4)
    assert 0 < seconds < 1


def test_spaces_must_be_aligned_writable_bytes():
    good = block(128)
    readonly = block(128)
    readonly.flags.writeable = False
    with pytest.raises(ValueError, match="aligned to 64 bytes"):
        _core.Plan(good[8:], good, good)
    for bad in (good.view("float32"), readonly, good.reshape(2, 64), good[::2], [1, 2]):
        with pytest.raises(TypeError):
            _core.Plan(good, bad, good)
    empty = np.zeros(0, np.uint8)
    plan = _core.Plan(empty, empty, empty)
    plan.add("fill", "nothing", dtype="float32", count=0, number=0.0, out=(ARENA, 0))
    assert plan.run(None, 0, 2, None, 1.0, 1)[0] == 2


def test_a_plan_keeps_its_memory_alive():
    space = block(1 << 20)
    plan = _core.Plan(space, block(64), block(64))
    plan.add("fill", "f", dtype="float32", count=1 << 18, number=3.0, out=(ARENA, 0))
    view = space[:16].view("float32").copy()
    del space
    assert plan.run(None, 0, 1, None, 1.0, 1)[0] == 1
    assert (view == 0).all()


@pytest.mark.parametrize(
    ("offset", "count", "message"),
    [
        (-8, 1, "it .* lies outside of its space"),
        ((1 << 20) + 8, 0, "it .* lies outside of its space"),
        ((1 << 20) - 8, 2, "it .* needs bytes after its space"),
        (4, 1, "it .* is not aligned to its elements of 8 bytes"),
        (0, -1, "count must not be negative"),
    ],
)
def test_labels_and_outputs_lie_in_their_space(bench, offset, count, message):
    with pytest.raises(ValueError, match=f"labels: {message}"):
        bench.plan.labels((STATE, offset), "int64", count, 3)
    if offset % 8 == 0:  # of an output any bytes will do
        with pytest.raises(ValueError, match=f"an output: {message}"):
            bench.plan.output((STATE, offset), 8 * count)
