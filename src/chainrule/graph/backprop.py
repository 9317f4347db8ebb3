"""Backpropagation: algorithms 6.5 and 6.6 of *Deep Learning* (Goodfellow, Bengio, Courville).

The gradient of a graph is a graph. `backprop` prunes the graph to G', the variables on a path from
a target to z, and fills a `grad_table` with one Tensor per variable of G'. The book's `build_grad`
calls itself for the consumers of a variable. Here the variables are visited from the youngest to
the oldest: the gradients of all consumers are in the table before a variable is visited, and a
chain of any length works without recursion.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from operator import attrgetter
from typing import Any, TypeVar

from chainrule import checks
from chainrule.errors import DTypeError, ShapeError
from chainrule.graph.context import local
from chainrule.graph.grad_table import GradTable, summed
from chainrule.graph.operation import JointRule, Operation, operations
from chainrule.graph.registered import functions
from chainrule.graph.tensor import Tensor, TensorLike, as_tensor

Edge = tuple[Tensor, int]
"""(consumer, index): the edge from `consumer.inputs[index]` to `consumer`."""

PrunedGraph = dict[Tensor, list[Edge]]
"""G': its variables from the oldest to the youngest, each with the edges to its consumers."""

Node = TypeVar("Node", bound=Any)

_by_age = attrgetter("serial")


def get_operation(variable: Tensor) -> Operation | None:
    """The operation that computes `variable`; None for a leaf."""
    return variable.operation


def get_inputs(variable: Tensor) -> tuple[Tensor, ...]:
    """The variables that the operation of `variable` takes: its parents in the graph."""
    return variable.inputs


def get_consumers(variable: Tensor, graph: Tensor | PrunedGraph) -> list[Tensor]:
    """The children of `variable` in `graph`: the variables computed from it.

    Args:
        variable: a Tensor; a `Parameter` stands for every leaf through which the graph reads it.
        graph: the pruned graph of `prune`, or a Tensor, which means the graph of its ancestors.

    Raises:
        TypeError: for a variable that is no Tensor, as where the two are swapped.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor(3.0, requires_grad=True)
        >>> y = x * x
        >>> z = x + y
        >>> [c.operation.name for c in cr.get_consumers(x, z)]
        ['multiply', 'add']
    """
    if not isinstance(variable, Tensor) or not isinstance(graph, (Tensor, Mapping)):
        raise TypeError(
            "get_consumers(variable, graph) takes a Tensor, and a Tensor or what cr.graph.prune "
            f"returns, not {type(variable).__name__} and {type(graph).__name__}"
        )
    nodes = ancestors(graph) if isinstance(graph, Tensor) else graph
    return [
        node for node in nodes if any(i is variable or i.state is variable for i in node.inputs)
    ]


def ancestors(z: Tensor) -> list[Tensor]:
    """`z` and all variables it is computed from, from the oldest to the youngest.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor(3.0, requires_grad=True)
        >>> [variable.item() for variable in cr.graph.ancestors(x * x)]
        [3.0, 9.0]
    """
    return sorted(with_ancestors([z]), key=_by_age)


def with_ancestors(
    nodes: Iterable[Node], inputs: Callable[[Node], Iterable[Node]] = attrgetter("inputs")
) -> set[Node]:
    """The nodes and all nodes that they are computed from, by way of their `inputs`."""
    found = set(nodes)
    new = found.copy()
    while new:
        new = {parent for node in new for parent in inputs(node) if parent not in found}
        found |= new
    return found


def prune(z: Tensor, targets: Iterable[Tensor] | None = None) -> PrunedGraph:
    """G': the ancestors of `z` that depend on a target, with their consumers in G'.

    Args:
        z: the variable to differentiate.
        targets: the set T; by default all leaves of `z` that require a gradient.
    """
    return _prune_to_leaves(z) if targets is None else prune_outputs([z], targets)


def prune_outputs(
    outputs: Iterable[Tensor], targets: Iterable[Tensor], in_no_grad: bool = False
) -> PrunedGraph:
    """`prune`, of the ancestors of several variables; those built inside `no_grad`, too, if so."""
    wanted = _checked_targets(targets)
    pruned: PrunedGraph = {}
    for variable in sorted(with_ancestors(outputs), key=_by_age):
        edges = []
        has_graph = variable.requires_grad or not any(p.requires_grad for p in variable.inputs)
        if (has_graph or in_no_grad) and not variable._is_made_leaf:
            # else the variable was built inside no_grad(), or is not differentiable
            edges = [(variable, i) for i, parent in enumerate(variable.inputs) if parent in pruned]
        if edges or variable in wanted or (variable.state in wanted and _counts(variable)):
            pruned[variable] = []
            for edge in edges:
                pruned[variable.inputs[edge[1]]].append(edge)
    return pruned


def _counts(leaf: Tensor) -> bool:
    """Whether a graph does not read a State through this leaf while the State was frozen."""
    state: Any = leaf.state
    return leaf.requires_grad or not state.requires_grad


def _checked_targets(targets: Iterable[Tensor]) -> set[Tensor]:
    if isinstance(targets, Tensor):
        raise TypeError("targets are several Tensors: write [x] for one x")
    wanted = set(targets)
    for target in wanted:
        if not isinstance(target, Tensor):
            raise TypeError(f"a target is a Tensor or a Parameter, not {target!r:.80}")
    return wanted


def _prune_to_leaves(z: Tensor) -> PrunedGraph:
    """`prune` to all leaves, where `requires_grad` marks the variables that depend on a target."""
    if not z.requires_grad:
        return {}
    edges: PrunedGraph = {z: []}
    stack = [z]
    while stack:
        node = stack.pop()
        if node._is_made_leaf:
            continue
        for index, parent in enumerate(node.inputs):
            if parent.requires_grad:
                consumers = edges.get(parent)
                if consumers is None:
                    edges[parent] = [(node, index)]
                    stack.append(parent)
                else:
                    consumers.append((node, index))
    return {node: edges[node] for node in sorted(edges, key=_by_age)}


def backprop(
    z: Tensor,
    targets: Iterable[Tensor] | None = None,
    grad_output: TensorLike | None = None,
) -> GradTable:
    """The gradients of `z` with respect to every variable on a path from a target to `z`.

    Algorithm 6.5. The gradients are nodes of the graph, so they can be differentiated again.

    Args:
        z: the variable to differentiate.
        targets: the set T; by default all leaves of `z` that require a gradient. A `Parameter`
            stands for every leaf through which the graph reads it; where it requires a gradient
            now, not for those of reads while it was frozen.
        grad_output: the gradient of a final result with respect to `z`, of its shape; 1 where
            `z` has one element.

    Returns:
        The `grad_table`, a `graph.GradTable`: a Tensor of the same shape for each variable that has
        a gradient.

    Raises:
        ShapeError: if `z` has not one element and `grad_output` is missing, or their shapes differ.
        TypeError: if `z` or a target is no Tensor.

    Example:
        >>> import chainrule as cr
        >>> x, y, z = (cr.tensor(v, requires_grad=True) for v in (-2.0, 5.0, -4.0))
        >>> q = x + y
        >>> grad_table = cr.backprop(q * z)
        >>> [grad_table[v].item() for v in (x, y, z, q)]
        [-4.0, -4.0, 3.0, -4.0]
    """
    z = checked_output(z)
    grad_table = {z: grad_of_output(z, grad_output)}
    fill_table(grad_table, prune(z, targets))
    return GradTable(grad_table)


def checked_output(z: Any) -> Tensor:
    """The node of what is to be differentiated; raises TypeError unless it is a Tensor."""
    if not isinstance(z, Tensor):
        raise TypeError(f"only Tensors can be differentiated, not {type(z).__name__}")
    return z.node()


def fill_table(grad_table: dict[Tensor, Tensor], pruned: PrunedGraph) -> None:
    """Add to a table, which has the gradients of the outputs, those of all variables of G'."""
    context = local.context
    before, context.shared = context.shared, {}
    try:
        for variable in reversed(pruned):
            _add_over_consumers(variable, pruned, grad_table)
    finally:
        context.shared = before


def build_grad(
    variable: Tensor, pruned: PrunedGraph, grad_table: dict[Tensor, Tensor]
) -> Tensor | None:
    """Put the gradient of `variable` into the table: the sum over its consumers in G'.

    Algorithm 6.6: the gradients of consumers that are not in the table yet are built first, so
    that the targets may come in any order. The book's algorithm calls itself for these; here they
    are visited from the youngest to the oldest, each once.

    Args:
        variable: of G'; a `Parameter` stands for every leaf through which the graph reads it.
        pruned: G', of `prune`.
        grad_table: has the gradient of z at first, and takes all that are built.

    Returns:
        The gradient; None where no differentiable path leads to a variable of the table.

    Raises:
        ValueError: for a variable that is not in G', or a table that is empty.
        TypeError: for a gradient in the table that is no Tensor.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor(2.0, requires_grad=True)
        >>> z = x * cr.exp(x)
        >>> pruned, grad_table = cr.graph.prune(z, [x]), {z: cr.tensor(1.0)}
        >>> for v in [x]:  # the targets
        ...     gradient = cr.build_grad(v, pruned, grad_table)
        >>> gradient.item() == (cr.exp(x) + x * cr.exp(x)).item()
        True
    """
    leaves = [v for v in pruned if v.state is variable] if variable.is_state else [variable]
    if not leaves or leaves[0] not in pruned:
        raise ValueError(f"{variable!r:.80} is not in G': on no path from a target to z")
    if not grad_table:
        raise ValueError(
            "grad_table is empty: it begins with the gradient of z, as {z: cr.tensor(1.0)}"
        )
    missing = with_ancestors(
        [leaf for leaf in leaves if leaf not in grad_table],
        lambda v: (consumer for consumer, _ in pruned[v] if consumer not in grad_table),
    )
    for node in sorted(missing, key=_by_age, reverse=True):
        for consumer, _ in pruned[node]:
            if consumer in grad_table and not isinstance(grad_table[consumer], Tensor):
                raise TypeError(
                    f"grad_table holds Tensors, as cr.tensor(1.0), not {grad_table[consumer]!r:.80}"
                )
        _add_over_consumers(node, pruned, grad_table)
    grads = [grad_table[leaf] for leaf in leaves if leaf in grad_table]
    return summed(grads) if grads else None


def _add_over_consumers(
    variable: Tensor, pruned: PrunedGraph, grad_table: dict[Tensor, Tensor]
) -> None:
    """`build_grad` of a variable of which all consumers have been visited.

    Each edge of G' is visited once, each sum is one n-ary add. What the table has for an output
    counts in the sum.
    """
    context = local.context
    before = context.origin, context.path
    contributions = [grad_table[variable]] if variable in grad_table else []
    together: dict[JointRule, list[tuple[Tensor, Tensor]]] = {}
    edges = pruned[variable]
    try:
        for consumer, index in edges:
            grad_output = grad_table.get(consumer)
            if grad_output is not None:  # else no differentiable path leads from the consumer to z
                operation: Operation = consumer.operation  # type: ignore[assignment]
                if operation.joint_rule is not None and len(edges) > 1:
                    together.setdefault(operation.joint_rule, []).append((consumer, grad_output))
                    continue
                context.origin = consumer
                context.path = consumer.path
                contribution = operation.bprop(consumer, index, grad_output)
                if contribution is not None:
                    contributions.append(contribution)
        for rule, results in together.items():
            context.origin, _ = results[0]
            context.path = context.origin.path
            contributions += rule(variable, results)
        if len(contributions) == 1:
            grad_table[variable] = contributions[0]
        elif contributions:
            context.origin = variable
            context.path = variable.path
            grad_table[variable] = operations["add_n"].apply(*contributions)
    finally:
        context.origin, context.path = before


def grad_of_output(z: Tensor, grad_output: TensorLike | None) -> Tensor:
    """The gradient that a table begins with: that given for z, or 1.

    Raises:
        DTypeError: if z is not floating.
        ShapeError: if its shape is another than z's, or it is missing and z has not one element.
    """
    if z.dtype.kind != "f":
        raise DTypeError(f"only floating Tensors can be differentiated, not {checks.described(z)}")
    if grad_output is None:
        if z.size != 1:
            raise ShapeError(
                f"the gradient of a Tensor of shape {z.shape} needs grad_output of that shape; "
                "only of one element is it 1 by default. Sum the Tensor, or pass grad_output."
            )
        return functions["ones_like"](z)
    grad = as_tensor(grad_output, None if isinstance(grad_output, Tensor) else z.dtype)
    if grad.shape != z.shape:
        raise ShapeError(f"grad_output has shape {grad.shape}; the Tensor has {z.shape}")
    return grad.astype(z.dtype)
