"""The verb `inspect`: what a model makes of a text, position by position, in the terminal or as a page."""

from __future__ import annotations

from typing import Any

from gptlab.cli.output_file import output_file, write_output
from gptlab.cli.reading import with_line_ends, with_settings
from gptlab.command.line import CommandLine
from gptlab.config.schema import InspectConfig
from gptlab.errors import UserError, require
from gptlab.streams import show

FORMS = ("terminal", "html")
JSON = "--json"

HELP = """\
Show what a model makes of a text: at each position the likeliest tokens, and the loss of the one that came.

  python -m gptlab inspect run=latest text="the cat eats"
  python -m gptlab inspect text="the cat eats" to=html
  python -m gptlab inspect text="the cat eats" without=layers.1.head.2
  python -m gptlab inspect text="the cat eats" heads=true

run           anything that names weights, as in generate, hf:FOLDER included (latest if left out)
text          tokens of the run's vocabulary, at most blockSize of them
to=html       one page that opens from disk: tokens, attention of each layer and head, what each layer would
              predict, norms of hidden states and gradients, every weight matrix, where the loss comes from
output        the page; if left out, inspect.html, which is replaced
without       a part of the model, or [several,parts], whose output to replace: layers.1.head.2,
              layers.0.attention, layers.0.mlp; shows what that does to the loss of each token
with          what to put there: zero (if left out), or mean, its mean over the positions of held-out documents
from          a text with as many tokens, to take the part's output from: from="the dog eats"
heads         heads=true: how much the mean loss rises without each head, attention and mlp, one at a time, on
              the text and on held-out documents
steps         steps=true: one page with a slider over the run's checkpoints; without text=, over the
              inspections that inspect.every=100 has kept; with run=SWEEP, two of its runs beside each other
documents     how many held-out documents; 200 if left out
--json        one JSON object instead of a table
candidates    how many tokens to show at each position; 5 if left out
tokenizer     tokenizer.path=corpus.txt for a file of weights that has no vocabulary

A training run logs such a page to MLflow at its end: inspect.atEnd=false for none, inspect.every=100 for one
every 100 steps as well, inspect.text="the cat eats" for this text instead of a held-out document.\
"""
# Typed as one says it; a field of a dataclass cannot be called like a word of Python's.
SPOKEN = {"with=": "fill=", "from=": "source="}


def run(arguments: list[str]) -> int:
    rest = [as_field(argument) for argument in arguments if argument != JSON]
    as_json = JSON in arguments
    return with_settings("inspect", rest, lambda settings, line: inspect(settings, line, as_json))


def as_field(argument: str) -> str:
    for spoken, field in SPOKEN.items():
        if argument.startswith(spoken):
            return field + argument.removeprefix(spoken)
    return argument


def inspect(settings: InspectConfig, line: CommandLine, as_json: bool) -> int:
    """Print the candidates and losses of a text, or write all that can be seen to one page and print its path."""
    # An empty text that was typed is one, and is refused as such.
    typed = any(override.get_key_element().lstrip("+") == "text" for override in line.overrides)
    text = with_line_ends(settings.text) if typed else None
    check(settings, text, as_json)
    output = (
        output_file(settings.output, "inspect.html", "a page", is_page)
        if settings.to == "html" or settings.steps
        else None
    )
    from gptlab.exchange.finding import find_run
    from gptlab.exchange.loading import with_corpus
    from gptlab.loaded.loaded import Loaded, title_of
    from gptlab.runs.finding import named_here
    from gptlab.runs.folder import SweepFolder

    if settings.steps and isinstance(sweep := named_here(settings.run), SweepFolder):
        from gptlab.cli.sweep_pages import runs_beside_each_other
        from gptlab.tracking.left import wait_until_sent

        assert output is not None
        if text is None:
            wait_until_sent(sweep.path)
        write_output(output, runs_beside_each_other(sweep, line.plugins.registry, text, output).encode())
        show(output)
        return 0
    with find_run(settings.run, settings.tracking) as found:
        run = Loaded(with_corpus(found, settings.tokenizer, line.plugins.registry), line.plugins.registry)
    if settings.steps:
        from gptlab.cli.sweep_pages import way_to_sweep
        from gptlab.inspection.step_pages import page_of_steps
        from gptlab.loaded.over_steps import series_of
        from gptlab.tracking.left import wait_until_sent

        assert output is not None
        if not text and run.folder is not None:
            wait_until_sent(run.folder)  # MLflow's process makes the pages that are kept
        series = series_of(run, line.plugins.registry, text)
        shown = series[-1][1]["text"].replace("\n", r"\n")
        way = way_to_sweep(run.folder, output)
        write_output(output, page_of_steps(series, f'"{shown}" in {run.folder}, step by step', way).encode())
        show(output)
        return 0
    place = run.folder or run.source.name
    changed = effects = None
    if settings.without is not None:
        assert text is not None
        source = None if settings.source is None else with_line_ends(settings.source)
        parts = parts_in(settings.without)
        changed = run.without(parts, text, settings.fill, source=source, documents=settings.documents)
    if settings.heads:
        effects = run.ablate_heads(text, settings.fill, documents=settings.documents)
    if as_json:
        from gptlab.inspection.as_json import json_text, positions_of

        seen: Any = changed or (None if text is None else run.inspect(text))
        shown = {} if seen is None else positions_of(seen.text, seen.tokens, seen.targets, seen.losses)
        show(json_text(str(place), run.step, shown, changed, effects))
        return 0
    if output is not None:
        from gptlab.cli.sweep_pages import way_to_sweep
        from gptlab.inspection.page import page

        assert text is not None
        inspection = run.inspect(text)
        title, way = title_of(inspection, place, run.step), way_to_sweep(run.folder, output)
        write_output(output, page(inspection, title, changed, effects, way).encode())
        show(output)
        return 0
    if changed is not None or effects is not None:
        from gptlab.inspection.intervention_table import effects_table, intervention_table

        step = "" if run.step is None else f", step {run.step:,}"
        tables = [intervention_table(changed, title_of(changed, place, run.step))] if changed else []
        tables += [effects_table(effects, "" if changed else f"{place}{step}")] if effects else []
        show("\n\n".join(tables), drawn=True)
        return 0
    from gptlab.inspection.table import table

    assert text is not None
    inspection = run.inspect(text)
    show(table(inspection, settings.candidates, title_of(inspection, place, run.step)), drawn=True)
    return 0


def check(settings: InspectConfig, text: str | None, as_json: bool) -> None:
    """Raises UserError for keys that say nothing together."""
    if settings.to not in FORMS:
        raise UserError(f"to must be {' or '.join(FORMS)}: got {settings.to}. Try to=html.")
    require("candidates", settings.candidates, at_least=1, example=5)
    require("documents", settings.documents, at_least=1, example=200)
    if settings.steps and (settings.heads or settings.without is not None or as_json):
        raise UserError(f"steps=true is a page of its own: leave heads, without and {JSON} out.")
    if (
        text is None
        and not settings.steps
        and (not settings.heads or settings.without or settings.to == "html")
    ):
        raise UserError('text must be given: it has no default. Add text="the cat eats" to the command.')
    if as_json and settings.to != "terminal":
        raise UserError(f"{JSON} and to={settings.to} are two ways to show it: got both. Leave one out.")
    if settings.source is not None and settings.without is None:
        raise UserError(
            "from= says what replaces a part's output, and without= says which part: got from= alone."
        )
    if settings.fill != "zero" and settings.without is None and not settings.heads:
        raise UserError(
            "with= says what replaces a part's output, and without= says which part: got with= alone."
        )


def parts_in(typed: str) -> list[str]:
    """`layers.0.mlp`, or several in brackets."""
    return [
        name.strip() for name in typed.strip().removeprefix("[").removesuffix("]").split(",") if name.strip()
    ]


def is_page(start: bytes) -> bool:
    return start.lstrip().lower().startswith((b"<!doctype html", b"<html"))
