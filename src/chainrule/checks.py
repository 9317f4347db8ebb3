"""Checks of numbers that users give: each returns the value in the form in which it is kept."""

from __future__ import annotations

import math
import operator
import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple, NoReturn, TypeVar

import numpy as np
from numpy.typing import DTypeLike

from chainrule.dtypes import NUMBERS, as_dtype
from chainrule.errors import DTypeError, ShapeError

T = TypeVar("T")


def described(value: Any) -> str:
    """What was given in place of an object, for error messages; with the remedy for a class.

    Example:
        >>> described(dict), described("sgd")
        ("<class 'dict'>: give an object of it, dict(...)", "'sgd'")
        >>> described(np.zeros((9, 9)))
        'an object of type ndarray of shape (9, 9)'
    """
    if isinstance(value, type):
        return f"{value!r}: give an object of it, {value.__name__}(...)"
    said = repr(value)
    is_short = len(said) <= 80 and "\n" not in said
    if is_short:
        return said
    of_shape = f" of shape {value.shape}" if hasattr(value, "shape") else ""
    return f"an object of type {type(value).__name__}{of_shape}"


def listed(names: Iterable[str], most: int = 8) -> str:
    """The first names, each cut at 80 signs, and how many more there are, for error messages.

    Example:
        >>> listed(["age", "rooms", "price"], most=2)
        'age, rooms and 1 more'
    """
    names = list(names)
    shown = ", ".join(f"{name:.80}" for name in names[:most])
    return f"{shown} and {len(names) - most:,} more" if len(names) > most else shown


def one_of(name: str, value: Any, known: Collection[str]) -> str:
    """A text that is among the known ones.

    Raises:
        ValueError: for any other.

    Example:
        >>> one_of("mode", "max", ("min", "max"))
        'max'
        >>> one_of("mode", "mean", ("min", "max"))
        Traceback (most recent call last):
        ValueError: mode is 'min' or 'max', got 'mean'
    """
    if isinstance(value, str) and value in known:
        return value
    *first, last = map(repr, known)
    raise ValueError(f"{name} is {', '.join(first)} or {last}, got {described(value)}")


def integer(name: str, value: Any, least: int | None = None) -> int:
    """A whole number of at least `least`, as an int.

    Raises:
        TypeError: not a whole number.
        ValueError: below `least`.

    Example:
        >>> integer("epochs", np.int64(3), least=1)
        3
    """
    at_least = "" if least is None else f", at least {least}"
    try:
        if isinstance(value, (bool, np.bool_)):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} is a whole number{at_least}; got {value!r}") from None
    if least is not None and number < least:
        raise ValueError(f"{name} is at least {least}, got {value}")
    return number


def seed(value: Any) -> int:
    """A seed of random numbers in 0 ... 2^64 - 1; as in PyTorch also True, or a float such as 1.0.

    Raises:
        TypeError: not a whole number.
        ValueError: out of range.

    Example:
        >>> seed(3), seed(1.0), seed(True)
        (3, 1, 1)
    """
    is_float = isinstance(value, (float, np.floating))
    try:
        is_whole = is_float and float(value).is_integer()
        exact = int(value) if is_whole or isinstance(value, np.bool_) else operator.index(value)
    except TypeError:
        remedy = ": round it, as by int(...)" if is_float else ""
        raise TypeError(f"a seed is a whole number; got {value!r:.80}{remedy}") from None
    if not 0 <= exact < 2**64:
        raise ValueError(f"a seed is a whole number in 0 ... 2**64 - 1, got {value}")
    return exact


def count(name: str, value: Any) -> int:
    """A whole number of at least 1, as an int."""
    return integer(name, value, 1)


def shape(name: str, lengths: Sequence[Any], remedy: str) -> tuple[int, ...]:
    """The lengths of a shape that is given number by number, as one number or as a sequence.

    Raises:
        TypeError: if they are no whole numbers.
        ShapeError: if one is negative.
    """
    first = lengths[0] if len(lengths) == 1 else None
    if isinstance(first, Iterable) and getattr(first, "ndim", None) != 0:
        lengths = tuple(first)
    try:
        found = tuple([operator.index(length) for length in lengths])
    except TypeError:
        given = ", ".join(map(repr, lengths))
        raise TypeError(f"{name}: a shape is whole numbers, {remedy}; got {given}") from None
    if any(length < 0 for length in found):
        raise ShapeError(f"{name}: a shape has no negative lengths, got {found}")
    return found


def flag(name: str, value: Any) -> bool:
    """True or False, as a bool."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} is True or False, got {value!r:.80}")
    return bool(value)


def function(name: str, value: Any, form: str) -> None:
    """Raise TypeError for what can't be called, with the form of the function that is meant.

    Example:
        >>> function("make", 3, "seed -> a Trainer")
        Traceback (most recent call last):
        TypeError: make is a function seed -> a Trainer, got 3
    """
    if not callable(value):
        raise TypeError(f"{name} is a function {form}, got {described(value)}")


def several(name: str, value: Any, of: str) -> Sequence[Any]:
    """The members of a list, or of what else holds several.

    Example:
        >>> several("tensors", None, "Tensors")
        Traceback (most recent call last):
        TypeError: tensors is a list of Tensors, got None
    """
    if isinstance(value, (list, tuple)):
        return value
    try:
        has_none = isinstance(value, (str, bytes)) or getattr(value, "ndim", None) == 0
        members = None if has_none else iter(value)
    except TypeError:
        members = None
    if members is None:
        raise TypeError(f"{name} is a list of {of}, got {described(value)}")
    return list(members)


def path(name: str, value: Any) -> str | os.PathLike[str]:
    """The name of a file, as it is."""
    if not isinstance(value, (str, os.PathLike)):
        raise TypeError(f"{name} is the name of a file, as 'model.safetensors'; got {value!r:.80}")
    return value


def any_number(name: str, value: Any) -> Any:
    """A number as it is, infinite or NaN even."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, NUMBERS):
        raise TypeError(f"{name} is a number, got {value!r}")
    return value


def as_float(name: str, value: Any) -> float:
    """Anything that stands for one number, as a float."""
    try:
        if not isinstance(value, (str, bytes)):
            return float(value)
    except (TypeError, ValueError):
        pass
    except OverflowError:
        raise ValueError(f"{name} is a number of float64, got {value!r:.80}") from None
    raise TypeError(f"{name} is a number, got {described(value)}")


def number(name: str, value: Any) -> float:
    """A finite number, as a Python number."""
    any_number(name, value)
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number beyond the range of float64
        finite = False
    if not finite:
        raise ValueError(f"{name} is finite, got {value!r:.80}")
    return int(value) if isinstance(value, (int, np.integer)) else float(value)


def not_negative(name: str, value: Any) -> float:
    """A finite number of at least 0."""
    found = number(name, value)
    if found < 0:
        raise ValueError(f"{name} is not negative, got {value}")
    return found


def positive(name: str, value: Any) -> float:
    """A finite number above 0, as a float."""
    if number(name, value) <= 0:
        raise ValueError(f"{name} is positive, got {value}")
    return float(value)


def probability(name: str, value: Any) -> float:
    """A number in 0 ... 1."""
    found = number(name, value)
    if not 0 <= found <= 1:
        raise ValueError(f"{name} is a probability, from 0 to 1; got {value}")
    return found


def fitting(name: str, value: float, dtype: np.dtype) -> None:
    """Raise DTypeError unless an array of the dtype can hold the number as it is.

    Example:
        >>> fitting("fill", 300, np.dtype("uint8"))
        Traceback (most recent call last):
        chainrule.errors.DTypeError: fill = 300 does not fit dtype uint8, of whole numbers 0 to 255
    """
    if dtype.kind == "f":
        return
    low, high = (0, 1) if dtype.kind == "b" else (np.iinfo(dtype).min, np.iinfo(dtype).max)
    if not (low <= value <= high and float(value).is_integer()):
        raise DTypeError(
            f"{name} = {value} does not fit dtype {dtype}, of whole numbers {low} to {high}"
        )


class Interval(NamedTuple):
    """The finite numbers of an interval: low <= number < high.

    Example:
        >>> Interval(0, 1).check("decay", 0.9)
        0.9
    """

    low: float
    high: float

    def check(self, name: str, value: Any) -> float:
        """A number of the interval, as a float."""
        if not self.low <= number(name, value) < self.high:
            raise ValueError(f"{name} must be {self}, got {value!r}")
        return float(value)

    def __str__(self) -> str:
        if self.high == math.inf:
            return f">= {self.low:g}"
        return f"< {self.high:g}" if self.low == -math.inf else f"in [{self.low:g}, {self.high:g})"


def floating(dtype: DTypeLike | None) -> str:
    """The name of a dtype that parameters can have: float32, which None means, or float64."""
    try:
        name = as_dtype(dtype).name
    except DTypeError:
        name = str(dtype)
    if name not in ("float32", "float64"):
        raise DTypeError(f"dtype is 'float32' or 'float64', got {name!r}")
    return name


class Unchanging(tuple[T, ...]):
    """A tuple in place of a list that would take new members without effect.

    Args:
        members: what it holds.
        remedy: the end of the message to whoever tries to change it.

    Example:
        >>> Unchanging([1, 2], "the numbers stay: make others").append(3)
        Traceback (most recent call last):
        TypeError: the numbers stay: make others
    """

    remedy: str

    def __new__(cls, members: Iterable[T] = (), remedy: str = "") -> Unchanging[T]:
        made = super().__new__(cls, members)
        made.remedy = remedy
        return made

    def __eq__(self, other: object) -> bool:
        """As a list is equal to one of the same members."""
        return super().__eq__(tuple(other) if isinstance(other, list) else other)

    def __ne__(self, other: object) -> bool:
        return not self == other

    __hash__ = tuple.__hash__

    def _refuse(self, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(self.remedy)

    append = extend = insert = remove = pop = clear = sort = reverse = _refuse
    __setitem__ = __delitem__ = __iadd__ = _refuse
