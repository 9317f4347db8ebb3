"""Starting values of parameters.

Each function gives a `Parameter` new values drawn by the current generator (so `manual_seed` and
`use_generator` decide them), in the parameter's dtype, and returns it. `lsuv_` and `data_driven_`
start a whole model, so that its pre-activations have variance 1 on data.

For a weight of shape (out, in, *kernel), fan_in = in * size(kernel) counts the inputs of one
output, fan_out = out * size(kernel) the outputs of one input.

Example:
    >>> import numpy as np
    >>> from chainrule import nn
    >>> layer = nn.Linear(4, 4)
    >>> q = nn.init.orthogonal_(layer.weight).numpy()
    >>> np.allclose(q @ q.T, np.eye(4), atol=1e-6)
    True
"""

from chainrule.nn.init.data_driven import data_driven_, lsuv_
from chainrule.nn.init.distributions import (
    calculate_gain,
    constant_,
    eye_,
    kaiming_normal_,
    kaiming_uniform_,
    lecun_normal_,
    lecun_uniform_,
    normal_,
    ones_,
    orthogonal_,
    scaled_normal_,
    sparse_,
    trunc_normal_,
    uniform_,
    xavier_normal_,
    xavier_uniform_,
    zeros_,
)

__all__ = [
    "calculate_gain",
    "constant_",
    "data_driven_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "lecun_normal_",
    "lecun_uniform_",
    "lsuv_",
    "normal_",
    "ones_",
    "orthogonal_",
    "scaled_normal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]
