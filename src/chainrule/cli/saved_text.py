"""A model of text that `chainrule train --model gpt` saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from chainrule import checks
from chainrule.errors import FileError
from chainrule.graph.tensor import Array
from chainrule.text import GPT, Tokenizer
from chainrule.train.model_file import build_model, metadata_of


@dataclass(frozen=True)
class SavedText:
    """The content of a model's file, to write and to evaluate texts.

    Attributes:
        model: the network.
        tokenizer: what its tokens mean.
    """

    model: GPT
    tokenizer: Tokenizer

    @property
    def default_prompt(self) -> str:
        """A new line, where the text had some; else its most frequent character."""
        return "\n" if "\n" in self.tokenizer.vocabulary else self.tokenizer.vocabulary[0]

    def encode(self, text: str, name: str) -> Array:
        """The tokens of a text.

        Raises:
            ValueError: for characters that the model does not know.
        """
        unknown = sorted({c for c in text if c not in self.tokenizer.vocabulary})
        if unknown:
            raise ValueError(
                f"{name} has characters that the model has not seen: "
                f"{checks.listed(map(repr, unknown))}. It knows "
                f"{''.join(sorted(self.tokenizer.vocabulary))!r:.200}."
            )
        return self.tokenizer.encode(text)


def is_text(metadata: Mapping[str, Any]) -> bool:
    """Whether the metadata of a file are those of a model of text."""
    return metadata.get("task") == "text"


def text_of(path: str, tensors: Mapping[str, Array], description: Mapping[str, Any]) -> SavedText:
    """The model of text of what `model_file.read` returned.

    Raises:
        FileError, ValueError: if the file is damaged, or holds no such model.
    """
    metadata = metadata_of(path, description)
    if not is_text(metadata):
        remedy = "chainrule info says what it is."
        raise ValueError(f"{path} holds no model of text (chainrule train --model gpt). {remedy}")
    model = build_model(path, tensors, description)
    try:
        tokenizer = Tokenizer.from_dict(metadata["tokenizer"])
    except (KeyError, ValueError) as error:
        raise FileError(f"{path}: its tokenizer is damaged ({error})") from None
    if not isinstance(model, GPT) or model.vocab_size != len(tokenizer.vocabulary):
        raise FileError(f"{path}: its tokenizer does not fit its model. Train and save it anew.")
    return SavedText(model, tokenizer)
