"""Hooks: functions that a module calls before and after its forward, and on the way back."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, NamedTuple

from chainrule.graph.tensor import Tensor
from chainrule.ops.hooks import gradient_hook

Hook = Callable[..., Any]

_numbers = count()


class RemovableHandle:
    """What a registration of a hook returns: `remove` takes the hook away again.

    As a context manager it removes the hook at the end of the block.
    """

    def __init__(self, module: Hooked, kind: str) -> None:
        self.id = next(_numbers)
        self._module = module
        self._kind = kind

    def remove(self) -> None:
        """Take the hook away; once more does nothing."""
        remove_hook(self._module, self._kind, self.id)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


def remove_hook(module: Hooked, kind: str, number: int) -> None:
    """Take the hook of this number away, if it is there."""
    hooks = module._hooks
    if hooks is not None:
        rest = tuple(hook for hook in getattr(hooks, kind) if hook.number != number)
        changed = hooks._replace(**{kind: rest})
        module._hooks = changed if any(changed) else None


class Registered(NamedTuple):
    """A hook, the number of its handle, and whether it is given the keywords of a call."""

    function: Hook
    number: int
    with_keywords: bool


class Hooks(NamedTuple):
    """The hooks of one module, in the order in which they are called.

    Another hook makes another tuple: a change is one of the module's attribute.
    """

    forward_pre: tuple[Registered, ...] = ()
    forward: tuple[Registered, ...] = ()
    backward_pre: tuple[Registered, ...] = ()
    backward: tuple[Registered, ...] = ()

    def call(
        self,
        module: Any,
        forward: Callable[..., Any],
        inputs: tuple[Any, ...],
        keywords: dict[str, Any],
    ) -> Any:
        """The output of the module's forward, with the hooks around it."""
        for hook, _, with_keywords in self.forward_pre:
            if with_keywords:
                given = hook(module, inputs, keywords)
                if given is not None:
                    inputs, keywords = _inputs_and_keywords(given)
            else:
                given = hook(module, inputs)
                if given is not None:
                    inputs = given if isinstance(given, tuple) else (given,)
        watch = _Backward(self, module) if self.backward_pre or self.backward else None
        if watch is not None:
            inputs = watch.inputs(inputs)
        output = forward(*inputs, **keywords)
        for hook, _, with_keywords in self.forward:
            given = (
                hook(module, inputs, keywords, output)
                if with_keywords
                else hook(module, inputs, output)
            )
            output = output if given is None else given
        return output if watch is None else watch.output(output)


class _Backward:
    """The backward hooks of one call of a module: they wait for the gradient of its output, then
    for that of its input."""

    def __init__(self, hooks: Hooks, module: Any) -> None:
        self.hooks = hooks
        self.module = module
        self.grad_inputs: list[Tensor | None] = []
        self.place: int | None = None
        """The number of the input whose gradient the hooks are given."""
        self.grad_output: Tensor | None = None

    def inputs(self, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        """The inputs, where the one that requires a gradient calls the hooks when it comes."""
        self.grad_inputs = [None] * len(inputs)
        places = [
            place
            for place, given in enumerate(inputs)
            if isinstance(given, Tensor) and given.requires_grad
        ]
        if not self.hooks.backward or not places:
            return inputs
        if len(places) > 1:
            raise TypeError(
                f"{type(self.module).__name__}: a full backward hook is given the gradients of all "
                f"inputs at once, and this call has {len(places)} inputs with a gradient; put the "
                "hook on a module with one, as an Identity before this one"
            )
        self.place = places[0]
        hooked = gradient_hook(inputs[self.place], self._at_input)
        return (*inputs[: self.place], hooked, *inputs[self.place + 1 :])

    def output(self, output: Any) -> Tensor:
        """The output, which calls the hooks when its gradient comes."""
        if not isinstance(output, Tensor):
            raise TypeError(
                f"{type(self.module).__name__}: a backward hook needs a module that returns one "
                f"Tensor, not {type(output).__name__}; put the hook on a part of it"
            )
        return gradient_hook(output, self._at_output)

    def _at_output(self, grad: Tensor) -> Tensor:
        for hook, *_ in self.hooks.backward_pre:
            given = hook(self.module, (grad,))
            if given is not None:
                (grad,) = given if isinstance(given, tuple) else (given,)
        if self.place is not None:
            self.grad_output = grad
        else:
            for hook, *_ in self.hooks.backward:
                hook(self.module, tuple(self.grad_inputs), (grad,))
        return grad

    def _at_input(self, grad: Tensor) -> Tensor:
        assert self.place is not None
        grad_output, self.grad_output = self.grad_output, None  # which leads back to this call
        for hook, *_ in self.hooks.backward:
            grads = list(self.grad_inputs)
            grads[self.place] = grad
            given = hook(self.module, tuple(grads), (grad_output,))
            if given is not None:
                grad = given[self.place] if isinstance(given, tuple) else given
        return grad


def _inputs_and_keywords(given: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if not isinstance(given, tuple) or len(given) != 2 or not isinstance(given[1], dict):
        raise TypeError(
            "a forward pre-hook with keywords returns (inputs, keywords), a tuple and a dict, or "
            f"None; got {given!r:.80}"
        )
    inputs, keywords = given
    return (inputs if isinstance(inputs, tuple) else (inputs,)), keywords


class Hooked:
    """The base of a module: what registers its hooks."""

    _hooks: Hooks | None = None

    def _register_hook(
        self, kind: str, hook: Hook, first: bool, with_keywords: bool = False
    ) -> RemovableHandle:
        if not callable(hook):
            raise TypeError(f"a hook is a function, got {hook!r:.80}")
        handle = RemovableHandle(self, kind)
        added = (Registered(hook, handle.id, with_keywords),)
        hooks = self._hooks or Hooks()
        before = getattr(hooks, kind)
        self._hooks = hooks._replace(**{kind: added + before if first else before + added})
        return handle

    def register_forward_pre_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, inputs)`` before each forward.

        What it returns, if not None, replaces the inputs. With `with_kwargs` it is called as
        ``hook(module, inputs, keywords)`` and returns (inputs, keywords).

        In a captured step, as of a Trainer, all hooks run while the graph is captured: they see
        symbolic Tensors, and what they compute with these becomes a part of the step. One that
        asks for values raises SymbolicError.

        Args:
            hook: the function.
            prepend: whether it is called before the hooks that there are.
            with_kwargs: whether it is given the keywords.

        Returns:
            A handle whose `remove()` takes the hook away.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn
            >>> layer = nn.ReLU()
            >>> handle = layer.register_forward_pre_hook(lambda module, inputs: inputs[0] + 1.0)
            >>> layer(cr.tensor([-3.0, 2.0])).tolist()
            [0.0, 3.0]
            >>> handle.remove()
        """
        return self._register_hook("forward_pre", hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call ``hook(module, inputs, output)`` after each forward.

        What it returns, if not None, replaces the output. With `with_kwargs` it is called as
        ``hook(module, inputs, keywords, output)``. For captured steps and the arguments see
        `register_forward_pre_hook`.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn
            >>> model, found = nn.Sequential(nn.Linear(2, 3), nn.ReLU()), []
            >>> with model[0].register_forward_hook(lambda module, x, y: found.append(y)):
            ...     _ = model(cr.tensor([[1.0, 2.0]]))
            >>> found[0].shape
            (1, 3)
        """
        return self._register_hook("forward", hook, prepend, with_kwargs)

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_output)`` when the gradient of the module's output is known.

        `grad_output` is a tuple of one Tensor; what the hook returns, if not None, replaces it.
        The module returns one Tensor. For captured steps see `register_forward_pre_hook`.
        """
        return self._register_hook("backward_pre", hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> RemovableHandle:
        """Call ``hook(module, grad_input, grad_output)`` when both gradients are known.

        Both are tuples; `grad_input` has None for an input that needs no gradient, as the data of
        the first layer. What the hook returns, if not None, replaces `grad_input`. The module
        has one input that requires a gradient, and returns one Tensor. For captured steps see
        `register_forward_pre_hook`.

        Example:
            >>> import chainrule as cr
            >>> from chainrule import nn
            >>> layer = nn.Tanh()
            >>> def half(module, grad_input, grad_output):
            ...     return (grad_input[0] / 2.0,)
            >>> handle = layer.register_full_backward_hook(half)
            >>> x = cr.tensor(0.0, requires_grad=True)
            >>> layer(x).backward()
            >>> x.grad.item()
            0.5
        """
        return self._register_hook("backward", hook, prepend)
