"""Settings of a training, as plain data: what a checkpoint must have been made with to go on.

A checkpoint's arrays fit any model of the same shapes: with another activation, another dropout
rate, another loss. So it keeps, besides, what the model, the loss and the other parts of a training
were made with, and `difference` names the first that is another.
"""

from __future__ import annotations

import math
import sys
import zlib
from collections.abc import Mapping
from functools import partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import numpy as np

from chainrule.graph.leftover import Leftover
from chainrule.graph.state import HyperParameter, State
from chainrule.graph.tensor import Tensor
from chainrule.nn import Module
from chainrule.optim import Optimizer
from chainrule.optim.lr_scheduler import Schedule
from chainrule.train.step_options import StepOptions
from chainrule.train.user_code import is_full, is_watched

_DEEPEST = 4
"""Values within values are described so far down."""

_CODE = "code in Python "

_SET_BY_STEPS = "set by every step"
"""Describes what a step leaves in a module to be looked at. It may have been anything before."""

_LONGEST = 1000
"""Lists of more values than this are data: their length will do."""


def settings(
    model: Module, loss: Any, schedule: Schedule | None, options: StepOptions
) -> dict[str, Any]:
    """The classes and plain attributes of the parts of a training, as JSON keeps them.

    Those that may change between trainings are `optimizer_settings` and `frozen`.
    """
    augmentation = options.augmentation
    return {
        **({} if augmentation is None else {"augmentation": _described(augmentation)}),
        "model": _described(model),
        "loss": _described(loss),
        "constants of the loss": {
            name: _array(buffer.numpy())
            for name, buffer in (loss.named_buffers() if isinstance(loss, Module) else ())
        },
        "schedule": _described(schedule),
        "ema": _described(options.ema),
        "penalties": _described(options.penalties),
        "constraints": _described(options.constraints),
        "clip_norm": _described(options.clip_norm),
        "clip_value": _described(options.clip_value),
    }


def optimizer_settings(optimizer: Optimizer) -> dict[str, Any]:
    """The class of an optimiser, and its groups as they were made."""
    groups = [group.first for group in optimizer.param_groups]
    return {"optimizer": {"class": type(optimizer).__name__, "groups": _described(groups)}}


def frozen(model: Module) -> dict[str, Any]:
    """The parameters that are not trained now."""
    names = [name for name, p in model.named_parameters() if not p.requires_grad]
    return {"frozen parameters": names} if names else {}


def difference(saved: Any, mine: Any, where: str = "") -> str | None:
    """The first setting that is another, as the end of "it was saved with"; None if all agree."""
    if isinstance(saved, dict) and isinstance(mine, dict):
        for name in [*mine, *(name for name in saved if name not in mine)]:
            is_code = name.startswith(_CODE)
            place = where if is_code or name == "class" else f"{where}.{name}".lstrip(".")
            if name not in saved or name not in mine:
                here, there = (d.get(name, "none") for d in (mine, saved))
                if is_code or _SET_BY_STEPS in (here, there):  # code: of another Python
                    continue
                return f"{place} {_short(there)}; this Trainer has {_short(here)}"
            if found := difference(saved[name], mine[name], place):
                return found
        return None
    if isinstance(saved, list) and isinstance(mine, list) and len(saved) == len(mine):
        pairs = enumerate(zip(saved, mine, strict=True))
        return next((d for i, (a, b) in pairs if (d := difference(a, b, f"{where}.{i}"))), None)
    if _SET_BY_STEPS in (saved, mine):
        return None
    if saved == mine and isinstance(saved, bool) == isinstance(mine, bool):
        return None
    return f"{where} {_short(saved)}; this Trainer has {_short(mine)}"


def _short(value: Any) -> str:
    if isinstance(value, dict) and isinstance(name := value.get("class"), str):
        value = name
    return f"{value!r:.80}" if not isinstance(value, str) else f"{value:.80}"


def _described(value: Any, depth: int = 0) -> Any:
    """A value as plain data. What has no plain form is described by its class alone."""
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float, np.generic)):
        number = value.item() if isinstance(value, np.generic) else value
        is_plain = isinstance(number, int) or (isinstance(number, float) and math.isfinite(number))
        return number if is_plain else repr(number)
    if isinstance(value, type):
        return value.__qualname__
    if isinstance(value, State):  # the checkpoint's arrays hold it
        return f"{value.dtype} {value.shape}"
    if isinstance(value, Leftover):
        return _SET_BY_STEPS
    if isinstance(value, (np.ndarray, Tensor)):
        return _array(np.asarray(value))
    if isinstance(value, (FunctionType, MethodType, partial)):
        return _function(value, depth)
    if depth > _DEEPEST and not isinstance(value, Module):
        return type(value).__qualname__
    if isinstance(value, (Mapping, list, tuple)) and len(value) > _LONGEST:
        return f"{type(value).__qualname__} of {len(value)}"
    if isinstance(value, Mapping):
        return {str(name): _described(item, depth + 1) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_described(item, depth + 1) for item in value]
    return _object(value, depth)


def _object(value: Any, depth: int) -> dict[str, Any]:
    """The class and the attributes of an object; of a module its layers, too."""
    described: dict[str, Any] = {"class": type(value).__qualname__}
    for name in _attributes(value):
        attribute = getattr(value, name)
        if not isinstance(attribute, (Module, Optimizer)):
            described[name] = _described(attribute, depth + 1)
    if isinstance(value, Module):
        described |= {name: _described(child) for name, child in value._modules.items()}
    called = "forward" if isinstance(value, Module) else "__call__"
    return described | _code(getattr(type(value), called, None))


_PROGRESS = {"training", "t"}
"""Attributes that say how far things are, not how they were made."""


def _attributes(value: Any) -> list[str]:
    """The names of the public attributes; also of those whose value a private one keeps."""
    kept = getattr(value, "__dict__", {})
    names = {name for name in kept if not name.startswith("_")}
    for private in kept.keys() - names:
        is_property = isinstance(getattr(type(value), private[1:], None), property)
        if is_property or isinstance(kept[private], HyperParameter):
            names.add(private[1:])
    return sorted(names - _PROGRESS)


def _array(array: np.ndarray) -> str:
    if array.dtype.hasobject:
        return f"{array.dtype} {array.shape}"
    return f"{array.dtype} {array.shape} {zlib.crc32(array.tobytes()):08x}"


def _function(function: Any, depth: int) -> Any:
    """The name of a function, and the plain values that it was made with."""
    if isinstance(function, partial):
        parts = [function.func, list(function.args), dict(function.keywords)]
        return {"partial": _described(parts, depth + 1)}
    described: dict[str, Any] = {"class": function.__qualname__}
    code = function.__code__
    defaults = function.__defaults__ or ()
    named = dict(zip(code.co_varnames[: code.co_argcount][::-1], defaults[::-1], strict=False))
    named |= function.__kwdefaults__ or {}
    cells = zip(code.co_freevars, function.__closure__ or (), strict=True)
    named |= {name: cell.cell_contents for name, cell in cells if is_full(cell)}
    plain = (bool, int, float, str, np.generic)
    described |= {n: _described(v, depth + 1) for n, v in named.items() if isinstance(v, plain)}
    return described | _code(getattr(function, "__func__", function))


def _code(function: Any) -> dict[str, str]:
    """A checksum of what a user's function does, under a name that says for which Python."""
    if not isinstance(function, FunctionType) or not is_watched(function.__module__ or ""):
        return {}
    code = function.__code__
    return {_CODE + sys.version[:4]: f"code {_code_sum(code, function.__doc__):08x}"}


def _code_sum(code: CodeType, doc: str | None = None) -> int:
    """Of instructions, names of attributes and constants; not of lines and comments."""
    constants = [_constant(c) for c in code.co_consts if c is not doc]
    return zlib.crc32(repr((code.co_code, code.co_names, constants)).encode())


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return _code_sum(value)
    return sorted(map(repr, value)) if isinstance(value, frozenset) else repr(value)
