"""The verb `play`: a page to type text in, and see what runs expect next."""

from __future__ import annotations

import signal

from gptlab.cli.reading import with_settings
from gptlab.command.line import CommandLine
from gptlab.config.schema import PlayConfig
from gptlab.errors import UserError, require
from gptlab.streams import show

HELP = """\
Open a page to type text in: it shows what a run expects next, word by word, and what another one does.

  python -m gptlab play
  python -m gptlab play run=latest other=runs/2026-11-22/19-55-47-000000-tiny

run, other    anything that names weights, as in generate (run: latest if left out); the page lists the runs
              below ./runs
port          where to listen, only on 127.0.0.1; any free port if left out
tokenizer     tokenizer.path=corpus.txt for a file of weights that has no vocabulary

The address contains a token: without it, nobody sees anything. Ctrl-C ends it.\
"""


def run(arguments: list[str]) -> int:
    return with_settings("play", arguments, play)


def play(settings: PlayConfig, line: CommandLine) -> int:
    """Serve the page until Ctrl-C."""
    require("port", settings.port, at_least=0, at_most=65535, example="8000, or 0 for any that is free")
    from gptlab.exchange.finding import find_run
    from gptlab.exchange.loading import with_corpus
    from gptlab.loaded.loaded import Loaded
    from gptlab.play.answers import Answers
    from gptlab.play.server import HOST, PlayServer
    from gptlab.signals import handled

    def load(name: str) -> Loaded:
        with find_run(name, settings.tracking) as found:
            registry = line.plugins.registry
            return Loaded(with_corpus(found, settings.tokenizer, registry), registry)

    chosen = {name: load(name) for name in (settings.run, settings.other) if name is not None}
    named = {str(run.folder or name): run for name, run in chosen.items()}
    try:
        server = PlayServer(Answers(load, named), settings.port)
    except OSError as error:
        raise UserError(
            f"port {settings.port} of {HOST} is not free ({error.strerror}). Leave port out to use any that is."
        ) from None
    try:
        with handled(signal.default_int_handler), server:
            names = " and ".join(run.name for run in named.values())
            show(f"Play with {names} at\n\n    {server.address}\n\nCtrl-C ends it.")
            server.serve_forever()
    except KeyboardInterrupt:
        show("\nended")
    return 0
