"""The lowering of poolings, whatever lies before and after their spatial axes."""

from __future__ import annotations

import math
from typing import Any

from chainrule.compiler.elementwise import UnsupportedError
from chainrule.compiler.instructions import Instruction, Operand
from chainrule.compiler.lowering.base import WINDOW_AXES, lowering, temporary
from chainrule.compiler.schedule import Scheduler
from chainrule.compiler.values import Value

_MOST_TAPS = 1 << 24


def _window(shape: tuple[int, ...], over: dict[str, Any]) -> dict[str, Any]:
    """The core's window over an array of this shape."""
    axis, kernel = over["axis"], over["kernel"]
    end, more = axis + len(kernel), WINDOW_AXES - len(kernel)
    if more < 0 or math.prod(kernel) > _MOST_TAPS:
        raise UnsupportedError(
            f"a pooling by windows of {kernel} has no native kernel: up to {WINDOW_AXES} axes and "
            f"{_MOST_TAPS} elements have"
        )
    return {
        "outer": math.prod(shape[:axis]),
        "inner": math.prod(shape[end:]),
        "lengths": [*(1,) * more, *shape[axis:end]],
        "kernel": [*(1,) * more, *kernel],
        "stride": [*(1,) * more, *over["stride"]],
        "dilation": [*(1,) * more, *over["dilation"]],
        "before": [*(0,) * more, *[before for before, _ in over["padding"]]],
        "after": [*(0,) * more, *[after for _, after in over["padding"]]],
    }


@lowering("max_pool", "max_pool_taps")
def _max_pool(scheduler: Scheduler, value: Value) -> None:
    (x,) = value.inputs
    values = {
        kind: scheduler.partner(kind, value.inputs, value.attributes)
        for kind in ("max_pool", "max_pool_taps")
    }
    values[value.kind] = value
    largest, taps = values["max_pool"], values["max_pool_taps"]
    if largest is None:
        y = temporary(scheduler, value, value.shape, x.dtype)
    else:
        y = scheduler.storage(largest)
    results: dict[str, Operand] = {"y": y}
    if taps is not None:
        results["taps"] = scheduler.storage(taps)
    _add(scheduler, "max_pool", value, {"x": x}, results, x.shape)


@lowering("sum_pool", "take_taps")
def _sum_pool(scheduler: Scheduler, value: Value) -> None:
    names = dict(zip(("x", "taps"), value.inputs, strict=False))
    results: dict[str, Operand] = {"y": scheduler.storage(value)}
    _add(scheduler, "sum_pool", value, names, results, value.inputs[0].shape)


@lowering("sum_pool_input_grad", "put_taps")
def _sum_pool_input_grad(scheduler: Scheduler, value: Value) -> None:
    names = dict(zip(("g", "taps"), value.inputs, strict=False))
    results: dict[str, Operand] = {"x": scheduler.storage(value)}
    _add(scheduler, "sum_pool_input_grad", value, names, results, value.shape)


def _add(
    scheduler: Scheduler,
    kind: str,
    value: Value,
    inputs: dict[str, Value],
    results: dict[str, Operand],
    shape: tuple[int, ...],
) -> None:
    """The instruction of a pooling over an array of this shape."""
    operands: dict[str, Operand] = {name: scheduler.storage(i) for name, i in inputs.items()}
    scheduler.add(
        Instruction(
            kind,
            value,
            operands,
            results,
            flops=value.flops,
            dtype=next(iter(inputs.values())).dtype,
            window=_window(shape, value.attributes),
        )
    )
