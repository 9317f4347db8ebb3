"""A plan of the core, written by hand, with arrays in its three blocks of memory."""

import math

import numpy as np

from chainrule import _core

ARENA, STATE, CONSTANTS = range(3)


def block(count, fill=0):
    """Bytes that begin on a cache line."""
    raw = np.full(count + 64, fill, np.uint8)
    begin = -raw.ctypes.data % 64
    return raw[begin : begin + count]


class Bench:
    """A plan with a place for each array that is put into it."""

    def __init__(self, size=1 << 20, fill=0xFF, instruction_set=""):
        self.spaces = [block(size, fill), block(size, fill), block(size, fill)]
        self.ends = [64, 64, 64]
        self.plan = _core.Plan(*self.spaces, instruction_set)

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

    def run(self, steps=1, threads=1, order=None, scalars=None, seconds=60.0, first=0):
        return self.plan.run(order, first, steps, scalars, seconds, threads)


def tolerance(dtype):
    return {"rtol": 1e-5, "atol": 1e-5} if dtype == "float32" else {"rtol": 1e-12, "atol": 1e-12}
