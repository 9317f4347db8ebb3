"""Strips: what concatenations join is computed at its place in one storage.

    y = concatenate(h1, h2, h3)         h0 [h1 h2 h3]      one strip for both: h1, h2 and h3 are
    x = concatenate(h0, h1, h2)        [h0  h1 h2] h3      written into it, nothing is copied

What can't be written into the strip, as a constant, is copied into its place.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from chainrule.compiler.instructions import Instruction, Part, Schedule, Storage
from chainrule.compiler.parts import is_block

_FEWEST_PARTS = 4  # of fewer, memory could grow more than the copies take

Strip = dict[int, Storage]
"""Storages by their place, which is negative for those that were put before the first ones."""


class _Place(NamedTuple):
    """A place in a strip."""

    strip: Strip
    number: int


def lay_in_strips(schedule: Schedule) -> None:
    """Let what long concatenations join be computed where they have it."""
    copies: dict[Storage, list[Instruction]] = {}
    for instruction in schedule.instructions:
        if instruction.kind == "copy" and instruction.value.kind == "concatenate":
            copies.setdefault(instruction.writes[0], []).append(instruction)
    places: dict[Storage, _Place] = {}
    begins: dict[Storage, _Place] = {}
    for whole, found in copies.items():
        if whole.space != "arena" or len(found) < _FEWEST_PARTS or not _covers(whole, found):
            continue
        parts = [i.reads[0] for i in found]
        usable = [p for p in parts if p.space == "arena" and p not in copies]
        begin = _begin(parts, places)
        before = set(begin.strip)
        if _add(begin, parts, set(usable), places):
            begins[whole] = begin
            for number, instruction in enumerate(found, begin.number):
                if number in before or begin.strip[number] is instruction.reads[0]:
                    schedule.remove(instruction)
    _lay_out(begins)


def _covers(whole: Storage, copies: Iterable[Instruction]) -> bool:
    """Whether copies, in their order, fill a storage block by block."""
    end = 0
    for instruction in copies:
        x, out = instruction.operands["x"], instruction.results["out"]
        a = instruction.arguments
        if not isinstance(x, Storage) or not isinstance(out, Part) or out.first != end:
            return False
        if not (is_block(a["shape"], a["x_strides"]) and is_block(a["shape"], a["out_strides"])):
            return False
        end += x.size
    return end == whole.size


def _begin(parts: list[Storage], places: Mapping[Storage, _Place]) -> _Place:
    """Where parts would begin: in the strip where one of them lies, or in a new one."""
    for number, part in enumerate(parts):
        if part in places:
            return _Place(places[part].strip, places[part].number - number)
    return _Place({}, 0)


def _add(
    begin: _Place, parts: list[Storage], usable: set[Storage], places: dict[Storage, _Place]
) -> bool:
    """Put parts into a strip from a place on; False where others lie there, and all are copied."""
    numbered = dict(enumerate(parts, begin.number))
    if any(
        begin.strip.get(number, part).value is not part.value for number, part in numbered.items()
    ):
        return False
    for number, part in numbered.items():
        if number in begin.strip:
            continue
        if part in usable and part not in places:
            begin.strip[number] = part
            places[part] = _Place(begin.strip, number)
        else:  # the place of a copy
            begin.strip[number] = Storage(part.value, "arena")
    return True


def _lay_out(begins: Mapping[Storage, _Place]) -> None:
    """Let the parts of each strip, and the wholes that begin at them, lie inside one storage."""
    firsts: dict[int, dict[int, Part]] = {}  # by the strip's identity
    for whole, (strip, begin) in begins.items():
        if id(strip) not in firsts:
            joined = Storage(whole.value, "arena")
            size = 0
            parts = firsts[id(strip)] = {}
            for number in sorted(strip):
                parts[number] = strip[number].inside = Part(joined, size)
                size += strip[number].size
            joined.resize(size)
        whole.inside = firsts[id(strip)][begin]
