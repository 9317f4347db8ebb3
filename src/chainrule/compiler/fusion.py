"""Fusion: what is done in one pass over memory, once all groups and their members are known.

Members that nothing reads are dropped. A group becomes part of the one that reads its results
first; one that reads a product becomes the product's epilogue; sums over the rows of what a
group computes are taken by its program.
"""

from __future__ import annotations

from chainrule.compiler.instructions import MOST_MEMBERS, Group, Instruction, collapse, is_full
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value, root

_SUMMED_COLUMNS = 16  # of fewer, a reduction of its own is faster

Users = dict[Value, set[Instruction | None]]
"""The instructions that read each value's memory; None stands for the end of the step."""


def fuse(scheduler: Scheduler) -> None:
    """Finish the groups of a schedule, and make few instructions of what belongs together."""
    users = _users(scheduler)
    while _drop_unread(scheduler, users):
        users = _users(scheduler)
    _merge_groups(scheduler, users)
    for group in _groups(scheduler):
        _put_in_order(scheduler, group)
    for group in _groups(scheduler):
        group.stored = [m for m in group.members if users[m] - {group}]
        group.reads = list(dict.fromkeys(a.storage for a in group.accesses.values()))
        group.writes = [scheduler.storage(v) for v in group.stored]
        for storage in group.writes:
            scheduler.position[storage] = group
    _attach_sums(scheduler, users, lone=True)
    _attach_epilogues(scheduler)
    _attach_sums(scheduler, users, lone=False)
    for number, instruction in enumerate(scheduler.instructions):
        instruction.position = number


def _groups(scheduler: Scheduler) -> list[Group]:
    """Those that are instructions of their own, in order."""
    return [i for i in scheduler.instructions if isinstance(i, Group)]


def _users(scheduler: Scheduler) -> Users:
    """The instructions that read each value's memory; None stands for the end of the step."""
    users: Users = {}
    for instruction in scheduler.instructions:
        if isinstance(instruction, Group):
            for member in instruction.members:
                users.setdefault(member, set())
                for i in member.inputs:
                    users.setdefault(root(i), set()).add(instruction)
            for access in instruction.accesses.values():
                users.setdefault(access.storage.value, set()).add(instruction)
        for storage in instruction.reads:
            users.setdefault(storage.value, set()).add(instruction)
    for value in [*scheduler.step.outputs, *scheduler.step.updates.values()]:
        users.setdefault(root(value), set()).add(None)
    return users


def _drop_unread(scheduler: Scheduler, users: Users) -> bool:
    """Take members away that nothing reads since copies of them are read."""
    found = False
    for group in _groups(scheduler):
        unread = {m for m in group.members if not users[m]}
        if not unread:
            continue
        found = True
        group.members = [m for m in group.members if m not in unread]
        read = {i for member in group.members for i in member.inputs}
        group.accesses = {v: a for v, a in group.accesses.items() if v in read}
        if group.members:
            group.value = group.members[-1]
        else:
            scheduler.instructions.remove(group)
    return found


def _merge_groups(scheduler: Scheduler, users: Users) -> None:
    """Let a group become part of the one that reads its results first."""
    for group in reversed(_groups(scheduler)):
        readers = set().union(*(users[m] for m in group.members)) - {group, None}
        reader = min(readers, key=lambda i: i.position, default=None)  # type: ignore[union-attr]
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
        strides = [access.strides for access in accesses.values()]
        if len(collapse(group.shape, strides)[0]) > 2:
            continue
        if any(root(v) in inside for v in accesses):  # read in another shape
            continue
        reader.accesses = accesses
        reader.members = [*group.members, *reader.members]
        scheduler.instructions.remove(group)
        for member in group.members:
            scheduler.group_of[member] = reader
        for readers_of_value in users.values():
            if group in readers_of_value:
                readers_of_value.discard(group)
                readers_of_value.add(reader)


def _put_in_order(scheduler: Scheduler, group: Group) -> None:
    """Members as the graph has them, however they came together: so like groups look alike."""
    group.members.sort(key=scheduler.age.__getitem__)
    group.value = group.members[-1]
    inputs = dict.fromkeys(i for member in group.members for i in member.inputs)
    group.accesses = {i: group.accesses[i] for i in inputs if i in group.accesses}


def _attach_epilogues(scheduler: Scheduler) -> None:
    """Let a group that reads a product be done on its tiles while they are in cache.

    Updates of parameters are better done all at once.
    """
    updates = set(scheduler.step.updates.values())
    for group in _groups(scheduler):
        if len(group.shape) != 2 or 0 in group.shape or updates.issuperset(group.stored):
            continue
        producers = {scheduler.position[s] for s in group.reads if s in scheduler.position}
        product = max(producers, key=lambda i: i.position, default=None)
        if (
            product is None
            or group.sums
            or product.kind != "gemm"
            or product.epilogue is not None
            or product.arguments["batch"] != 1
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
        for storage in group.writes:
            scheduler.position[storage] = product
        scheduler.instructions.remove(group)


def _attach_sums(scheduler: Scheduler, users: Users, *, lone: bool) -> None:
    """Let programs take the sums over the rows of what they compute.

    Args:
        users: who reads each value.
        lone: only where a sum alone reads a member, so that it needs no memory: then this is
            better than to be the epilogue of a product.
    """
    sums: dict[Group, list[Instruction]] = {}
    for instruction in scheduler.instructions:
        group = _summed_group(scheduler, instruction)
        if group is not None:
            sums.setdefault(group, []).append(instruction)
    for group, found in sums.items():
        alone = [i for i in found if users[i.reads[0].value] - {group} == {i}]
        if lone and not alone:
            continue
        for instruction in found:
            (x,), (out,) = instruction.reads, instruction.writes
            group.sums.append((x.value, out))
            group.writes.append(out)
            scheduler.position[out] = group
            scheduler.instructions.remove(instruction)
            users[x.value].discard(instruction)
            if not users[x.value] - {group}:
                at = group.stored.index(x.value)
                del group.stored[at], group.writes[at]


def _summed_group(scheduler: Scheduler, instruction: Instruction) -> Group | None:
    """The program whose rows an instruction sums up, if it can as well do that itself."""
    if instruction.kind != "reduce" or instruction.arguments["reduction"] != "sum":
        return None
    (x,) = instruction.reads
    group = scheduler.position.get(x)
    a = instruction.arguments
    if not isinstance(group, Group) or group.dtype.kind != "f" or x.value not in group.stored:
        return None
    if a["outer"] != 1 or len(group.shape) != 2 or group.shape != (a["length"], a["inner"]):
        return None
    fits = x.dtype == group.dtype and a["length"] > 0 and a["inner"] >= _SUMMED_COLUMNS
    return group if fits and len(group.writes) < MOST_MEMBERS else None
