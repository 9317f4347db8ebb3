"""Text: vocabularies, and tokenizers of words and of characters."""

from chainrule.text.tokenizers import CharTokenizer, Tokenizer, WordTokenizer, read_tokenizer
from chainrule.text.vocabulary import Vocabulary

__all__ = ["CharTokenizer", "Tokenizer", "Vocabulary", "WordTokenizer", "read_tokenizer"]
