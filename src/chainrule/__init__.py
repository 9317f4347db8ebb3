"""chainrule: backpropagation as the textbooks teach it, at the speed of the machine."""

import sys as _sys
from importlib import import_module as _import
from math import e, inf, nan, pi
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as _numpy
from numpy import (
    bool_,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)

from chainrule import graph, ops
from chainrule.errors import DTypeError, NonFiniteError, ShapeError, SymbolicError
from chainrule.graph.backprop import (
    backprop,
    build_grad,
    get_consumers,
    get_inputs,
    get_operation,
)
from chainrule.graph.context import no_grad
from chainrule.graph.custom_operation import custom_operation
from chainrule.graph.gradients import grad
from chainrule.graph.names import is_import, nearest, refer
from chainrule.graph.names_of_functions import OURS
from chainrule.graph.names_of_keras import KERAS
from chainrule.graph.numpy_functions import of_numpy
from chainrule.graph.operation import Operation
from chainrule.graph.state import Buffer, HyperParameter, Parameter
from chainrule.graph.tensor import Tensor, as_tensor, placeholder, tensor
from chainrule.ops import *  # noqa: F403
from chainrule.system.freed_memory import keep_freed_memory as _keep_freed_memory
from chainrule.system.threads import get_num_threads, set_num_threads

if TYPE_CHECKING:
    from chainrule import (
        data,
        drawing,
        exercises,
        inspect,
        nn,
        optim,
        serve,
        tabular,
        testing,
        text,
    )
    from chainrule import sklearn as sklearn  # no public name: `import *` needs no scikit-learn
    from chainrule.compiler.capture import CapturedGraph, capture
    from chainrule.graph.derivatives import hessian, jacobian, jvp, value_and_grad, vjp
    from chainrule.inspect.explanation import explain
    from chainrule.inspect.pictures.draw import draw
    from chainrule.inspect.summary import summary
    from chainrule.inspect.walk import walk
    from chainrule.ops import linalg
    from chainrule.serve.predictor import Predictor
    from chainrule.train import (
        Callback,
        EarlyStopping,
        Ensemble,
        Evaluator,
        FileError,
        History,
        Metric,
        Range,
        RangeTest,
        ReduceLROnPlateau,
        SearchResult,
        Trainer,
        TrainingState,
        Trial,
        get_default_backend,
        load,
        metrics,
        read_metadata,
        save,
        search,
        set_default_backend,
    )
    from chainrule.train.compile import compile

newaxis = None
"""As an index, a new axis of length 1."""

_ROOMS = {
    "data": "chainrule.data",
    "drawing": "chainrule.drawing",
    "exercises": "chainrule.exercises",
    "inspect": "chainrule.inspect",
    "linalg": "chainrule.linalg",
    "metrics": "chainrule.metrics",
    "nn": "chainrule.nn",
    "optim": "chainrule.optim",
    "serve": "chainrule.serve",
    "sklearn": "chainrule.sklearn",
    "tabular": "chainrule.tabular",
    "testing": "chainrule.testing",
    "text": "chainrule.text",
    "train": "chainrule.train",
}
_PARTS = {
    "chainrule.execute.reference": "CapturedGraph capture",
    "chainrule.graph.derivatives": "hessian jacobian jvp value_and_grad vjp",
    "chainrule.inspect": "draw explain summary walk",
    "chainrule.serve.predictor": "Predictor",
    "chainrule.train": "Callback EarlyStopping Ensemble Evaluator FileError History Metric "
    "Range RangeTest ReduceLROnPlateau SearchResult Trainer TrainingState Trial compile "
    "get_default_backend load read_metadata save search set_default_backend",
}
_HOMES = {name: home for home, names in _PARTS.items() for name in names.split()}
"""What is imported at its first use: `import chainrule` alone brings Tensors, and takes a third of
the time."""

_keep_freed_memory()

refer({name: f"cr.{name}(x, ...), a function" for name in ops.__all__})  # type: ignore[attr-defined]

if not TYPE_CHECKING:  # a type checker would take every name for one of ours

    def __getattr__(name: str) -> Any:
        """Import what is not here yet."""
        if name in _ROOMS:
            found = _import(_ROOMS[name])
        elif name in _HOMES:
            found = getattr(_import(_HOMES[name]), name)
        else:
            _refuse(name)
        globals()[name] = found
        return found

    def __dir__() -> list[str]:
        return sorted({*globals(), *_ROOMS, *_HOMES})

    def _refuse(name: str) -> NoReturn:
        """Say of a name that is not here what it is called, or where it is."""
        message = f"module {__name__!r} has no attribute {name!r}"
        if name.startswith("_"):
            raise AttributeError(message)
        kind = ImportError if is_import(_sys._getframe(2)) else AttributeError
        if ours := OURS.get(name) or KERAS.get(name):
            raise kind(f"{message}; here it is {ours}")
        homes = "nn", "nn.functional", "optim", "data", "linalg", "tabular", "text", "graph"
        for home in homes:
            if name in _import(f"chainrule.{home}").__all__:
                raise kind(f"{message}; it is cr.{home}.{name}")
        if name in dir(Tensor):
            raise kind(f"{message}; of a Tensor x it is x.{name}")
        if remedy := of_numpy(name, _numpy):
            raise kind(f"{message}; {remedy}")
        found = nearest(name, __all__)
        raise kind(f"{message}; did you mean {found!r}?" if found else message)


__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "Callback",
    "CapturedGraph",
    "DTypeError",
    "EarlyStopping",
    "Ensemble",
    "Evaluator",
    "FileError",
    "History",
    "HyperParameter",
    "Metric",
    "NonFiniteError",
    "Operation",
    "Parameter",
    "Predictor",
    "Range",
    "RangeTest",
    "ReduceLROnPlateau",
    "SearchResult",
    "ShapeError",
    "SymbolicError",
    "Tensor",
    "Trainer",
    "TrainingState",
    "Trial",
    "as_tensor",
    "backprop",
    "bool_",
    "build_grad",
    "capture",
    "compile",
    "custom_operation",
    "data",
    "draw",
    "drawing",
    "e",
    "exercises",
    "explain",
    "float32",
    "float64",
    "get_consumers",
    "get_default_backend",
    "get_inputs",
    "get_num_threads",
    "get_operation",
    "grad",
    "graph",
    "hessian",
    "inf",
    "inspect",
    "int8",
    "int16",
    "int32",
    "int64",
    "jacobian",
    "jvp",
    "linalg",
    "load",
    "metrics",
    "nan",
    "newaxis",
    "nn",
    "no_grad",
    "optim",
    "pi",
    "placeholder",
    "read_metadata",
    "save",
    "search",
    "serve",
    "set_default_backend",
    "set_num_threads",
    "summary",
    "tabular",
    "tensor",
    "testing",
    "text",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "value_and_grad",
    "vjp",
    "walk",
]
__all__ += ops.__all__  # type: ignore[attr-defined]
