"""Parameter groups: the hyper-parameters of an optimiser, as PyTorch's mappings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, MutableMapping
from types import SimpleNamespace
from typing import Any, NoReturn, TypeAlias

import numpy as np
from numpy.typing import DTypeLike

from chainrule import checks
from chainrule.errors import SymbolicError
from chainrule.graph.context import local
from chainrule.graph.state import Buffer, HyperParameter, Parameter
from chainrule.graph.tensor import Tensor
from chainrule.optim.hyperparameters import LIBRARY_NAMES, Declaration

ParamsT: TypeAlias = Iterable[Parameter | Mapping[str, Any] | tuple[str, Parameter]]
"""An optimiser's first argument: Parameters, with names or without, or groups; PyTorch's name."""

USE_ADD = (
    "an optimiser's parameters and groups stay as they are; add some with add_param_group, which "
    "makes their moments, too; to train fewer, freeze them with requires_grad_(False)"
)


class States(dict[Parameter, dict[str, Buffer]]):
    """The moments of an optimiser's parameters, which can't be taken out."""

    def _refuse(self, *_: Any) -> NoReturn:
        raise TypeError(
            "an optimiser's moments stay with its parameters: to begin anew make another optimiser"
        )

    clear = pop = popitem = __delitem__ = _refuse

    def __reduce__(self) -> Any:
        """Pairs in their order: joblib's hash sorts the keys of a dict, and Parameters have no
        order."""
        return type(self), (list(self.items()),)


class ParameterGroup(MutableMapping[str, Any]):
    """Parameters that share hyper-parameters: a mapping with PyTorch's keys.

    Numbers read as floats and can be set between steps. They live in `HyperParameter` states, so
    a captured graph takes their values at every run. Flags and choices, such as
    `nesterov`, and a term that begins as 0, such as `momentum`, are fixed at construction.

    Attributes:
        params: the group's Parameters.
        scalars: the HyperParameter of each number; "betas" are "beta1" and "beta2" here.
        cohorts: the parameters in parts that have taken the same steps; see `Cohort`.
        buffers: the Buffers that the group's parameters share, by name.
        first: the hyper-parameters as they were given, as `numbers` has them.
        own: entries of the user's under other keys, as a "name", by which groups are told apart.
            Hyper-parameters of other optimisers are refused, but for "alpha" and "rho". No rule of
            the library's reads them. `state_dict` holds them; checkpoints of a `Trainer` do not.
        captured_keys: the keys of these that captured functions have read; None where one has read
            all. A graph depends on no others.
        unscheduled: hyper-parameters that a schedule sets, as they were before it; PyTorch has
            "initial_lr" for that.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> optimizer = optim.SGD([cr.Parameter([1.0])], lr=0.1, momentum=0.9)
        >>> group = optimizer.param_groups[0]
        >>> group["lr"] = 0.01
        >>> group["lr"], group["momentum"], group["nesterov"]
        (0.01, 0.9, False)
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        values: Mapping[str, Any],
        declarations: Mapping[str, Declaration],
        own: Mapping[str, Any] | None = None,
    ) -> None:
        self.params = checks.Unchanging(parameters, USE_ADD)
        self.scalars: dict[str, HyperParameter] = {}
        self.cohorts = [Cohort([*self.params], {})]
        self.buffers: dict[str, Buffer] = {}
        self.unscheduled: dict[str, float] = {}
        self._own: dict[str, Any] = dict(own or {})
        self.captured_keys: tuple[str, ...] | None = ()
        self._declarations = {key: declarations[key] for key in values}
        self._fixed: dict[str, Any] = {}
        self.first: dict[str, Any] = {}
        for key, declaration in self._declarations.items():
            value = self.first[key] = declaration.check(values[key])
            if declaration.is_fixed(value):
                self._fixed[key] = value
            else:
                for name, number in declaration.scalars(value).items():
                    if name in self.scalars:
                        raise TypeError(f"{key} has a number {name!r}, which is declared twice")
                    self.scalars[name] = HyperParameter(number, name=name)

    def __getitem__(self, key: str) -> Any:
        if key == "params":
            return self.params
        if key in self._fixed:
            return self._fixed[key]
        if key in self._declarations:
            return self._declarations[key].read(self.scalars)
        keys = self.captured_keys
        if local.context.capture is not None and keys is not None and key not in keys:
            self.captured_keys = (*keys, key)
        if key in self._own:
            return self._own[key]
        raise self._unknown(key)

    @property
    def own(self) -> dict[str, Any]:
        if local.context.capture is not None:
            self.captured_keys = None
        return self._own

    def _unknown(self, key: Any) -> KeyError:
        message = f"{key!r} is no hyper-parameter here; there are {', '.join(self)}"
        if key == "initial_lr":
            message += ". The rates before a schedule are its base_lrs, one for each group"
        return KeyError(message)

    def __setitem__(self, key: str, value: Any) -> None:
        if key != "params" and key not in self._declarations:
            if is_meant(key, self._declarations):
                raise self._unknown(key)
            self._check_no_capture(key)
            self._own[key] = value
            return
        for name, number in self.check(key, value).items():
            self.scalars[name].set(number)

    def __delitem__(self, key: str) -> None:
        if key in self._own:
            self._check_no_capture(key)
            del self._own[key]
            return
        raise TypeError("a hyper-parameter can be set, but not deleted")

    def _check_no_capture(self, key: str) -> None:
        if local.context.capture is not None:
            raise SymbolicError(
                f"{key!r} of a parameter group would be changed while a graph is captured, and not "
                "again at later steps. Change it outside, or make it a chainrule.Buffer and assign "
                "to it"
            )

    def __iter__(self) -> Iterator[str]:
        yield "params"
        yield from self._declarations
        yield from self.own

    def __len__(self) -> int:
        return 1 + len(self._declarations) + len(self.own)

    def __repr__(self) -> str:
        # Without an error while a graph is captured, as debuggers show what they find.
        now = {name: np.asarray(scalar.value) for name, scalar in self.scalars.items()}
        lines = ["ParameterGroup("]
        for key, declaration in self._declarations.items():
            value = self._fixed[key] if key in self._fixed else declaration.read(now)
            lines.append(f"    {key}: {value}")
        return "\n".join([*lines, ")"])

    def captured(self) -> dict[str, Any]:
        """The entries of the user's that graphs depend on."""
        keys = self._own if self.captured_keys is None else self.captured_keys
        return {key: self._own[key] for key in keys if key in self._own}

    def check(self, key: str, value: Any) -> dict[str, float]:
        """The numbers to hold, by the HyperParameter's name, once `key` is set to `value`.

        Raises:
            KeyError, TypeError, ValueError: if `key` can't be set to that.
        """
        if key == "params":
            raise ValueError("a group's parameters are fixed; see Optimizer.add_param_group")
        declaration = self._declarations.get(key)
        if declaration is None:
            raise self._unknown(key)
        value = declaration.check(value)
        if key not in self._fixed:
            return declaration.scalars(value)
        if value != self._fixed[key]:
            raise ValueError(
                f"{key} {declaration.reason}: it can't become {value!r} now. Construct a new "
                f"optimiser with {key}={value!r}."
            )
        return {}

    def numbers(self) -> dict[str, Any]:
        """The hyper-parameters as plain Python numbers, tuples, booleans and strings."""
        return {key: self[key] for key in self._declarations}

    def tensors(self) -> SimpleNamespace:
        """The `h` of a rule: numbers as 0-d Tensors, None for an omitted term, flags and choices
        as they are, and `buffers`."""
        fixed = {key: self._declarations[key].in_rule(value) for key, value in self._fixed.items()}
        return SimpleNamespace(**self.scalars, **fixed, **self.buffers)


_FREE = frozenset(("alpha", "d", "rho", "t0"))
"""Letters that a rule of the user's may need for something else, as SAM does rho."""


def is_meant(key: Any, names: Collection[str]) -> bool:
    """Whether a key that is none of the hyper-parameters' names was meant for one.

    It is then that of another optimiser, in capitals, or a long name with one letter wrong.
    """
    if not isinstance(key, str):
        return False
    key, known = key.lower(), {"learning_rate", *names, *(LIBRARY_NAMES - _FREE)}
    return key in known or any(_is_slip(key, name) for name in known if len(name) >= 6)


def _is_slip(key: str, name: str) -> bool:
    """Whether a key is a name but for one letter, or for two that changed places."""
    if abs(len(key) - len(name)) > 1 or key == name:
        return False
    shorter = min(len(key), len(name))
    start = next((i for i in range(shorter) if key[i] != name[i]), shorter)
    rest, other = key[start:], name[start:]
    if rest[1:] == other[1:] or rest[1:] == other or rest == other[1:]:
        return True
    return rest[:2] == other[1::-1] and rest[2:] == other[2:]


class Cohort:
    """Parameters of a group that have taken the same steps, and so share what depends on these.

    A group is one cohort until a step leaves some of its parameters out, such as frozen ones. Each
    parameter counts its own steps; those whose counts are equal share one Buffer, so that the step
    computes a bias correction once.

    Attributes:
        params: the Parameters.
        buffers: 0-d float64 Buffers by name, the number of steps as "step"; none where the rule
            does not need it.
    """

    def __init__(self, params: list[Parameter], buffers: dict[str, Buffer]) -> None:
        self.params = params
        self.buffers = buffers

    def parts(self, chosen: Collection[Parameter]) -> list[Cohort]:
        """The cohort, as two if some of its parameters are among `chosen` and others are not."""
        others = [W for W in self.params if W not in chosen]
        if not self.buffers or len(others) in (0, len(self.params)):
            return [self]
        of_others = {
            name: Buffer(np.array(buffer.value), name=buffer.name)
            for name, buffer in self.buffers.items()
        }
        rest = [W for W in self.params if W in chosen]
        return [Cohort(rest, self.buffers), Cohort(others, of_others)]


def cast(tensors: SimpleNamespace, dtype: DTypeLike) -> SimpleNamespace:
    """The same with every Tensor in `dtype`."""
    return SimpleNamespace(
        **{k: v.astype(dtype) if isinstance(v, Tensor) else v for k, v in vars(tensors).items()}
    )
