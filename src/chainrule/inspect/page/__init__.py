"""The page that plays one training step in a browser."""

from chainrule.inspect.page.document import document
from chainrule.inspect.page.levels import pictures_of

__all__ = ["document", "pictures_of"]
