"""Optimizer: the base of all, with parameter groups, moments and the running of a rule."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from chainrule import checks
from chainrule.caches import LruCache
from chainrule.compiler.capture import CaptureAgain, capture
from chainrule.errors import DTypeError, ShapeError
from chainrule.execute.reference import Interpreter
from chainrule.graph.context import local, no_grad, with_gradients
from chainrule.graph.names import ForeignName
from chainrule.graph.parameter_lists import forget_gradients
from chainrule.graph.state import Buffer, Parameter
from chainrule.graph.tensor import Tensor, placeholder
from chainrule.optim import state_dicts
from chainrule.optim.arguments import (
    Options,
    as_groups,
    as_parameters,
    check_grads,
    check_loss,
    taken_options,
)
from chainrule.optim.fingerprints import class_constants, fingerprint
from chainrule.optim.groups import USE_ADD, Cohort, ParameterGroup, ParamsT, States, cast, is_meant
from chainrule.optim.hyperparameters import Flag, check_names, declarations_of

_CACHED_UPDATES = 32
OWN_ATTRIBUTES = frozenset(
    ("_declarations", "defaults", "param_groups", "params", "state", "partition", "_captured")
)
"""The attributes of an Optimizer that are no settings of a user's class."""
_NO_HOOKS = (
    "a subclass whose step() does more before or after super().step(); with a Trainer a Callback"
)


class Optimizer:
    """The base of all optimisers: groups of parameters, their moments, and how a rule is run.

    An optimiser of your own is a subclass that declares its hyper-parameters, each with the values
    that it may take, and has a `rule`, the textbook's update of one parameter. A rule is written
    with operations, so it runs eagerly and inside a captured training step, and can be drawn.

    `Number`, `Numbers` and `Term` can be set between steps: a rule finds 0-d Tensors in `h`, or
    None for a Term that begins as 0, which the graph leaves out. `Flag`, `OneOf` and `Count` are
    fixed at construction: a rule finds their value in `h`, and may choose its operations by it.

    Args:
        params: Parameters, or pairs of a name and a Parameter, as of `named_parameters()`; or dicts
            with such under the key "params", and hyper-parameters that differ from the defaults
            for these.
        options: see `Options`.
        defaults: a value for each hyper-parameter that the class declares.

    Attributes:
        param_groups: a mapping of hyper-parameters for each group; see `ParameterGroup`.
        params: all Parameters, in the order in which `update` takes gradients.
        state: for each Parameter its moments by name, and what its `Cohort` shares, as "step".
        partition: how often parameters parted because they had taken different steps. A graph of
            an update holds for one value of it.

    Raises:
        TypeError: if `params` holds anything but Parameters, or if a hyper-parameter is not
            declared or has no value.
        ValueError: if there are none, if one comes twice, or if a hyper-parameter is out of range.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import optim
        >>> class SignDescent(optim.Optimizer):
        ...     lr = optim.Number(low=0)
        ...     length = optim.OneOf("one", "norm")
        ...     ascend = optim.Flag()
        ...
        ...     def __init__(self, params, lr=1e-3, length="one", ascend=False):
        ...         super().__init__(params, lr=lr, length=length, ascend=ascend)
        ...
        ...     def rule(self, W, grad, moments, h):
        ...         step = h.lr * cr.sign(grad)
        ...         if h.length == "norm":
        ...             step = step * (grad * grad).sum().sqrt()
        ...         W.assign(W + step if h.ascend else W - step)
        >>> w = cr.Parameter([1.0, -2.0])
        >>> optimizer = SignDescent([w], lr=0.5)
        >>> (w * w).sum().backward()
        >>> optimizer.step()
        >>> w.tolist()
        [0.5, -1.5]
        >>> SignDescent([w], length="two")
        Traceback (most recent call last):
        ValueError: length is 'one' or 'norm', not 'two'
    """

    maximize = Flag()

    register_step_pre_hook = ForeignName("register_step_pre_hook", _NO_HOOKS)
    register_step_post_hook = ForeignName("register_step_post_hook", _NO_HOOKS)

    def __init__(self, params: ParamsT, options: Options | None = None, /, **defaults: Any) -> None:
        maximize = taken_options(type(self), options, defaults)
        defaults.setdefault("maximize", maximize)
        groups = as_groups(params)
        self._declarations = declarations_of(type(self))
        check_names(type(self).__name__, self._declarations, defaults)
        self.defaults = defaults
        self.param_groups: checks.Unchanging[ParameterGroup] = checks.Unchanging()
        self.params: checks.Unchanging[Parameter] = checks.Unchanging()
        self.state = States()
        self.partition = 0
        self._captured: LruCache[tuple[Any, ...], Interpreter] = LruCache(_CACHED_UPDATES)
        for group in groups:
            self.add_param_group(group)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("param_groups", "params", "state") and name in vars(self):
            raise AttributeError(f"{name} can't be set: {USE_ADD}")
        super().__setattr__(name, value)

    def __getstate__(self) -> dict[str, Any]:
        """What a copy or a pickle takes: all but the captured updates, which it captures anew."""
        return {**vars(self), "_captured": LruCache(_CACHED_UPDATES)}

    # Defined by subclasses

    def rule(
        self, W: Parameter, grad: Tensor, moments: dict[str, Buffer], h: SimpleNamespace
    ) -> None:
        """Assign the new value to `W` and to its moments.

        Args:
            W: the parameter.
            grad: the gradient of the loss with respect to it.
            moments: the parameter's buffers, by the names that `moments` gives.
            h: the hyper-parameters, numbers as 0-d Tensors of W's dtype, with what `coefficients`
                adds.
        """
        raise NotImplementedError(
            f"{type(self).__name__} has no rule: define rule(self, W, grad, moments, h)"
        )

    def group_rule(
        self,
        group: ParameterGroup,
        pairs: Sequence[tuple[Parameter, Tensor]],
        h: SimpleNamespace,
        loss: Tensor | None,
    ) -> None:
        """Update a group: by `rule`, one parameter after another.

        A method for which all parameters are one vector, such as `LBFGS`, overrides this instead.

        Args:
            group: the group.
            pairs: the parameters that have a gradient, with it.
            h: the hyper-parameters as 0-d float64 Tensors, with what `coefficients` added.
            loss: the loss that the gradients are of, where `update` was given it.
        """
        of_dtype = {dtype: cast(h, dtype) for dtype in {W.dtype: None for W, _ in pairs}}
        for W, grad in pairs:
            self.rule(W, grad, self.state[W], of_dtype[W.dtype])

    def moments(self, group: ParameterGroup) -> Sequence[str] | Mapping[str, float]:
        """The names of the buffers, of the parameter's shape, that `rule` needs.

        They start at 0, or at the value that a mapping gives for their name.
        """
        return ()

    def moments_of(self, group: ParameterGroup, W: Parameter) -> Mapping[str, ArrayLike]:
        """The buffers of one parameter, by name, as they are at first.

        By default those of `moments`; a rule whose buffers have other shapes than the parameter
        overrides this.
        """
        names = self.moments(group)
        firsts = names if isinstance(names, Mapping) else dict.fromkeys(names, 0.0)
        return {name: np.full(W.shape, first, W.dtype) for name, first in firsts.items()}

    def group_buffers(self, group: ParameterGroup) -> Mapping[str, ArrayLike]:
        """The buffers that a group's parameters share, by name, as they are at first.

        `coefficients` finds them in `h`, `group_rule` in `group.buffers`.
        """
        return {}

    def counts_steps(self, group: ParameterGroup) -> bool:
        """Whether `coefficients` needs the number of the step."""
        return False

    def step_buffers(self, group: ParameterGroup) -> Mapping[str, float]:
        """More numbers that change with every step as its count does, by name, as they are at
        first. `coefficients` finds them in `h`, and assigns the new ones."""
        return {}

    def coefficients(self, h: SimpleNamespace, t: Tensor | None) -> None:
        """Add to `h`, in float64, the scalars that parameters share which took the same steps.

        Args:
            h: the group's hyper-parameters as 0-d float64 Tensors, its `group_buffers`, and the
                `step_buffers`.
            t: the number of this step of these parameters, from 1; None where the rule does not
                count.
        """

    # Shared by all

    def add_param_group(self, param_group: Mapping[str, Any]) -> None:
        """Train more parameters from now on, such as layers that were frozen.

        Args:
            param_group: a dict with the key "params" and hyper-parameters that differ from the
                defaults. Other keys, as "name", are kept in the group; see `ParameterGroup`.

        Raises:
            TypeError, ValueError: as at construction; the optimiser is then unchanged.
        """
        if not isinstance(param_group, Mapping) or "params" not in param_group:
            raise TypeError(
                f"a parameter group is a dict with the key 'params', got {param_group!r}"
            )
        options = dict(param_group)
        parameters = as_parameters(options.pop("params"), self.params)
        own = {key: options.pop(key) for key in [*options] if key not in self.defaults}
        unknown = sorted(key for key in own if is_meant(key, self.defaults))
        if unknown:
            raise TypeError(
                f"{type(self).__name__} has no hyper-parameter {', '.join(unknown)}; it has "
                f"{', '.join(self.defaults)}"
            )
        new = ParameterGroup(parameters, {**self.defaults, **options}, self._declarations, own)
        self.check_group(new)
        new.buffers = {
            name: Buffer(first, name=f"group{len(self.param_groups)}.{name}")
            for name, first in self.group_buffers(new).items()
        }
        moments = {
            parameter: {
                name: Buffer(first, name=f"{index}.{name}")
                for name, first in self.moments_of(new, parameter).items()
            }
            for index, parameter in enumerate(parameters, len(self.params))
        }
        counters = {"step": 0.0} if self.counts_steps(new) else {}
        for name, first in {**counters, **self.step_buffers(new)}.items():
            shared = f"group{len(self.param_groups)}.{name}"
            new.cohorts[0].buffers[name] = Buffer(np.float64(first), name=shared)
        self.state.update(moments)
        vars(self)["params"] = checks.Unchanging((*self.params, *parameters), USE_ADD)
        vars(self)["param_groups"] = checks.Unchanging((*self.param_groups, new), USE_ADD)
        self._share(new)

    def _share(self, group: ParameterGroup) -> None:
        """Let `state` show what the cohorts of a group share."""
        for cohort in group.cohorts:
            for W in cohort.params:
                self.state[W].update(cohort.buffers)

    def part(self, stepping: Collection[Parameter]) -> None:
        """Part the cohorts into those parameters that take the next step and the others.

        Args:
            stepping: the parameters that have a gradient.
        """
        for group in self.param_groups:
            parts = [part for cohort in group.cohorts for part in cohort.parts(stepping)]
            if len(parts) > len(group.cohorts):
                self.set_cohorts(group, parts)
                if local.context.capture is not None:
                    raise CaptureAgain

    def set_cohorts(self, group: ParameterGroup, cohorts: list[Cohort]) -> None:
        """Part a group's parameters otherwise."""
        group.cohorts = cohorts
        self.partition += 1
        self._share(group)

    def check_group(self, group: ParameterGroup) -> None:
        """Raise ValueError where hyper-parameters contradict each other, or the parameters.

        The group is not in `param_groups` yet.
        """

    def update(self, grads: Sequence[Tensor | None], loss: Tensor | None = None) -> None:
        """Build the graph of one step: assign the new values of parameters, moments and counts.

        Inside `chainrule.capture` these assignments become updates of the captured graph.

        Args:
            grads: for each of `params` the gradient, of its shape and dtype, or None to leave the
                parameter, its moments and its number of steps as they are.
            loss: the scalar that the gradients are of, for a rule with a line search.

        Raises:
            ShapeError, DTypeError: if a gradient does not fit its parameter, or `loss` is no float
                scalar.
            ValueError: if the number of gradients is not that of the parameters.
        """
        if len(grads) != len(self.params):
            raise ValueError(
                f"update takes a gradient or None for each of {len(self.params)} parameters, "
                f"not {len(grads)}"
            )
        check_grads(self.params, grads)
        check_loss(loss)
        found = zip(self.params, grads, strict=True)
        given = {W: grad for W, grad in found if grad is not None}
        self.part(given)
        with no_grad():
            for group in self.param_groups:
                for cohort in group.cohorts:
                    pairs = [(W, given[W]) for W in cohort.params if W in given]
                    if pairs:
                        self._update_cohort(group, cohort, pairs, loss)

    def _update_cohort(
        self,
        group: ParameterGroup,
        cohort: Cohort,
        pairs: Sequence[tuple[Parameter, Tensor]],
        loss: Tensor | None,
    ) -> None:
        shared = dict(cohort.buffers)
        count = shared.pop("step", None)
        if count is not None:
            count.assign(count + 1.0)
        if group["maximize"]:
            pairs = [(W, -grad) for W, grad in pairs]
            loss = None if loss is None else -loss
        h = SimpleNamespace(**vars(group.tensors()), **shared)
        self.coefficients(h, count)
        self.group_rule(group, pairs, h, loss)

    def step(self, closure: Callable[[], Any] | Tensor | None = None) -> Any:
        """Update every parameter that has a ``.grad``; leave the others and their moments.

        The update's graph is captured once for each set of parameters that have gradients. The
        attributes of an optimiser of your own are a part of it: where one has changed, it is
        captured anew.

        Args:
            closure: a function that sets the gradients to zero, computes the loss, calls
                `backward` and returns the loss. It is called before the update, with gradients
                enabled. Or the loss that was differentiated, a Tensor, for a line search.

        Returns:
            What the closure returned; None without one.

        Raises:
            TypeError: if `closure` is neither.
            ShapeError, DTypeError: if a ``.grad`` does not fit its parameter; nothing has changed.
            SymbolicError: while `chainrule.capture` captures a graph; `cr.compile` takes it.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import optim
            >>> w = cr.Parameter([1.0, -2.0])
            >>> optimizer = optim.SGD([w], lr=0.5)
            >>> def closure():
            ...     optimizer.zero_grad()
            ...     loss = (w * w).sum()
            ...     loss.backward()
            ...     return loss
            >>> optimizer.step(closure).item(), w.tolist()
            (5.0, [0.0, 0.0])
        """
        if closure is None or isinstance(closure, Tensor) or not callable(closure):
            self._step(closure)
            return None
        if isinstance(closure, type):
            raise TypeError(f"step takes a closure, not {checks.described(closure)}")
        loss = with_gradients(closure)
        is_scalar = isinstance(loss, Tensor) and loss.shape == () and loss.dtype.kind == "f"
        self._step(loss if is_scalar else None)
        return loss

    def _step(self, loss: Any) -> None:
        """Update by the `.grad` that there are."""
        capturing = local.context.capture
        if capturing is not None:
            capturing.stepped(self)
            self.update([parameter.grad for parameter in self.params], loss)
            return
        check_loss(loss)
        grads = [parameter.grad for parameter in self.params]
        self.part({W for W, grad in zip(self.params, grads, strict=True) if grad is not None})
        present = (*[grad is not None for grad in grads], loss is not None and loss.dtype)
        key = (self.partition, self._settings(), *present)
        interpreter = self._captured.get(key)
        if interpreter is None:
            interpreter = self._capture(present)
            self._captured.add(key, interpreter)
        given = [*grads] if loss is None else [*grads, loss]
        try:
            values: list[Any] = [tensor.value for tensor in given if tensor is not None]
            with interpreter.hold:
                _, updates = interpreter.run(values)
                interpreter.commit(updates)
        except (AttributeError, ShapeError, DTypeError):
            check_grads(self.params, grads)
            raise

    def _settings(self) -> Any:
        """What a rule of a user's class may have read from Python, for comparison."""
        if type(self).__module__.startswith("chainrule.optim."):
            return None
        own = {name: value for name, value in vars(self).items() if name not in OWN_ATTRIBUTES}
        kinds = [kind for kind in type(self).__mro__ if issubclass(kind, Optimizer)]
        read = [group.captured() for group in self.param_groups]
        return fingerprint([own, read, *map(class_constants, kinds)])

    def _capture(self, present: tuple[Any, ...]) -> Interpreter:
        *with_grads, loss_dtype = present
        grads = [
            placeholder(parameter.shape, parameter.dtype) if has_grad else None
            for parameter, has_grad in zip(self.params, with_grads, strict=True)
        ]
        loss = placeholder((), loss_dtype) if loss_dtype else None
        return Interpreter(capture(self.update, grads, loss))

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients.

        Args:
            set_to_none: whether ``.grad`` of every parameter becomes None, so that a step leaves
                out those that get none; else those that have one get 0.
        """
        forget_gradients(self.params, set_to_none)

    # Saving

    def states(self) -> dict[str, Buffer]:
        """Every Buffer by a stable name: moments and counts as "0.momentum_buffer" and "0.step",
        where 0 is the parameter's index, and those of a group as "group0.rho".

        Parameters that took the same steps have one "step" together.
        """
        found = {
            f"{index}.{name}": buffer
            for index, parameter in enumerate(self.params)
            for name, buffer in self.state[parameter].items()
        }
        for number, group in enumerate(self.param_groups):
            found |= {f"group{number}.{name}": buffer for name, buffer in group.buffers.items()}
        return found

    def state_dict(self) -> dict[str, Any]:
        """A snapshot as a plain dict.

        It has copies of the arrays of `states`, by name; the class's name as "optimizer"; and as
        "param_groups" a dict for each group, of its hyper-parameters, copies of the user's own
        entries and the indices of its parameters.
        """
        return state_dicts.taken(self)

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken.

        Raises:
            ValueError, TypeError: if it is of another optimiser, other groups, PyTorch's, or
                parameters of other shapes (ShapeError) or dtypes (DTypeError); nothing has changed
                then.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import optim
            >>> w = cr.Parameter([1.0])
            >>> before, after = optim.Adam([w], lr=0.1), optim.Adam([w])
            >>> after.load_state_dict(before.state_dict())
            >>> after.param_groups[0]["lr"]
            0.1
        """
        state_dicts.load(self, state_dict)

    def __repr__(self) -> str:
        groups = "\n".join(f"{i}: {group!r}" for i, group in enumerate(self.param_groups))
        return f"{type(self).__name__}(\n{groups}\n)"
