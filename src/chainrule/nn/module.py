"""Module: a layer or a model, made of parameters, buffers and other modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple, TypeVar

from chainrule import checks
from chainrule.dtypes import to_array
from chainrule.errors import DTypeError, ShapeError, SymbolicError, printable, warn
from chainrule.graph.context import MISSING, local
from chainrule.graph.guards import guard_of
from chainrule.graph.parameter_lists import forget_gradients
from chainrule.graph.state import Buffer, Parameter, State
from chainrule.graph.tensor import Array, TensorLike, holds_tensors
from chainrule.nn.computed import Computed
from chainrule.nn.hooks import Hooked
from chainrule.nn.interception import intercepted_forward
from chainrule.nn.modes import Moded
from chainrule.nn.notebook import html_of
from chainrule.nn.placement import Placed
from chainrule.nn.registration import not_registered, unregistered
from chainrule.nn.state_arrays import StateArray
from chainrule.nn.ties import contradictions
from chainrule.nn.traversal import REGISTRIES, joined
from chainrule.ops.declare import are_python_numbers

M = TypeVar("M", bound="Module")


def check_name(name: Any) -> None:
    """Raise ValueError unless a module can hold something under `name`."""
    if not isinstance(name, str) or not name or "." in name:
        raise ValueError(f"a name is a non-empty string without a dot, got {name!r}")


class Changes:
    """Counts the changes of all modules' attributes.

    Whoever changes a registry of a module without `setattr`, `delattr` or a `register_` method
    counts here, too: captured graphs are compared with their modules where the count has moved.
    """

    count = 0


changes = Changes()


class IncompatibleKeys(NamedTuple):
    """The names that `Module.load_state_dict` left out: of the model, and of the state."""

    missing_keys: list[str]
    unexpected_keys: list[str]


def _no_forward(self: Module, *inputs: Any, **keywords: Any) -> Any:
    raise NotImplementedError(f"{type(self).__name__} has no forward method: {self._to_be_called}")


class Module(Moded, Hooked, Computed, Placed):
    """A layer or a model. Subclasses make their parts in `__init__` and use them in `forward`.

    Parameters, buffers and modules that become attributes are registered: `parameters()` finds
    them, `state_dict()` saves them, `print(model)` shows them. Names and behaviour are PyTorch's.

    While a module is called, the nodes it builds carry its path (as in ``net.0``), and a shape or
    dtype error raised in it says which layer it was.

    Attributes:
        training: whether layers such as dropout behave as in training; see `train` and `eval`.

    Example:
        >>> import chainrule as cr
        >>> from chainrule import nn
        >>> class Twice(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.layer = nn.Linear(3, 3)
        ...
        ...     def forward(self, x):
        ...         return self.layer(self.layer(x))
        >>> model = Twice()
        >>> model
        Twice(
          (layer): Linear(in_features=3, out_features=3, bias=True)
        )
        >>> model(cr.tensor([[1.0, 2.0, 3.0]])).shape
        (1, 3)
        >>> list(model.state_dict())
        ['layer.weight', 'layer.bias']
    """

    is_stochastic: ClassVar[bool] = False
    """Whether the layer draws random numbers in training, as dropout does. It then draws them in
    `Evaluator.predict_samples`, too."""

    takes_float64: ClassVar[bool] = False
    """Whether it uses all digits of float64 inputs, whatever its dtype; a Trainer leaves them."""

    gives_float64: bool = False
    """Whether its outputs are float64 in a model that is not; a Trainer leaves targets so, too."""

    _passes_tuples: ClassVar[bool] = True
    """Whether forward may be given a tuple of Tensors; most of the library's layers may not."""

    _column_names: Any = None
    """The names of the columns of the tables that a Trainer fitted it to; None without names."""

    _name: str
    _path: str = ""  # from the outermost model that it was first put into
    _unsaved: set[str]

    forward: Callable[..., Any] = _no_forward
    _to_be_called = "define forward(self, x)"  # the remedy where there is none

    def __init__(self) -> None:
        self.training = True
        changes.count += 1
        attributes = vars(self)  # not by `setattr`: the functions of losses make one at every call
        attributes["_name"] = ""  # the last part of its path: what its parent calls it
        attributes["_parameters"] = {}
        attributes["_buffers"] = {}
        attributes["_modules"] = {}
        attributes["_computed"] = {}  # those that are computed from parameters, by their rules
        attributes["_unsaved"] = set()  # the names of buffers that `state_dict` leaves out

    # This runs for every layer in every eager step, so it is kept to a few attribute reads.
    def __call__(self, *inputs: Any, **keywords: Any) -> Any:
        context = local.context
        parent = context.path
        name = self._name
        if context.capture is not None:
            context.capture.uses(self)
        if name:
            context.path = f"{parent}.{name}" if parent else name
        try:
            forward = self.forward if context.around is None else intercepted_forward(self)
            if self._hooks is None:
                if inputs and type(inputs[0]) is tuple:
                    _check_tuple(self, inputs[0])
                return forward(*inputs, **keywords)
            return self._hooks.call(self, forward, inputs, keywords)
        except (ShapeError, DTypeError, SymbolicError) as error:
            if "layer" not in vars(error):  # the innermost layer says where it was
                kind = type(self).__name__
                where = f"{context.path} ({kind})" if context.path else kind
                vars(error)["layer"] = where
                error.args = (f"{where}: {error}",)
            raise
        finally:
            context.path = parent

    # Registration

    def __setattr__(self, name: str, value: Any) -> None:
        attributes = vars(self)
        before = attributes.get(name, MISSING)
        if before is not value:
            changes.count += 1
            capture = local.context.capture
            if capture is not None:
                capture.sets(self, name, before)
        if isinstance(value, Parameter):
            self._register("_parameters", name, value)
        elif isinstance(value, Buffer):
            self._register("_buffers", name, value)
            (self._unsaved.discard if value.persistent else self._unsaved.add)(name)
        elif isinstance(value, Module):
            self._register("_modules", name, value)
        else:
            for registry, kind in REGISTRIES.items():
                registered = attributes.get(registry)
                if registered and name in registered:
                    if value is not None:
                        unsaved = " with persistent=False" if name in self._unsaved else ""
                        raise TypeError(
                            f"{name} of {type(self).__name__} is a {kind}; got "
                            f"{type(value).__name__}. Assign a {kind}{unsaved} or None, or give it "
                            f"a new value with {name}.assign(...)"
                        )
                    registered[name] = None
            object.__setattr__(self, name, value)

    def __delattr__(self, name: str) -> None:
        changes.count += 1
        object.__delattr__(self, name)
        for registry in REGISTRIES:
            vars(self)[registry].pop(name, None)
        self._unsaved.discard(name)

    def _register(self, registry: str, name: str, value: State | Module | None) -> None:
        """Hold `value` as the attribute `name`, plain to read, and list it in the registry."""
        changes.count += 1
        if registry not in vars(self):
            raise AttributeError(
                f"{type(self).__name__}: call super().__init__() before assigning {name}"
            )
        check_name(name)
        for other in REGISTRIES:
            if other != registry:
                vars(self)[other].pop(name, None)
        if registry != "_buffers":
            self._unsaved.discard(name)
        vars(self)[registry][name] = value
        object.__setattr__(self, name, value)
        if isinstance(value, State) and value.name is None:
            value.name = joined(self._path, name)
        elif isinstance(value, Module) and not value._name:
            value._take_name(name)
            value._take_path(joined(self._path, name))

    def _take_name(self, name: str) -> None:
        """Be called `name` in paths: the name under which a parent first holds the module."""
        self._name = name

    def _take_path(self, path: str) -> None:
        """Lie at `path` in the outermost model: parameters and buffers have names that begin so.

        What has another name, or lies elsewhere, too, keeps its name.
        """
        before = self._path
        vars(self)["_path"] = path
        for name, state in (self._parameters | self._buffers).items():
            if state is not None and state.name == joined(before, name):
                state.rename(joined(path, name))
        for name, module in self._modules.items():
            if module is not None and module._path == joined(before, name):
                module._take_path(joined(path, name))

    def _register_new(self, registry: str, name: str, value: State | Module | None) -> None:
        if hasattr(self, name) and name not in vars(self)[registry]:
            raise ValueError(
                f"{type(self).__name__} has an attribute {name!r} already: choose another name"
            )
        self._register(registry, name, value)

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Add a `Parameter` under `name`; None keeps the name for one that the module lacks."""
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(f"{name} must be a Parameter or None, got {type(param).__name__}")
        self._register_new("_parameters", name, param)

    def register_buffer(
        self, name: str, tensor: TensorLike | None, persistent: bool = True
    ) -> None:
        """Add a `Buffer` under `name`: state that is not trained, and saved if `persistent`."""
        if tensor is not None and not isinstance(tensor, Buffer):
            tensor = Buffer(tensor, persistent=persistent)
        self._register_new("_buffers", name, tensor)
        (self._unsaved.discard if persistent else self._unsaved.add)(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Add a child under `name`."""
        if module is not None and not isinstance(module, Module):
            remedy = (
                ". A function becomes one as a layer of nn, such as nn.ReLU(), or in a class of "
                "your own, whose forward calls it"
                if callable(module) and not isinstance(module, type)
                else ""
            )
            raise TypeError(
                f"{name} must be a Module or None, got {checks.described(module)}{remedy}"
            )
        self._register_new("_modules", name, module)

    def register_module(self, name: str, module: Module | None) -> None:
        """Add a child under `name`: `add_module`."""
        self.add_module(name, module)

    # Saving and loading

    def _named_state(self) -> dict[str, State]:
        """All parameters and buffers under all their names, shared ones more than once."""
        return {
            joined(path, name): state
            for path, module in self._walk("", None)
            for name, state in (module._parameters | module._buffers).items()
            if state is not None and name not in module._unsaved
        }

    def state_dict(self, *, prefix: str = "", keep_vars: bool = False) -> dict[str, Any]:
        """The values of all parameters and buffers by their paths, as arrays of their own.

        Training on does not change them, and writing into them does not change the module. A
        shared parameter has an entry under each of its names. Every name begins with `prefix`.
        With `keep_vars` the parameters and buffers themselves are in it.

        Warns:
            UserWarning: if a list or dict that is no `ModuleList` or the like holds parameters to
                train, which are left out.
        """
        states = self._named_state()
        for path, _ in unregistered(self):
            warn(not_registered(self, path, "state_dict() leaves it out"))
        if keep_vars:
            return {prefix + name: state for name, state in states.items()}
        with guard_of(states.values()).shared:  # beside a training they are all of one step
            return {
                prefix + name: state.numpy().copy().view(StateArray)
                for name, state in states.items()
            }

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Give all parameters and buffers the values of `state_dict`.

        Everything is checked before anything changes.

        Args:
            state_dict: arrays by path, as `state_dict()` returns them, or Tensors. Lists of numbers
                become floats of the parameter's dtype.
            strict: whether the names must be exactly the module's. If not, the values under
                names that both have are taken; their shapes and dtypes must fit all the same.
            assign: means nothing: values are copied.

        Returns:
            The missing and the unexpected keys; both empty if `strict`.

        Raises:
            RuntimeError: naming all missing, unexpected and mismatched keys; or where one parameter
                has two names, and another value under each.
            TypeError: for what is no dict, or of what is no array.

        Example:
            >>> from chainrule import nn
            >>> a, b = nn.Linear(2, 1), nn.Linear(2, 1)
            >>> b.load_state_dict(a.state_dict())
            IncompatibleKeys(missing_keys=[], unexpected_keys=[])
        """
        if not isinstance(state_dict, Mapping):
            raise TypeError(
                "state_dict is a dict of arrays by path, as state_dict() returns it; got "
                f"{checks.described(state_dict)}. Of a file take chainrule.load"
            )
        own = self._named_state()
        missing = [name for name in own if name not in state_dict]
        unexpected = [name for name in state_dict if name not in own]
        values = {
            name: _as_array(name, state_dict[name], state)
            for name, state in own.items()
            if name in state_dict
        }
        faults = []
        if strict and unexpected:
            faults.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}.")
        if strict and missing:
            faults.append(f"Missing key(s) in state_dict: {_quoted(missing)}.")
        for name, value in values.items():
            state = own[name]
            if value.shape != state.shape:
                faults.append(
                    f"size mismatch for {name}: the state_dict has shape {value.shape}, the "
                    f"current model {state.shape}."
                )
            elif value.dtype != state.dtype:
                faults.append(
                    f"dtype mismatch for {name}: the state_dict has {value.dtype}, the current "
                    f"model {state.dtype}; convert with .astype({str(state.dtype)!r})."
                )
        faults = faults or contradictions(own, values)
        if faults:
            raise RuntimeError(
                "\n\t".join([f"Error(s) in loading state_dict for {type(self).__name__}:", *faults])
            )
        with guard_of(own.values()).alone:
            for name, value in values.items():
                own[name].assign(value)
        return IncompatibleKeys(missing, unexpected)

    # Gradients

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Let all parameters require a gradient, or none: a frozen module is not trained."""
        for parameter in self.parameters():
            parameter.requires_grad = requires_grad
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients that `backward` accumulated; or make them 0 for False."""
        forget_gradients(self.parameters(), set_to_none)

    def apply(self: M, fn: Callable[[Module], object]) -> M:
        """Call `fn` on every module within this one, then on itself.

        Example:
            >>> from chainrule import nn
            >>> def start_at_zero(module):
            ...     if isinstance(module, nn.Linear):
            ...         nn.init.zeros_(module.bias)
            >>> nn.Sequential(nn.Linear(2, 2)).apply(start_at_zero)[0].bias.tolist()
            [0.0, 0.0]
        """
        checks.function("fn", fn, "of a module")
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # Printing

    def extra_repr(self) -> str:
        """The text between the parentheses, before the children: none, or a layer's arguments."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        if len(lines) > 1 or self._modules:
            for name, module in self._modules.items():
                lines += f"({name}): {module!r}".split("\n")
            extra = "".join(f"\n  {line}" for line in lines) + "\n"
        return f"{type(self).__name__}({extra})"

    def _repr_html_(self) -> str:
        return html_of(self)


def _check_tuple(module: Module, given: tuple[Any, ...]) -> None:
    """Raise where one of the library's layers is given what a layer before returned as a tuple.

    As an array it would be a stack. A forward of a user's own may take tuples.
    """
    own = getattr(module.forward, "__module__", "").startswith("chainrule.")
    if own and not module._passes_tuples and holds_tensors(given):
        raise TypeError(
            f"{type(module).__name__} takes a Tensor. The layer before returns a tuple of "
            f"{len(given)} Tensors, as a recurrent layer does: take its first, y = layer(x)[0]; in "
            "a Sequential by a module of your own between the two, whose forward(self, x) returns "
            "x[0]"
        )


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{printable(str(name))}"' for name in names)


def _as_array(name: str, value: Any, state: State) -> Array:
    """A value of a state dict, which may be a Tensor, a parameter of PyTorch's, or a list."""
    try:
        is_floating = state.dtype.kind == "f"
        if is_floating and are_python_numbers(value):
            return to_array(value, state.dtype)  # with all digits that it holds
        array = to_array(value.detach() if hasattr(value, "detach") else value)
        if is_floating and isinstance(value, (list, tuple)):
            return array.astype(state.dtype)
    except (TypeError, ValueError, RuntimeError) as error:
        # A Tensor of another library may have a dtype that NumPy lacks, as bfloat16.
        remedy = ". Convert it to float32 first" if hasattr(value, "detach") else ""
        raise TypeError(
            f"{name} of the state_dict is no array, but {type(value).__name__}: {error}{remedy}"
        ) from None
    return array
