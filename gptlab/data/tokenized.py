"""Data as tokens: small data in memory; long data once into a memory-mapped file, which later runs find again.

Legend: N texts, M tokens.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from gptlab import strict_json
from gptlab.data import reading, store
from gptlab.data.arrays import open_array
from gptlab.data.content import Content, content_of, identity_of, known_content, sha256
from gptlab.data.documents import Cuts, TokenStream, encoded, stream_in_memory
from gptlab.data.encoders import encoders
from gptlab.data.reading import FileTexts, RunningText, in_lists
from gptlab.data.splitting import document_keys
from gptlab.data.tokenizers import Tokenizer, in_batches
from gptlab.data.unused import CaseLost
from gptlab.data.watching import Watch
from gptlab.errors import UserError
from gptlab.files import write_bytes, write_text

T = TypeVar("T")
FORMAT = 2
CHECK = 32  # bytes of a SHA-256
TOKENS, STARTS, STATE = "tokens.bin", "starts.bin", "tokenizer.json"
PROBES, PROBE = 16, 1 << 10  # texts, and characters of each, that are encoded again: is the code the same?
REMEMBERED = 2  # streams in memory, of at most reading.IN_MEMORY characters each
# Of the process: a launcher calls its jobs, some side by side, and hands nothing on.
_latest: dict[str, Tokenized] = {}
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Tokenized:
    """A tokenizer and the stream that it made. digest: 16 hex digits of the SHA-256 of the documents in order.

    lowered: whether the tokenizer's lower-casing has changed them. entry: the folder that it lies in, None if it is in
    memory.
    """

    tokenizer: Tokenizer
    stream: TokenStream
    digest: str
    lowered: bool = False
    entry: Path | None = None
    _known: dict[Any, Any] = field(default_factory=dict, compare=False, repr=False)

    def once(self, what: Hashable, make: Callable[[], T]) -> T:
        """What `make` gave the first time, of what is in memory and shared by the runs of a sweep."""
        if what not in self._known:
            self._known[what] = make()
        found: T = self._known[what]
        return found

    def unigram_entropy(self, blockSize: int, window: bool) -> float:
        """That of all documents, in nats; remembered for a stream that is kept, which is gone through once."""
        documents = Cuts(self.stream, blockSize, window)
        if self.entry is None:
            return self.once(("entropy", blockSize, window), documents.unigram_entropy)
        whole = window or self.stream.longest <= blockSize
        note = self.entry / f"entropy-{'whole' if whole else blockSize}.json"
        try:
            return float(strict_json.loads(note.read_text("utf-8")))
        except (OSError, ValueError, TypeError):
            entropy = documents.unigram_entropy()
            with suppress(OSError):  # it would have to be computed again, that is all
                write_text(note, strict_json.dumps(entropy))
            return entropy

    def keys(self, blockSize: int, window: bool) -> np.ndarray:
        """The documents' keys (N,), see splitting.py; remembered likewise."""
        documents = Cuts(self.stream, blockSize, window)
        if self.entry is None:
            return self.once(("keys", blockSize, window), lambda: document_keys(documents, self.tokenizer))
        whole = not window and self.stream.longest <= blockSize
        name = f"{'window' if window else 'line'}-{'whole' if whole else blockSize}"
        note = self.entry / f"keys-{name}.bin"
        with suppress(OSError):
            check, content = (kept := note.read_bytes())[:CHECK], kept[CHECK:]
            if check == hashlib.sha256(content).digest() and len(content) == 8 * len(documents):
                return np.frombuffer(content, dtype="<u8")
        keys = document_keys(documents, self.tokenizer)
        content = keys.astype("<u8").tobytes()
        with suppress(OSError):  # they would have to be computed again, that is all
            write_bytes(note, hashlib.sha256(content).digest() + content)
        return keys


def tokenize(texts: Iterable[str], factory: Any, settings: dict[str, Any], watch: Watch) -> Tokenized:
    """The tokenizer that `factory` (with these settings) builds of the texts, and all texts encoded by it.

    Raises UserError for texts that cannot be read or encoded, and for a cache folder that cannot be written.
    """
    texts = in_memory_if_small(texts)
    if isinstance(texts, list):
        return in_memory(texts, factory, settings)
    folder = store.tokens_folder()
    with store.lasting(folder):
        folder.mkdir(parents=True, exist_ok=True)
    stamp = texts.stamp() if isinstance(texts, FileTexts) else None
    content, remembered = known_content(texts, folder, watch)
    identity = identity_of(factory, settings)
    key = key_of(texts, content, identity)
    found = kept(folder / key, factory, watch)
    if found is not None:
        return found
    if remembered:  # what is made anew is of what is there now, whatever was there once
        content, _ = known_content(texts, folder, watch, anew=True)
        key = key_of(texts, content, identity)
    with store.locked(folder, key, watch):
        found = kept(folder / key, factory, Watch())  # made by the one that we waited for
        if found is not None:
            return found
        store.clean(folder)
        with store.new_entry(folder, key) as part:
            make(part, texts, factory, watch, content.joined)
            if isinstance(texts, FileTexts) and texts.stamp() != stamp:
                raise UserError(
                    f"{texts.key} must not change while it is read: {texts.path} did. Start again."
                )
        try:
            found = opened(folder / key, factory)
        except (OSError, ValueError) as error:
            raise UserError(f"the tokens just written to {folder / key} must be readable: {error}.") from None
        store.clean(folder)
        return found


def key_of(texts: Iterable[str], content: Content, identity: dict[str, Any]) -> str:
    """What an entry is called."""
    parts = [FORMAT, asdict(content), type(texts).__name__, identity]
    return sha256(strict_json.dumps(parts, default=str))


def in_memory(texts: list[str], factory: Any, settings: dict[str, Any]) -> Tokenized:
    """These texts encoded, or what the process has of them already: the runs of a sweep mostly share their data."""
    content = content_of(texts)
    key = strict_json.dumps([asdict(content), identity_of(factory, settings)], default=str)
    with _one_at_a_time:
        if key not in _latest:
            tokenizer: Tokenizer = factory.build(texts)
            case = CaseLost(tokenizer)
            case.look(texts)
            made = Tokenized(tokenizer, stream_in_memory(texts, tokenizer), content.joined[:16], case.found)
            while len(_latest) >= REMEMBERED:
                del _latest[next(iter(_latest))]
            _latest[key] = made
        return _latest[key]


def in_memory_if_small(texts: Iterable[str]) -> Iterable[str]:
    """A list, if it is one or short; else what gives the texts anew each time."""
    if isinstance(texts, (list, FileTexts)):
        return texts
    iterator = iter(texts)
    if iterator is texts or isinstance(texts, tuple):  # gone through once only
        return list(iterator)
    beginning: list[str] = []
    characters = 0
    for text in iterator:
        beginning.append(text)
        characters += len(text)
        if characters > reading.IN_MEMORY:
            return texts
    return beginning


def make(part: Path, texts: Iterable[str], factory: Any, watch: Watch, digest: str) -> None:
    """Fill an entry."""
    with watch.reading("building the vocabulary", texts):
        tokenizer: Tokenizer = factory.build(texts)
    case = CaseLost(tokenizer)
    size = texts.size if isinstance(texts, FileTexts) else 0
    with watch.reading("tokenizing", texts), encoders(in_batches(tokenizer), size) as side_by_side:
        header = write_stream(part, encoded(texts, tokenizer, case.look, side_by_side), tokenizer)
    state = strict_json.dumps(tokenizer.state(), ensure_ascii=False)
    header |= {"format": FORMAT, "digest": digest[:16], "probe": probe_of(texts, tokenizer)}
    header["lowered"] = case.found
    with store.lasting(part.parent):
        (part / STATE).write_text(state, encoding="utf-8", errors="surrogatepass")
        store.write_header(part, header)


def write_stream(
    part: Path, pieces: Iterator[tuple[np.ndarray, np.ndarray]], tokenizer: Tokenizer
) -> dict[str, Any]:
    """The stream's two files; returns what else is to be known to read them."""
    dtype = next(np.dtype(t) for t in ("u1", "u2", "i4") if tokenizer.vocabSize - 1 <= np.iinfo(t).max)
    base = last = longest = 0
    end = np.array([tokenizer.bos]), np.array([0])
    with ExitStack() as stack:
        with store.lasting(part.parent):
            tokens, starts = (stack.enter_context((part / name).open("wb")) for name in (TOKENS, STARTS))
        for ids, begins in chain(pieces, [end]):
            if not 0 <= int(ids.min(initial=0)) <= int(ids.max(initial=0)) < tokenizer.vocabSize:
                raise UserError(
                    f"a tokenizer's ids must be 0 ... {tokenizer.vocabSize - 1} (vocabSize - 1): it gave "
                    f"{int(ids.min())} ... {int(ids.max())}. Fix its encode, or its vocabSize."
                )
            bounds = np.concatenate([[last], begins + base])
            longest, last = max(longest, int(np.diff(bounds).max(initial=0))), int(bounds[-1])
            base += len(ids)
            with store.lasting(part.parent):
                tokens.write(ids.astype(dtype).tobytes())
                starts.write(bounds[1:].astype("<i8").tobytes())
        with store.lasting(part.parent):
            tokens.close()
            starts.close()
    return {"dtype": dtype.str, "longest": longest, "vocabSize": tokenizer.vocabSize}


def probe_of(texts: Iterable[str], tokenizer: Tokenizer) -> list[list[Any]]:
    """A few texts, or the beginning of one, each with its ids."""
    if isinstance(texts, RunningText):
        beginnings = [up_to_a_space(next(texts.parts())[1])]
    else:
        beginnings = [t if len(t) <= PROBE else up_to_a_space(t) for t in next(in_lists(texts))[:PROBES]]
    return [[text, [int(i) for i in tokenizer.encode(text)]] for text in beginnings]


def up_to_a_space(text: str) -> str:
    """The beginning of a text: a word that is cut off might be none of the vocabulary."""
    return text[:PROBE].rpartition(" ")[0]


def kept(entry: Path, factory: Any, watch: Watch) -> Tokenized | None:
    """What is in an entry; None if it is not there or cannot be used."""
    try:
        return opened(entry, factory)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        watch.note(f"data: tokenizing again, the tokens kept in {entry} cannot be used: {error}")
        return None


def opened(entry: Path, factory: Any) -> Tokenized:
    """What is in an entry. Raises ValueError if it is damaged, or is not what the tokenizer makes today."""
    header = store.read_header(entry)
    state = (entry / STATE).read_text(encoding="utf-8", errors="surrogatepass")
    tokenizer: Tokenizer = factory.restore(strict_json.loads(state))
    if tokenizer.vocabSize != header["vocabSize"] or any(
        [int(i) for i in tokenizer.encode(text)] != ids for text, ids in header["probe"]
    ):
        raise ValueError(
            "the tokenizer gives different ids after state() and restore() (python -m gptlab check NAME shows it)"
        )
    tokens, starts = open_array(entry / TOKENS, header["dtype"]), open_array(entry / STARTS, "<i8")
    stream = TokenStream(tokens, starts, header["longest"], tokenizer.bos)
    return Tokenized(tokenizer, stream, header["digest"], header["lowered"], entry)
