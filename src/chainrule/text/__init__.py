"""Text: a model of tokens, and generation."""

from chainrule.nn.layers.gpt import GPT
from chainrule.text.generation import generate

__all__ = ["GPT", "generate"]
