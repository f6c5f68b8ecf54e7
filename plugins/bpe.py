"""Byte-pair encoding: do pieces of words, learned from the data, do as well as whole words?

Sennrich, Haddow, Birch 2016, Neural Machine Translation of Rare Words with Subword Units; on bytes as in
Radford et al. 2019 (GPT-2), so that any text has a code.

python -m gptlab +experiment=bpe
python -m gptlab +experiment=names tokenizer=bpe tokenizer.size=300
"""

import json
from dataclasses import dataclass

import gptlab


def library():
    try:
        import tokenizers
    except ImportError as error:
        raise gptlab.UserError(
            f"tokenizer=bpe needs the package tokenizers ({error}). Install it: pip install tokenizers"
        ) from None
    return tokenizers


class Pieces:
    """A gptlab.Tokenizer: what `tokenizers` learned, and BOS after its last id."""

    def __init__(self, trained):
        self.trained = trained
        self.bos = trained.get_vocab_size()
        self.vocabSize = self.bos + 1

    def encode(self, text):
        return self.trained.encode(text.strip().lower()).ids

    def encode_typed(self, text):
        return self.trained.encode(text.lower()).ids

    def decode(self, ids):
        return self.trained.decode([int(i) for i in ids if i != self.bos])

    def state(self):
        return {"tokenizer": json.loads(self.trained.to_str())}


@dataclass(frozen=True)
class BytePairs:
    """Bytes, and the pairs of pieces that are the most frequent within words; text is trimmed and lower-cased.

    size: ids at most, the 256 bytes and BOS included; fewer if there is nothing left to pair.
    """

    size: int = 512

    def __post_init__(self):
        gptlab.require("tokenizer.size", self.size, at_least=257, unit="ids, the bytes and BOS", example=512)

    def build(self, documents):
        if not any(text.strip() for text in documents):
            raise gptlab.UserError("the vocabulary must have at least one pair, but the documents are empty.")
        parts = library()
        learning = parts.Tokenizer(parts.models.BPE())
        learning.pre_tokenizer = parts.pre_tokenizers.ByteLevel(add_prefix_space=False)
        learning.decoder = parts.decoders.ByteLevel()
        alphabet = parts.pre_tokenizers.ByteLevel.alphabet()
        how = {"vocab_size": self.size - 1, "initial_alphabet": alphabet, "show_progress": False}
        texts = (text.strip().lower() for text in documents)
        learning.train_from_iterator(texts, parts.trainers.BpeTrainer(**how))
        return Pieces(learning)

    def restore(self, state):
        return Pieces(library().Tokenizer.from_str(json.dumps(state["tokenizer"], allow_nan=False)))


@gptlab.hookimpl
def gptlab_register_tokenizers(register):
    register("bpe", BytePairs)
