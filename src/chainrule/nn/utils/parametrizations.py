"""Weight and spectral normalisation under the names of `torch.nn.utils.parametrizations`.

The functions are those of `nn.utils`, and so are the names of the parameters: "weight_g" and
"weight_v", where PyTorch has "parametrizations.weight.original0" and "original1".
"""

from typing import TYPE_CHECKING

from chainrule.graph.names import absent
from chainrule.nn.utils.reparametrisation import spectral_norm, weight_norm

__all__ = ["spectral_norm", "weight_norm"]

if not TYPE_CHECKING:  # a type checker would take every name for one of ours
    __getattr__ = absent("nn.utils.parametrizations", globals())
