"""Gradients as users ask for them: `backward`, which fills `.grad` of leaves, and `grad`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, overload

from chainrule import checks
from chainrule.errors import SymbolicError
from chainrule.graph.backprop import (
    checked_output,
    fill_table,
    grad_of_output,
    prune,
    prune_outputs,
    with_ancestors,
)
from chainrule.graph.compiled_results import COMPILED, is_compiled, without_graph
from chainrule.graph.context import Recorder, local
from chainrule.graph.grad_table import gradients_of_states
from chainrule.graph.keywords import Keywords, both_names
from chainrule.graph.registered import functions, method
from chainrule.graph.tensor import Tensor, TensorLike

if TYPE_CHECKING:
    from typing_extensions import Unpack

Outputs: TypeAlias = Tensor | Sequence[Tensor]
Tensors: TypeAlias = Sequence[Tensor] | Iterator[Tensor]


@method
def backward(
    z: Tensor,
    grad_output: TensorLike | None = None,
    create_graph: bool = False,
    inputs: Tensor | Sequence[Tensor] | None = None,
) -> None:
    """Accumulate the gradients of `z` in `.grad` of its leaves; see `Tensor.backward`."""
    if is_compiled(z) and not (z.is_leaf and z.requires_grad):
        raise without_graph(z)
    if not z.requires_grad:
        raise ValueError(
            f"{checks.described(z)} has no graph to a leaf that requires a gradient: pass "
            "requires_grad=True to the leaves, build the graph outside no_grad(), and note that no "
            "gradient passes comparisons, integers, argmax, heaviside, // and stop_gradient"
        )
    targets = None if inputs is None else _checked_leaves(inputs)
    context = local.context
    before, context.grad_enabled = context.grad_enabled, create_graph and context.grad_enabled
    try:
        z = z.node()
        grad_table = {z: grad_of_output(z, grad_output)}
        pruned = prune(z, targets)
        fill_table(grad_table, pruned)
        leaves = [variable for variable in pruned if _keeps_gradient(variable)]
        if context.capture is not None:
            _check_gradients_go_to_state(leaves, context.capture)
        sums: dict[Tensor, Tensor] = {}  # all of them first: one that can't be had changes none
        for variable in leaves:
            leaf = variable if variable.state is None else variable.state
            grad = grad_table.get(variable)
            held = sums.get(leaf, leaf.grad)
            if grad is not None:
                sums[leaf] = grad if held is None else held + grad
            elif held is None:  # the derivatives of all paths are 0
                sums[leaf] = functions["zeros_like"](variable)
        for leaf, total in sums.items():
            # Its origin would keep the forward pass in memory.
            is_kept = create_graph or total.value is None
            leaf.grad = total if is_kept else Tensor(total.value)
    finally:
        context.grad_enabled = before


def _checked_leaves(inputs: Tensor | Sequence[Tensor]) -> list[Tensor]:
    """What `backward` fills `.grad` of, if not of all leaves."""
    leaves = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    if not leaves:
        raise ValueError("backward: inputs are several leaves; there are none")
    for leaf in leaves:
        if not isinstance(leaf, Tensor):
            raise TypeError(f"backward: inputs are Tensors, got {leaf!r:.80}")
        if not leaf.is_leaf or not leaf.requires_grad:
            raise ValueError(
                f"backward fills .grad of leaves that require a gradient, not of {leaf!r:.80}; "
                "cr.grad(loss, x) takes any Tensor that the loss is computed from"
            )
    return leaves


def _keeps_gradient(variable: Tensor) -> bool:
    """Whether it is a leaf, or stands for a State that a captured function has assigned to."""
    return variable.is_leaf or variable.state is not None


def _check_gradients_go_to_state(leaves: list[Tensor], capture: Recorder) -> None:
    """Raise SymbolicError where a leaf of a captured graph can't keep its gradient."""
    for leaf in leaves:
        if leaf._is_made_leaf:  # a variable of the function
            continue
        if leaf.requires_grad and not capture.takes_gradients(leaf):
            raise SymbolicError(
                f"backward() would fill .grad of {checks.described(leaf)}, which is not part of a "
                "captured graph; use cr.grad there, or make it a Parameter or an argument and "
                "capture the function by cr.compile"
            )


@overload
def grad(z: Outputs, inputs: Tensor, grad_output: Any = None, **_: Unpack[Keywords]) -> Tensor: ...
@overload
def grad(
    z: Outputs, inputs: Tensors, grad_output: Any = None, **_: Unpack[Keywords]
) -> list[Tensor]: ...
@overload
def grad(
    z: Outputs, inputs: Mapping[str, Tensor], grad_output: Any = None, **_: Unpack[Keywords]
) -> dict[str, Tensor]: ...
@both_names(outputs="z", grad_outputs="grad_output")  # type: ignore[misc]  # of grad_outputs
def grad(
    z: Outputs,
    inputs: Tensor | Tensors | Mapping[str, Tensor],
    grad_output: TensorLike | None = None,
    retain_graph: bool | None = None,
    create_graph: bool | None = None,
    allow_unused: bool | None = None,
) -> Tensor | list[Tensor] | dict[str, Tensor]:
    """The gradient of `z` with respect to one Tensor, or to each of several.

    The gradient is part of the graph and can be differentiated again.

    Args:
        z: a Tensor of one element, or any with `grad_output`; or several; gradients add up.
        inputs: a Tensor, several or a dict of Tensors; the gradient with respect to one that
            `z` does not depend on is zeros.
        grad_output: the gradient of a final result with respect to `z`; of several a sequence.
        retain_graph, create_graph, allow_unused: mean nothing: graphs stay, a gradient is a graph,
            and one that does not matter has a gradient of zeros.

    Example:
        >>> import chainrule as cr
        >>> x = cr.tensor(2.0, requires_grad=True)
        >>> first = cr.grad(x**3, x)
        >>> second = cr.grad(first, x)
        >>> first.item(), second.item()
        (12.0, 12.0)
    """
    outputs = _outputs(z, grad_output) if isinstance(z, Sequence) else [(z, grad_output)]
    if isinstance(inputs, Tensor):
        return _grads(outputs, [inputs])[0]
    if isinstance(inputs, Mapping):
        return dict(zip(inputs, _grads(outputs, list(inputs.values())), strict=True))
    return _grads(outputs, checks.several("inputs", inputs, "Tensors"))


def _outputs(outputs: Sequence[Tensor], grad_outputs: Any) -> list[tuple[Tensor, Any]]:
    """Each output with its `grad_output`. Refuse no output, and not one `grad_output` for each."""
    given = [None] * len(outputs) if grad_outputs is None else grad_outputs
    if not isinstance(given, (list, tuple)):
        given = [given]
    if not outputs or len(given) != len(outputs):
        got = f"{len(outputs)} and {len(given)}"
        raise ValueError(f"grad takes at least one output and a grad_output for each; got {got}")
    return list(zip(outputs, given, strict=True))


def _grads(outputs: list[tuple[Tensor, Any]], inputs: Sequence[Tensor]) -> list[Tensor]:
    """`grad` of the sum of the outputs, for several Tensors."""
    grad_table: dict[Tensor, Tensor] = {}
    for z, grad_output in outputs:
        z = checked_output(z)
        gradient = grad_of_output(z, grad_output)
        grad_table[z] = grad_table[z] + gradient if z in grad_table else gradient
    roots = [*grad_table]
    keeps_graphs = local.context.grad_enabled or any(z.requires_grad for z in roots)
    # What is symbolic has its graph inside no_grad, too, as where a Trainer predicts.
    fill_table(grad_table, prune_outputs(roots, inputs, in_no_grad=not keeps_graphs))
    of_states = gradients_of_states(grad_table)
    grads = []
    lost: list[Tensor] | None = None
    for target in inputs:
        unknown = target.is_symbolic or any(z.is_symbolic for z in roots)
        if not target.requires_grad and not unknown and target not in grad_table:
            raise ValueError(
                f"{checks.described(target)} does not require a gradient, so no graph was kept for "
                "it; make it with requires_grad=True"
            )
        found = (of_states if target.is_state else grad_table).get(target)
        if target.requires_grad and not keeps_graphs:
            raise ValueError(
                f"{checks.described(roots[0])} requires no gradient, and no graph is kept inside "
                "no_grad(): compute it outside, or take value_and_grad"
            )
        if found is None and lost is None:
            lost = [v for v in with_ancestors(roots) if v.operation is COMPILED]
            if lost:
                raise without_graph(lost[0])
        grads.append(functions["zeros_like"](target) if found is None else found)
    return grads
