"""Threads that share the chunks of an instruction."""

import numpy as np
import pytest
from bench import STATE


@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_each_chunk_is_run_once(bench, threads):
    # Rows that are counted up in place, as many as chunks; 4095 is the most there may be.
    steps, counts = 100, []
    for chunks in (1, 2, 3, 4, 5, 64, 4094, 4095):
        # There is a gap behind each: adjacent ones would be a single long row.
        ref, rows = bench.room((chunks, 3), "float32", STATE)
        rows[...] = 0
        load, store = (*ref, "float32", 3, 1, 0), (*ref, "float32", 3, 0)
        bench.plan.program(
            f"{chunks} chunks", "float32", chunks, 2, 2, [load], [(1.0, 1)],
            [("add", 0, 0, 1, 0)], [store], chunks=chunks,
        )  # fmt: skip
        counts.append(rows[:, :2])
    assert bench.run(steps, threads).done == steps
    for rows in counts:
        np.testing.assert_array_equal(rows, steps)
