"""One training step of a model as training does it, with every state left as it is.

The step runs eagerly, so each Tensor has its value. What it assigns to states (running means,
random counters, the new weights) is noted beside them, as a capture does.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from operator import attrgetter
from typing import Any, NamedTuple

import numpy as np

from chainrule.compiler.capture import CaptureAgain, StateRecorder, recorded
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.backprop import ancestors, build_grad, prune
from chainrule.graph.context import MISSING, no_grad
from chainrule.graph.grad_table import gradients_of_states
from chainrule.graph.guards import guard_of
from chainrule.graph.state import State
from chainrule.graph.tensor import Array, Tensor
from chainrule.inspect.contributions import Contribution, contributions
from chainrule.nn import Module
from chainrule.nn.inputs import call_model
from chainrule.nn.interception import intercepted
from chainrule.nn.module import changes
from chainrule.nn.traversal import REGISTRIES
from chainrule.ops.random import Generator, use_generator
from chainrule.optim import Optimizer
from chainrule.tables import is_table, names_of
from chainrule.train.batch_loss import fitted_targets
from chainrule.train.checked_rows import checked_rows
from chainrule.train.roles import check_outputs, loss_of_outputs
from chainrule.train.training_step import StepGraphs
from chainrule.trees import leaves


class Call(NamedTuple):
    """A call of a module.

    Attributes:
        module, path: which one.
        inputs, output: Tensors, of several outputs the first; None without one.
        first, last: the serial numbers of its nodes are above the one and up to the other.
    """

    module: Module
    path: str
    inputs: list[Tensor]
    output: Tensor | None
    first: int
    last: int


class Step(NamedTuple):
    """What a step computed.

    Attributes:
        nodes: the graph of the loss, and targets of which it holds no more than constants,
            oldest first.
        loss: its last node.
        inputs, targets, outputs: the leaves that hold the data, and what the model returned.
        calls: those of the model's layers, in order.
        visited: the variables of G', in the order in which they get their gradients.
        grad_table: the gradients.
        parts: for each variable what each consumer contributes: (consumer, index, gradient).
        names: the paths of the parameters and buffers.
        new: the values of the parameters after the update.
        rows: how many rows the batch has.
        loss_after: the loss with the new parameters; None without an optimizer.
    """

    nodes: list[Tensor]
    loss: Tensor
    inputs: list[Tensor]
    targets: list[Tensor]
    outputs: list[Tensor]
    calls: list[Call]
    visited: list[Tensor]
    grad_table: dict[Tensor, Tensor]
    parts: dict[Tensor, list[Contribution]]
    names: dict[State, str]
    new: dict[State, Array]
    rows: int
    loss_after: float | None


class _Beside(StateRecorder):
    """Notes what a step assigns to states and sets in modules; reads give values.

    Attributes:
        leaves: what reads of a state give while it requires a gradient, or not.
        attributes: what modules had: the values, and the registries that held them.
    """

    def __init__(self) -> None:
        super().__init__()
        self.leaves: dict[tuple[State, bool], Tensor] = {}
        self.attributes: dict[tuple[Any, str], tuple[Any, list[str]]] = {}

    def read(self, state: State) -> Tensor:
        if state in self.updates:
            return super().read(state)
        use = state, state.requires_grad
        if use not in self.leaves:
            other = self.leaves.get((state, not state.requires_grad))
            value = state._unchanging() if other is None else other.value
            # A graph is kept from all leaves on, from frozen parameters, too.
            leaf = self.leaves[use] = Tensor(value, state.dtype.kind == "f", state.name)
            leaf.state = state
        return self.leaves[use]

    def trained(self, loss: Tensor, parameters: set[Tensor]) -> list[Tensor]:
        """The leaves through which the loss reads parameters while they are not frozen."""
        return [
            node
            for node in ancestors(loss)
            if node.state in parameters
            and node.requires_grad
            and node is not self.leaves.get((node.state, False))
        ]

    def sets(self, module: Any, name: str, before: Any) -> None:
        registries = [r for r in (*REGISTRIES, "_unsaved") if name in vars(module).get(r, ())]
        self.attributes.setdefault((module, name), (before, registries))

    def restore(self) -> None:
        """Let the modules have the attributes that they had."""
        for (module, name), (before, registries) in self.attributes.items():
            held = vars(module)
            if before is MISSING:
                held.pop(name, None)
            else:
                held[name] = before
            for registry in REGISTRIES:
                if registry in registries:
                    held[registry][name] = before
                else:
                    held.get(registry, {}).pop(name, None)
            unsaved = held.get("_unsaved", set())
            (unsaved.add if "_unsaved" in registries else unsaved.discard)(name)
        changes.count += 1


def run_step(
    model: Module,
    x: Any,
    y: Any,
    loss: Callable[..., Tensor],
    optimizer: Optimizer | None,
    seed: int,
    *,
    is_training: bool = True,
) -> Step:
    """The step on these rows; see `explain`.

    Without `is_training` it goes forward alone, in the mode that the model is in.
    """
    graphs = StepGraphs(model, loss, optimizer)
    faults: list[Exception] = []
    for rows in _as_rows(x, y):
        try:
            data = checked_rows(graphs, *rows, None, model._column_names or names_of(x))
            return _run(model, data, loss, optimizer, seed, is_training)
        except (ShapeError, DTypeError, ValueError, IndexError, TypeError) as fault:
            faults.append(fault)
    raise faults[0]


def _as_rows(x: Any, y: Any) -> list[tuple[Any, Any]]:
    """What the user may mean by x and y, the likeliest first: rows, or one row without its axis."""
    if x is None or y is None:
        missing = "x" if x is None else "y"
        raise TypeError(
            f"{missing} is None: explain takes the inputs x and the targets y of one row or of "
            "several, as cr.explain(model, x, y, loss)"
        )
    given = (x, y)
    one = (_with_rows(x), _with_rows(y))
    return [one, given] if _axes(x) == 1 or _axes(y) == 0 else [given]


def _are_several(data: Any) -> bool:
    """Whether data are several arrays, of a model with several inputs."""
    return isinstance(data, dict) or (
        isinstance(data, (tuple, list)) and any(hasattr(item, "shape") for item in data)
    )


def _axes(data: Any) -> int | None:
    """The number of axes of one array; None for several, for a table and for ragged rows."""
    if _are_several(data) or is_table(data):
        return None
    try:
        return int(np.ndim(data))
    except ValueError:
        return None


def _with_rows(data: Any) -> Any:
    """One row as rows: with a first axis of length 1."""
    if isinstance(data, dict):
        return {key: _with_rows(item) for key, item in data.items()}
    if _are_several(data):
        return tuple(_with_rows(item) for item in data)
    return data if is_table(data) else np.asarray(data, dtype=_plain(data))[None]


def _plain(data: Any) -> Any:
    """Object, where rows have different lengths: the check of the data says so."""
    try:
        np.shape(data)
    except ValueError:
        return object
    return None


def _run(
    model: Module,
    data: Any,
    loss: Callable[..., Tensor],
    optimizer: Optimizer | None,
    seed: int,
    is_training: bool,
) -> Step:
    arrays = [
        Tensor(np.array(array, dtype))
        for array, dtype in zip(data.arrays, data.form.dtypes, strict=True)
    ]
    x, y = data.form.unflatten(arrays)
    inputs = list(leaves(x))
    for leaf in inputs:
        leaf.requires_grad = leaf.dtype.kind == "f"  # so that the graph is kept from there on
    beside = _Beside()
    with recorded(beside), np.errstate(all="ignore"):  # infinities are shown
        try:
            names = _read_all(beside, model, loss, optimizer)
            noted = _LayerCalls(model)
            with (
                model.in_mode(True) if is_training else nullcontext(),
                use_generator(Generator(seed)),
                intercepted(model, noted.around),
            ):
                output = check_outputs(model, call_model(model, x))
                compared = fitted_targets(loss, output, y)
                found = loss_of_outputs(loss, output, compared, {}).node()
            visited, grad_table, parts = (
                _gradients(found, optimizer, model, loss, beside) if is_training else ([], {}, {})
            )
            new = _updated(beside, optimizer, grad_table, found)
            after = None
            if optimizer is not None:
                after = _loss_with(new, model, x, compared, loss, seed, beside)
        finally:
            beside.restore()
    nodes = ancestors(found)
    held = _DataLeaves(nodes)
    calls = [c._replace(inputs=[held.leaf(i) for i in c.inputs]) for c in noted.found]
    inputs, targets = list(map(held.leaf, inputs)), list(map(held.leaf, leaves(compared)))
    unused = {leaf for leaf in targets if leaf.operation is None}.difference(nodes)
    nodes = sorted([*nodes, *unused], key=attrgetter("serial"))
    return Step(
        nodes, found, inputs, targets, [leaf.node() for leaf in leaves(output)], calls, visited,
        grad_table, parts, names, new, data.rows, after,
    )  # fmt: skip


class _DataLeaves:
    """The leaves of a graph that hold data: a cast of integers, say, is a new leaf."""

    def __init__(self, nodes: list[Tensor]) -> None:
        self.nodes = set(nodes)
        self.constants = [n for n in nodes if n.operation is None and n.state is None]

    def leaf(self, given: Tensor) -> Tensor:
        """The node of the graph that holds the data of a leaf."""
        if given in self.nodes or given.operation is not None:
            return given
        for node in self.constants:
            if node.serial > given.serial and np.array_equal(node.numpy(), given.numpy()):
                return node
        return given


def _read_all(
    beside: _Beside, model: Module, loss: Any, optimizer: Optimizer | None
) -> dict[State, str]:
    """Read all states, as they are between two steps of other threads; their paths."""
    names: dict[State, str] = {}
    for prefix, holder in (("", model), ("loss", loss)):
        if isinstance(holder, Module):
            named = (*holder.named_parameters(prefix), *holder.named_buffers(prefix))
            for name, state in named:
                names.setdefault(state, name)
    states = [*names, *(optimizer.states().values() if optimizer is not None else ())]
    guarded = [state for state in states if state.guard is not None]
    with guard_of(guarded).shared if guarded else nullcontext():
        for state in states:
            beside.read(state)
    return names


class _LayerCalls:
    """The calls of layers: of modules that hold no others, or have parameters of their own."""

    def __init__(self, model: Module) -> None:
        self.paths = {module: path for path, module in model.named_modules()}
        self.found: list[Call] = []

    def around(
        self, module: Module, forward: Callable[..., Any], *inputs: Any, **keywords: Any
    ) -> Any:
        first = Tensor(_NOTHING).serial
        place = len(self.found)
        output = forward(*inputs, **keywords)
        if not module._modules or any(p is not None for p in module._parameters.values()):
            given = [i.node() for i in leaves([*inputs, *keywords.values()]) if _is_tensor(i)]
            single = next((o.node() for o in leaves(output) if _is_tensor(o)), None)
            last = Tensor(_NOTHING).serial
            call = Call(module, self.paths[module], given, single, first, last)
            self.found.insert(place, call)
        return output


_NOTHING = np.zeros(())


def _is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def _gradients(
    loss: Tensor, optimizer: Optimizer | None, model: Module, function: Any, beside: _Beside
) -> tuple[list[Tensor], dict[Tensor, Tensor], dict[Tensor, list[Contribution]]]:
    """Algorithms 6.5 and 6.6, with what each consumer contributes."""
    if optimizer is not None:
        parameters = list(optimizer.params)
    else:
        parameters = [*model.parameters()]
        parameters += function.parameters() if isinstance(function, Module) else ()
    pruned = prune(loss, beside.trained(loss, {p for p in parameters if p.requires_grad}))
    if len(pruned) < 2:
        raise ValueError(
            "the loss depends on no parameter that requires a gradient: there is nothing to explain"
        )
    with no_grad():
        grad_table = {loss: Tensor(np.ones((), loss.dtype))}
        visited, parts = [], {}
        for variable in reversed(pruned):
            visited.append(variable)
            if variable is not loss:
                build_grad(variable, pruned, grad_table)
                parts[variable] = contributions(variable, pruned[variable], grad_table)
    return [v for v in visited if v in grad_table], grad_table, parts


def _updated(
    beside: _Beside, optimizer: Optimizer | None, grad_table: dict[Tensor, Tensor], loss: Tensor
) -> dict[State, Array]:
    """The values of the optimizer's parameters after its step."""
    if optimizer is None:
        return {}
    with no_grad():
        of_states = gradients_of_states(grad_table)
        grads = [of_states.get(parameter) for parameter in optimizer.params]
        while True:
            try:
                optimizer.update(grads, loss)
                break
            except CaptureAgain:
                continue
    return {W: beside.updates[W].numpy() for W in optimizer.params if W in beside.updates}


def _loss_with(
    new: dict[State, Array],
    model: Module,
    x: Any,
    y: Any,
    loss: Callable[..., Tensor],
    seed: int,
    beside: _Beside,
) -> float:
    """The loss of the same rows with new parameters; all other states are as at first."""
    beside.updates.clear()
    beside.assigned.clear()
    for state, value in new.items():
        beside.assign(state, Tensor(value))
    with no_grad(), model.in_mode(True), use_generator(Generator(seed)):
        return float(loss_of_outputs(loss, call_model(model, x), y, {}).item())
