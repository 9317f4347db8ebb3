"""State dicts of optimisers: taken, checked and loaded. Averages and schedules share the checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule import checks
from chainrule.dtypes import to_array
from chainrule.graph.guards import guard_of
from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Array
from chainrule.optim.groups import Cohort, ParameterGroup, is_meant

if TYPE_CHECKING:
    from chainrule.optim.optimizer import Optimizer


def check_mapping(state_dict: Any) -> None:
    """Raise TypeError unless a state is a dict."""
    if not isinstance(state_dict, Mapping):
        raise TypeError(
            f"state_dict is a dict, as state_dict() returns it; got {checks.described(state_dict)}"
        )


def check_keys(state_dict: Iterable[str], own: Iterable[str], owner: str) -> None:
    """Raise ValueError unless a state has exactly the entries of its owner's own."""
    if set(state_dict) != set(own):
        raise ValueError(
            f"the state holds {', '.join(map(str, state_dict)) or 'nothing'}; {owner} has "
            f"{', '.join(own)}"
        )


def fitting_arrays(
    state_dict: Mapping[str, Any], buffers: Mapping[str, Buffer]
) -> dict[str, Array]:
    """Copies of a state's arrays, each of the shape and dtype of the Buffer of its name."""
    arrays = {name: np.array(to_array(state_dict[name])) for name in buffers}
    for name, buffer in buffers.items():
        buffer.check(arrays[name].shape, arrays[name].dtype)
    return arrays


def taken(optimizer: Optimizer) -> dict[str, Any]:
    """A snapshot; see `Optimizer.state_dict`."""
    buffers = optimizer.states()
    with guard_of(buffers.values()).shared:  # beside a training they are all of one step
        return {
            "optimizer": type(optimizer).__name__,
            "param_groups": _described_groups(optimizer),
            **{name: buffer.numpy().copy() for name, buffer in buffers.items()},
        }


def load(optimizer: Optimizer, state_dict: Any) -> None:
    """Go on from a snapshot; see `Optimizer.load_state_dict`."""
    check_mapping(state_dict)
    if "state" in state_dict and "optimizer" not in state_dict:
        raise ValueError(
            "the state is a dict of PyTorch's form, with the keys 'state' and 'param_groups'; "
            "this optimiser takes what its own state_dict() gives, with an array for each of "
            f"{', '.join(optimizer.states()) or 'no names'}"
        )
    name, groups = state_dict.get("optimizer"), state_dict.get("param_groups")
    if name != type(optimizer).__name__:
        raise ValueError(f"the state is of {name}, this optimiser is {type(optimizer).__name__}")
    _check_groups(optimizer, groups)
    buffers = optimizer.states()
    check_keys(state_dict, ["optimizer", "param_groups", *buffers], "this optimiser")
    arrays = fitting_arrays(state_dict, buffers)
    entries = [
        deepcopy({key: value for key, value in saved.items() if key != "params"})
        for saved in groups
    ]
    _regroup(optimizer, arrays)
    buffers = optimizer.states()
    with guard_of(buffers.values()).alone:
        for name, buffer in buffers.items():
            buffer.replace(arrays[name])
        for group, own in zip(optimizer.param_groups, entries, strict=True):
            group.update(own)


def _described_groups(optimizer: Optimizer) -> list[dict[str, Any]]:
    index = {parameter: i for i, parameter in enumerate(optimizer.params)}
    return [
        {
            "params": [index[parameter] for parameter in group.params],
            **group.numbers(),
            **deepcopy(group.own),
        }
        for group in optimizer.param_groups
    ]


def _regroup(optimizer: Optimizer, arrays: Mapping[str, Any]) -> None:
    """Let those parameters be cohorts that are alike in the arrays of a state."""
    index = {parameter: i for i, parameter in enumerate(optimizer.params)}
    for group in optimizer.param_groups:
        buffers = group.cohorts[0].buffers
        alike: dict[tuple[float, ...], list[Parameter]] = {}
        for W in group.params:
            values = [float(arrays[f"{index[W]}.{name}"]) for name in buffers]
            alike.setdefault(tuple(values), []).append(W)
        parts = {frozenset(map(index.get, cohort.params)) for cohort in group.cohorts}
        if {frozenset(map(index.get, params)) for params in alike.values()} != parts:
            cohorts = [
                Cohort(params, {n: Buffer(b, name=b.name) for n, b in buffers.items()})
                for params in alike.values()
            ]
            optimizer.set_cohorts(group, cohorts)


def _check_groups(optimizer: Optimizer, groups: Any) -> None:
    """Raise unless the described `groups` have these parameters and values that can be set."""
    mine = _described_groups(optimizer)
    are_groups = isinstance(groups, (list, tuple)) and all(
        isinstance(group, Mapping) for group in groups
    )
    if (
        not are_groups
        or len(groups) != len(mine)
        or not all(map(_has_keys, optimizer.param_groups, groups))
    ):
        raise ValueError(f"the state's param_groups are {groups}; this optimiser's are {mine}")
    for group, own, saved in zip(optimizer.param_groups, mine, groups, strict=True):
        if saved["params"] != own["params"]:
            raise ValueError(
                f"a group of the state has the parameters {saved['params']}; here it has "
                f"{own['params']}"
            )
        for key in group.numbers():
            group.check(key, saved[key])


def _has_keys(group: ParameterGroup, saved: Mapping[str, Any]) -> bool:
    """Whether a saved group has the hyper-parameters of this one, and else a user's own entries."""
    needed = {"params", *group.numbers()}
    return needed <= set(saved) and not any(is_meant(key, needed) for key in set(saved) - needed)
