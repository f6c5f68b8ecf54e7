"""The verb `inspect`: what a model makes of a text, position by position, in the terminal or as a page."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from gptlab.cli.command_line import quoted, read_command_line
from gptlab.errors import UserError

TEXTS = ("run", "text", "output", "tokenizer.path")  # any signs may be in these
FORMS = ("terminal", "html")


def inspect(arguments: list[str]) -> int:
    """Print the candidates and losses of a text, or write all that can be seen to one page and print its path."""
    from gptlab.cli import show
    from gptlab.cli.composing import prepared, settings_of

    arguments = [as_written(argument) for argument in arguments]
    line = read_command_line(arguments)
    if line.shows:
        return show("inspect", arguments)
    plugins = prepared()
    settings = settings_of("inspect", line, plugins)
    if settings["to"] not in FORMS:
        raise UserError(f"to must be {' or '.join(FORMS)}: got {settings['to']}. Try to=html.")
    if settings["candidates"] < 1:
        raise UserError(f"candidates must be at least 1: got {settings['candidates']}. Try candidates=5.")
    output = page_file(settings["output"]) if settings["to"] == "html" else None
    from gptlab.inspection.source import inspect_source, title_of
    from gptlab.runs import found_source, with_corpus

    with found_source(settings["run"], settings["tracking"]) as found:
        source = with_corpus(found, settings["tokenizer"], plugins.registry)
        inspection = inspect_source(source, plugins.registry, settings["text"])
        title = title_of(source, inspection)
    if output is None:
        from gptlab.inspection.table import table

        print(table(inspection, settings["candidates"], title))
        return 0
    from gptlab.inspection.page import page

    text = page(inspection, title)
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise UserError(f"output must be a file that can be written: {output}: {error.strerror}.") from None
    print(output)
    return 0


def as_written(argument: str) -> str:
    """An override of a text in quotes, so that no sign in it is Hydra's."""
    key, equals, value = argument.partition("=")
    if not equals or key not in TEXTS or value[:1] in ("'", '"'):
        return argument
    return quoted(key, value)


def page_file(output: str) -> Path:
    """Raises UserError for what is no page's name, has no folder, or is a file that is something else."""
    path = Path(os.path.expanduser(output))
    if path.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"output must be a file that ends in .html: got '{output}'. Try output=inspect.html.")
    if not os.path.isdir(path.parent):
        raise UserError(f"output must be in a folder that is there: {path.parent} is none.")
    if os.path.isdir(path):
        raise UserError(f"output must be a file: {path} is a folder. Try output=inspect.html.")
    with suppress(FileNotFoundError), path.open("rb") as file:
        if (
            not file.read(32).lstrip().lower().startswith((b"<!doctype html", b"<html"))
            and path.stat().st_size
        ):
            raise UserError(f"output is replaced if it is a page, and {path} is none. Choose another name.")
    return path
