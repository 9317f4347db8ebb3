"""What code reads from outside: the environment, context variables, the clock, random numbers."""

from __future__ import annotations

import dis
import os
from collections.abc import Iterator
from contextvars import ContextVar
from functools import lru_cache
from itertools import pairwise
from threading import local
from types import CodeType, FunctionType, ModuleType
from typing import Any

from chainrule.graph.context import MISSING
from chainrule.train.probes import Content
from chainrule.train.user_code import attribute_names, loaded_names

_CLOCKS = {
    "time": {
        "time", "time_ns", "perf_counter", "perf_counter_ns", "monotonic", "monotonic_ns",
        "process_time", "thread_time", "localtime", "gmtime", "ctime", "strftime",
    },
    "datetime": {"now", "utcnow", "today"},
    "os": {"urandom", "times"},
    "posix": {"urandom", "times"},
    "nt": {"urandom", "times"},
    "uuid": {"uuid1", "uuid4"},
    "secrets": {"token_bytes", "token_hex", "randbits", "randbelow", "choice"},
}  # fmt: skip
"""Functions of Python whose result is another at every call, by their modules."""

_GENERATORS = frozenset(("default_rng", "RandomState", "Random", "SystemRandom"))
_BEFORE_CALLS = frozenset(("PRECALL", "PUSH_NULL", "CACHE", "NOP"))

_ENVIRONMENT = frozenset(("environ", "environb", "getenv", "getenvb"))


def clocks(function: FunctionType) -> Iterator[str]:
    """The functions that a function names whose result is another at every call."""
    attributes = _attributes_read(function.__code__)
    for name in loaded_names(function.__code__):
        value = function.__globals__.get(name)
        if isinstance(value, (ModuleType, type)):
            module = value.__name__ if isinstance(value, ModuleType) else value.__module__
            read = sorted(_CLOCKS.get(module, set()) & attributes)
            yield from (f"{name}.{attribute}" for attribute in read)
        elif getattr(value, "__name__", "") in _CLOCKS.get(getattr(value, "__module__", ""), ()):
            yield name
    if _makes_generator(function.__code__):
        yield "a generator of random numbers without a seed"


@lru_cache(1024)
def _makes_generator(code: CodeType) -> bool:
    """Whether code calls `default_rng`, `RandomState` or `Random` without a seed."""
    instructions = [i for i in dis.get_instructions(code) if i.opname not in _BEFORE_CALLS]
    nested = (c for c in code.co_consts if isinstance(c, CodeType))
    return any(
        one.argval in _GENERATORS and two.opname.startswith("CALL") and two.arg == 0
        for one, two in pairwise(instructions)
    ) or any(map(_makes_generator, nested))


@lru_cache(1024)
def _attributes_read(code: CodeType) -> frozenset[str]:
    """The attributes that a function and those within it read, without global names."""
    own = [i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_ATTR", "LOAD_METHOD")]
    nested = [_attributes_read(c) for c in code.co_consts if isinstance(c, CodeType)]
    return frozenset(own).union(*nested)


def environment(function: FunctionType) -> list[Content]:
    """A probe of the environment's variables, if a function reads some."""
    code = function.__code__
    if _ENVIRONMENT.isdisjoint(attribute_names(code)) and _ENVIRONMENT.isdisjoint(
        loaded_names(code)
    ):
        return []
    return [Content("os.environ", os.environ, _variables)]


def _variables(environ: Any) -> Any:
    return dict(getattr(environ, "_data", environ))  # undecoded: this is asked before every step


def held_values(variable: ContextVar[Any] | local) -> list[Any]:
    """What a ContextVar, or the attributes of a `threading.local`, hold here and now."""
    if isinstance(variable, ContextVar):
        return [variable.get(MISSING)]
    return [part for item in vars(variable).items() for part in item]


def identities(variable: ContextVar[Any] | local) -> list[int]:
    """Which objects these are."""
    return [id(value) for value in held_values(variable)]
