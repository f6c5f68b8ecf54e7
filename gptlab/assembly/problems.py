"""Data with right answers, made into the data of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from itertools import chain, islice
from random import Random
from typing import Any

import numpy as np

from gptlab.assembly.run_data import Data, Original
from gptlab.config.typed import Config
from gptlab.data.documents import Documents
from gptlab.data.endless import Endless, half, key_of, problems
from gptlab.data.exampled import documents_of
from gptlab.data.examples import Example
from gptlab.data.facts import BASELINE, DatasetFacts
from gptlab.data.problems import EndlessProblems, Problems
from gptlab.data.splitting import NO_KEYS, Sides, Split, digest_of_rows, document_keys, split
from gptlab.data.tokenizers import Tokenizer, Vocabulary, WordTokenizer
from gptlab.errors import UserError
from gptlab.plugins.registry import OWN_NUMBERS

TAKEN = (*OWN_NUMBERS, "early", "baseline")  # what the rows of a run have by these names already


def problem_data(config: Config, dataset: Problems, factory: Any, original: Original) -> tuple[Data, Sides]:
    """The data, and the sides of all documents that the weights trained on it will have seen. Raises UserError."""
    splitSeed = config.seed if dataset.splitSeed is None else dataset.splitSeed
    sets = {name: list(examples) for name, examples in dataset.held_out_sets().items()}
    check_sets(sets)
    if isinstance(dataset, EndlessProblems):
        known = drawn(dataset, splitSeed, sets)
        texts: Iterable[str] = [*dataset.alphabet(), *parts_of(chain(*known, *sets.values()))]
    else:
        known = list(dataset.examples()), []
        texts = parts_of(chain(known[0], *sets.values()))
    tokenizer: Tokenizer = factory.build(list(texts))
    if dataset.characters and isinstance(tokenizer, Vocabulary) and tokenizer.unit == WordTokenizer.unit:
        raise UserError(
            f"data={config.data.name} is written in characters: its words are whole problems. Type tokenizer=char."
        )
    blockSize, countAll = config.model.blockSize, dataset.countAll

    def encoded(examples: Sequence[Example], width: int = 0) -> Documents:
        return documents_of(examples, tokenizer, blockSize, countAll, width)

    endless = None
    if isinstance(dataset, EndlessProblems):
        held_out = known[1]
        taken = frozenset(key_of(example) for example in chain(held_out, *sets.values()))
        if dataset.numExamples is None:
            endless = Endless(dataset, taken, tokenizer, blockSize, config.seed)
        train = endless.sample if endless else encoded(known[0])
        parts, keys = parts_drawn(train, encoded(held_out), config, tokenizer)
    else:
        parts, keys = parts_listed(dataset, encoded(known[0]), config, tokenizer, splitSeed, original.sides)
        held_out = [known[0][row] for row in parts.rows]
    width = max(parts.train.width, parts.held_out.width)
    digest = digest_of(repr(dataset) if endless else "", [*known[0], *known[1]], *sets.values())
    facts = DatasetFacts(
        config.data.name,
        dataset.source,
        digest,
        len(parts.held_out) if endless else len(parts.train) + len(parts.held_out),
        0 if endless else len(parts.train),
        len(parts.held_out),
        facts_of(dataset, held_out, parts),
    )
    data = Data(
        tokenizer,
        parts.train,
        parts.held_out,
        facts,
        parts.digest,
        keys,
        width - 1,
        tokenizer.bos,
        original,
        (original.note,) if original.note else (),
        {name: encoded(examples, width) for name, examples in sets.items()},
        endless,
    )
    return data, parts.sides


def drawn(
    dataset: EndlessProblems, splitSeed: int, sets: dict[str, list[Example]]
) -> tuple[list[Example], list[Example]]:
    """Problems to train on, none where they are endless, and those held out: the same ones for all runs' seeds."""
    others = [key_of(example) for examples in sets.values() for example in examples]
    random, may = Random(f"{splitSeed} held out"), half(splitSeed)
    held_out = list(islice(problems(dataset, random, others, distinct=True, among=may), dataset.numHeldOut))
    if dataset.numExamples is None:
        return [], held_out
    taken = [*others, *map(key_of, held_out)]
    some = problems(dataset, Random(f"{splitSeed} listed"), taken, distinct=True)
    return list(islice(some, dataset.numExamples)), held_out


def parts_drawn(
    train: Documents, held_out: Documents, config: Config, tokenizer: Tokenizer
) -> tuple[Split, np.ndarray]:
    """The split of what was drawn for each side, and the keys of what is held out.

    What is trained on has none: no two endless problems need be the same.
    """
    keys = document_keys(held_out, tokenizer) if len(held_out) else NO_KEYS
    order = np.random.default_rng([config.seed, 1]).permutation(len(train))
    shuffled = train[order] if config.data["shuffle"] else train
    rows = np.arange(len(held_out))
    return Split(shuffled, held_out, rows, Sides(held_out=np.unique(keys)), digest_of_rows(keys)), keys


def parts_listed(
    dataset: Problems,
    documents: Documents,
    config: Config,
    tokenizer: Tokenizer,
    splitSeed: int,
    before: Sides,
) -> tuple[Split, np.ndarray]:
    """The split of all problems that there are, and the keys of what is held out.

    Raises UserError for a share that leaves nothing on a side.
    """
    keys = document_keys(documents, tokenizer)
    share, count = dataset.valFraction, len(np.unique(keys))
    if share and not 0 < round(share * count) < count:
        raise UserError(
            f"data.valFraction must leave a problem on each side: {share} of {count:,} is {round(share * count):,} "
            "held out. Try data.valFraction=0.5, or 0 to hold out none."
        )
    found = split(
        documents,
        keys,
        valFraction=share,
        splitSeed=splitSeed,
        shuffle=dataset.shuffle,
        seed=config.seed,
        before=before,
    )
    return found, keys[found.rows]


def facts_of(dataset: Problems, held_out: Sequence[Example], parts: Split) -> dict[str, float]:
    """What other predictors reach on what is held out, in nats a counted token."""
    found = {"unigramEntropy": parts.train.unigram_entropy()}
    if not held_out or dataset.countAll:  # what they say is of answers
        return found
    baselines = dict(dataset.baselines(held_out))
    nats = [example.nats for example in held_out]
    counted = parts.held_out.counted
    if counted is not None and all(each is not None for each in nats):
        baselines.setdefault(
            "floor", float(sum(each for each in nats if each is not None)) / int(counted.sum())
        )
    return found | {f"{BASELINE}{name}": float(loss) for name, loss in baselines.items()}


def parts_of(examples: Iterable[Example]) -> Iterable[str]:
    """Each once, to make a vocabulary of."""
    return dict.fromkeys(text for example in examples for text, _ in example.pieces())


def check_sets(sets: dict[str, list[Example]]) -> None:
    for name, examples in sets.items():
        if name in TAKEN or not name.isidentifier():
            raise UserError(
                f"a held-out set must have a name of its own, of letters and digits: got {name!r}. Try 'longer'."
            )
        if not examples:
            raise UserError(f"a held-out set must have a problem: {name} has none.")


def digest_of(said: str, *lists: Sequence[Example]) -> str:
    """16 hex digits of what is said of endless data, and of the problems part by part."""
    texts = ("\x1f".join([*example.parts, str(example.ends)]) for examples in lists for example in examples)
    return hashlib.sha256("\x1e".join([said, *texts]).encode("utf-8", "surrogatepass")).hexdigest()[:16]
