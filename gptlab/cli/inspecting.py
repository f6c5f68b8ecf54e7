"""The verb `inspect`: what a model makes of a text, position by position, in the terminal or as a page."""

from __future__ import annotations

from gptlab.cli.command_line import read_command_line
from gptlab.cli.escapes import with_line_ends
from gptlab.cli.output_file import output_file
from gptlab.errors import UserError

FORMS = ("terminal", "html")


def inspect(arguments: list[str]) -> int:
    """Print the candidates and losses of a text, or write all that can be seen to one page and print its path."""
    from gptlab.cli import show
    from gptlab.cli.composing import prepared, settings_of

    line = read_command_line(arguments, "inspect")
    if line.shows:
        return show("inspect", line)
    plugins = prepared(line)
    settings = settings_of("inspect", line, plugins)
    if settings["to"] not in FORMS:
        raise UserError(f"to must be {' or '.join(FORMS)}: got {settings['to']}. Try to=html.")
    if settings["candidates"] < 1:
        raise UserError(f"candidates must be at least 1: got {settings['candidates']}. Try candidates=5.")
    output = (
        output_file(settings["output"], "inspect.html", "a page", is_page)
        if settings["to"] == "html"
        else None
    )
    from gptlab.exchange.finding import found_source
    from gptlab.exchange.loading import with_corpus
    from gptlab.loaded.inspecting import inspect_source, title_of

    with found_source(settings["run"], settings["tracking"]) as found:
        source = with_corpus(found, settings["tokenizer"], plugins.registry)
        inspection = inspect_source(source, plugins.registry, with_line_ends(settings["text"]))
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


def is_page(start: bytes) -> bool:
    return start.lstrip().lower().startswith((b"<!doctype html", b"<html"))
