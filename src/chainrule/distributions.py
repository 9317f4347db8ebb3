"""Nothing: who imports PyTorch's module of this name is told what is written here."""

from chainrule.graph.names import OURS

raise ModuleNotFoundError(
    f"No module named {__name__!r}; here it is {OURS[__name__.rpartition('.')[2]]}", name=__name__
)
