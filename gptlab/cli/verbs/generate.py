"""The verb `generate`: samples of a finished run, or of whatever names weights."""

from __future__ import annotations

from gptlab.cli.reading import with_line_ends, with_settings
from gptlab.command.line import CommandLine
from gptlab.config.schema import GenerateConfig
from gptlab.streams import show

HELP = """\
Sample from a finished run.

  python -m gptlab generate run=latest n=20 temperature=0.8 topK=0 topP=1.0 seed=0 prompt="the cat"

run          latest (the newest below ./runs), the folder of a run or of one of its checkpoints, an MLflow
             run id, runs:/ID, models:/NAME@ALIAS, or a file: FILE.json, FILE.safetensors
n            how many samples, one a line
temperature  what logits are divided by; 0 takes the likeliest token each time
topK         keep the k likeliest tokens; 0 keeps all
topP         of those, the smallest set whose probabilities reach p
sampler      what draws: standard (the three keys above), minp (tokens at least sampler.share=0.1 times as likely as
             the likeliest), or a plugin's
repetitionPenalty
             logits of tokens that are there already are divided by it, those below 0 multiplied; 1 for none
prompt       what each sample begins with, in tokens of the run's vocabulary; \\n stands for a line end
seed         the same seed draws the same samples
engine       engine=scalar or engine=xla; the run's own if left out

A file made by another program carries no vocabulary; it is built from the text that the model was trained on:

  python -m gptlab generate run=weights.json tokenizer.path=corpus.txt     (tokenizer=char for characters)\
"""


def run(arguments: list[str]) -> int:
    return with_settings("generate", arguments, generate)


def generate(settings: GenerateConfig, line: CommandLine) -> int:
    """Print the samples, one a line; texts of several lines apart."""
    from gptlab.exchange.finding import find_run
    from gptlab.exchange.loading import with_corpus
    from gptlab.loaded.loaded import Loaded
    from gptlab.plugins.registry import build
    from gptlab.training.generation import Sampling

    registry = line.plugins.registry
    how = Sampling(
        n=settings.n,
        temperature=settings.temperature,
        topK=settings.topK,
        topP=settings.topP,
        prompt=with_line_ends(settings.prompt),
        seed=settings.seed,
        repetitionPenalty=settings.repetitionPenalty,
        sampler=build(registry, "sampler", settings.sampler),
    )
    with find_run(settings.run, settings.tracking) as found:
        run = Loaded(with_corpus(found, settings.tokenizer, registry), registry, settings.engine)
    texts = run.generate(**vars(how))
    if texts:
        show(("\n\n" if any("\n" in text for text in texts) else "\n").join(texts))
    return 0
