"""The verb `inspect`: what a model makes of a text, position by position, in the terminal or as a page."""

from __future__ import annotations

from gptlab.cli.output_file import output_file, write_output
from gptlab.cli.reading import with_line_ends, with_settings
from gptlab.command.line import CommandLine
from gptlab.config.schema import InspectConfig
from gptlab.errors import UserError, require
from gptlab.streams import show

FORMS = ("terminal", "html")

HELP = """\
What a model makes of a text: at each position the likeliest tokens, and the loss of the one that really came.

  python -m gptlab inspect run=latest text="the cat eats"
  python -m gptlab inspect text="the cat eats" to=html

run           whatever names weights, as in generate, hf:FOLDER included (latest if left out)
text          in tokens of the run's vocabulary, at most blockSize of them
to=html       one page that opens from disk: tokens, attention of each layer and head, what each layer would
              predict, norms of hidden states and gradients, every weight matrix, where the loss comes from
output        the page; inspect.html if left out, which is replaced
candidates    how many tokens are shown at each position; 5 if left out
tokenizer     tokenizer.path=corpus.txt for a file of weights that carries no vocabulary

A training run logs such a page to MLflow at its end: inspect.atEnd=false for none, inspect.every=100 for one
every 100 steps as well, inspect.text="the cat eats" for another text than a document that is held out.\
"""


def run(arguments: list[str]) -> int:
    return with_settings("inspect", arguments, inspect)


def inspect(settings: InspectConfig, line: CommandLine) -> int:
    """Print the candidates and losses of a text, or write all that can be seen to one page and print its path."""
    if settings.to not in FORMS:
        raise UserError(f"to must be {' or '.join(FORMS)}: got {settings.to}. Try to=html.")
    require("candidates", settings.candidates, at_least=1, example=5)
    output = (
        output_file(settings.output, "inspect.html", "a page", is_page) if settings.to == "html" else None
    )
    from gptlab.exchange.finding import find_run
    from gptlab.exchange.loading import with_corpus
    from gptlab.loaded.loaded import Loaded, title_of

    with find_run(settings.run, settings.tracking) as found:
        run = Loaded(with_corpus(found, settings.tokenizer, line.plugins.registry), line.plugins.registry)
    inspection = run.inspect(with_line_ends(settings.text))
    title = title_of(inspection, run.folder or run.source.name, run.step)
    if output is None:
        from gptlab.inspection.table import table

        show(table(inspection, settings.candidates, title), drawn=True)
        return 0
    from gptlab.inspection.page import page

    write_output(output, page(inspection, title).encode())
    show(output)
    return 0


def is_page(start: bytes) -> bool:
    return start.lstrip().lower().startswith((b"<!doctype html", b"<html"))
