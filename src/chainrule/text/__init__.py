"""Text: vocabularies, tokenizers of words and of characters, vectors of words."""

from chainrule.text.tokenizers import CharTokenizer, Tokenizer, WordTokenizer, read_tokenizer
from chainrule.text.vectors import WordVectors
from chainrule.text.vocabulary import Vocabulary
from chainrule.text.word2vec import NegativeSampling, Word2Vec

__all__ = [
    "CharTokenizer",
    "NegativeSampling",
    "Tokenizer",
    "Vocabulary",
    "Word2Vec",
    "WordTokenizer",
    "WordVectors",
    "read_tokenizer",
]
