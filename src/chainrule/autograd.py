"""Nothing: who imports PyTorch's module of this name is told what is written here."""

from chainrule.graph.names import refuse_import

refuse_import(__name__)
