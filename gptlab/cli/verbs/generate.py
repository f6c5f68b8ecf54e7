"""The verb `generate`: samples of a finished run, or of whatever names weights."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from gptlab.cli.reading import with_line_ends, with_settings
from gptlab.command.line import CommandLine
from gptlab.config.schema import GenerateConfig
from gptlab.errors import UserError
from gptlab.streams import show

PART = "\N{REPLACEMENT CHARACTER}"  # what a part of a character is decoded to

HELP = """\
Sample from a finished run.

  python -m gptlab generate run=latest n=20 temperature=0.8 topK=0 topP=1.0 seed=0 prompt="the cat"

run          latest (the newest below ./runs), the folder of a run or of one of its checkpoints, an MLflow
             run id, a name (run=tiny: the newest run of that name or of that experiment), a sweep (its folder,
             name or MLflow id: its best run), runs:/ID, models:/NAME@ALIAS, a file: FILE.json,
             FILE.safetensors, or hf:FOLDER, as transformers writes it; a folder wins over a name
n            how many samples: one per line; texts of several lines stand apart
length       how many tokens to draw after the prompt; beyond the model's blockSize each sees only the last
             blockSize ones; if left out, as many as blockSize has room for
temperature  divides the logits; 0 takes the likeliest token each time
topK         keep the k likeliest tokens; 0 keeps all
topP         of those, keep the smallest set whose probabilities reach p
sampler      how to draw: standard (the three keys above), minp (only tokens at least sampler.share=0.1 times as
             likely as the likeliest), or a plugin's
repetitionPenalty
             divides the logits of tokens that the text has already (multiplies those below 0); 1 for none
prompt       what each sample begins with, in tokens of the run's vocabulary; \\n stands for a line end
promptFile   a file of prompts, one per line; n samples for each
seed         the same seed draws the same samples
engine       engine=scalar or engine=xla; the run's own if left out

A file from another program has no vocabulary. Build it from the text that the model was trained on:

  python -m gptlab generate run=weights.json tokenizer.path=corpus.txt     (tokenizer=char for characters)\
"""


def run(arguments: list[str]) -> int:
    return with_settings("generate", arguments, generate)


def generate(settings: GenerateConfig, line: CommandLine) -> int:
    """Print the samples, one a line; texts of several lines apart; a single one on a terminal as it comes."""
    from gptlab.exchange.finding import find_run
    from gptlab.exchange.loading import with_corpus
    from gptlab.launch.reports import told_apart
    from gptlab.loaded.loaded import Loaded
    from gptlab.plugins.registry import build
    from gptlab.training.generation import Sampling

    registry = line.plugins.registry
    how = Sampling(
        n=settings.n,
        temperature=settings.temperature,
        topK=settings.topK,
        topP=settings.topP,
        seed=settings.seed,
        repetitionPenalty=settings.repetitionPenalty,
        sampler=build(registry, "sampler", settings.sampler),
        length=settings.length,
    )
    prompts = prompts_of(settings)
    with find_run(settings.run, settings.tracking) as found:
        run = Loaded(with_corpus(found, settings.tokenizer, registry), registry, settings.engine)
    drawn = [run.growing(replace(how, prompt=prompt)) for prompt in prompts]
    if len(drawn) == how.n == 1 and sys.stdout.isatty():
        show_growing(texts[0] for texts in drawn[0])
        return 0
    texts = [text for each in drawn for text in list(each)[-1]]
    show("\n".join(told_apart(texts)))
    return 0


def prompts_of(settings: GenerateConfig) -> list[str]:
    """Raises UserError for a file that cannot be read, and for a prompt beside it."""
    from gptlab.data.reading import read_documents

    if settings.promptFile is None:
        return [with_line_ends(settings.prompt)]
    if settings.prompt:
        raise UserError(
            f"prompt and promptFile are two ways to say what samples begin with: got prompt={settings.prompt} and "
            f"promptFile={settings.promptFile}. Leave one out."
        )
    path = Path(os.path.expanduser(settings.promptFile))
    return [with_line_ends(line) for line in read_documents(path, "promptFile")]


def show_growing(texts: Iterable[str]) -> None:
    """A text on the terminal as it comes. What may still change at its end, a part of a character, waits."""
    printed = text = ""
    for text in texts:
        settled = text.rstrip(PART)
        if settled.startswith(printed):
            show(settled[len(printed) :], end="")
            printed = settled
    show(text[len(printed) :])
