"""A model as one file of C, with its weights and its vocabulary: `cc model.c -lm && ./a.out "the cat"`."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files

import numpy as np

from gptlab.assembly.architecture import Architecture
from gptlab.data.beginning import first_token_of
from gptlab.data.byte_tokenizers import Bytes
from gptlab.data.tokenizers import Tokenizer, Vocabulary
from gptlab.engines.c_code.functions import Array, Function
from gptlab.engines.c_code.sampling import NextLogits, c_name, next_logits_of
from gptlab.engines.c_code.training import TrainStep, train_step_of
from gptlab.engines.c_code.values import c_type, literal
from gptlab.engines.engine import Definition, Frozen, Optimizer
from gptlab.runs.saved_run import SavedRun

HEADERS = ("math.h", "stdint.h", "stdio.h", "stdlib.h", "string.h")
UNITS = ("WORDS", "CHARACTERS", "BYTES", "IDS")
A_LINE = 12  # numbers
MOST = 1 << 20  # tokens of steps that a file may hold: 6 MB of text


@dataclass(frozen=True)
class Steps:
    """What a C program trains with. The steps' documents: tokens (C, B, T + 1), lengths (C, B); rates (C,).

    definition: with the objective. weights: before step 1. seed: of the run, by which components draw. Legend: see
    engine.py.
    """

    definition: Definition
    optimizer: Optimizer
    weights: dict[str, np.ndarray]
    tokens: np.ndarray
    lengths: np.ndarray
    rates: np.ndarray
    seed: int
    frozen: Frozen = frozenset()


def c_program(
    saved: SavedRun, architecture: Architecture, tokenizer: Tokenizer, file: str, steps: Steps | None = None
) -> str:
    """The file's text. file: its name, for the command in its first lines. steps: what it trains with, then samples.

    Raises UserError for a model with a part that has no counterpart in C.
    """
    definition = architecture.definition
    dtype = (saved.config or {}).get("engine", {}).get("dtype", "float32")
    traced = next_logits_of(
        definition, architecture.ops, dtype, definition.shapes, definition.sizes.blockSize
    )
    start = first_token_of(saved.start, saved.config, tokenizer)
    weights, arrays = saved.weights, traced.weights
    static, end, trained_by = "static const ", part("prompted.c"), None
    if steps is not None:
        weights, static, kind = steps.weights, "static ", traced.logits.dtype
        own = {n: Array(f"o_{c_name(n)}", w.shape, kind) for n, w in weights.items() if n not in arrays}
        arrays = {**arrays, **own}  # the objective's, which sampling does without
        trained_by = step_of(steps, architecture, dtype, {name: arrays[name] for name in weights})
        end = trainer(trained_by, steps)
    parts = [
        comment(saved, traced, trained_by, tokenizer, file),
        "\n".join(f"#include <{header}>" for header in HEADERS),
        settings(tokenizer, definition.sizes.blockSize, start),
        vocabulary(tokenizer),
        *(numbers(static, array, weights[name]) for name, array in arrays.items()),
        "\n".join(array.defined() for array in (traced.token, traced.place, traced.logits, *traced.kept)),
        traced.function.source,
        sampler(traced, prompted=steps is None),
        end,
    ]
    return "\n\n".join(parts)


def step_of(steps: Steps, architecture: Architecture, dtype: str, arrays: dict[str, Array]) -> TrainStep:
    batch, span = steps.tokens.shape[1:]
    return train_step_of(
        steps.definition,
        steps.optimizer,
        architecture.ops,
        dtype,
        arrays,
        steps.weights,
        (batch, span),
        steps.seed,
        steps.frozen,
    )


def trainer(trained_by: TrainStep, steps: Steps) -> str:
    count, batch, span = steps.tokens.shape
    whole = np.dtype(np.int32)
    rates = Array("rates", (count,), trained_by.loss.dtype)
    return "\n\n".join(
        [
            f"#define STEPS {count}",
            numbers("static const ", Array("documents", (count, batch * span), whole), steps.tokens),
            numbers("static const ", Array("sizes", (count, batch), whole), steps.lengths),
            numbers("static const ", rates, steps.rates),
            *(numbers("static ", array, values) for array, values in trained_by.moments.values()),
            "\n".join(array.defined() for array in (*trained_by.inputs, trained_by.loss)),
            trained_by.function.source,
            part("trainer.c"),
        ]
    )


def comment(
    saved: SavedRun, traced: NextLogits, trained_by: TrainStep | None, tokenizer: Tokenizer, file: str
) -> str:
    """What the file is, what to type, and what it needs."""
    count = sum(array.size for array in traced.weights.values())
    weights = sum(map(size_of, traced.weights.values()))
    kept = sum(map(size_of, traced.kept))
    memory = kept + arena_of(traced.function) + size_of(traced.logits)
    ids = "the prompt is the ids of its tokens" if unit_of(tokenizer) == "IDS" else 'say, "the cat"'
    typed = f"[PROMPT [TEMPERATURE [SAMPLES [SEED]]]]    ({ids})"
    if trained_by is not None:
        typed = "[STEPS]"
        moments = sum(size_of(array) for array, _ in trained_by.moments.values())
        memory += weights + moments + arena_of(trained_by.function)
    lines = [
        f"{saved.name}: a model of {count:,} parameters{'' if trained_by is None else ', and how it is trained'}.",
        "",
        f"    cc -O2 {file} -lm && ./a.out {typed}",
        "",
        f"Weights: {weights:,} bytes, {'constant' if trained_by is None else 'trained in place'}.",
        f"Memory: {memory:,} bytes, of which {kept:,} keep what came before in a text. Nothing is allocated.",
        "In a program of your own: #define GPTLAB_NO_MAIN and #include this file. forget() begins a text, and for each",
        "token, with token[0] and place[0] set, next_logits() fills logits.",
    ]
    return "/* " + "\n   ".join(lines).replace("*/", "* /") + " */"


def arena_of(function: Function) -> int:
    return sum(np.dtype(kind_of(name)).itemsize * count for name, count in function.numbers.items())


def size_of(array: Array) -> int:
    return array.size * array.dtype.itemsize


def kind_of(name: str) -> str:
    """numpy's name of a type of C."""
    return {"float": "float32", "double": "float64"}.get(name, name.removesuffix("_t"))


def settings(tokenizer: Tokenizer, blockSize: int, start: int) -> str:
    lowers = isinstance(tokenizer, Vocabulary) and tokenizer.lowercase
    return "\n".join(
        [
            f"#define BLOCK {blockSize} /* tokens of a text at most */",
            f"#define BOS {tokenizer.bos} /* begins and ends a text */",
            f"#define START {start} /* stands before a prompt */",
            f"enum {{ {', '.join(UNITS)} }};",
            f"#define UNIT {unit_of(tokenizer)}",
            f"#define LOWERCASE {int(lowers)}",
        ]
    )


def unit_of(tokenizer: Tokenizer) -> str:
    """How a prompt is cut. What a tokenizer of another kind does is not known here: ids are given."""
    if type(tokenizer) is Vocabulary:
        return "WORDS" if tokenizer.unit == "word" else "CHARACTERS"
    return "BYTES" if type(tokenizer) is Bytes else "IDS"


def vocabulary(tokenizer: Tokenizer) -> str:
    rows = []
    for number in range(tokenizer.bos):
        if isinstance(tokenizer, Vocabulary):
            piece = tokenizer.pieces[number].encode("utf-8", "replace")
        elif isinstance(tokenizer, Bytes):
            piece = tokenizer.spelled[number]
        else:
            piece = tokenizer.decode([number]).encode("utf-8", "replace")
        rows.append(f"    {{{quoted(piece)}, {len(piece)}}},")
    return "\n".join(
        [
            "static const struct {",
            "    const char *text;",
            "    size_t length;",
            "} pieces[] = {",
            *rows,
            "};",
        ]
    )


def quoted(piece: bytes) -> str:
    """As a string of C: what is not a plain sign by its octal number, of which three digits are all."""
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in piece)
    return f'"{"".join(plain)}"'


def numbers(static: str, array: Array, values: np.ndarray) -> str:
    """An array with its numbers, each with all its digits."""
    texts = [literal(x, array.dtype).strip("()") for x in np.asarray(values).ravel()]
    lines = [", ".join(texts[i : i + A_LINE]) for i in range(0, len(texts), A_LINE)]
    body = ",\n    ".join(lines)
    return f"{static}{c_type(array.dtype)} {array.name}[{max(1, array.size)}] = {{\n    {body}\n}};"


def sampler(traced: NextLogits, prompted: bool) -> str:
    source = part("sampler.c")
    if not prompted:  # nothing is typed that would have to be read
        begin, end = source.index("static int is_space"), source.index("/* A number in [0, 1)")
        source = source[:begin] + source[end:]
    forget = "\n".join(f"    memset({array.name}, 0, sizeof {array.name});" for array in traced.kept)
    return source.replace("FORGET\n", f"{forget}\n" if forget else "")


def part(name: str) -> str:
    return files("gptlab.exchange").joinpath(name).read_text("utf-8").rstrip()
