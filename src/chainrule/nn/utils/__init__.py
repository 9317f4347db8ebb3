"""Work on the gradients and the values of parameters, under the names of `torch.nn.utils`."""

from typing import TYPE_CHECKING

from chainrule.graph.names import absent
from chainrule.nn.utils import parametrizations, rnn
from chainrule.nn.utils.clipping import (
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from chainrule.nn.utils.functional_call import functional_call
from chainrule.nn.utils.reparametrisation import (
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)
from chainrule.nn.utils.vectors import parameters_to_vector, vector_to_parameters

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "functional_call",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "vector_to_parameters",
    "weight_norm",
]

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent("nn.utils", globals())
