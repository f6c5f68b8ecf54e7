"""The verbs `export` and `import`: weights from a run to a file, and from a file to a run."""

from __future__ import annotations

import os
from pathlib import Path

from gptlab.calling import quoted
from gptlab.cli.command_line import Verb, read_command_line, read_flags
from gptlab.errors import UserError

FORMAT = "--format"


def export(arguments: list[str]) -> int:
    """Write the weights of a run, or of whatever names weights, to a file, and print its path."""
    from gptlab.cli import show
    from gptlab.cli.composing import prepared, settings_of

    line = read_command_line(with_bare_word(with_format(arguments), "export", "run"), "export")
    if line.shows:
        return show("export", line)
    plugins = prepared(line)
    settings = settings_of("export", line, plugins)
    from gptlab.exchange.exporting import check_free, export_weights, output_file
    from gptlab.exchange.finding import found_source
    from gptlab.exchange.loading import with_corpus, with_model

    chosen, path = output_file(settings["format"], settings["output"])
    check_free(path, settings["overwrite"])
    with found_source(settings["run"], settings["tracking"]) as found:
        source, _ = with_model(with_corpus(found, settings["tokenizer"], plugins.registry), plugins.registry)
        export_weights(source, plugins.registry, chosen, path)
    print(path)
    return 0


def import_file(arguments: list[str]) -> int:
    """Make a run's folder of a file of weights, and print its path."""
    from gptlab.cli import show
    from gptlab.cli.composing import prepared, settings_of

    line = read_command_line(with_bare_word(arguments, "import", "file"), "import")
    if line.shows:
        return show("import", line)
    plugins = prepared(line)
    settings = settings_of("import", line, plugins)
    from gptlab.exchange import read_file
    from gptlab.exchange.importing import import_weights
    from gptlab.exchange.loading import check_vocabulary, with_corpus, with_model
    from gptlab.runs.finding import RUNS, path_of

    found = read_file(path_of(settings["file"]))
    source, _ = with_model(with_corpus(found, settings["tokenizer"], plugins.registry), plugins.registry)
    check_vocabulary(source, plugins.registry)
    config = source.config or config_of(source.sizes, settings["tokenizer"])
    print(import_weights(source, config, Path(RUNS)))
    return 0


def config_of(sizes: dict[str, int], tokenizer: dict[str, object]) -> dict[str, object]:
    """The config of a run that would train the standard model of these sizes on its corpus."""
    from gptlab.cli.composing import compose
    from gptlab.config.schema import plain

    overrides = [f"model.{key}={size}" for key, size in sizes.items() if key != "vocabSize"]
    if tokenizer.get("path") is not None:
        overrides += ["data=text", quoted("data.path", str(tokenizer["path"]))]
    return {**plain(compose("train", overrides)), "tokenizer": tokenizer}


def with_format(arguments: list[str]) -> list[str]:
    """`--format=json` and `--format json`, typed like a flag, as the override that it is."""
    result: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        name, equals, value = argument.partition("=")
        if name != FORMAT:
            result.append(argument)
            continue
        value = value if equals else next(rest, "")
        if not value or "=" in value:
            raise UserError(f"{FORMAT} needs a value: type {FORMAT}=json or {FORMAT}=safetensors.")
        result.append(quoted("format", value))
    return result


def with_bare_word(arguments: list[str], verb: str, key: str) -> list[str]:
    """The one argument that is no override as `key=...`. Raises UserError for a second one."""
    words = read_flags(arguments, Verb(verb)).overrides
    # A path may have a sign of equality in it.
    found = [word for word in words if word[:1] not in "+~" and ("=" not in word or os.path.exists(word))]
    if len(found) > 1:
        raise UserError(f"only one {key} can be given: got {found[0]} and {found[1]}.")
    return [quoted(key, a) if a in found else a for a in arguments]
