"""The verb `gallery`: published findings, run again; reproduced, or not."""

from __future__ import annotations

import contextlib
import sys

from gptlab.calling import as_called
from gptlab.cli.reading import with_settings
from gptlab.command.composing import prepared
from gptlab.command.line import CommandLine, bare_words
from gptlab.config.schema import GalleryConfig
from gptlab.errors import UserError
from gptlab.streams import show

JSON = "--json"

HELP = """\
Rerun published findings, each with the smallest runs that show it: what is claimed, what came out, and whether
it is as expected.

  python -m gptlab gallery
  python -m gptlab gallery squaredrelu
  python -m gptlab gallery squaredrelu seeds=12 seed=100 train.numSteps=500

Without a name it lists the findings. With a name it trains the runs, prints the numbers beside what is
expected, draws the picture, and exits with 0 for reproduced or 1 for not reproduced. Keys that you type replace
the entry's own; a run that was trained before is not trained again.

seeds  how many, from seed on; by default the entry's own
again  true: train again what has been trained before
--json one JSON object on standard output; everything else goes to standard error
sweep.resume=latest  go on with one that was stopped

An entry is a file: experiments/gallery/NAME.yaml, gptlab's own or in this folder. docs/gallery.md shows each.\
"""


def run(arguments: list[str]) -> int:
    from gptlab.ablation.arms import merged
    from gptlab.gallery.finding import entry_named

    as_json = JSON in arguments
    arguments = [argument for argument in arguments if argument != JSON]
    words = bare_words(arguments, "gallery")
    if len(words) > 1:
        raise UserError(
            f"one entry at a time: got {' '.join(words)}. Type python -m gptlab gallery {words[0]}"
        )
    if not words:
        if arguments:
            raise UserError(
                f"gallery takes a name before its keys: got {arguments[0]}. "
                "Type python -m gptlab gallery for the names."
            )
        show(listing())
        return 0
    entry = entry_named(words[0])
    rest = [argument for argument in arguments if argument not in words]
    typed = [text for text in rest if is_override(text)]
    flags = [text for text in rest if not is_override(text)]
    whole = [*flags, *merged(entry.base, typed)]

    def reproduce(settings: GalleryConfig, line: CommandLine) -> int:
        from gptlab.gallery.running import Gallery

        asked = Gallery(entry, settings, line, prepared(line), typed, [entry.name, *typed], show)
        with contextlib.redirect_stdout(sys.stderr) if as_json else contextlib.nullcontext():
            status = asked.run()
        if as_json and asked.found is not None:
            from gptlab.gallery.telling import json_text

            show(json_text(asked.found))
        return status

    return with_settings("gallery", whole, reproduce)


def is_override(argument: str) -> bool:
    return "=" in argument and not argument.startswith("-")


def listing() -> str:
    """An entry a row: what is claimed, by whom, and how many minutes it takes."""
    from gptlab.cli.help import table
    from gptlab.gallery.entry import read_entry
    from gptlab.gallery.finding import entry_files

    rows = {}
    for name, file in entry_files().items():
        try:
            entry = read_entry(name, file)
            rows[name] = f"{entry.claim} ({entry.authors}; {entry.minutes:g} min)"
        except UserError as error:
            rows[name] = f"cannot be read: {error}"
    one = next(iter(rows), "NAME")
    found = f"Findings (minutes on two cores):\n{table(rows)}\n\nOne of them: python -m gptlab gallery {one}"
    return as_called(found)
