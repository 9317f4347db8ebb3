"""Threads that share the chunks of an instruction."""

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from bench import ARENA, STATE, Bench, constant, counter, load, op, store

from chainrule import _core


def training_step(bench, rng, threads, steps=3):
    """Something of everything, in many chunks; all bytes that it wrote."""
    m, n, k = 256, 192, 160
    x, y = rng.normal(size=(m, k)).astype("float32"), rng.normal(size=(k, n)).astype("float32")
    labels = rng.integers(0, n, m)
    weight = bench.put(y, STATE)
    a, b = bench.put(x), bench.put(labels)
    plan = bench.plan
    product, view = bench.room((m, n), "float32")
    plan.add(
        "gemm",
        "product",
        dtype="float32",
        transpose_a=False,
        transpose_b=False,
        m=m,
        n=n,
        k=k,
        a=a,
        lda=k,
        b=weight,
        ldb=n,
        c=product,
        ldc=n,
        epilogue=dict(
            dtype="float32",
            rows=m,
            columns=n,
            registers=2,
            loads=[load(product, "float32", n, 1, 0)],
            constants=[constant(0.5, 1)],
            ops=[op("multiply", 0, 0, 1)],
            stores=[store(product, "float32", n, 0)],
        ),
    )
    loss, losses = bench.room(m, "float32")
    plan.add(
        "rows",
        "loss",
        kernel="softmax_cross_entropy",
        dtype="float32",
        rows=m,
        columns=n,
        inputs=[product, b],
        out=loss,
    )
    mean, total = bench.room(1, "float32")
    plan.add(
        "reduce",
        "total",
        reduction="sum",
        dtype="float32",
        outer=1,
        length=m,
        inner=1,
        x=loss,
        out=mean,
    )
    columns, by_column = bench.room(n, "float32")
    plan.add(
        "reduce",
        "columns",
        reduction="sum",
        dtype="float32",
        outer=1,
        length=m,
        inner=n,
        x=product,
        out=columns,
    )
    plan.add(
        "program",
        "update",
        dtype="float32",
        rows=k,
        columns=n,
        registers=4,
        loads=[load(weight, "float32", n, 1, 0), load(columns, "float32", 0, 1, 1)],
        constants=[constant(-1e-3, 2)],
        ops=[op("multiply_add", 3, 1, 2, 0)],
        stores=[store(weight, "float32", n, 3)],
    )
    uniform, random = bench.room(1001, "float32")
    seed = bench.put(np.array([1, 2], np.uint64))
    plan.add("random_uniform", "random", dtype="float32", count=1001, state=seed, out=uniform)
    plan.total(mean, "float32", 1)
    result = bench.run(steps=steps, threads=threads)
    updated = bench.spaces[STATE][weight[1] :][: y.nbytes]
    arrays = (view, losses, total, by_column, random, updated, result.totals)
    return b"".join(array.tobytes() for array in arrays)


@pytest.mark.parametrize("instruction_set", _core.instruction_sets())
@pytest.mark.parametrize("chunks", [0, 7])
def test_same_bits_for_every_number_of_threads_and_any_memory(instruction_set, chunks):
    results = {
        training_step(
            Bench(4 << 20, fill, instruction_set, chunks), np.random.default_rng(1), threads
        )
        for threads in (1, 2, 3, 8)
        for fill in (0x00, 0xFF)
        for _ in range(3)
    }
    assert len(results) == 1


@pytest.mark.parametrize("chunks", [50])
def test_more_threads_than_cpus_do_not_stall(bench):
    _, value = counter(bench)
    out, result = bench.room(100000, "float32")
    bench.plan.add("fill", "f", dtype="float32", count=100000, number=2.0, out=out)
    begin = time.perf_counter()
    assert bench.run(steps=300, threads=64).steps == 300
    assert time.perf_counter() - begin < 20
    assert value[0] == 300 and (result == 2).all()


def test_plans_of_several_python_threads_run_at_once():
    results = [None] * 4

    def work(number):
        results[number] = training_step(
            Bench(4 << 20, chunks=7), np.random.default_rng(1), threads=1 + number, steps=20
        )

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] is not None
    assert len(set(results)) == 1


def test_a_running_plan_is_left_alone(bench):
    _, value = counter(bench)
    done = []
    runner = threading.Thread(target=lambda: done.append(bench.run(10**9, seconds=1.0).steps))
    runner.start()
    while value[0] == 0:
        time.sleep(0)
    for touch in (
        lambda: bench.run(),
        lambda: bench.plan.add("fill", "f", dtype="float32", count=1, number=0.0, out=(ARENA, 0)),
        lambda: bench.plan.input(0, np.zeros(3)),
        lambda: bench.plan.times(),
        lambda: bench.plan.profile(True),
        lambda: bench.plan.scalar((ARENA, 0)),
    ):
        with pytest.raises(RuntimeError, match="running in another thread"):
            touch()
    runner.join()
    assert done[0] > 0
    assert bench.run().steps == 1


def test_the_interpreter_goes_on_while_a_plan_runs(bench):
    counter(bench)
    runner = threading.Thread(target=lambda: bench.run(10**9, seconds=0.3))
    runner.start()
    loops = 0
    while runner.is_alive():
        loops += 1
    runner.join()
    assert loops > 100


SCRIPT = """
import os, sys
sys.path.insert(0, {folder!r})
import numpy as np
import bench
def step():
    b = bench.Bench(4 << 20, chunks=40)
    out, view = b.room(100000, "float32")
    b.plan.add("fill", "f", dtype="float32", count=100000, number=2.0, out=out)
    assert b.run(steps=50, threads=4).steps == 50
    assert (view == 2).all()
step()
{rest}
"""


def run_script(rest):
    script = SCRIPT.format(folder=str(Path(__file__).parent), rest=rest)
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120
    )


def test_clean_exit_with_workers():
    result = run_script("print('end')")
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")


def test_clean_exit_while_another_thread_runs():
    rest = """
import threading
def forever():
    b = bench.Bench(4 << 20, chunks=40)
    out, view = b.room(100000, "float32")
    b.plan.add("fill", "f", dtype="float32", count=100000, number=2.0, out=out)
    b.run(steps=10**9, threads=4, seconds=1e4)
threading.Thread(target=forever, daemon=True).start()
import time
time.sleep(0.2)
bench._core.set_longest_wait_at_end(0.3)
print('end')
"""
    result = run_script(rest)
    assert (result.returncode, result.stdout, result.stderr) == (0, "end\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_fork_starts_a_pool_of_its_own():
    rest = """
child = os.fork()
step()
if child == 0:
    os._exit(7)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
print('end')
"""
    result = run_script(rest)
    assert (result.returncode, result.stdout) == (0, "end\n"), result.stderr


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
@pytest.mark.parametrize("chunks", [1, 2, 3, 4, 5, 64, 4094, 4095])
def test_each_chunk_is_run_once(bench, chunks, threads):
    # Rows that are counted up in place, as many as chunks; 4095 is the most there may be. There is
    # a gap after each: adjacent ones would be a single long row.
    steps = 100
    ref, rows = bench.room((chunks, 3), "float32", STATE)
    rows[...] = 0
    bench.plan.add(
        "program",
        "count",
        dtype="float32",
        rows=chunks,
        columns=2,
        registers=2,
        loads=[load(ref, "float32", 3, 1, 0)],
        constants=[constant(1.0, 1)],
        ops=[op("add", 0, 0, 1)],
        stores=[store(ref, "float32", 3, 0)],
    )
    assert bench.run(steps, threads).steps == steps
    np.testing.assert_array_equal(rows[:, :2], steps)


def threads_of_turns(choice, alone, shared, turns, most=4):
    """The threads of so many turns, where a step takes so many seconds alone, and shared."""
    found = []
    for _ in range(turns):
        threads, steps = choice.next(most)
        steps = min(steps, 10)
        choice.note(threads, steps, steps * (alone if threads == 1 else shared))
        found.append(threads)
    return found


def test_short_steps_go_on_with_as_many_threads_as_are_faster():
    tried = [4, 4, 4, 1, 1, 1]
    assert threads_of_turns(_core.ThreadChoice(), 50e-6, 60e-6, 9) == [*tried, 1, 1, 1]
    assert threads_of_turns(_core.ThreadChoice(), 60e-6, 50e-6, 9) == [*tried, 4, 4, 4]
    assert threads_of_turns(_core.ThreadChoice(), 400e-6, 900e-6, 9) == [*tried, 1, 1, 1]
    assert threads_of_turns(_core.ThreadChoice(), 300e-6, 100e-6, 6) == [*tried[:5], 4]
    assert threads_of_turns(_core.ThreadChoice(), 1e-6, 1100e-6, 9) == [4] * 9  # not short
    assert threads_of_turns(_core.ThreadChoice(), 50e-6, 180e-6, 9, most=64)[-1] == 1
    assert threads_of_turns(_core.ThreadChoice(), 1e-6, 2e-6, 9, most=1) == [1] * 9


def test_threads_are_chosen_anew_after_a_time_and_for_another_number_of_threads():
    choice = _core.ThreadChoice()
    assert threads_of_turns(choice, 50e-6, 60e-6, 7)[-1] == 1
    choice.note(1, 10, 3.0)
    assert threads_of_turns(choice, 60e-6, 50e-6, 7) == [4, 4, 4, 1, 1, 1, 4]
    assert choice.next(2)[0] == 2
