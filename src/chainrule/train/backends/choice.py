"""The choice of a backend: by its name, or the default."""

from __future__ import annotations

from typing import Any

from chainrule import checks
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
    return checks.one_of("backend", _default if name is None else name, _BACKENDS)


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
    _default = checks.one_of("backend", name, _BACKENDS)


def get_default_backend() -> str:
    """The name that `set_default_backend` has set."""
    return _default
