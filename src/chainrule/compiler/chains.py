"""Chains: values that many others make up are put together where those are computed.

    y = concatenate(h1, h2, h3)         h0 [h1 h2 h3]      one chain for both: h1, h2 and h3 are
    x = concatenate(h0, h1, h2)        [h0  h1 h2] h3      written into it, nothing is copied

What can't be a link of the chain, as a constant, is copied into its place as it would be without.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from chainrule.compiler.instructions import Instruction, Part, Schedule, Storage
from chainrule.compiler.parts import is_block

_FEWEST_LINKS = 4  # of fewer, memory could grow more than the copies take

Chain = dict[int, Storage]
"""Storages by their place, which is negative for those that were put before the first ones."""


class _Place(NamedTuple):
    """A place in a chain."""

    chain: Chain
    number: int


def chain(schedule: Schedule) -> None:
    """Let what long concatenations join be computed where they have it."""
    copies: dict[Storage, list[Instruction]] = {}
    for instruction in schedule.instructions:
        if instruction.kind == "copy" and instruction.value.kind == "concatenate":
            copies.setdefault(instruction.writes[0], []).append(instruction)
    places: dict[Storage, _Place] = {}
    begins: dict[Storage, _Place] = {}
    for whole, found in copies.items():
        if whole.space != "arena" or len(found) < _FEWEST_LINKS or not _covers(whole, found):
            continue
        parts = [i.reads[0] for i in found]
        usable = [p for p in parts if p.space == "arena" and p not in copies]
        begin = _begin(parts, places)
        before = set(begin.chain)
        if _add(begin, parts, set(usable), places):
            begins[whole] = begin
            for number, instruction in enumerate(found, begin.number):
                if number in before or begin.chain[number] is instruction.reads[0]:
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
    """Where parts would begin: in the chain where one of them lies, or in a new one."""
    for number, part in enumerate(parts):
        if part in places:
            return _Place(places[part].chain, places[part].number - number)
    return _Place({}, 0)


def _add(
    begin: _Place, parts: list[Storage], usable: set[Storage], places: dict[Storage, _Place]
) -> bool:
    """Put parts into a chain from a place on; False where others lie there, and all are copied."""
    links = dict(enumerate(parts, begin.number))
    if any(begin.chain.get(number, part).value is not part.value for number, part in links.items()):
        return False
    for number, part in links.items():
        if number in begin.chain:
            continue
        if part in usable and part not in places:
            begin.chain[number] = part
            places[part] = _Place(begin.chain, number)
        else:  # the place of a copy
            begin.chain[number] = Storage(part.value, "arena")
    return True


def _lay_out(begins: Mapping[Storage, _Place]) -> None:
    """Let the links of each chain, and the wholes that begin at them, lie inside one storage."""
    firsts: dict[int, dict[int, Part]] = {}  # by the chain's identity
    for whole, (links, begin) in begins.items():
        if id(links) not in firsts:
            all_links = Storage(whole.value, "arena")
            size = 0
            parts = firsts[id(links)] = {}
            for number in sorted(links):
                parts[number] = links[number].inside = Part(all_links, size)
                size += links[number].size
            all_links.resize(size)
        whole.inside = firsts[id(links)][begin]
