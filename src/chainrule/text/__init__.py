"""Text: tokenizers, vectors of words, a model of tokens, and generation."""

from chainrule.nn.layers.gpt import GPT
from chainrule.text.generation import generate
from chainrule.text.tokenizers import CharTokenizer, Tokenizer, WordTokenizer, read_tokenizer
from chainrule.text.vectors import WordVectors
from chainrule.text.vocabulary import Vocabulary
from chainrule.text.word2vec import NegativeSampling, Word2Vec

__all__ = [
    "GPT",
    "CharTokenizer",
    "NegativeSampling",
    "Tokenizer",
    "Vocabulary",
    "Word2Vec",
    "WordTokenizer",
    "WordVectors",
    "generate",
    "read_tokenizer",
]
