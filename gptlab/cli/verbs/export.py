"""The verb `export`: the weights of a run, or of whatever names weights, to a file."""

from __future__ import annotations

import sys

from gptlab.calling import quoted
from gptlab.cli.reading import with_settings
from gptlab.command.line import CommandLine, with_bare_word
from gptlab.config.schema import ExportConfig
from gptlab.errors import UserError
from gptlab.streams import show

FORMAT = "--format"

HELP = """\
Write the weights of a run to one file, or to a folder that transformers opens, and print its path.

  python -m gptlab export latest --format=json output=weights.json
  python -m gptlab export latest --format=huggingface output=FOLDER
  python -m gptlab export latest --format=c && cc -O2 model.c -lm && ./a.out "the cat"

The first word is anything that names weights, as in generate (latest if left out).
--format     json: {"config": {nLayer, nEmbd, blockSize, nHead, headDim, vocabSize}, "weights": [every number]},
             only for the standard model; each number with all its digits, matrix by matrix, row by row
             safetensors: any model, with its config and its vocabulary
             huggingface: a folder (config.json, model.safetensors, tokenizer.json) that transformers opens as
             LlamaForCausalLM or GPT2LMHeadModel, if the model is one; if not, it says what stands in the way
             transformerlens: a folder (config.json, model.safetensors) for TransformerLens
             gguf: such a model as llama.cpp reads it, float32, with the vocabulary if its tokens are bytes
             c: a program that samples text; any model, with its weights and its vocabulary in one file
training     training=true: a program that trains as the run did, from its start, and then samples
output       the file or the folder to write; weights.json, weights.gguf ..., model.c or huggingface if left out
overwrite    overwrite=true replaces an existing file
tokenizer    tokenizer.path=corpus.txt gives a vocabulary to a file of weights that has none\
"""


def run(arguments: list[str]) -> int:
    return with_settings("export", with_bare_word(with_format(arguments), "export", "run"), export)


def export(settings: ExportConfig, line: CommandLine) -> int:
    """Write the file, and print its path."""
    from gptlab.exchange.exporting import FOLDERS, check_free, export_weights, output_file
    from gptlab.exchange.finding import find_run
    from gptlab.exchange.huggingface.writing import check_place, export_folder
    from gptlab.exchange.loading import check_vocabulary, with_corpus, with_model

    registry = line.plugins.registry
    chosen, path = output_file(settings.format, settings.output)
    if settings.training and chosen != "c":
        raise UserError(f"training=true is for --format=c: got {chosen}. Leave it out, or type --format=c.")
    folder = chosen in FOLDERS
    (check_place if folder else check_free)(path, settings.overwrite)
    with find_run(settings.run, settings.tracking) as found:
        saved, architecture = with_model(with_corpus(found, settings.tokenizer, registry), registry)

        def program() -> str:
            from gptlab.exchange.c_program import c_program
            from gptlab.launch.training_in_c import steps_of

            steps = steps_of(saved, registry) if settings.training else None
            return c_program(saved, architecture, check_vocabulary(saved, registry), path.name, steps)

        if chosen == "transformerlens":
            from gptlab.exchange.transformerlens import export_transformerlens

            export_transformerlens(saved, registry, path)
        elif folder and (note := export_folder(saved, registry, path)):
            show(note, sys.stderr)
        elif not folder:
            export_weights(saved, registry, chosen, path, program)
    show(path)
    return 0


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
            raise UserError(
                f"{FORMAT} needs a value: type {FORMAT}=json, safetensors, gguf, c, huggingface or transformerlens."
            )
        result.append(quoted("format", value))
    return result
