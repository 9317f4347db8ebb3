"""The choice of a backend: by its name, or the default."""

from __future__ import annotations

from typing import Any

from chainrule.train.backends.base import Backend
from chainrule.train.backends.native import NativeBackend
from chainrule.train.backends.reference import ReferenceBackend
from chainrule.train.training_step import StepGraphs

_BACKENDS: dict[str, type[NativeBackend] | type[ReferenceBackend]] = {
    "native": NativeBackend,
    "reference": ReferenceBackend,
}
_default = "native"


def make_backend(name: str | None, graphs: StepGraphs) -> Backend[Any]:
    """The backend of that name, or the default one.

    Raises:
        ValueError: if there is none.
    """
    return _BACKENDS[checked_backend(name)](graphs)


def checked_backend(name: str | None) -> str:
    """The name of a backend, by default the one that is set.

    Raises:
        ValueError: if there is none of that name.
    """
    return _checked_name(_default if name is None else name)


def set_default_backend(name: str) -> None:
    """Set the backend of what is made without one: a `Trainer`, `Evaluator`, compiled function.

    Args:
        name: "native" (at first) or "reference".

    Raises:
        ValueError: for another name.

    Example:
        >>> import chainrule as cr
        >>> cr.set_default_backend("reference")
        >>> cr.get_default_backend()
        'reference'
        >>> cr.set_default_backend("native")
    """
    global _default
    _default = _checked_name(name)


def get_default_backend() -> str:
    """The name that `set_default_backend` has set."""
    return _default


def _checked_name(name: str) -> str:
    if name not in [*_BACKENDS]:  # a list: what is no name may not be hashable
        raise ValueError(f"backend is {' or '.join(map(repr, _BACKENDS))}, got {name!r}")
    return name
