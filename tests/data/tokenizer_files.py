"""Small tokenizer.json files like the published ones, made by the `tokenizers` library: helpers of tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TEXTS = ["the cat sees the dog", "a dog runs to the park", "there is the café"] * 3
# Of Llama 3 and others after it.
PATTERN = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def gpt2_like() -> Tokenizer:
    """Bytes and pairs; <|endoftext|> is the last id, and nothing stands before a text."""
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        TEXTS, trainers.BpeTrainer(vocab_size=290, initial_alphabet=sorted(alphabet), show_progress=False)
    )
    made.add_special_tokens(["<|endoftext|>"])
    return made


def llama_like() -> Tokenizer:
    """SentencePiece's ways: spaces are `▁`, one is before a text, unknown characters are bytes; <s> is 1, </s> 2."""
    letters = sorted(set("".join(TEXTS)) - {" "})
    pieces = [
        "<unk>",
        "<s>",
        "</s>",
        *(f"<0x{byte:02X}>" for byte in range(256)),
        "▁",
        *letters,
        "▁t",
        "▁th",
        "▁the",
    ]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    merges = [("▁", "t"), ("▁t", "h"), ("▁th", "e")]
    made = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    )
    made.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    made.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made.add_special_tokens(["<unk>", "<s>", "</s>"])
    made.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
    )
    return made


def llama3_like() -> Tokenizer:
    """As gpt2_like, with another pattern, its own marks, and ids of special tokens behind all others."""
    made = gpt2_like()
    pieces = {
        token: i for token, i in made.get_vocab(with_added_tokens=False).items() if token != "<|endoftext|>"
    }
    merges = [tuple(pair) for pair in content_of(made)["model"]["merges"]]
    other = Tokenizer(models.BPE(vocab=pieces, merges=merges))
    other.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    other.decoder = decoders.ByteLevel()
    other.add_special_tokens(["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"])
    begin = other.token_to_id("<|begin_of_text|>")
    other.post_processor = processors.Sequence(
        [
            processors.ByteLevel(trim_offsets=False),
            processors.TemplateProcessing(
                single="<|begin_of_text|> $A",
                pair="<|begin_of_text|> $A $B",
                special_tokens=[("<|begin_of_text|>", begin)],
            ),
        ]
    )
    return other


def bert_like() -> Tokenizer:
    """WordPiece: lower-cased words, unknown ones are [UNK], which is no bytes."""
    pieces = [
        "[PAD]",
        "[UNK]",
        "[CLS]",
        "[SEP]",
        *sorted({word for text in TEXTS for word in text.split()}),
        "##s",
    ]
    made = Tokenizer(models.WordPiece({piece: i for i, piece in enumerate(pieces)}, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(strip_accents=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.decoder = decoders.WordPiece()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    made.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return made


FILES = {"gpt2": gpt2_like, "llama": llama_like, "llama3": llama3_like, "bert": bert_like}


def content_of(made: Tokenizer) -> dict[str, Any]:

    content: dict[str, Any] = json.loads(made.to_str())
    return content


def save(made: Tokenizer, path: Path) -> Path:
    made.save(str(path))
    return path
