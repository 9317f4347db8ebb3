"""The colour of an operation's box: the family of the file of `ops` that declares it."""

from __future__ import annotations

from chainrule.graph.operation import Operation

FAMILIES = {
    "arithmetic": "arithmetic comparison bitwise rounding trigonometry declare hooks",
    "product": "matmul conv attention rows solving eigenvalues sparse",
    "activation": "unary error_functions softmax normalisation",
    "reduction": "reduce cumulative order pooling",
    "shape": "shape index joining padding",
    "random": "random",
}
"""By colour the files of `chainrule.ops`."""

_BY_FILE = {file: family for family, files in FAMILIES.items() for file in files.split()}
_LOSSES = {"softmax_cross_entropy"}


def family(operation: Operation) -> str:
    """The family of an operation, a key of `drawing.palette.FAMILIES`.

    Example:
        >>> from chainrule.graph.operation import operations
        >>> family(operations["matmul"]), family(operations["sigmoid"])
        ('product', 'activation')
    """
    if operation.name in _LOSSES:
        return "loss"
    return _BY_FILE.get(operation.forward.__module__.rpartition(".")[2], "other")
