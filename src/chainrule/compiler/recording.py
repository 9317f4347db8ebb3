"""Recording: all that a function does to state, gradients and modules, as one graph.

`capture` makes the graph of a pure function of Tensors. `record` takes the body of a training
loop: it may call `backward`, which fills `.grad`, and `step`, which reads it, put modules into a
mode, and return any structure. The arguments of the function become states of the graph, as its
weights are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from chainrule import checks
from chainrule.compiler.capture import CapturedGraph, StateRecorder, recorded, recorded_graph
from chainrule.compiler.leftovers import Leftovers, set_back
from chainrule.compiler.signature import frozen, signature
from chainrule.errors import SymbolicError
from chainrule.graph.backprop import with_ancestors
from chainrule.graph.context import MISSING
from chainrule.graph.state import UNKEPT_GRADIENT, HyperParameter, State
from chainrule.graph.tensor import Tensor, serials
from chainrule.trees import map_leaves, with_values

Attribute = tuple[Any, str]
"""(module, name) of an attribute."""


class Argument(State):
    """A state that stands for an array that a recorded function is given at every call."""

    __slots__ = ()
    _without_value = (
        "it is an input of the graph. Compute with it as a Tensor instead; pass a number that "
        "decides on a shape or a slice as Python's, int(n)."
    )

    def __init__(self, spec: Tensor, name: str, *, requires_grad: bool = False) -> None:
        Tensor.__init__(self, None, requires_grad, name, shape=spec.shape, dtype=spec.dtype)
        self._grad = self._shown = self.guard = None
        self._is_view = False

    def assign(self, tensor: Any) -> None:
        raise AttributeError("an argument has no assign: only States have, as a Parameter")

    # The function that it is given to sees a Tensor: x += 1 binds the name to another one.
    _take_result = Tensor._take_result
    _take = Tensor._take
    data = Tensor.data  # type: ignore[override]

    @property
    def _label(self) -> str:
        return f"argument {self.name}"


class Recording(NamedTuple):
    """What a function did.

    Attributes:
        graph: of everything; it has no inputs. Its outputs are those Tensors that `result` needs,
            then the gradients that are kept, then what refuses wrong indices of gradients.
        result: what the function returned, with an `Output` in place of each symbolic Tensor.
        found: for each State whose `.grad` was read before it was set what was found there: None,
            or the Argument that stands for it.
        left: for each State whose `.grad` was set what it holds afterwards: None,
            `UNKEPT_GRADIENT`, or the `Output`.
        modes: the modes of modules that the function has set, with their values.
        modes_before: those before.
    """

    graph: CapturedGraph
    result: Any
    found: dict[State, Argument | None]
    left: dict[State, Tensor | Output | None]
    modes: dict[Attribute, Any]
    modes_before: dict[Attribute, Any]

    def content(self) -> Any:
        """What equals the content of another recording, if both functions did the same."""
        owners: dict[State | None, State] = {argument: s for s, argument in self.found.items()}

        def place(state: State) -> Any:
            if state in owners:
                return "gradient", place(owners[state])
            return state.name if isinstance(state, Argument) else id(state)

        def leaf(value: Any) -> Any:
            if isinstance(value, State):
                return place(value)
            return frozen(value.value if isinstance(value, Tensor) else value, is_whole=True)

        return (
            signature(self.graph, place, is_whole=True),
            map_leaves(leaf, self.result),
            [(place(state), argument is None) for state, argument in self.found.items()],
            [(place(state), map_leaves(leaf, grad)) for state, grad in self.left.items()],
            [(id(module), name, leaf(value)) for (module, name), value in self.modes.items()],
        )


class Output(NamedTuple):
    """A place in `Recording.result` for the graph's output of this number.

    Attributes:
        requires_grad: whether it is computed from a leaf that requires a gradient, and whose
            `.grad` no `backward` within the function has filled.
    """

    number: int
    requires_grad: bool


class _FunctionRecorder(StateRecorder):
    """Notes gradients, steps and modes besides reads and assignments of State."""

    def __init__(self, leftovers: Leftovers) -> None:
        super().__init__()
        self.leftovers = leftovers
        self.first_serial = next(serials)
        self.gradients: dict[State, Tensor | None] = {}
        self.found: dict[State, Argument | None] = {}
        self.filled: set[State | None] = set()
        self.used: set[State] = set()
        self.modules: dict[Any, None] = {}
        self.before: dict[Attribute, Any] = {}
        self.made: set[Any] = set()

    def read(self, state: State) -> Tensor:
        if state.serial > self.first_serial and not isinstance(state, Argument):
            if isinstance(state, HyperParameter) and state not in self.updates:
                return Tensor(state.value)  # of a layer that is made and used up in the function
            raise self._made_inside(state)
        return super().read(state)

    def assign(self, state: State, tensor: Tensor) -> None:
        if state.serial > self.first_serial:
            raise self._made_inside(state)
        super().assign(state, tensor)

    @staticmethod
    def _made_inside(state: State) -> SymbolicError:
        return SymbolicError(
            f"{state._label} is made within the function: it would be made once, and not at every "
            "call. Make models, optimisers and buffers outside"
        )

    def gradient(self, state: State) -> Tensor | None:
        if state not in self.gradients:
            held, argument = state._grad, None
            if held is not None:
                spec = state if held is UNKEPT_GRADIENT else held
                argument = Argument(spec, f"the gradient of {state.name or 'a parameter'}")
            self.found[state] = argument
            self.gradients[state] = None if argument is None else self.read(argument)
        return self.gradients[state]

    def set_gradient(self, state: State, grad: Tensor | None) -> None:
        if hasattr(state, "serial"):  # else it is being made
            self.gradients[state] = grad
            if grad is not None:
                self.filled.add(state)
            self.used.discard(state)

    def takes_gradients(self, leaf: Tensor) -> bool:
        return leaf.state is not None or leaf.serial > self.first_serial

    def stepped(self, optimizer: Any) -> None:
        self.modules.setdefault(optimizer)
        self.used.update(optimizer.params)

    def uses(self, module: Any) -> None:
        if module not in self.made:
            self.modules.setdefault(module)
            self.leftovers.watch(module)

    def sets(self, module: Any, name: str, before: Any) -> None:
        if name == "training" and before is MISSING:
            self.made.add(module)  # within the function, as a loss may be at every call
        if module not in self.made:
            self.before.setdefault((module, name), before)
            self.leftovers.watch(module)

    def unkept(self) -> set[Tensor]:
        """The leaves of gradients that an earlier call of a compiled function did not keep."""
        return {
            self.reads[argument]
            for state, argument in self.found.items()
            if argument is not None and state._grad is UNKEPT_GRADIENT
        }


def record(
    function: Callable[..., Any],
    arguments: Iterable[Any],
    keywords: dict[str, Any],
    leftovers: Leftovers,
) -> tuple[Recording, list[Any]]:
    """What `function` does with these arguments, of which `Argument`s are symbolic.

    Nothing is changed: weights and gradients keep their values. Attributes of modules are set, as
    the function does; where it fails they are set back. `leftovers` watches them.

    Returns:
        The recording, and the modules and optimisers that the function called.

    Raises:
        SymbolicError: if it does what no graph holds.
    """
    recorder = _FunctionRecorder(leftovers)
    try:
        with recorded(recorder):
            returned = function(*arguments, **keywords)
        return _recording(recorder, returned), list(recorder.modules)
    except BaseException:
        for (module, name), before in recorder.before.items():
            set_back(module, name, before)
        raise


def _recording(recorder: _FunctionRecorder, returned: Any) -> Recording:
    outputs: list[Tensor] = []
    numbers: dict[Tensor, Output] = {}

    def output(tensor: Tensor) -> Output:
        if tensor not in numbers:
            requires_grad = tensor.requires_grad and any(
                node.operation is None and node.requires_grad and node.state not in recorder.filled
                for node in with_ancestors([tensor])
            )
            numbers[tensor] = Output(len(outputs), requires_grad)
            outputs.append(tensor)
        return numbers[tensor]

    with recorded(recorder):
        result = _result(returned, output)
    results = len(outputs)
    unkept = recorder.unkept()
    left: dict[State, Tensor | Output | None] = {}
    for state, grad in recorder.gradients.items():
        first = recorder.found.get(state)
        if first is not None and grad is recorder.reads[first]:
            continue  # as it was
        is_used = state in recorder.used and state not in recorder.found
        if grad is None or grad.value is not None:
            left[state] = grad
        elif is_used or (unkept and with_ancestors([grad]) & unkept):
            left[state] = UNKEPT_GRADIENT
        else:
            left[state] = output(grad)
    if unkept:
        needed = with_ancestors([*outputs[:results], *recorder.updates.values()]) & unkept
        if needed:
            names = ", ".join(sorted(str(leaf.name) for leaf in needed))
            raise SymbolicError(
                f"the function needs {names}, which an earlier call of a compiled function did not "
                "keep: its optimiser's step used it up. Call zero_grad() before backward(), or "
                "return the gradient from that function"
            )
    outputs += _looked_up([*outputs, *recorder.updates.values()])
    graph = recorded_graph(recorder, (), outputs)
    modes = _modes(recorder)
    before = {attribute: recorder.before[attribute] for attribute in modes}
    return Recording(graph, result, recorder.found, left, modes, before)


def _looked_up(roots: list[Tensor]) -> list[Tensor]:
    """The look-ups of which only gradients are needed, of any order.

    A gradient takes -1 for the last row; the look-up refuses it.
    """
    needed = with_ancestors(roots)
    found = set()
    for node in needed:
        origin = node.origin
        if node.operation is None or node.operation.limits:
            continue
        while origin is not None and origin.operation is not None:
            limits = origin.operation.limits
            if not {origin.inputs[i] for i in limits}.isdisjoint(node.inputs):
                found.add(origin)
            origin = origin.origin
    return sorted(found - needed, key=attrgetter("serial"))


def _modes(recorder: _FunctionRecorder) -> dict[Attribute, Any]:
    """The attributes of modules that differ from before: modes are set again after every call."""
    modes: dict[Attribute, Any] = {}
    for (module, name), before in recorder.before.items():
        now = vars(module).get(name, MISSING)
        if name == "training":
            modes[module, name] = now
        elif isinstance(now, Tensor) and now.value is None:
            pass  # one of the leftovers
        elif now is not before and not _equal(now, before):
            raise SymbolicError(
                f"the function changes {name} of {type(module).__name__} from "
                f"{_shown(before)} to {_shown(now)} while it is captured, and "
                f"would not change it again. {_remedy(name, before, now)}"
            )
    return modes


def _remedy(name: str, before: Any, now: Any) -> str:
    """What to do instead of setting an attribute of a module."""
    if isinstance(now, (list, tuple, dict)):
        return (
            "Return what is in it. A Tensor that later calls read can be a chainrule.Buffer, one "
            "that none reads an attribute of its own"
        )
    if before is None or before is MISSING:
        other = "set it before, as by a call of the module outside the function"
    else:
        other = "change it outside the function"
    return f"Make {name} a chainrule.Buffer and assign to it, or {other}"


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, tuple) and isinstance(b, tuple):
        return len(a) == len(b) and all(x is y or _equal(x, y) for x, y in zip(a, b, strict=True))
    return type(a) is type(b) and isinstance(a, (bool, int, float, str)) and a == b


def _shown(value: Any) -> str:
    return "nothing" if value is MISSING else checks.described(value)


_PLAIN = (bool, int, float, complex, str, bytes, np.ndarray, np.generic, np.dtype, type)


def _result(returned: Any, output: Callable[[Tensor], Output]) -> Any:
    """What a function returned, with an `Output` for each symbolic Tensor."""
    if isinstance(returned, Tensor):
        if isinstance(returned, State) and not isinstance(returned, Argument):
            return returned
        node = returned.node()
        return node if node.value is not None else output(node)
    if isinstance(returned, dict):
        return with_values(returned, lambda value: _result(value, output))
    if isinstance(returned, tuple) and hasattr(returned, "_fields"):
        return type(returned)(*(_result(value, output) for value in returned))
    if type(returned) in (tuple, list):
        return type(returned)(_result(value, output) for value in returned)
    if returned is None or isinstance(returned, _PLAIN):
        return returned
    raise SymbolicError(
        f"the function returns a {type(returned).__name__}: return Tensors, numbers, text, None, "
        "or tuples, lists and dicts of them"
    )
