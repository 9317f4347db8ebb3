"""The lowering of attention: it reads heads where they lie; see `compiler.views`."""

from __future__ import annotations

import math
from typing import Any

from chainrule.compiler.instructions import Instruction, Part, contiguous
from chainrule.compiler.lowering.base import lowering, temporary
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value
from chainrule.compiler.views import View

_HEADS = (0, 1, 2)  # the axes of batch, place and head in (batch, place, head, width)
_SCORES = (0, 2, 1)  # in (batch, head, query, key)


def _strides(view: View, axes: tuple[int, int, int] = _HEADS) -> list[int]:
    return [view.strides[axis] for axis in axes]


def _operands(
    scheduler: Scheduler, inputs: dict[str, Value], views: dict[str, View]
) -> tuple[dict[str, Part], dict[str, list[int]]]:
    """Where the inputs of an instruction lie, and their strides."""
    places = {}
    strides = {}
    for name, value in inputs.items():
        view = views[name]
        # What has no elements may begin where the memory ends.
        empty = 0 in view.shape
        places[name] = Part(scheduler.storage(value), 0 if empty else view.offset)
        if name != "lse":
            strides[f"{name}_strides"] = _strides(view, _SCORES if name == "bias" else _HEADS)
    return places, strides


def _form(q: View, k: View, v_width: int, attributes: dict[str, Any]) -> dict[str, Any]:
    batch, queries, heads, width = q.shape
    return {
        "batch": batch,
        "heads": heads,
        "queries": queries,
        "keys": k.shape[1],
        "width": width,
        "value_width": v_width,
        "scale": attributes["scale"],
        "causal": attributes["causal"],
    }


def _partner(scheduler: Scheduler, value: Value) -> Value | None:
    """The logarithms of the sums of an attention's weights, if the step needs them."""
    q, k, _, *bias = value.inputs
    views = value.attributes["views"]
    attributes = {**value.attributes, "views": (*views[:2], *views[3:])}
    return scheduler.partner("attention_lse", (q, k, *bias), attributes)


@lowering("attention")
def _attention(scheduler: Scheduler, value: Value) -> None:
    names = ("q", "k", "v", "bias")[: len(value.inputs)]
    views = dict(zip(names, value.attributes["views"], strict=True))
    places, strides = _operands(scheduler, dict(zip(names, value.inputs, strict=True)), views)
    results = {"out": scheduler.storage(value)}
    lse = _partner(scheduler, value)
    if lse is not None and not scheduler.is_computed(lse):
        results["lse"] = scheduler.storage(lse)
    width = views["v"].shape[3]
    scheduler.add(
        Instruction(
            "attention",
            value,
            places,
            results,
            flops=value.flops,
            dtype=value.dtype,
            form=_form(views["q"], views["k"], width, value.attributes),
            **strides,
        )
    )


@lowering("attention_lse")
def _attention_lse(scheduler: Scheduler, value: Value) -> None:
    q, k, *bias = value.inputs
    q_view, k_view, *bias_view = value.attributes["views"]
    names = ("q", "k", "v", "bias")[: 3 + len(bias)]
    views = dict(zip(names, (q_view, k_view, k_view, *bias_view), strict=True))
    inputs = dict(zip(names, (q, k, k, *bias), strict=True))
    places, strides = _operands(scheduler, inputs, views)
    scheduler.add(
        Instruction(
            "attention",
            value,
            places,
            {
                "out": temporary(scheduler, value, (0,), value.dtype),
                "lse": scheduler.storage(value),
            },
            flops=value.flops,
            dtype=value.dtype,
            form=_form(q_view, k_view, 0, value.attributes),  # of values without elements
            **strides,
        )
    )


@lowering("attention_grad")
def _attention_grad(scheduler: Scheduler, value: Value) -> None:
    names = ("g", "q", "k", "v", "y", "lse", "bias")[: len(value.inputs)]
    views = dict(zip(names, value.attributes["views"], strict=True))
    places, strides = _operands(scheduler, dict(zip(names, value.inputs, strict=True)), views)
    out = scheduler.storage(value)
    results, first = {}, 0
    for name in ("q", "k", "v"):
        shape = views[name].shape
        if len(value.shape) == 5:  # side by side in each place
            batch, rows, _, row = contiguous(value.shape)[:4]
            own = View(first, (batch, rows, row, 1), shape)
            first += math.prod(value.shape[3:])
        else:
            own = View(first, contiguous(shape), shape)
            first += views[name].size
        results[f"d{name}"] = Part(out, 0 if 0 in shape else own.offset)
        strides[f"d{name}_strides"] = _strides(own)
    scheduler.add(
        Instruction(
            "attention_grad",
            value,
            places,
            results,
            flops=value.flops,
            dtype=value.dtype,
            form=_form(views["q"], views["k"], views["v"].shape[3], value.attributes),
            **strides,
        )
    )
