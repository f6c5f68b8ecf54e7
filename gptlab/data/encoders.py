"""Processes that encode text side by side: what Python itself does of it keeps to one core.

A block of texts goes to one of them as it is read, and its ids come back in order.
"""

from __future__ import annotations

import os
import pickle
import queue
import subprocess
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from gptlab.data.tokenizers import InBatches
from gptlab.engines.lanes import cores
from gptlab.own_process import start

MODULE = "gptlab.data.encoders"
WORTH = 32 << 20  # bytes of text; of less, the processes' start takes as long as they save
MOST = 8  # processes: one that reads gives no more of them work
ONE_THREAD = {"TOKENIZERS_PARALLELISM": "false"}  # the library would share each block between all cores
AHEAD = 2  # blocks for each of them that are read and not yet written
OWN = "gptlab."  # a plugin's tokenizer need not be found elsewhere by its module's name

Encoded = tuple[np.ndarray, np.ndarray]  # the ids (M,) of some texts, and how many each has (N,)


class Encoders:
    """As many processes as there are cores. What one of them cannot do, or dies of, is done here."""

    def __init__(self, tokenizer: InBatches, count: int):
        self._tokenizer = tokenizer
        self.processes = [start(MODULE, env=os.environ | ONE_THREAD) for _ in range(count)]
        self._idle: queue.SimpleQueue[subprocess.Popen[bytes]] = queue.SimpleQueue()
        self._threads = ThreadPoolExecutor(count, thread_name_prefix="encoding")
        self.ahead = AHEAD * count
        self._closed = False
        for process in self.processes:
            with suppress(OSError):  # it is asked first, and then this one does its work
                send(process.stdin, tokenizer)
            self._idle.put(process)

    def submit(self, texts: Sequence[str]) -> Future[Encoded]:
        return self._threads.submit(self._encoded, texts)

    def _encoded(self, texts: Sequence[str]) -> Encoded:
        process = self._idle.get()
        try:
            send(process.stdin, texts)
            return pickle.load(process.stdout)  # type: ignore[arg-type]
        except (OSError, EOFError, ValueError, pickle.UnpicklingError):
            if self._closed:
                raise
            return self._tokenizer.encode_all(texts)
        finally:
            self._idle.put(process)

    def close(self) -> None:
        """Each is ended; what has been submitted is not waited for."""
        self._closed = True
        for process in self.processes:
            process.kill()
        self._threads.shutdown(cancel_futures=True)
        for process in self.processes:
            process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                with suppress(OSError):  # what was still to be written there
                    stream.close()  # type: ignore[union-attr]


def send(pipe: Any, what: Any) -> None:
    pickle.dump(what, pipe, pickle.HIGHEST_PROTOCOL)
    pipe.flush()


@contextmanager
def encoders(tokenizer: InBatches | None, size: int) -> Iterator[Encoders | None]:
    """The processes for a text of so many bytes; None where they would not be worth their start.

    So it is with one core, with a plugin's tokenizer, and with those that encode as quickly as a pipe takes bytes.
    """
    count = min(cores(), MOST)
    if tokenizer is None or count == 1 or size < WORTH or not sys.executable:
        yield None
        return
    if tokenizer.quick or not type(tokenizer).__module__.startswith(OWN):
        yield None
        return
    made = Encoders(tokenizer, count)
    try:
        yield made
    finally:
        made.close()


def main() -> None:
    """In such a process: what comes is the tokenizer, then lists of texts. It ends with its input, or with an error."""
    texts, ids = sys.stdin.buffer, sys.stdout.buffer
    with suppress(EOFError, BrokenPipeError):
        tokenizer: InBatches = pickle.load(texts)
        while True:
            send(ids, tokenizer.encode_all(pickle.load(texts)))
