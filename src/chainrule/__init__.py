"""chainrule: backpropagation as the textbooks teach it, at the speed of the machine."""

from chainrule import data, graph, inspect, nn, ops, optim
from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.errors import DTypeError, NonFiniteError, ShapeError, SymbolicError
from chainrule.graph.backprop import (
    backprop,
    build_grad,
    get_consumers,
    get_inputs,
    get_operation,
    grad,
)
from chainrule.graph.context import no_grad
from chainrule.graph.derivatives import hessian, jacobian, jvp, value_and_grad, vjp
from chainrule.graph.operation import Operation
from chainrule.graph.state import Buffer, HyperParameter, Parameter
from chainrule.graph.tensor import Tensor, as_tensor, placeholder, tensor
from chainrule.inspect import summary
from chainrule.ops import *  # noqa: F403
from chainrule.system.threads import get_num_threads, set_num_threads
from chainrule.train import (
    Callback,
    EarlyStopping,
    Evaluator,
    FileError,
    History,
    Metric,
    RangeTest,
    ReduceLROnPlateau,
    Trainer,
    TrainingState,
    compile,
    get_default_backend,
    load,
    read_metadata,
    save,
    set_default_backend,
)

__version__ = "0.1.0"

__all__ = [
    "Buffer",
    "Callback",
    "CapturedGraph",
    "DTypeError",
    "EarlyStopping",
    "Evaluator",
    "FileError",
    "History",
    "HyperParameter",
    "Metric",
    "NonFiniteError",
    "Operation",
    "Parameter",
    "RangeTest",
    "ReduceLROnPlateau",
    "ShapeError",
    "SymbolicError",
    "Tensor",
    "Trainer",
    "TrainingState",
    "as_tensor",
    "backprop",
    "build_grad",
    "capture",
    "compile",
    "data",
    "get_consumers",
    "get_default_backend",
    "get_inputs",
    "get_num_threads",
    "get_operation",
    "grad",
    "graph",
    "hessian",
    "inspect",
    "jacobian",
    "jvp",
    "load",
    "nn",
    "no_grad",
    "optim",
    "placeholder",
    "read_metadata",
    "save",
    "set_default_backend",
    "set_num_threads",
    "summary",
    "tensor",
    "value_and_grad",
    "vjp",
]
__all__ += ops.__all__  # type: ignore[attr-defined]
