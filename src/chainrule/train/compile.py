"""compile: a function of Tensors, as the body of a training loop, as one native plan."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from types import MethodType
from typing import Any, TypeVar, overload

import numpy as np

from chainrule.caches import LruCache
from chainrule.compiler.capture import CaptureAgain
from chainrule.compiler.elementwise import UnsupportedError
from chainrule.compiler.leftovers import Leftovers, put_in_place
from chainrule.compiler.recording import Argument, Output, Recording, record
from chainrule.errors import SymbolicError, warn
from chainrule.graph.compiled_results import compiled_result
from chainrule.graph.context import local
from chainrule.graph.leftover import Leftover
from chainrule.graph.state import UNKEPT_GRADIENT
from chainrule.graph.tensor import Array, Tensor
from chainrule.ops.random import current_generator
from chainrule.system import forks
from chainrule.system.collector import collector_held
from chainrule.system.interrupts import interrupts_held
from chainrule.train.arguments import StandIns, like, sign
from chainrule.train.backends import MOST_STEPS, checked_backend
from chainrule.train.copies import check_copies
from chainrule.train.explanations import explained
from chainrule.train.facts import Facts
from chainrule.train.iterators import Position, moved, position
from chainrule.train.randomness import randomness_watched
from chainrule.train.runners import NativeRunner, ReferenceRunner
from chainrule.trees import with_values

Function = TypeVar("Function", bound=Callable[..., Any])

_MANY_CAPTURES = 64
"""The number of captures at which a warning says that they are slow."""
_SAME_SIGNATURE = 8
"""The most graphs that are kept for arguments of one signature: for other modes, say."""


@overload
def compile(function: Function, *, backend: str | None = None) -> Function: ...


@overload
def compile(*, backend: str | None = None) -> Callable[[Function], Function]: ...


def compile(function: Any = None, *, backend: str | None = None) -> Any:
    """Make a function of Tensors, such as the body of a training loop, one native call.

    At the first call the function runs on symbolic Tensors, and all that it does becomes one graph:
    models, losses, `zero_grad`, `backward`, clipping, `step`, averages, several models and
    optimisers. Every further call runs that graph, with the same results as the function itself:
    what it returns, the weights, the optimisers' state, running statistics, random numbers and
    `.grad`.

    Arrays and Tensors are the graph's inputs: the function gets a symbolic Tensor for each. All
    else is part of the signature: numbers, texts, None, Parameters, models and other objects, also
    within tuples, lists and dicts. A call with another signature, such as another shape or another
    number, has a graph of its own, which is captured at its first call; the last 32 are kept. Pass
    a number that changes at every call as an array. The function gets copies of lists and dicts:
    names that it takes out of a dict, as by `pop`, stay in the dict that was given. What it puts in
    is refused.

    What the function reads from Python is compared at every call: the attributes, layers and modes
    of modules, requires_grad, parameter groups, the global and outer variables of the function, and
    the attributes of functions, of a user's own objects and, where code names them, of others, as
    of `argparse.Namespace`. Where something has changed, the function is captured anew. States, and
    the numbers of optimisers, are read at every call. An array from outside is compared by its
    content, which takes time: pass it as an argument or make it a `Buffer`.

    A gradient that an optimiser's step has used up is not kept after the call: reading `.grad` says
    so. It is kept where the function takes no step, or adds it to one from an earlier call. Results
    keep no graph, and `backward` through one is refused: compile the whole step, not the model.
    Labels and indices are checked at every call; what a loss checks besides, as that weights are
    not below 0, is checked where the values are known, in the eager loop. Calls of one function
    from several threads run one after another; different functions that change the same weights are
    not for use at the same time.

    Args:
        function: takes arrays, Tensors, and anything else; returns Tensors, numbers, text, None, or
            tuples, lists and dicts of them. It may be a method, or a model.
        backend: "native" or "reference"; by default as `set_default_backend` says now.

    Returns:
        The compiled function; without `function` a decorator.

    Raises:
        TypeError: for what is no function, or a generator or a coroutine; at a call, for a tuple,
            list or dict with attributes besides its items, among the arguments or the results.
        ValueError: for an unknown backend.
        SymbolicError: at a call, for what no graph holds, with the line and the remedy: a branch on
            a value, `item()`, a NumPy function of a Tensor, a print, a change of a Python object,
            of a list or dict among the arguments, too, `next` of an iterator from outside whose
            position Python shows, an attribute of a module that carries a Tensor from one call to
            the next, which is a `Buffer`'s work, or that lets the first call differ, as by
            `if self.h is None`. Weights, optimisers and gradients are as before then. Python shows
            no position of some, as of `itertools.tee`, `iter(function, end)` and `array.flat`: what
            `next` of those gives is a constant.
        NotImplementedError: at a call, for an operation without a native kernel.

    Warns:
        RuntimeWarning: at a call, where random numbers of NumPy or Python, or the time, become
            constants.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn, optim
        >>> model = nn.Linear(2, 1)
        >>> loss_fn, optimizer = nn.MSELoss(), optim.SGD(model.parameters(), lr=0.05)
        >>> @cr.compile
        ... def step(x, y):
        ...     optimizer.zero_grad()
        ...     loss = loss_fn(model(x), y)
        ...     loss.backward()
        ...     optimizer.step()
        ...     return loss
        >>> x, y = np.float32([[1, 2], [3, 4]]), np.float32([[1], [2]])
        >>> losses = [step(x, y).item() for _ in range(20)]
        >>> losses[-1] < losses[0]
        True
    """
    if function is None:
        return functools.partial(compile, backend=backend)
    return CompiledFunction(function, checked_backend(backend))


class CompiledFunction:
    """A function that runs as captured graphs, one for each signature. Made by `compile`."""

    def __init__(self, function: Callable[..., Any], backend: str) -> None:
        if not callable(function) or isinstance(function, type):
            raise TypeError(f"cr.compile takes a function or a model, got {function!r:.80}")
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise TypeError(
                f"{function!r:.80} is a generator or a coroutine, which is no one step: compile "
                "the function that does one step"
            )
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._backend = backend
        self._variants: LruCache[Any, list[_Variant]] = LruCache(MOST_STEPS)
        self._last: tuple[Any, list[_Variant]] = (None, [])
        self._captures = 0
        self._lock = forks.lock()

    def __getattr__(self, name: str) -> Any:
        """What a compiled model has besides: its parameters, layers and modes."""
        if name.startswith("_"):
            raise AttributeError(name)
        found = getattr(self._function, name)
        if not inspect.ismethod(found):
            return found

        @functools.wraps(found)
        def of_function(*arguments: Any, **keywords: Any) -> Any:
            result = found(*arguments, **keywords)
            return self if result is self._function else result

        return of_function

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        return self if instance is None else MethodType(self, instance)

    def __repr__(self) -> str:
        return f"<compiled {getattr(self._function, '__qualname__', repr(self._function))}>"

    def __reduce__(self) -> Any:
        name = getattr(self._function, "__qualname__", "")
        if getattr(sys.modules.get(self.__module__), name, None) is self:
            return name  # as any function: by the place where it is defined
        check_copies("a compiled function", self._function)
        return CompiledFunction, (self._function, self._backend)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        context = local.context
        if context.capture is not None:  # a part of another function
            return self._function(*arguments, **keywords)
        given: list[Any] = []
        key: list[Any] = [context.grad_enabled, current_generator()]
        for argument in arguments:
            if argument.__class__ is np.ndarray and argument.dtype.isnative:
                given.append(argument)
                key.append(argument.shape)
                key.append(argument.dtype)
            else:
                sign(argument, given, key)
        for name in sorted(keywords) if keywords else ():
            key.append(name)
            sign(keywords[name], given, key)
        signature = tuple(key)
        with self._lock:
            last, variants = self._last
            if last != signature:
                variants = self._variants.get(signature) or []
            if not variants or not variants[0].fits(given):
                self._find(signature, variants, arguments, keywords, given)
            self._last = signature, variants
            return variants[0](given)

    def _find(
        self,
        signature: Any,
        variants: list[_Variant],
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        given: list[Any],
    ) -> None:
        """Put the graph that fits the state of things now before the others of the signature."""
        for number, variant in enumerate(variants):
            if variant.is_still_right(given):
                variants.insert(0, variants.pop(number))
                return
        leftovers = Leftovers()
        while True:
            try:
                with interrupts_held() as interrupts, collector_held(), interrupts.let_through():
                    variants.insert(0, self._captured(arguments, keywords, given, leftovers))
                break
            except CaptureAgain:
                continue
            except BaseException:
                leftovers.set_back()
                raise
        del variants[_SAME_SIGNATURE:]
        if len(variants) == 1:
            self._variants.add(signature, variants)

    def _captured(
        self,
        arguments: tuple[Any, ...],
        keywords: dict[str, Any],
        given: list[Any],
        leftovers: Leftovers,
    ) -> _Variant:
        """What the function does with arguments of this signature."""
        made = StandIns(given)
        symbolic = [made.of(argument) for argument in arguments]
        symbolic_keywords = {key: made.of(keywords[key]) for key in sorted(keywords)}
        stand_ins, static = made.arrays, [self._function, *made.static]
        for stand_in, value in zip(stand_ins, given, strict=True):
            if isinstance(value, Tensor) and value.requires_grad:
                stand_in._grad = value.grad
        before = Facts(static)
        positions = [position(*found) for found in before.iterators]
        frozen = [(state, state.requires_grad) for state in before.states]
        try:
            with explained(), randomness_watched(before.generators, before.clocks):
                recording, used = record(self._function, symbolic, symbolic_keywords, leftovers)
                for (owner, name), value in recording.modes_before.items():
                    setattr(owner, name, value)
                _refuse_changes(before, positions, made.changed())
                if leftovers.take(recording.content):
                    raise CaptureAgain
            switched = [(s, s.requires_grad) for s, r in frozen if s.requires_grad != r]
        finally:
            for state, requires_grad in frozen:
                state.requires_grad = requires_grad
        modes = recording.modes | {(state, "requires_grad"): now for state, now in switched}
        _refuse_gradients_outside(recording, stand_ins, given)
        runner = self._runner(recording, stand_ins)
        self._count_capture()
        roots = [*static, *used]
        return _Variant(recording, leftovers.kept, roots, modes, runner, stand_ins, given)

    def _runner(
        self, recording: Recording, stand_ins: list[Argument]
    ) -> NativeRunner | ReferenceRunner:
        kind = NativeRunner if self._backend == "native" else ReferenceRunner
        try:
            return kind(recording, stand_ins)
        except UnsupportedError as error:
            remedy = "or compile the function with backend='reference', which runs it with NumPy"
            raise UnsupportedError(f"{error}; {remedy}") from None

    def _count_capture(self) -> None:
        """Count a capture, and warn where there are many."""
        self._captures += 1
        if self._captures == _MANY_CAPTURES:
            warn(
                f"{self!r} was captured {_MANY_CAPTURES} times, which is slow: it is captured anew "
                "for every new shape, dtype, number or object among its arguments, and where "
                "something that it reads has changed. Pass numbers that change as arrays, as "
                "np.float32(number), and pad batches to a few sizes",
                RuntimeWarning,
            )


class _Variant:
    """A graph of a compiled function, with what it depends on."""

    def __init__(
        self,
        recording: Recording,
        kept: dict[tuple[Any, str], Leftover],
        roots: list[Any],
        modes: dict[tuple[Any, str], Any],
        runner: NativeRunner | ReferenceRunner,
        stand_ins: list[Argument],
        given: Sequence[Any],
    ) -> None:
        self._kept = kept
        self._facts = Facts(roots)
        self._roots = roots
        self._modes = modes
        self._runner = runner
        self._result = _builder(recording.result)
        self._left = list(recording.left.items())
        self._found = [
            (state, argument, argument is not None and state._grad is UNKEPT_GRADIENT)
            for state, argument in recording.found.items()
        ]
        required = [isinstance(value, Tensor) and value.requires_grad for value in given]
        numbered = list(zip(range(len(given)), stand_ins, required, strict=True))
        self._differentiable = [(i, s) for i, s, r in numbered if r]
        self._switched = [(i, s) for i, s, r in numbered if s.requires_grad != r]
        for stand_in in stand_ins:
            stand_in._grad = None

    def fits(self, given: Sequence[Any]) -> bool:
        """Whether it is the graph of a call now."""
        return self._facts.hold() and (not self._found or self._finds_gradients(given))

    def is_still_right(self, given: Sequence[Any]) -> bool:
        """As `fits`, where what has changed is compared by value."""
        if not self._finds_gradients(given):
            return False
        if not self._facts.hold():
            replaced = put_in_place(self._kept)
            now = Facts(self._roots)
            if not now.equals(self._facts):
                for (module, name), held in replaced.items():
                    vars(module)[name] = held
                return False
            self._facts = now
        return True

    def _finds_gradients(self, given: Sequence[Any]) -> bool:
        """Whether the gradients that are read are there, or not, as they were at the capture."""
        for i, stand_in in self._differentiable:
            stand_in._grad = given[i].grad
        for state, argument, is_unkept in self._found:
            held = state._grad
            if (held is None) != (argument is None) or (held is UNKEPT_GRADIENT) != is_unkept:
                return False
        return True

    def __call__(self, given: Sequence[Any]) -> Any:
        for i, stand_in in self._differentiable:
            stand_in._grad = given[i].grad
        gradients: Sequence[Any] = ()
        if self._found:
            gradients = [
                (argument, state._grad.value)  # type: ignore[union-attr]
                for state, argument, is_unkept in self._found
                if argument is not None and not is_unkept
            ]
        outputs = self._runner(given, gradients)
        for state, left in self._left:
            if isinstance(left, Output):
                state._grad = compiled_result(outputs[left.number], requires_grad=False)
            else:
                state._grad = left
        for i, stand_in in self._switched:
            if isinstance(given[i], Tensor):
                given[i].requires_grad = stand_in.requires_grad
                if stand_in._grad is not None:
                    given[i].grad = stand_in._grad
        for i, stand_in in self._differentiable:
            given[i].grad, stand_in._grad = stand_in._grad, None
        for (owner, name), value in self._modes.items():
            setattr(owner, name, value)
        return self._result(outputs)


def _builder(result: Any) -> Callable[[Sequence[Array]], Any]:
    """What makes the function's result of the graph's outputs."""
    if type(result) is Output:
        number, requires_grad = result
        return lambda outputs: compiled_result(outputs[number], requires_grad)
    if isinstance(result, dict):
        builders = with_values(result, _builder)
        return lambda outputs: with_values(builders, lambda build: build(outputs))
    if isinstance(result, (tuple, list)):
        parts = [_builder(value) for value in result]
        return lambda outputs: like(result, [build(outputs) for build in parts])
    return lambda outputs: result


# What a graph does not hold


def _refuse_gradients_outside(
    recording: Recording, stand_ins: Sequence[Argument], given: Sequence[Any]
) -> None:
    """Raise SymbolicError where `backward` would go on in a graph outside of the function."""
    for stand_in, value in zip(stand_ins, given, strict=True):
        if stand_in in recording.left and isinstance(value, Tensor) and not value.is_leaf:
            raise SymbolicError(
                f"backward() reaches {stand_in._label}, which is computed by a graph outside of "
                "the compiled function, perhaps another one: pass its detach(), or compute it "
                "inside"
            )


def _refuse_changes(before: Facts, positions: Iterable[Position], argument: type | None) -> None:
    """Raise SymbolicError where the function has changed a Python object that it reads.

    Args:
        before: what it has read, as it was before.
        positions: of the iterators among that.
        argument: the type of an argument that it has changed.
    """
    if advanced := moved(positions):
        raise SymbolicError(
            f"the function advances {advanced} while it is captured, and would not advance it "
            "again: later calls would compute with what it gave the first time. Call next() "
            "outside, and pass what it gives as an argument"
        )
    if argument is not None:
        raise SymbolicError(
            f"the function changes the {argument.__name__} that it is given while it is captured, "
            "and would not change it again at later calls. Return what is new and change it "
            "outside, or let the function change a copy"
        )
    changed = [str(probe) for probe in before.probes if not probe.holds()]
    if changed:
        raise SymbolicError(
            f"the function changes {'; '.join(dict.fromkeys(changed))} while it is captured, and "
            "would not change it again at later calls. Return what is new and change it outside; a "
            "number or an array can be a chainrule.Buffer, which the function assigns to. A Tensor "
            "that nothing reads later can be an attribute of an nn.Module"
        )
