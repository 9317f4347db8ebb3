"""The arena: one block of memory that every step uses anew.

A storage is needed from the first instruction that writes it to the last that reads it. Storages
whose lifetimes do not overlap may share memory; a result of a program may lie where an input lies
of which this is the last use (its host).

    offset
      |  +--- c ----------+
      |  +-- a --+  +-- d -------+      d takes the place of a, whose lifetime is over;
      |      +----- b -----+            b and c are in use together with both
      +---------------------------> instruction

In a chain of rows (`row_chains`) each row goes its own way: where one is at the last instruction,
another may be at the first. So what a chain uses is kept from its first to its last instruction,
but for storages of one layout: row r of one may take the place of row r of another.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import NamedTuple

from chainrule._core import CACHE_LINE
from chainrule.compiler.instructions import Group, Instruction, Storage
from chainrule.compiler.programs import is_flat
from chainrule.compiler.row_chains import Chain, Layout

ALIGNMENT = CACHE_LINE
"""Bytes: a cache line, and the widest vector."""

_MOST_LARGEST_FIRST = 1024  # units; of more, the time grows with the square


def padded(nbytes: int) -> int:
    """The bytes that a storage takes with what keeps the next one aligned."""
    return -(-nbytes // ALIGNMENT) * ALIGNMENT


class Lifetime(NamedTuple):
    """The positions of the first and the last instruction that use a storage."""

    first: int
    last: int


class Unit(NamedTuple):
    """Storages that must lie one after another: one alone, or a segment."""

    storages: Sequence[Storage]
    nbytes: int
    lifetime: Lifetime


def place_storages(
    instructions: Sequence[Instruction],
    outputs: Sequence[Storage],
    segments: Sequence[list[Storage]],
    chains: Sequence[Chain] = (),
) -> int:
    """Give all storages of the arena their offsets.

    Args:
        instructions: in order, each knowing its position.
        outputs: storages that last to the end.
        segments: storages of the arena that must lie one after another.
        chains: the chains of rows among the instructions.

    Returns:
        The bytes of the arena.
    """
    lifetimes = _lifetimes(instructions, outputs)
    in_segments = {storage for segment in segments for storage in segment}
    hosts = _hosts(instructions, lifetimes, in_segments, chains)
    for chain in chains:
        _keep_during(chain, lifetimes, in_segments, hosts)
    units = [_segment(storages, lifetimes) for storages in segments]
    units += [
        Unit((storage,), padded(storage.nbytes), lifetime)
        for storage, lifetime in lifetimes.items()
        if storage not in in_segments and storage not in hosts
    ]
    few = len(units) <= _MOST_LARGEST_FIRST
    size = 0
    for unit, offset in _largest_first(units) if few else _first_use_first(units):
        for storage in unit.storages:
            storage.offset = offset
            offset += padded(storage.nbytes)
        size = max(size, offset)
    for storage in hosts:
        storage.offset = _place_of(storage, hosts).offset
    used = [s for instruction in instructions for s in (*instruction.reads, *instruction.writes)]
    for storage in (*used, *outputs):
        if storage.inside is not None:
            whole, first = storage.inside.storage, storage.inside.first
            storage.offset = whole.offset + first * storage.dtype.itemsize
    return size


def _lifetimes(
    instructions: Iterable[Instruction], outputs: Iterable[Storage]
) -> dict[Storage, Lifetime]:
    """The lifetime of each storage of the arena that lies in no other; outputs last to the end."""
    firsts: dict[Storage, int] = {}
    lasts: dict[Storage, int] = {}
    at = -1
    for instruction in instructions:
        at = instruction.position
        for storage in (*instruction.reads, *instruction.writes):
            if storage.space == "arena":
                if storage.inside is not None:
                    storage = storage.inside.storage
                firsts.setdefault(storage, at)
                lasts[storage] = at
    for storage in outputs:
        if storage.space == "arena":
            if storage.inside is not None:
                storage = storage.inside.storage
            firsts.setdefault(storage, at + 1)
            lasts[storage] = at + 1
    return {storage: Lifetime(first, lasts[storage]) for storage, first in firsts.items()}


def _segment(storages: Sequence[Storage], lifetimes: dict[Storage, Lifetime]) -> Unit:
    """Storages as one unit, which is used as long as any of them."""
    used = [lifetimes[storage] for storage in storages]
    lifetime = Lifetime(min([u.first for u in used]), max([u.last for u in used]))
    return Unit(storages, sum([padded(storage.nbytes) for storage in storages]), lifetime)


def _largest_first(units: Iterable[Unit]) -> Iterator[tuple[Unit, int]]:
    """Offsets of units: the largest first, each at the lowest place that is free all its time."""
    placed: list[tuple[int, int, int, int]] = []  # offset, end, first use, last use; in order
    for unit in sorted(units, key=lambda u: u.nbytes, reverse=True):
        first, last = unit.lifetime
        offset = 0
        for start, stop, placed_first, placed_last in placed:
            if placed_last < first or last < placed_first:
                continue
            if offset + unit.nbytes <= start:
                break
            offset = max(offset, stop)
        insort(placed, (offset, offset + unit.nbytes, first, last))
        yield unit, offset


def _first_use_first(units: Iterable[Unit]) -> Iterator[tuple[Unit, int]]:
    """Offsets of units in the order of time, each in the smallest hole that is large enough.

    So thousands are placed in a time that grows with their number; of few, the other way makes the
    smaller arena.
    """
    holes: list[tuple[int, int]] = []  # (offset, end), in order; no two touch
    used: list[tuple[int, int, int]] = []  # (last use, offset, end): a heap
    size = 0
    for unit in sorted(units, key=lambda u: (u.lifetime.first, -u.nbytes)):
        while used and used[0][0] < unit.lifetime.first:
            _, offset, end = heappop(used)
            _add_hole(holes, offset, end)
        fitting = [(e - o, o) for o, e in holes if e - o >= unit.nbytes]
        if fitting:
            length, offset = min(fitting)
            at = bisect_left(holes, (offset, 0))
            rest = (offset + unit.nbytes, offset + length)
            holes[at : at + 1] = [rest] if length > unit.nbytes else []
        else:
            offset = size
            if holes and holes[-1][1] == size:  # the last hole can grow
                offset, _ = holes.pop()
            size = offset + unit.nbytes
        heappush(used, (unit.lifetime.last, offset, offset + unit.nbytes))
        yield unit, offset


def _add_hole(holes: list[tuple[int, int]], offset: int, end: int) -> None:
    """Add a hole to those that there are; holes that touch become one."""
    at = bisect_left(holes, (offset, end))
    before = at > 0 and holes[at - 1][1] == offset
    after = at < len(holes) and holes[at][0] == end
    new = (holes[at - 1][0] if before else offset, holes[at][1] if after else end)
    holes[at - before : at + after] = [new]


def _hosts(
    instructions: Iterable[Instruction],
    lifetimes: dict[Storage, Lifetime],
    in_segments: set[Storage],
    chains: Sequence[Chain],
) -> dict[Storage, Storage]:
    """For results of programs, where they may lie: in the place of an input that ends there.

    A program reads an element before it writes that element, so this is safe for an input that
    is read element for element. The uses of such a result become uses of its host.
    """
    hosts: dict[Storage, Storage] = {}
    for instruction in instructions:
        group = instruction if isinstance(instruction, Group) else instruction.epilogue
        if group is None or group.parts:
            continue
        now = instruction.position
        # Other tiles still read a product's factors.
        factors = instruction.reads[:2] if instruction is not group else []
        kept = {hosts.get(s, s) for s in factors}
        found = [a.storage for a in group.accesses.values() if is_flat(group, a)]
        if instruction.chain != 0:  # other rows may still be read at earlier instructions
            layouts = chains[instruction.chain - 1].layouts
            found = [s for s in found if hosts.get(s, s) in layouts]
        free = [
            s
            for s in dict.fromkeys(hosts.get(s, s) for s in found)
            if s.space == "arena"
            and s.inside is None
            and s not in kept
            and s not in in_segments
            and lifetimes[s].last == now
        ]
        for value, storage in zip(group.stored, group.writes, strict=False):
            if storage.space != "arena" or storage.inside is not None:
                continue
            if storage in in_segments or storage in hosts:
                continue
            host = next((s for s in free if _is_alike(s, storage)), None)
            if host is None or lifetimes[storage].first != now or value.shape != group.shape:
                continue
            free.remove(host)
            hosts[storage] = host
            lifetimes[host] = Lifetime(lifetimes[host].first, lifetimes.pop(storage).last)
    return hosts


def _place_of(storage: Storage, hosts: dict[Storage, Storage]) -> Storage:
    """Where a storage lies: itself, or the host of its host."""
    while storage in hosts:
        storage = hosts[storage]
    return storage


def _keep_during(
    chain: Chain,
    lifetimes: dict[Storage, Lifetime],
    in_segments: set[Storage],
    hosts: dict[Storage, Storage],
) -> None:
    """Let what a chain uses last as long as the chain, or take the place of what is alike."""
    first, last = chain.instructions[0].position, chain.instructions[-1].position
    free: dict[tuple[Layout, int], list[Storage]] = {}
    ends: list[tuple[int, int, Storage]] = []  # (last use, a number, its place): a heap
    used = dict.fromkeys(
        _place_of(s if s.inside is None else s.inside.storage, hosts)
        for instruction in chain.instructions
        for s in (*instruction.reads, *instruction.writes)
        if s.space == "arena"
    )
    for number, storage in enumerate(sorted(used, key=lambda s: lifetimes[s].first)):
        begin, end = lifetimes[storage]
        while ends and ends[0][0] < begin:
            _, _, place = heappop(ends)
            free.setdefault((chain.layouts[place], place.nbytes), []).append(place)
        layout = chain.layouts.get(storage)
        if layout is None or storage in in_segments or end > last:
            lifetimes[storage] = Lifetime(min(begin, first), max(end, last))
            continue
        place, places = storage, free.get((layout, storage.nbytes))
        if places:  # which the chain has used, so that this one begins within it, too
            place = hosts[storage] = places.pop()
            del lifetimes[storage]
        else:
            lifetimes[storage] = Lifetime(min(begin, first), last)
        heappush(ends, (end, number, place))


def _is_alike(a: Storage, b: Storage) -> bool:
    """Whether one storage can take the place of another."""
    return a.size == b.size and a.dtype == b.dtype
