"""The page that plays one training step in a browser."""

from chainrule.inspect.page.document import document

__all__ = ["document"]
