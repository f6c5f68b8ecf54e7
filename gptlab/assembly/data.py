"""The data of a run: read, encoded and split, so that nothing that was held out once is trained on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, cast

import numpy as np

from gptlab.assembly.problems import problem_data
from gptlab.assembly.run_data import Data, Original
from gptlab.config.typed import Chosen, Config, origin_of
from gptlab.data.beginning import first_token
from gptlab.data.datasets import Dataset
from gptlab.data.documents import Cuts, Documents
from gptlab.data.facts import DatasetFacts
from gptlab.data.fixed_vocabulary import FixedVocabulary
from gptlab.data.problems import Problems
from gptlab.data.splitting import Sides, among, split, split_by_seed
from gptlab.data.tokenized import Tokenized, tokenize
from gptlab.data.tokenizers import Tokenizer
from gptlab.data.unused import case_note, cutting_note
from gptlab.data.watching import make_watch
from gptlab.errors import UserError
from gptlab.plugins.registry import Registry, build


def data_of(config: Config, dataset: Dataset, tokenizer: Any, registry: Registry) -> Data:
    """Reads, encodes and splits the data. Raises UserError for data that cannot be used.

    tokenizer: the component, or the FixedVocabulary to use instead of the one that it would build of the data. Long
    data is encoded once, into a file that is memory-mapped, and is never in memory as a whole. Documents that
    the weights of `config.original` have seen keep the side that they had there.
    """
    return data_and_sides(config, dataset, tokenizer, registry)[0]


def data_and_sides(
    config: Config, dataset: Dataset, tokenizer: Any, registry: Registry
) -> tuple[Data, Sides]:
    """The data, and the sides of all documents that the weights trained on it will have seen."""
    fixed = isinstance(tokenizer, FixedVocabulary)
    original = original_of(config, tokenizer if fixed else None, registry)
    if isinstance(dataset, Problems):
        return problem_data(config, dataset, tokenizer, original)
    settings = tokenizer.settings() if fixed else config.tokenizer
    tokenized = tokenize(dataset.documents(), tokenizer, settings, make_watch(config.progress))
    blockSize = config.model.blockSize
    documents = Cuts(tokenized.stream, blockSize, dataset.window)
    keys, table = keys_of(config, dataset, tokenized, registry), documents.in_memory()
    how: dict[str, Any] = {
        "valFraction": dataset.valFraction,
        "shuffle": dataset.shuffle,
        "seed": config.seed,
    }
    if dataset.splitSeed is None:
        parts = split_by_seed(table, keys, **how)
    else:
        parts = split(table, keys, splitSeed=dataset.splitSeed, before=original.sides, **how)
    notes = [original.note] if original.note else []
    if parts.kept and config.original is not None:
        known = f"{parts.kept:,} documents are known to {config.original.run}"
        notes.append(f"{known}: each is trained on, or held out, as it was there")
    if parts.lack:
        more = short_text(tokenized, blockSize) if dataset.window and len(documents) == 1 else ""
        notes.append(f"no validation: none of the data can be held out, since {parts.lack}{more}")
    notes += unused_notes(config, dataset, tokenized, tokenizer.origin if fixed else "")
    facts = {"unigramEntropy": tokenized.unigram_entropy(blockSize, dataset.window)}
    entropy = dataset.entropy_per_word()
    # The source's own entropy is a bound only for its own words, in documents that are whole.
    if entropy is not None and config.tokenizer.name == "word" and documents.width <= blockSize:
        facts["entropyPerWord"] = entropy
        if len(parts.held_out) and dataset.nats("") is not None:
            nats = cast("Callable[[str], float]", dataset.nats)
            # In sweeps most runs hold out the same.
            facts |= tokenized.once(
                ("bounds", repr(dataset), blockSize, parts.digest),
                lambda: bounds_of(parts.held_out, table, tokenized.tokenizer, nats),
            )
    counts = len(documents), len(parts.train), len(parts.held_out)
    described = DatasetFacts(config.data.name, dataset.source, tokenized.digest, *counts, facts)
    start = first_token(tokenized.stream, tokenized.tokenizer, dataset.window)
    sides = parts.train, parts.held_out
    data = Data(
        tokenized.tokenizer,
        *sides,
        described,
        parts.digest,
        keys[parts.rows],
        None if dataset.window else tokenized.stream.longest,
        start,
        original,
        tuple(notes),
    )
    return data, parts.sides


def unused_notes(config: Config, dataset: Dataset, tokenized: Tokenized, origin: str) -> list[str]:
    """What of the data the model never sees. origin: the run that the vocabulary is of, "" for the data's own."""
    cut = (
        ""
        if dataset.window
        else cutting_note(tokenized.stream, config.model.blockSize, has_unit="unit" in config.data)
    )
    return [note for note in (cut, case_note(origin) if tokenized.lowered else "") if note]


def short_text(tokenized: Tokenized, blockSize: int) -> str:
    """What to type where running text is one window."""
    tokens = len(tokenized.stream.tokens) - 1
    return f" of model.blockSize={blockSize} tokens. For two of them: model.blockSize={max(1, (tokens + 1) // 2)}"


def keys_of(config: Config, dataset: Dataset, tokenized: Tokenized, registry: Registry) -> np.ndarray:
    """(N,) what tells the documents apart, see splitting.py: as the run's tokens do, or those of data.splitTokenizer.

    Raises UserError for another tokenizer where that cannot be.
    """
    name, origin = dataset.splitTokenizer, config.original
    before = None if origin is None or origin.data is None else (origin.data.get("splitTokenizer"),)
    if before not in (None, (name,)):
        raise UserError(
            "data.splitTokenizer must match the run that the weights come from, or their training documents "
            f"cannot be recognised: got {name}. Type data.splitTokenizer={before[0] or 'null'}."
        )
    if name is None or name == config.tokenizer.name:
        return tokenized.keys(config.model.blockSize, dataset.window)
    if dataset.window:
        raise UserError(
            "data.splitTokenizer is for documents: running text is cut by the run's own tokens. Leave it out, or type "
            "data.unit=line."
        )
    factory = build(registry, "tokenizer", {"name": name})
    settings = {"name": name, **asdict(factory)}
    others = tokenize(dataset.documents(), factory, settings, make_watch(config.progress))
    return others.keys(max(1, others.stream.longest), window=False)


def bounds_of(
    held_out: Documents, whole: Documents, tokenizer: Tokenizer, nats: Callable[[str], float]
) -> dict[str, float]:
    """The two losses, in nats a token, of models that know the frequencies of tokens, and the source itself.

    Of the held-out documents, and no others: no two documents are equally easy, and what is held out is never
    quite like the whole. nats: -log of a document's probability.
    """
    frequencies = whole.counts(tokenizer.vocabSize)
    there = held_out.counts(tokenizer.vocabSize)
    known = there > 0
    unigram = -(there[known] * np.log(frequencies[known] / frequencies.sum())).sum()
    texts = Counter(
        tokenizer.decode(row[1 : length + 1].tolist())
        for row, length in zip(held_out.tokens, held_out.lengths, strict=True)
    )
    source = sum(count * nats(text) for text, count in texts.items())
    tokens = int(there.sum())
    return {"heldOutUnigram": float(unigram / tokens), "heldOutEntropy": float(source / tokens)}


def original_of(config: Config, vocabulary: FixedVocabulary | None, registry: Registry) -> Original:
    """What the weights of `config.original` have seen: its data again, split as it was then."""
    origin = config.original
    if origin is None:
        return Original()
    if origin.data is None or origin.seed is None or origin.digest is None or vocabulary is None:
        return unknown("which data the weights were trained on is not known")
    try:
        chosen = Chosen({"splitSeed": None, **origin.data})
        # The model is that of the source, and so are blockSize and the documents that it cuts.
        earlier = replace(config, seed=origin.seed, data=chosen, original=origin_of(origin.original))
        data, sides = data_and_sides(earlier, build(registry, "dataset", chosen), vocabulary, registry)
    except (UserError, LookupError, TypeError, AttributeError) as error:
        return unknown(f"the data that the weights were trained on cannot be loaded again: {error}")
    if origin.digest != data.facts.digest:
        return unknown("the data that the weights were trained on has changed since")
    if origin.split not in (None, data.split):
        return unknown("which of their data the weights were trained on can no longer be told")
    if not len(data.held_out):
        return Original(
            None, sides, "no val/originalLoss: the run that the weights come from held out nothing"
        )
    rows = np.flatnonzero(among(data.keys, sides.held_out))
    if not len(rows):
        return Original(None, sides, "no val/originalLoss: what was held out then has been trained on since")
    return Original(data.held_out[rows], sides)


def unknown(reason: str) -> Original:
    said = f"no val/originalLoss: {reason}"
    return Original(note=f"{said}; what they were trained on may be among what is held out now")
