"""The verb `import`: a run's folder, of a file of weights."""

from __future__ import annotations

from pathlib import Path

from gptlab.calling import quoted
from gptlab.cli.reading import with_settings
from gptlab.command.composing import compose
from gptlab.command.line import CommandLine, with_bare_word
from gptlab.config.schema import ImportConfig, plain
from gptlab.streams import show

HELP = """\
Turn a file of weights into a run below ./runs that generate, initFrom and export know, and print its folder.

  python -m gptlab import weights.json tokenizer.path=corpus.txt

The first word is a file as export writes it, from gptlab or another program, or hf:FOLDER of transformers.
tokenizer    tokenizer.path: the text that the model was trained on, to build the vocabulary from; only for a
             file that has none. tokenizer=word (the default) or tokenizer=char\
"""


def run(arguments: list[str]) -> int:
    return with_settings("import", with_bare_word(arguments, "import", "file"), import_file)


def import_file(settings: ImportConfig, line: CommandLine) -> int:
    """Make the folder, and print its path."""
    from gptlab.exchange import read_file
    from gptlab.exchange.huggingface import ADDRESS
    from gptlab.exchange.huggingface.reading import read_folder
    from gptlab.exchange.loading import check_vocabulary, with_corpus, with_model
    from gptlab.runs.finding import RUNS, path_of
    from gptlab.runs.saved_run import import_weights

    registry = line.plugins.registry
    if settings.file.startswith(ADDRESS):
        found = read_folder(settings.file, path_of(settings.file.removeprefix(ADDRESS)))
    else:
        found = read_file(path_of(settings.file))
    saved, _ = with_model(with_corpus(found, settings.tokenizer, registry), registry)
    check_vocabulary(saved, registry)
    config = saved.config or config_of(saved.sizes, settings.tokenizer)
    if "train" not in config:  # a folder of transformers says no more than what its model is
        config = {**plain(compose("train", [])), **config}
    show(import_weights(saved, config, Path(RUNS)))
    return 0


def config_of(sizes: dict[str, int], tokenizer: dict[str, object]) -> dict[str, object]:
    """The config of a run that would train the standard model of these sizes on its corpus."""
    overrides = [f"model.{key}={size}" for key, size in sizes.items() if key != "vocabSize"]
    if tokenizer.get("path") is not None:
        overrides += ["data=text", quoted("data.path", str(tokenizer["path"]))]
    return {**plain(compose("train", overrides)), "tokenizer": dict(tokenizer)}
