"""A plan of the core, written by hand, with arrays in its three blocks of memory."""

import math

import numpy as np

from chainrule import _core
from chainrule.execute.native import Run

ARENA, STATE, CONSTANTS = "arena", "state", "constants"


def block(count, fill=0):
    """Bytes that begin on a cache line."""
    raw = np.full(count + _core.CACHE_LINE, fill, np.uint8)
    begin = -raw.ctypes.data % _core.CACHE_LINE
    return raw[begin : begin + count]


class Bench:
    """A plan with a place for each array that is put into it."""

    def __init__(self, size=1 << 20, fill=0xFF, instruction_set="", chunks=0):
        self.spaces = {name: block(size, fill) for name in (ARENA, STATE, CONSTANTS)}
        self.ends = dict.fromkeys(self.spaces, 64)
        self.plan = _core.Plan(**self.spaces, instruction_set=instruction_set, chunks=chunks)

    def room(self, shape, dtype, space=ARENA):
        """(ref, view) of an array that nobody has written."""
        shape = (shape,) if isinstance(shape, int) else tuple(shape)
        dtype = np.dtype(dtype)
        begin = self.ends[space]
        end = begin + math.prod(shape) * dtype.itemsize
        self.ends[space] = -(-end // 64) * 64 + 64
        view = self.spaces[space][begin:end].view(dtype).reshape(shape)
        return (space, begin), view

    def put(self, array, space=ARENA):
        array = np.asarray(array)
        ref, view = self.room(array.shape, array.dtype, space)
        view[...] = array
        return ref

    def run(self, steps=1, threads=1, order=None, scalars=None, seconds=60.0, first=0, totals=None):
        return Run(*self.plan.run(order, first, steps, scalars, seconds, threads, totals))


# --- Parts of programs ---


def load(ref, dtype, row_stride, column_stride, register, *, random=False):
    return {
        "ref": ref,
        "dtype": dtype,
        "row_stride": row_stride,
        "column_stride": column_stride,
        "register": register,
        "random": random,
    }


def store(ref, dtype, row_stride, register):
    return {"ref": ref, "dtype": dtype, "row_stride": row_stride, "register": register}


def column_sum(ref, register):
    return {"ref": ref, "register": register}


def constant(value, register):
    return {"value": value, "register": register}


def op(opcode, out, *inputs):
    return {"opcode": opcode, "out": out, "inputs": inputs}


def counter(bench):
    """A plan that adds 1 to a float32 in the state at each step."""
    ref, value = bench.room(1, "float32", STATE)
    value[0] = 0
    bench.plan.add(
        "program",
        "count",
        dtype="float32",
        rows=1,
        columns=1,
        registers=2,
        loads=[load(ref, "float32", 0, 0, 0)],
        constants=[constant(1.0, 1)],
        ops=[op("add", 0, 0, 1)],
        stores=[store(ref, "float32", 0, 0)],
    )
    return ref, value


def tolerance(dtype):
    return {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
