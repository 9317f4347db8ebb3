"""chainrule: backpropagation as the textbooks teach it, at the speed of the machine."""

from chainrule import ops as _ops
from chainrule.compiler.capture import CapturedGraph, capture
from chainrule.graph.backprop import (
    backprop,
    build_grad,
    get_consumers,
    get_inputs,
    get_operation,
    grad,
    prune,
)
from chainrule.graph.context import no_grad
from chainrule.graph.errors import DTypeError, NonFiniteError, ShapeError, SymbolicError
from chainrule.graph.functional import hessian, jacobian, jvp, value_and_grad, vjp
from chainrule.graph.operation import Operation
from chainrule.graph.state import Buffer, Parameter, Scalar
from chainrule.graph.tensor import Tensor, as_tensor, placeholder, tensor
from chainrule.ops import *  # noqa: F403

__version__ = "0.1.0"
