"""Capture: placeholders go in, one graph of outputs and state updates comes out.

The function is traced: it is called once on symbolic Tensors, and the nodes that it builds are the
graph. No source is read or rewritten. While it runs, every `State` it reads is symbolic too, and
every `assign` becomes an update of the captured graph.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cached_property
from operator import attrgetter
from typing import Any, ClassVar

from chainrule import checks
from chainrule.errors import SymbolicError
from chainrule.graph.backprop import with_ancestors
from chainrule.graph.context import local
from chainrule.graph.operation import Limit
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor, as_tensor, placeholder
from chainrule.markup import table
from chainrule.system.collector import collector_held
from chainrule.system.interrupts import interrupts_held
from chainrule.trees import leaves, map_leaves


class CapturedGraph:
    """A pure function as a graph: (inputs, state) -> (outputs, new state).

    It prints as one line for each node, and can be run.

    Attributes:
        inputs: the placeholders, in the order of the arguments' leaves.
        outputs: what the function returned, with Tensors as leaves.
        reads: the leaf that stands for each State the graph reads.
        updates: the Tensor that each updated State shall hold after the run.
        nodes: all nodes that outputs and updates need, each after its inputs; constants are the
            leaves that have a value.
        template: what it has in common with the equal graphs of other models; None where it is the
            only one.
    """

    interpreter: ClassVar[Callable[[CapturedGraph], Callable[..., Any]]]
    """Makes what runs a graph. The room `execute` sets it, so that no import points up."""

    def __init__(
        self,
        inputs: tuple[Tensor, ...],
        outputs: Any,
        reads: dict[State, Tensor],
        updates: dict[State, Tensor],
        nodes: list[Tensor],
    ) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self.reads = reads
        self.updates = updates
        self.nodes = nodes
        self.template: object | None = None

    def __call__(self, *arguments: Any) -> Any:
        """Run the graph with NumPy, node by node, and let the states hold their new values.

        Args:
            arguments: arrays, numbers or Tensors, of the captured structure, shapes and dtypes.

        Returns:
            What the function returned, with read-only arrays in place of the Tensors.

        Raises:
            ShapeError, DTypeError: if an argument is not as captured; no state is changed then.
            SymbolicError: if an argument is a placeholder, which has no value.

        Example:
            >>> import chainrule as cr
            >>> w = cr.Parameter([1.0, 2.0])
            >>> def step(x):
            ...     loss = (w * x).sum()
            ...     w.assign(w - 0.5 * cr.grad(loss, w))
            ...     return loss
            >>> graph = cr.capture(step, cr.placeholder((2,)))
            >>> graph(cr.tensor([2.0, 4.0])), w.tolist()
            (array(10., dtype=float32), [0.0, 0.0])
        """
        return self._run(*arguments)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a captured graph can't be copied or pickled: its nodes belong to the states that it "
            "reads. Copy those, or the model, and capture the function again"
        )

    @cached_property
    def _run(self) -> Callable[..., Any]:
        return CapturedGraph.interpreter(self)

    @cached_property
    def index_limits(self) -> list[tuple[int, int, Limit]]:
        """(number, length, limit) of the inputs that hold labels or indices: they must be below
        `length`.

        Only those that an operation takes as they are can be known before a run.
        """
        numbers = {leaf: number for number, leaf in enumerate(self.inputs)}
        limits = []
        for node in self.nodes:
            for position, limit in node.operation.limits.items() if node.operation else ():
                number = numbers.get(node.inputs[position])
                if number is not None:
                    length = int(limit.of(*node.inputs, **node.attributes))
                    limits.append((number, length, limit))
        return list(dict.fromkeys(limits))

    def __str__(self) -> str:
        lines = []
        for name, dtype, shape, text, path in self._rows():
            where = f"  # {path}" if path else ""
            lines.append(f"{name}: {dtype} {shape} = {text}{where}")
        return "\n".join([*lines, *(f"{what} {text}" for what, text in self._results())])

    def __repr__(self) -> str:
        inputs, outputs = len(self.inputs), len(list(leaves(self.outputs)))
        return (
            f"<CapturedGraph of {len(self.nodes)} nodes: {inputs} inputs, {len(self.reads)} states "
            f"read, {outputs} outputs, {len(self.updates)} updates>"
        )

    def _repr_html_(self) -> str:
        rows = [*self._rows(), *((what, "", "", text, "") for what, text in self._results())]
        return table(repr(self)[1:-1], ["node", "dtype", "shape", "operation", "layer"], rows)

    def _rows(self) -> list[tuple[str, str, str, str, str]]:
        """Name, dtype, shape, operation and layer of each node."""
        names: dict[Tensor, str] = {}
        read = set(self.reads.values())
        rows = []
        for number, node in enumerate(self.nodes):
            names[node] = f"%{number}"
            shape = "x".join(map(str, node.shape)) or "scalar"
            if node.operation is not None and node.value is None:
                arguments = [names[i] for i in node.inputs]
                arguments += [f"{key}={value}" for key, value in node.attributes.items()]
                text = f"{node.operation.name}({', '.join(arguments)})"
            elif node in read:
                text = f"state {node.name or ''}".rstrip()
            elif node.value is not None:
                text = _constant(node)
            else:
                text = f"input {node.name or ''}".rstrip()
            rows.append((names[node], str(node.dtype), shape, text, node.path))
        return rows

    def _results(self) -> list[tuple[str, str]]:
        """The outputs, and what each updated State shall hold."""
        names = {node: f"%{number}" for number, node in enumerate(self.nodes)}
        found = [("output", names[output]) for output in leaves(self.outputs)]
        for state, tensor in self.updates.items():
            found.append(("update", f"{state.name or 'state'} <- {names[tensor]}"))
        return found


def _constant(node: Tensor) -> str:
    """The text of a constant: with its number, where all elements are equal."""
    array = node.numpy()
    first = array.reshape(-1)[:1]
    return f"constant {first[0]!s}" if first.size and (array == first).all() else "constant"


class StateRecorder:
    """Notes the reads and assignments of State during a capture."""

    def __init__(self) -> None:
        self.reads: dict[State, Tensor] = {}
        self.updates: dict[State, Tensor] = {}
        self.assigned: dict[State, Tensor] = {}  # what a read after the assignment sees

    def read(self, state: State) -> Tensor:
        """The node that a read of the state gives now."""
        leaf = self.assigned.get(state)
        if leaf is None:
            if state in self.updates:
                leaf = self.assigned[state] = self._leaf(state, self.updates[state])
            else:
                if state not in self.reads:
                    self.reads[state] = state.symbolic_leaf()
                leaf = self.reads[state]
        if leaf.requires_grad != state.requires_grad:
            # It was frozen or unfrozen since: the same value, but another variable.
            leaf = self.assigned[state] = self._leaf(state, leaf)
        return leaf

    def assign(self, state: State, tensor: Tensor) -> None:
        """Let the graph update the state; later reads see the new value."""
        self.updates[state] = tensor
        self.assigned.pop(state, None)

    def gradient(self, state: State) -> Tensor | None:
        """What `.grad` of the state is now; a graph that `capture` makes does not change it."""
        return state._grad

    def set_gradient(self, state: State, grad: Tensor | None) -> None:
        """Let the state have another `.grad`."""
        state._grad = grad

    def takes_gradients(self, leaf: Tensor) -> bool:
        """Whether `backward` may fill the `.grad` of this leaf."""
        return False

    def stepped(self, optimizer: Any) -> None:
        """Refuse an optimiser's step, which reads `.grad`."""
        raise SymbolicError(
            "step() reads .grad, which is no part of a captured graph: call update(grads) "
            "with the Tensors of chainrule.grad instead, or capture the function by cr.compile"
        )

    def uses(self, module: Any) -> None:
        """A module is called."""

    def sets(self, module: Any, name: str, before: Any) -> None:
        """An attribute of a module, which was `before`, is set."""

    def _leaf(self, state: State, tensor: Tensor) -> Tensor:
        """A new variable with the value of `tensor`, to which no gradient passes from it."""
        if not (state.requires_grad or tensor.requires_grad):
            return tensor
        leaf = tensor.detach()
        leaf.state = state
        leaf.name = state.name
        leaf.requires_grad = state.requires_grad
        return leaf


def capture(function: Callable[..., Any], *arguments: Any) -> CapturedGraph:
    """The graph of `function` called on placeholders.

    Args:
        function: takes Tensors, or tuples, lists and dicts of them; returns the same.
        arguments: for each argument a placeholder or an array, whose shape and dtype it then has,
            or a structure of those.

    Raises:
        SymbolicError: if a capture is under way already, or the function uses a placeholder that
            is none of its arguments.

    Example:
        >>> import chainrule as cr
        >>> w = cr.Parameter([[1.0], [2.0]], name="w")
        >>> print(cr.capture(lambda x: x @ w, cr.placeholder((3, 2), name="x")))
        %0: float32 3x2 = input x
        %1: float32 2x1 = state w
        %2: float32 3x1 = matmul(%0, %1)
        output %2

    Calling it runs it.
    """
    checks.function("what is captured", function, "of Tensors")
    inputs: list[Tensor] = []

    def as_placeholder(leaf: Any) -> Tensor:
        spec: Tensor | Array = leaf if isinstance(leaf, Tensor) else as_tensor(leaf)
        name = spec.name if isinstance(spec, Tensor) else None
        inputs.append(placeholder(spec.shape, spec.dtype, name=name))
        return inputs[-1]

    symbolic = map_leaves(as_placeholder, arguments)
    with interrupts_held() as interrupts, collector_held(), interrupts.let_through():
        while True:
            recorder = StateRecorder()
            try:
                with recorded(recorder):
                    outputs = map_leaves(_node, function(*symbolic))
            except CaptureAgain:
                continue
            return recorded_graph(recorder, tuple(inputs), outputs)


class CaptureAgain(Exception):  # noqa: N818 - it is no fault
    """Raised where a capture has changed what its graph reads: it begins again."""


@contextmanager
def recorded(recorder: StateRecorder) -> Iterator[None]:
    """Within it State is symbolic, and what is done to it is noted.

    Raises:
        SymbolicError: if a capture is under way already.
    """
    context = local.context
    if context.capture is not None:
        raise SymbolicError("a capture is under way already: captures do not nest")
    grad_enabled = context.grad_enabled
    context.capture = recorder
    try:
        yield
    finally:
        context.capture = None
        # A Ctrl-C just before a `no_grad` is left would leave it on.
        context.grad_enabled = grad_enabled


def recorded_graph(
    recorder: StateRecorder, inputs: tuple[Tensor, ...], outputs: Any
) -> CapturedGraph:
    """The graph of what was recorded, from these inputs to these outputs.

    Raises:
        SymbolicError: if it needs a placeholder that is none of the inputs.
    """
    roots = [*leaves(outputs), *recorder.updates.values()]
    # Constants end the search.
    needed = with_ancestors(roots, lambda node: node.inputs if node.value is None else ())
    nodes = sorted(needed, key=attrgetter("serial"))
    known = {*inputs, *recorder.reads.values()}
    for node in nodes:
        if node.value is None and node.operation is None and node not in known:
            raise SymbolicError(
                f"the graph needs {node!r}, which is not an argument of the function: it comes "
                "from elsewhere, as from another capture; pass it as an argument"
            )
    return CapturedGraph(inputs, outputs, recorder.reads, recorder.updates, nodes)


def _node(output: Any) -> Tensor:
    """The node that stands for what the function returned."""
    return as_tensor(output).node()
