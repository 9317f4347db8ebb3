"""Pictures of graphs, models, steps and plans."""

from chainrule.inspect.pictures.draw import draw

__all__ = ["draw"]
