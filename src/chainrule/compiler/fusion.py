"""Fusion: what is done in one pass over memory, once all groups and their members are known.

In this order:

1. Members that nothing reads are dropped, as originals whose copies are read instead.
2. A group becomes part of the one that reads its results first, if one program has room for both:

       group 1: u a       group 3: d e  (reads a)         group 3: u a d e
       ...                                         ->     ...

   Groups of single numbers become part of one that comes earlier.
3. Each group learns what it stores (what others read) and what it loads.
4. What only a concatenation reads is written where the concatenation has it.
5. The sum over the rows of what a group computes, as the gradient of a bias, is taken by its
   program, which has the rows in cache. So are a convolution's sums over each image.
6. A group that reads a product, or a convolution, becomes its epilogue. The product is computed
   tile by tile; the epilogue runs over each tile while it is in cache:

       C = A B  +------+------+          u = C + bias, a = relu(u)
                | tile | tile |   each tile: A B, then u, then a, then the next tile
                +------+------+
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import Any

import numpy as np

from chainrule.compiler.elementwise import ELEMENTWISE, is_narrowed
from chainrule.compiler.instructions import (
    MOST_MEMBERS,
    Access,
    Group,
    Instruction,
    Part,
    Schedule,
    Storage,
    as_matrix,
    fits_program,
    is_full,
    repeating,
)
from chainrule.compiler.parts import is_block
from chainrule.compiler.values import Value, root
from chainrule.compiler.views import restrided

_FEWEST_SUMMED_COLUMNS = 16  # of fewer, a reduction of its own is faster

Readers = dict[Value, set[Instruction | None]]
"""The instructions that read each value's memory; None stands for the end of the step."""


def fuse(schedule: Schedule) -> None:
    """Finish the groups of a schedule, and make few instructions of what belongs together."""
    readers = _readers(schedule)
    while _drop_unread(schedule, readers):
        pass
    _merge_groups(schedule, readers)
    _merge_numbers(schedule, readers)
    for group in schedule.groups:
        _put_in_order(schedule, group)
    for group in schedule.groups:
        group.stored = [m for m in group.members if len(readers[m]) > (group in readers[m])]
        group.reads = list(dict.fromkeys(a.storage for a in group.accesses.values()))
        group.writes = [schedule.storage(v) for v in group.stored]
        for storage in group.writes:
            schedule.writers[storage] = group
    _write_among_others(schedule, readers)
    # A sum that alone reads a member spares its memory: that is better than an epilogue, which
    # reads and writes it. Other sums are better left out where the group can be an epilogue.
    _attach_sums(schedule, readers, only_unstored=True)
    _attach_epilogues(schedule)
    _attach_sums(schedule, readers, only_unstored=False)


def _readers(schedule: Schedule) -> Readers:
    """The readers of each value's memory; each member of a group has an entry."""
    readers: Readers = defaultdict(set)
    for instruction in schedule.instructions:
        if isinstance(instruction, Group):
            for member in instruction.members:
                readers[member]  # which gives it an entry
            for value in _read_by(instruction):
                readers[value].add(instruction)
        for storage in instruction.reads:
            readers[storage.value].add(instruction)
    for value in schedule.graph.roots:
        readers[root(value)].add(None)
    return readers


def _read_by(group: Group) -> set[Value]:
    """The values whose memory a group's members read, its own among them."""
    found = set().union(*[member.inputs for member in group.members])
    found = {i if i.kind in ELEMENTWISE else root(i) for i in found}
    return found.union([access.storage.value for access in group.accesses.values()])


def _drop_unread(schedule: Schedule, readers: Readers) -> bool:
    """Take members away that nothing reads, or nothing else, since copies of them are read.

    Args:
        schedule: what is changed.
        readers: of each value; they change with it.

    Returns:
        Whether there were any: then their inputs may be unread now.
    """
    found = False
    for group in schedule.groups:
        needed: set[Value] = set()
        for member in reversed(group.members):
            if member in needed or len(readers[member]) > (group in readers[member]):
                needed.add(member)
                needed.update([i if i.kind in ELEMENTWISE else root(i) for i in member.inputs])
        kept = [m for m in group.members if m in needed]
        if len(kept) == len(group.members):
            continue
        found = True
        before = _read_by(group)
        group.members = kept
        read = {i for member in group.members for i in member.inputs}
        group.accesses = {v: a for v, a in group.accesses.items() if v in read}
        for value in before - _read_by(group):
            readers[value].discard(group)
        if group.members:
            group.value = group.members[-1]
        else:
            schedule.remove(group)
    return found


def _merge_groups(schedule: Schedule, readers: Readers) -> None:
    """Let a group become part of the one that reads its results first.

    From the last group to the first, so that a chain of groups ends up in its last one.
    """
    for group in reversed(schedule.groups):
        others = set().union(*[readers[m] for m in group.members]) - {group, None}
        reader = min(others, key=lambda i: i.position, default=None)  # type: ignore[union-attr]
        if (
            not isinstance(reader, Group)
            or reader.dtype != group.dtype
            or reader.shape != group.shape
            or is_full(reader, group)
        ):
            continue
        inside = set(group.members)
        accesses = {**group.accesses}
        accesses.update({v: a for v, a in reader.accesses.items() if v not in inside})
        ways = dict.fromkeys([access.strides for access in accesses.values()])
        if not fits_program(group.shape, tuple(ways)):
            continue
        if any([root(v) in inside for v in accesses]):  # read in another shape
            continue
        if any([v in inside and is_narrowed(v) for v in reader.accesses]):
            continue
        reader.accesses = accesses
        _take_members(schedule, readers, group, reader)


def _take_members(schedule: Schedule, readers: Readers, group: Group, into: Group) -> None:
    """Make the members of a group members of another one, which reads what they read."""
    into.members = [*group.members, *into.members]
    schedule.absorb(group, into)
    for member in group.members:
        schedule.group_of[member] = into
    for value in _read_by(group):
        readers[value].discard(group)
        readers[value].add(into)


def _merge_numbers(schedule: Schedule, readers: Readers) -> None:
    """Let groups of single numbers become part of an earlier one that could compute them.

    Such are the coefficients of an optimiser's groups of parameters: each program would take about
    as long as all of them.
    """
    firsts: dict[tuple[np.dtype[Any], tuple[int, ...]], Group] = {}
    for group in schedule.groups:
        if group.value.size != 1:
            continue
        key = group.dtype, group.shape
        first = firsts.get(key)
        if first is None or is_full(first, group) or not _can_come_at(schedule, group, first):
            firsts[key] = group
            continue
        first.accesses.update(group.accesses)
        _take_members(schedule, readers, group, first)


def _can_come_at(schedule: Schedule, group: Group, other: Group) -> bool:
    """Whether all that a group reads is computed before another one."""
    for access in group.accesses.values():
        storage = access.storage
        home = schedule.group_of.get(storage.value, schedule.writers.get(storage))
        if home is not None and home.position >= other.position:
            return False
    return True


def _put_in_order(schedule: Schedule, group: Group) -> None:
    """Members as the graph has them, however they came together: so like groups look alike."""
    group.members.sort(key=schedule.ranks.__getitem__)
    group.value = group.members[-1]
    inputs = dict.fromkeys(i for member in group.members for i in member.inputs)
    group.accesses = {i: group.accesses[i] for i in inputs if i in group.accesses}


def _matrix(group: Group) -> tuple[int, int] | None:
    """The rows and columns of a group's program, if its columns can be the last axis."""
    matrix = as_matrix(group.shape, group.ways)
    return None if matrix is None else matrix[0]


def _write_among_others(schedule: Schedule, readers: Readers) -> None:
    """Let a group write what only a concatenation reads to where the concatenation has it.

    What the concatenation has in one piece may go there by itself: see `strips`.
    """
    changed: set[Storage] = set()
    for instruction in schedule.instructions:
        if instruction.kind != "copy" or instruction.value.kind != "concatenate":
            continue
        x, out = instruction.operands["x"], instruction.results["out"]
        assert isinstance(x, Storage) and isinstance(out, Part)
        group = schedule.writers.get(x)
        strides = instruction.arguments["out_strides"]
        if (
            not isinstance(group, Group)
            or x.value not in group.stored
            or readers[x.value] - {group} != {instruction}
            or is_block(instruction.arguments["shape"], strides)
        ):
            continue
        seen = restrided(instruction.arguments["shape"], strides, group.shape)
        if seen is None or not fits_program(group.shape, (*group.ways, seen)):
            continue
        group.targets[x.value] = Access(out.storage, seen, first=out.first)
        group.writes[group.stored.index(x.value)] = out.storage
        schedule.remove(instruction)
        changed.add(out.storage)
    for instruction in schedule.instructions if changed else ():
        for storage in changed.intersection(instruction.writes):
            schedule.writers[storage] = instruction  # the last one counts


def _attach_epilogues(schedule: Schedule) -> None:
    """Let a group that reads a product be done on its tiles while they are in cache.

    Updates of parameters are better done all at once, and random numbers are better drawn for whole
    rows.
    """
    updates = set(schedule.graph.updates.values())
    for group in schedule.groups:
        if 0 in group.shape or updates.issuperset(group.stored) or _matrix(group) is None:
            continue
        if any([access.drawn for access in group.accesses.values()]):
            continue
        # What the group reads must be there when the product runs: so the last instruction that
        # writes any of it must be the product itself.
        producers = {schedule.writers[s] for s in group.reads if s in schedule.writers}
        product = max(producers, key=lambda i: i.position, default=None)
        if (
            product is None
            or (group.sums and group.sum_rows != _image_places(product))
            or product.kind not in ("gemm", "conv")
            or "y_frame" in product.arguments
            or product.epilogue is not None
            or product.arguments.get("batch", 1) != 1
            or product.value.dtype != group.dtype
            or product.value.shape != group.shape
        ):
            continue
        product.epilogue = group
        product.reads = [
            *product.reads,
            *(s for s in group.reads if s is not product.writes[0]),
        ]
        product.writes = [*product.writes, *group.writes]
        schedule.absorb(group, product)


def _attach_sums(schedule: Schedule, readers: Readers, *, only_unstored: bool) -> None:
    """Let programs take the sums over the rows of what they compute.

    Args:
        schedule: what is changed.
        readers: of each value.
        only_unstored: only for groups that need not store a member then, as its sum alone reads it.
    """
    sums: dict[Group, list[Instruction]] = {}
    homes: dict[Group, Instruction] = {}  # the group itself, or whose epilogue it is
    for instruction in schedule.instructions:
        home = _summing(schedule, instruction, bare=not only_unstored)
        if home is not None:
            group = home if isinstance(home, Group) else home.epilogue
            assert group is not None
            homes[group] = home
            sums.setdefault(group, []).append(instruction)
    for group, found in sums.items():
        home = homes[group]
        unstored = [i for i in found if readers[i.reads[0].value] - {group} == {i}]
        if only_unstored and not unstored:
            continue
        for instruction in found:
            (x,), (out,) = instruction.reads, instruction.writes
            if group.sum_rows not in (0, instruction.arguments["length"]):
                continue
            group.sum_rows = instruction.arguments["length"]
            group.sums.append((x.value, out))
            group.writes.append(out)
            if home is not group:
                home.writes = [*home.writes, out]
            schedule.absorb(instruction, home)
            readers[x.value].discard(instruction)
            if x.value in group.stored and not readers[x.value] - {group}:
                at = group.stored.index(x.value)
                if home is not group:
                    home.writes = [w for w in home.writes if w is not group.writes[at]]
                del group.stored[at], group.writes[at]


def _image_places(product: Instruction) -> int:
    """The places of an image of a convolution, over which its epilogue may sum; else 0."""
    return math.prod(product.value.shape[1:-1]) if product.kind == "conv" else 0


def _summing(schedule: Schedule, instruction: Instruction, *, bare: bool) -> Instruction | None:
    """The instruction whose program can take a sum over rows: a group, or a convolution.

    With `bare`, a convolution without an epilogue may get one that does nothing but sum.
    """
    if instruction.kind != "reduce" or instruction.arguments["reduction"] != "sum":
        return None
    (x,) = instruction.reads
    home = schedule.writers.get(x)
    a = instruction.arguments
    if not (a["outer"] and a["length"]) or a["inner"] < _FEWEST_SUMMED_COLUMNS:
        return None
    if home is not None and home.kind == "conv" and "y_frame" not in home.arguments:
        if not bare or a["length"] != _image_places(home) or x is not home.results["y"]:
            return None
        group = home.epilogue or _bare_epilogue(home, x)
    elif isinstance(home, Group) and x.value in home.stored:
        group = home
    else:
        return None
    if group.dtype.kind != "f" or x.dtype != group.dtype:
        return None
    if _matrix(group) != (a["outer"] * a["length"], a["inner"]):
        return None
    if group.sums and group.sum_rows != a["length"]:
        return None
    if len(group.writes) >= MOST_MEMBERS:
        return None
    if home is not group:
        home.epilogue = group
    return home


def _bare_epilogue(product: Instruction, y: Storage) -> Group:
    """An epilogue that reads a product and computes nothing yet."""
    group = Group(y.value, y.dtype)
    group.shape = product.value.shape
    group.accesses = {y.value: Access(y, repeating(product.value.shape))}
    return group
