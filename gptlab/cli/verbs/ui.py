"""The verb `ui`: MLflow's pages for the store of this folder."""

from gptlab.cli.reading import with_settings
from gptlab.command.line import CommandLine
from gptlab.config.schema import UiConfig

HELP = """\
Browse the runs of this folder in MLflow's pages, until Ctrl-C.

  python -m gptlab ui port=5000

host, port    where to listen; 127.0.0.1 and 5000
tracking.uri  another store, e.g. tracking.uri=sqlite:////path/mlflow.db\
"""


def run(arguments: list[str]) -> int:
    return with_settings("ui", arguments, ui)


def ui(settings: UiConfig, line: CommandLine) -> int:
    """Serve them until Ctrl-C."""
    from gptlab.tracking.ui import serve_ui

    return serve_ui(settings.tracking.get("uri"), settings.host, settings.port)
